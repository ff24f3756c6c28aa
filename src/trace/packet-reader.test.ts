import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readFirst as read } from "../../test/support/call-log.ts";
import { historyOf } from "../../test/support/random-calls.ts";
import { encodeStream, packetsOf, traceOfBytes } from "../../test/support/trace-builder.ts";

describe("a damaged stream", () => {
  const history = historyOf(
    Array.from({ length: 60 }, (_, i) => ({
      does: i % 3 === 2 ? "return" : "call",
      site: i % 4,
      after: 5,
    })),
  );
  const whole = encodeStream({ tid: 1, packets: packetsOf(history.events, [10, 7, 20]) });
  const wholePackets = [10, 17, 37, 60];

  it("is read up to the last whole packet, wherever the file ends", () => {
    const ends = wholePackets.map((events, i) => (i + 1) * 112 + events * 8);
    for (let length = 0; length <= whole.length; length++) {
      const { log, reader } = read(traceOfBytes([whole.subarray(0, length)]));
      const packets = ends.filter((end) => end <= length).length;
      expect(reader.totals.packets).toBe(packets);
      expect(reader.totals.slots).toBe(wholePackets[packets - 1] ?? 0);
      expect(reader.totals.tornBytes).toBe(length - (ends[packets - 1] ?? 0));
      expect(log.entries).toEqual(log.entries.filter((entry) => entry.time < Infinity));
      expect(reader.totals.damages).toEqual([]);
    }
  });

  it("is read on behind bytes that are no packet, and nothing is matched across them", () => {
    fc.assert(
      fc.property(
        fc.nat({ max: whole.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, flip) => {
          const bytes = whole.slice();
          bytes[at] = (bytes[at] ?? 0) ^ flip;
          const { log } = read(traceOfBytes([bytes]));
          for (const call of log.calls) expect(call.end).toBeGreaterThanOrEqual(call.start);
        },
      ),
    );
    const bytes = whole.slice();
    bytes[112 + 80] = 0;
    const { log, reader } = read(traceOfBytes([bytes]));
    expect(reader.totals).toMatchObject({ packets: 3, slots: 53 });
    expect(reader.totals.damages).toHaveLength(1);
    expect(log.gaps).toMatchObject([{ lost: Infinity }]);
  });
});

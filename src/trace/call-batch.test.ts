import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CallLog } from "../../test/support/call-log.ts";
import { type TestPacket, traceOf } from "../../test/support/trace-builder.ts";
import { encodeEvent, fillerSite, timeWrap } from "../ring/event.ts";
import { type EventKind, eventKind } from "../ring/layout.ts";
import { encodeLongEvent, longBase, longForm } from "../ring/long-event.ts";
import { batchCalls, CallBatch } from "./call-batch.ts";
import { type CallEnd, callEnd } from "./call-stack.ts";
import { ThreadReader } from "./thread-reader.ts";

/** A call that returned, and how many of the same function it was in. */
type Returned = {
  readonly site: number;
  readonly duration: number;
  readonly self: number;
  readonly around: number;
};

/** Writes calls that returned down for themselves, and all else as any log does. */
class EachCall extends CallLog {
  readonly returned: Returned[] = [];
  readonly #open = new Map<number, number>();

  override enter(site: number): void {
    this.#open.set(site, (this.#open.get(site) ?? 0) + 1);
  }
  override leave(site: number, start: number, end: number, self: number, i: number, how: CallEnd) {
    const around = (this.#open.get(site) ?? 0) - 1;
    this.#open.set(site, around);
    if (how === callEnd.returned) {
      this.returned.push({ site, duration: end - start, self, around });
    } else super.leave(site, start, end, self, i, how);
  }
}

/** The same by a batch. */
class BatchedCalls extends CallLog {
  readonly returned: Returned[] = [];
  handedOver = 0;
  readonly batch = new CallBatch(4, ({ count, sites, durations, selfs, around }) => {
    this.handedOver++;
    for (let call = 0; call < count; call++) {
      const [site = -1, duration = -1] = [sites[call], durations[call]];
      this.returned.push({ site, duration, self: selfs[call] ?? -1, around: around[call] ?? -1 });
    }
  });

  override enter(site: number): void {
    this.batch.enter(site);
  }
  override leave(site: number, start: number, end: number, self: number, i: number, how: CallEnd) {
    const around = this.batch.leave(site);
    if (how === callEnd.returned) this.batch.add(site, end - start, self, around);
    else super.leave(site, start, end, self, i, how);
  }
}

/** What both kinds of visitors are told of a thread. */
function readBoth(packets: readonly TestPacket[], windowBytes?: number) {
  const trace = traceOf([{ tid: 7, packets }]);
  const [stream] = trace.streams;
  if (stream === undefined) throw new Error("no stream");
  const tell = <V extends EachCall | BatchedCalls>(visitor: V) => {
    const reader = new ThreadReader(trace, stream, visitor, 0n, windowBytes);
    for (let next = reader.next(); next < Infinity; ) next = reader.run(Infinity);
    if (visitor instanceof BatchedCalls) visitor.batch.flush();
    const { returned, calls, points, orphans, gaps, payloads } = visitor;
    const { end, totals } = reader;
    return { visitor, told: { returned, calls, points, orphans, gaps, payloads, end, totals } };
  };
  return { each: tell(new EachCall()), batched: tell(new BatchedCalls()) };
}

/** What a producer, or damage, can put into a thread's stream. */
type Step = {
  readonly does: "enter" | "leave" | EventKind;
  readonly site: number;
  readonly after: number;
  readonly words: number;
};

/** Mostly calls as they should be; the rest is anything at all. */
const step: fc.Arbitrary<Step> = fc.record({
  does: fc.oneof(
    { weight: 40, arbitrary: fc.constantFrom("enter" as const, "leave" as const) },
    { weight: 1, arbitrary: fc.constantFrom(...Object.values(eventKind)) },
  ),
  site: fc.oneof(
    { weight: 40, arbitrary: fc.nat({ max: 3 }) },
    { weight: 1, arbitrary: fc.constantFrom(5, 700, 2 ** 23, 2 ** 23 + 2, fillerSite) },
  ),
  after: fc.oneof(
    { weight: 40, arbitrary: fc.nat({ max: 50 }) },
    { weight: 1, arbitrary: fc.constantFrom(-7, -(2 ** 31), 2 ** 30, 2 ** 31 + 5, timeWrap - 3) },
  ),
  words: fc.nat({ max: 4 }),
});

/** Slots of these steps in one packet; leaving out of nothing enters. */
function packetFrom(steps: readonly Step[], start: number, lost: number): TestPacket {
  const open: number[] = [];
  let time = start;
  const slots = steps.flatMap(({ does, site, after, words }) => {
    time = Math.max(0, time + after);
    const top = does === "leave" ? open.pop() : undefined;
    if (top !== undefined) return [encodeEvent(eventKind.exit, BigInt(time), top)];
    if (does === "enter" || does === "leave") open.push(site);
    const kind = does === "enter" || does === "leave" ? eventKind.entry : does;
    if (kind !== eventKind.long) return [encodeEvent(kind, BigInt(time), site)];
    const values = Array.from({ length: words }, (_, i) => BigInt(i));
    const form = longForm.values;
    const base = Object.values(longBase)[words] ?? longBase.note;
    return encodeLongEvent({ base, form, time: BigInt(time), site, types: 0, words: values });
  });
  const all = { entries: lost, exits: 0, all: lost };
  return { slots, begin: BigInt(start), end: BigInt(Math.max(start, time)), lost: all, place: 1 };
}

describe("a batch of calls", () => {
  it("holds what a visitor is told call by call, whatever is in the trace", () => {
    const packets = fc.array(
      fc.record({
        steps: fc.array(step, { maxLength: 100, size: "max" }),
        start: fc.oneof(fc.nat({ max: 2000 }), fc.constantFrom(2 ** 30 - 40, 5 * timeWrap - 99)),
        loses: fc.constantFrom(0, 0, 0, 2),
      }),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(packets, fc.constantFrom(128, 1 << 18), (list, windowBytes) => {
        let lost = 0;
        const { each, batched } = readBoth(
          list.map(({ steps, start, loses }) => packetFrom(steps, start, (lost += loses))),
          windowBytes,
        );
        expect(batched.told).toEqual(each.told);
      }),
      { numRuns: 300 },
    );
  });

  it("takes more calls and deeper stacks than there is room for at once", () => {
    const slots: bigint[] = [];
    const event = (kind: EventKind, site: number): void => {
      slots.push(encodeEvent(kind, BigInt(1000 + 3 * slots.length), site));
    };
    const deep = 3 * batchCalls;
    for (let call = 0; call < deep; call++) event(eventKind.entry, call % 3);
    for (let call = deep - 1; call >= 0; call--) event(eventKind.exit, call % 3);
    const end = BigInt(1000 + 3 * slots.length);
    const { each, batched } = readBoth([{ slots, begin: 1000n, end }]);
    expect(batched.told).toEqual(each.told);
    expect(batched.told.returned).toHaveLength(deep);
    expect(batched.told.returned.at(-1)).toEqual({
      site: 0,
      duration: 3 * (2 * deep - 1),
      self: 6,
      around: 0,
    });
    expect(batched.visitor.handedOver).toBeGreaterThan(2);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type LoggedCall, readFirst as read } from "../../test/support/call-log.ts";
import { type History, historyOf, moves, type TrueCall } from "../../test/support/random-calls.ts";
import {
  encodeStream,
  packetOf,
  packetsOf,
  slotOf,
  type TestEvent,
  type TestPacket,
  traceOf,
  traceOfBytes,
} from "../../test/support/trace-builder.ts";
import { encodeEvent, fillerSite, timeWrap } from "../ring/event.ts";
import { eventKind } from "../ring/layout.ts";
import { encodeLongEvent, longBase, longForm } from "../ring/long-event.ts";
import { callEnd, isComplete } from "./call-stack.ts";
import { type LossPlace, lossPlace } from "./packet.ts";
import type { Trace } from "./trace.ts";

const oneThread = (packets: readonly TestPacket[]): Trace => traceOf([{ tid: 7, packets }]);

const asLogged = (call: TrueCall, end: number): LoggedCall => ({
  site: call.site,
  start: call.start,
  end: call.end ?? end,
  self: call.self,
  how: call.end === undefined ? callEnd.open : call.isUnwound ? callEnd.unwound : callEnd.returned,
});

const byStart = (a: LoggedCall, b: LoggedCall): number =>
  a.start - b.start || b.end - a.end || a.site - b.site || a.self - b.self || a.how - b.how;

describe("a thread's events without losses", () => {
  it("become the calls that made them, with their durations", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 5, size: "max" });
    const windows = fc.constantFrom(128, 256, 1 << 20);
    fc.assert(
      fc.property(moves(120), sizes, windows, (list, packetSizes, windowBytes) => {
        const history = historyOf(list);
        const { log, reader } = read(
          oneThread(packetsOf(history.events, packetSizes)),
          windowBytes,
        );
        const end = history.events.at(-1)?.time ?? 0;
        expect([...log.calls].sort(byStart)).toEqual(
          history.calls.map((call) => asLogged(call, end)).sort(byStart),
        );
        expect(log.entries.map((entry) => entry.index)).toEqual(
          history.calls.map((call) => call.depth),
        );
        expect(log.orphans).toEqual([]);
        expect(reader.totals.slots).toBe(history.events.length);
      }),
    );
  });

  it("keep their times when the clock's low bits start over", () => {
    const start = 3 * timeWrap - 20;
    const history = historyOf(
      [0, 15, 30, timeWrap - 1].flatMap((after) => [
        { does: "call", site: 1, after },
        { does: "return", site: 1, after: 2 },
      ]),
      start,
    );
    const { log } = read(oneThread([packetOf(history.events)]));
    expect(log.calls.map((call) => call.start)).toEqual(history.calls.map((call) => call.start));
  });

  it("keep their order when a clock steps back, and the steps are counted", () => {
    const packet = packetOf([
      { kind: eventKind.entry, time: 100, site: 1 },
      { kind: eventKind.entry, time: 90, site: 2 },
      { kind: eventKind.exit, time: 95, site: 2 },
      { kind: eventKind.exit, time: 130, site: 1 },
    ]);
    const { log, reader } = read(oneThread([packet]));
    expect(log.calls).toEqual([
      { site: 2, start: 100, end: 100, self: 0, how: callEnd.returned },
      { site: 1, start: 100, end: 130, self: 30, how: callEnd.returned },
    ]);
    expect(reader.totals.backwards).toBe(2);
  });

  it("show calls that began before the trace as exits without an entry", () => {
    const { log } = read(
      oneThread([
        packetOf([
          { kind: eventKind.exit, time: 10, site: 3 },
          { kind: eventKind.entry, time: 20, site: 4 },
          { kind: eventKind.exit, time: 25, site: 4 },
          { kind: eventKind.unwound, time: 30, site: 5 },
        ]),
      ]),
    );
    expect(log.orphans.map((orphan) => orphan.site)).toEqual([3, 5]);
    expect(log.calls).toHaveLength(1);
  });

  it("close what a longjmp went over, without a duration", () => {
    const { log } = read(
      oneThread([
        packetOf([
          { kind: eventKind.entry, time: 10, site: 1 },
          { kind: eventKind.entry, time: 20, site: 2 },
          { kind: eventKind.entry, time: 30, site: 3 },
          { kind: eventKind.exit, time: 50, site: 1 },
        ]),
      ]),
    );
    expect(log.calls).toEqual([
      { site: 3, start: 30, end: 30, self: 0, how: callEnd.left },
      { site: 2, start: 20, end: 30, self: 10, how: callEnd.left },
      { site: 1, start: 10, end: 50, self: 10, how: callEnd.returned },
    ]);
  });

  it("end by no event of a function that is not open: a jump may find what was left before", () => {
    const { log } = read(
      oneThread([
        packetOf([
          { kind: eventKind.entry, time: 10, site: 1 },
          { kind: eventKind.entry, time: 20, site: 2 },
          { kind: eventKind.unwound, time: 30, site: 3 },
          { kind: eventKind.exit, time: 40, site: 2 },
          { kind: eventKind.unwound, time: 50, site: 1 },
        ]),
      ]),
    );
    expect(log.orphans).toMatchObject([{ site: 3, time: 30 }]);
    expect(log.calls).toEqual([
      { site: 2, start: 20, end: 40, self: 20, how: callEnd.returned },
      { site: 1, start: 10, end: 50, self: 20, how: callEnd.unwound },
    ]);
  });

  it("are calls without a duration where only entries are recorded", () => {
    const bytes = encodeStream({
      tid: 1,
      packets: [
        packetOf([
          { kind: eventKind.entry, time: 10, site: 0 },
          { kind: eventKind.entry, time: 11, site: 1 },
          { kind: eventKind.exit, time: 15, site: 0 },
        ]),
      ],
    });
    const entriesOnly = { site: 1, name: "f", module: "", address: 0n, entriesOnly: true };
    const { log } = read(traceOfBytes([bytes], [entriesOnly]));
    expect(log.points).toEqual([{ site: 1, time: 11 }]);
    expect(log.calls).toMatchObject([{ site: 0, start: 10, end: 15, self: 5 }]);
  });
});

describe("long events", () => {
  const long = (base: 0 | 1 | 2 | 3 | 4, time: number, words: readonly bigint[]): bigint[] =>
    encodeLongEvent({
      base,
      form: longForm.values,
      time: BigInt(time),
      site: 9,
      types: 0,
      words,
    });
  const slots = [
    slotOf({ kind: eventKind.entry, time: 10, site: 1 }),
    ...long(longBase.entry, 20, [3n, 2n ** 63n]),
    ...long(longBase.note, 25, []),
    encodeEvent(eventKind.unwound, 26n, fillerSite),
    ...long(longBase.alone, 27, [1n]),
    ...long(longBase.exit, 30, Array<bigint>(100).fill(5n)),
    slotOf({ kind: eventKind.exit, time: 40, site: 1 }),
  ];

  it.each([128, 200, 1 << 20])(
    "bring their values, read through a window of %i bytes",
    (window) => {
      const { log, reader } = read(oneThread([{ slots, begin: 10n, end: 40n }]), window);
      expect(log.calls).toMatchObject([
        { site: 9, start: 20, end: 30, self: 10 },
        { site: 1, start: 10, end: 40, self: 20 },
      ]);
      expect(log.points).toEqual([{ site: 9, time: 27 }]);
      expect(log.payloads.map((payload) => payload.words.length)).toEqual([4, 0, 2, 200]);
      expect(log.payloads[0]?.words).toEqual([3, 0, 0, 0x8000_0000]);
      expect(reader.totals).toMatchObject({ slots: slots.length, damages: [] });
    },
  );

  it("that go beyond their packet are damage, and the next packet is read", () => {
    const packets = [
      { slots: slots.slice(0, 2), begin: 10n, end: 20n },
      packetOf([{ kind: eventKind.entry, time: 50, site: 2 }]),
    ];
    const { log, reader } = read(oneThread(packets));
    expect(reader.totals.damages).toHaveLength(1);
    expect(log.gaps).toEqual([{ lost: Infinity, from: 10, to: 50 }]);
    expect(log.calls.map((call) => call.how)).toEqual([callEnd.lost, callEnd.open]);
  });
});

/** How the packets around a hole tell of it. */
type Tells = "before" | "after" | "either, before" | "either, after" | "kinds unknown";
/** Events of a history that are lost. */
type Hole = { readonly at: number; readonly length: number; readonly tells: Tells };

const placeOf: Readonly<Record<Tells, LossPlace>> = {
  before: lossPlace.before,
  after: lossPlace.after,
  "either, before": lossPlace.either,
  "either, after": lossPlace.either,
  "kinds unknown": lossPlace.before,
};

/** The history with holes: a packet ends at each of them. */
function withHoles(history: History, holes: readonly Hole[]): TestPacket[] {
  const packets: TestPacket[] = [];
  const lost = { entries: 0, exits: 0, all: 0 };
  let place: LossPlace = lossPlace.none;
  let at = 0;
  for (const hole of [...holes, undefined]) {
    const until = Math.max(at, hole?.at ?? history.events.length);
    const kept = history.events.slice(at, until);
    const gone = history.events.slice(until, until + (hole?.length ?? 0));
    at = until + gone.length;
    const time = BigInt(history.events[until]?.time ?? history.events.at(-1)?.time ?? 0);
    const counted = (): void => {
      lost.all += gone.length;
      if (hole?.tells === "kinds unknown") return;
      const entries = gone.filter((event) => event.kind === eventKind.entry).length;
      lost.entries += entries;
      lost.exits += gone.length - entries;
    };
    // A packet counts what the one before it did not: the hole behind it or the one before it.
    const isBehind = hole?.tells === "after" || hole?.tells === "either, after";
    const tellsHere = isBehind && place === lossPlace.none;
    if (tellsHere) counted();
    const more = kept.length === 0 ? { begin: time, end: time } : {};
    const here = tellsHere && hole !== undefined ? placeOf[hole.tells] : place;
    packets.push(packetOf(kept, { ...more, lost: { ...lost }, place: here }));
    if (!tellsHere) counted();
    if (tellsHere || hole === undefined) place = lossPlace.none;
    else place = isBehind ? lossPlace.before : placeOf[hole.tells];
  }
  return packets;
}

const holesIn = (...tells: readonly Tells[]): fc.Arbitrary<readonly Hole[]> =>
  fc
    .array(
      fc.record({
        at: fc.nat({ max: 90 }),
        length: fc.integer({ min: 1, max: 12 }),
        tells: fc.constantFrom(...tells),
      }),
      { maxLength: 6, size: "max" },
    )
    .map((holes) => [...holes].sort((a, b) => a.at - b.at));
const exactHoles = holesIn("before", "after");
const allHoles = holesIn("before", "after", "either, before", "either, after", "kinds unknown");

/** For each event whether it is in the trace, worked out from the holes alone. */
function keptEvents(history: History, holes: readonly Hole[]): readonly boolean[] {
  const kept: boolean[] = [];
  for (const hole of holes) {
    while (kept.length < Math.min(hole.at, history.events.length)) kept.push(true);
    for (let i = 0; i < hole.length && kept.length < history.events.length; i++) kept.push(false);
  }
  while (kept.length < history.events.length) kept.push(true);
  return kept;
}

describe("a thread's events with losses", () => {
  it("never give a duration that was not, nor more time of its own to a call than it had", () => {
    fc.assert(
      fc.property(moves(100, 3), allHoles, (list, holes) => {
        const history = historyOf(list);
        const { log } = read(oneThread(withHoles(history, holes)));
        for (const call of log.calls) {
          const end = (truth: TrueCall): number => truth.end ?? Infinity;
          const fits = history.calls.filter(
            (truth) =>
              truth.site === call.site &&
              truth.start === call.start &&
              (isComplete(call.how) ? end(truth) === call.end : end(truth) >= call.end),
          );
          expect(fits, `${JSON.stringify(call)} is a call that was made`).not.toEqual([]);
          const self = Math.max(...fits.map((truth) => truth.self));
          expect(call.self).toBeLessThanOrEqual(self);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("give the duration of every call that the losses certainly leave open", () => {
    fc.assert(
      fc.property(moves(100, 3), exactHoles, (list, holes) => {
        const history = historyOf(list);
        const kept = keptEvents(history, holes);
        const { log } = read(oneThread(withHoles(history, holes)));
        const found = new Set(
          log.calls
            .filter((call) => isComplete(call.how))
            .map((c) => `${c.site} ${c.start} ${c.end}`),
        );
        for (const call of history.calls) {
          if (call.end === undefined || !survives(history, kept, call)) continue;
          expect(found).toContain(`${call.site} ${call.start} ${call.end}`);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("take what lies in a call that was lost from its caller's own time, and no more", () => {
    const entry = (time: number, site: number): TestEvent => ({
      kind: eventKind.entry,
      time,
      site,
    });
    const exit = (time: number, site: number): TestEvent => ({ kind: eventKind.exit, time, site });
    const { log } = read(
      oneThread([
        packetOf([entry(10, 1), entry(20, 2), entry(25, 3), exit(35, 3)]),
        packetOf([entry(40, 4), exit(45, 4), exit(60, 1)], {
          lost: { entries: 0, exits: 1, all: 1 },
          place: lossPlace.before,
        }),
      ]),
    );
    expect(log.calls).toEqual([
      { site: 3, start: 25, end: 35, self: 10, how: callEnd.returned },
      { site: 2, start: 20, end: 35, self: 5, how: callEnd.lost },
      { site: 4, start: 40, end: 45, self: 5, how: callEnd.returned },
      { site: 1, start: 10, end: 60, self: 25, how: callEnd.returned },
    ]);
    expect(log.gaps).toEqual([{ lost: 1, from: 35, to: 40 }]);
  });

  it("leave the calls around whole ones that were lost as they are", () => {
    const { log } = read(
      oneThread([
        packetOf([{ kind: eventKind.entry, time: 10, site: 1 }]),
        packetOf([{ kind: eventKind.exit, time: 60, site: 1 }], {
          lost: { entries: 1, exits: 1, all: 2 },
          place: lossPlace.whole,
        }),
      ]),
    );
    expect(log.calls).toEqual([{ site: 1, start: 10, end: 60, self: 50, how: callEnd.returned }]);
    expect(log.gaps).toEqual([{ lost: 2, from: 10, to: 60 }]);
  });

  it("count what was lost", () => {
    fc.assert(
      fc.property(moves(100, 3), allHoles, (list, holes) => {
        const history = historyOf(list);
        const { reader } = read(oneThread(withHoles(history, holes)));
        const lost = keptEvents(history, holes).filter((isKept) => !isKept).length;
        expect(reader.totals.slots).toBe(history.events.length - lost);
        expect(reader.totals.lost).toBe(lost);
      }),
    );
  });
});

/**
 * Whether a call's two events are in the trace and no run of losses inside of it has as many exits
 * as there are calls above it: then it can't have been left in one of them.
 */
function survives(history: History, kept: readonly boolean[], call: TrueCall): boolean {
  if (kept[call.entry] !== true || call.exit === undefined || kept[call.exit] !== true)
    return false;
  let exits = 0;
  let above = 0;
  for (let at = call.entry + 1; at < call.exit; at++) {
    if (kept[at] === true) {
      exits = 0;
      continue;
    }
    if (kept[at - 1] === true) above = (history.depths[at] ?? 0) - call.depth - 1;
    if (history.events[at]?.kind !== eventKind.entry) exits++;
    if (exits > above) return false;
  }
  return true;
}

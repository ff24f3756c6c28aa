/** Generated code of AArch64 and RISC-V, executed under qemu-user in a program that fits it. */
import { describe, expect, it } from "vitest";
import { makeWork, type Work } from "../../src/codegen/work.ts";
import { aloneBit, eventKind } from "../../src/ring/layout.ts";
import { hasTool } from "../support/compile.ts";
import {
  compileHarness,
  type Outcome,
  runHarness,
  type SeenEvent,
  wordIsas,
} from "../support/word-harness.ts";

const entries = makeWork([{ kind: "record", instance: 0, exits: false }]);
const both = makeWork([{ kind: "record", instance: 0, exits: true }]);
const counted = makeWork([{ kind: "count", instance: 0 }]);
const all = makeWork([
  { kind: "record", instance: 0, exits: true },
  { kind: "count", instance: 0 },
]);
const works: readonly (readonly [string, Work])[] = [
  ["entries", entries],
  ["entries and exits", both],
  ["counts", counted],
  ["all of it", all],
];

const eventsOf = ({ rings }: Outcome): SeenEvent[] => rings.flatMap(({ events }) => events);

/** Events of a kind by function. */
function countOf(outcome: Outcome, kind: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const event of eventsOf(outcome)) {
    if (event.kind !== kind) continue;
    const site = event.kind === eventKind.unwound ? event.site - aloneBit : event.site;
    const name = outcome.names[site] ?? "nobody";
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** What the program counted, without the functions that it did not call. */
const callsOf = ({ calls }: Outcome): Record<string, number> =>
  Object.fromEntries(Object.entries(calls).filter(([, count]) => count > 0));

function expectTimesInOrder({ rings }: Outcome): void {
  for (const { events } of rings) {
    expect(events.length).toBeGreaterThan(0);
    const backwards = events.filter(({ time }, i) => i > 0 && time < (events[i - 1]?.time ?? 0n));
    expect(backwards).toEqual([]);
  }
}

/** Every exit closes the call that was entered last. */
function expectNested({ rings, names }: Outcome): void {
  for (const { events } of rings) {
    const stack: number[] = [];
    for (const { kind, site } of events) {
      if (kind === eventKind.entry) stack.push(site);
      else expect(names[stack.pop() ?? -1], "exit").toBe(names[site]);
    }
    expect(stack).toEqual([]);
  }
}

for (const isa of wordIsas) {
  describe.skipIf(!hasTool(isa.qemu) || !hasTool(`${isa.name}-linux-gnu-gcc`))(isa.name, () => {
    const path = compileHarness(isa);
    const run = (work: Work, ...test: string[]): Outcome => runHarness(isa, path, { work, test });

    it.each(works)("leaves all registers as they were: %s", (_, work) => {
      const seed = String(Math.floor(performance.now() * 1e6) || 1);
      const functions = ["traced_probe"];
      const test = ["registers", "300", seed];
      const outcome = runHarness(isa, path, { work, functions, test });
      expect(outcome.calls, `seed ${seed}`).toEqual({ traced_probe: 300 });
      if (work !== counted) expect(countOf(outcome, eventKind.entry)).toEqual(outcome.calls);
      if (work === both) expect(countOf(outcome, eventKind.exit)).toEqual(outcome.calls);
      if (work === counted) expect(outcome.counters).toEqual(outcome.calls);
    });

    it("leaves all registers as they were where the ring is full", () => {
      const test = ["registers", "300", "77"];
      const outcome = runHarness(isa, path, {
        ...{ work: both, functions: ["traced_probe"], test, slotCount: 512 },
      });
      const [ring] = outcome.rings;
      expect(eventsOf(outcome)).toHaveLength(512);
      expect(ring).toMatchObject({ lostEntries: 44, lostExits: 44 });
    });

    it("sees every call and every return once, tail calls included", () => {
      const outcome = run(both, "results", "500");
      expect(countOf(outcome, eventKind.entry)).toEqual(callsOf(outcome));
      expect(countOf(outcome, eventKind.exit)).toEqual(callsOf(outcome));
      expectTimesInOrder(outcome);
      expectNested(outcome);
    });

    it("lets longjmp through", () => {
      const outcome = run(both, "jumps", "400");
      expect(countOf(outcome, eventKind.entry)).toEqual(callsOf(outcome));
      const exits = countOf(outcome, eventKind.exit);
      expect(exits).toEqual({ ...callsOf(outcome), traced_jumper: 200 });
    });

    it("lets signal handlers that are traced, too, interrupt anywhere", () => {
      const outcome = run(all, "signals", "2500");
      expect(outcome.calls["traced_handler"]).toBeGreaterThan(10);
      const calls = Object.values(outcome.calls).reduce((sum, count) => sum + count, 0);
      const [ring] = outcome.rings;
      const seen = (kind: number): number =>
        eventsOf(outcome).filter((event) => event.kind === kind).length;
      expect(outcome.rings).toHaveLength(1);
      expect(seen(eventKind.entry) + (ring?.lostEntries ?? 0)).toBe(calls);
      expect(seen(eventKind.exit) + (ring?.lostExits ?? 0)).toBe(calls);
      expect(outcome.counters).toMatchObject(callsOf(outcome));
      expectTimesInOrder(outcome);
    });

    it("gives each thread a ring of its own", () => {
      const outcome = run(all, "threads", "300");
      expect(countOf(outcome, eventKind.entry)).toEqual(callsOf(outcome));
      expect(countOf(outcome, eventKind.exit)).toEqual(callsOf(outcome));
      expect(outcome.rings.length).toBeGreaterThan(3);
      expectTimesInOrder(outcome);
      expectNested(outcome);
    });

    it("falls back to entries on stacks without a mirror", () => {
      const outcome = run(both, "unmirrored", "50");
      expect(countOf(outcome, eventKind.unwound)).toEqual(callsOf(outcome));
      expect(countOf(outcome, eventKind.entry)).toEqual({});
      expect(countOf(outcome, eventKind.exit)).toEqual({});
    });
  });
}

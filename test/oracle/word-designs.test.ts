/** Every design of AArch64's and RISC-V's sites, executed under qemu-user. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { makeWork, type Work } from "../../src/codegen/work.ts";
import { eventKind } from "../../src/ring/layout.ts";
import { hasTool } from "../support/compile.ts";
import { listDesign, wordDesigns } from "../support/word-designs.ts";
import {
  compileHarness,
  countInstructions,
  runHarness,
  wordIsas,
} from "../support/word-harness.ts";

const events = (count: number): Work =>
  makeWork(
    Array.from({ length: count }, (_, instance) => ({ kind: "record", instance, exits: false })),
  );
const counters = (count: number): Work =>
  makeWork(Array.from({ length: count }, (_, instance) => ({ kind: "count", instance })));
const works: readonly (readonly [string, Work])[] = [
  ["a counter", counters(1)],
  ["2 counters", counters(2)],
  ["10 counters", counters(10)],
  ["an event at the entry", events(1)],
  ["2 events at the entry", events(2)],
  ["10 events at the entry", events(10)],
  ["events at entry and exit", makeWork([{ kind: "record", instance: 0, exits: true }])],
];

/** Tracers that want the function, and tracers that want others. */
const mixes = [
  ...([0, 1, 2, 10, 100] as const).map((irrelevant) => [1, irrelevant] as const),
  ...([2, 10, 100] as const).map((relevant) => [relevant, 0] as const),
];

const work = makeWork([{ kind: "record", instance: 0, exits: false }]);

for (const isa of wordIsas) {
  const designs = wordDesigns.filter((design) => design.isa === isa.name);
  describe.skipIf(!hasTool(isa.qemu) || !hasTool(`${isa.name}-linux-gnu-gcc`))(isa.name, () => {
    it.each(designs.map((design) => [design.name, design] as const))("runs: %s", (_, design) => {
      const path = compileHarness(isa, design.flags);
      const outcome = runHarness(isa, path, { work, design, test: ["results", "200"] });
      const counts: Record<string, number> = {};
      for (const { kind, site } of outcome.rings.flatMap(({ events }) => events)) {
        expect(kind).toBe(eventKind.entry);
        const name = outcome.names[site] ?? "nobody";
        counts[name] = (counts[name] ?? 0) + 1;
      }
      const called = Object.entries(outcome.calls).filter(([, calls]) => calls > 0);
      expect(counts).toEqual(design.records ? Object.fromEntries(called) : {});
      if (!design.records) return;
      const test = ["registers", "200", "4711", String(design.clobbers)];
      const functions = ["traced_probe"];
      const probed = runHarness(isa, path, { work, design, functions, test });
      expect(probed.calls).toEqual({ traced_probe: 200 });
      expect(probed.rings.flatMap(({ events }) => events)).toHaveLength(200);
    });

    it("costs what docs/dispatch.md says, instruction by instruction", () => {
      const page = readFileSync(new URL("../../docs/dispatch.md", import.meta.url), "utf8");
      const path = compileHarness(isa, designs[0]?.flags);
      const count = (run: Parameters<typeof countInstructions>[2]): number =>
        countInstructions(isa, path, { instances: 10, ...run });
      const rows: string[] = [
        `| ${isa.name} | a site that is off | ${count({ work, design: "idle" })} |`,
      ];
      for (const [name, its] of works) {
        rows.push(`| ${isa.name} | thunk, ${name} | ${count({ work: its })} |`);
      }
      for (const design of designs) {
        // Its window is longer than what the others leave room for.
        const own = design.name === "call-ops-2023" ? compileHarness(isa, design.flags) : path;
        const windowBytes = design.name === "call-ops-2023" ? 12 : 8;
        const run = { instances: 10, work, design, windowBytes };
        rows.push(`| ${isa.name} | ${design.name} | ${countInstructions(isa, own, run)} |`);
      }
      expect(page).toContain(rows.join("\n"));
    });

    it("costs by its tracers what docs/dispatch.md says", { timeout: 300_000 }, () => {
      const page = readFileSync(new URL("../../docs/dispatch.md", import.meta.url), "utf8");
      const path = compileHarness(isa, designs[0]?.flags);
      const counter = { instances: 1, work: counters(1) };
      const thunk = countInstructions(isa, path, counter);
      const callOps = designs.find(({ name }) => name === "call-ops");
      if (callOps === undefined) throw new Error("there is one");
      const fused = countInstructions(isa, path, { ...counter, design: callOps });
      const rows = mixes.map(([relevant, irrelevant]) => {
        const design = listDesign(isa.name, relevant, irrelevant);
        const list = countInstructions(isa, path, { ...counter, design });
        const straight = relevant === 1 ? fused : list;
        const costs = [list, straight, fused, thunk].join(" | ");
        return `| ${isa.name} | ${relevant} | ${irrelevant} | ${costs} |`;
      });
      expect(page).toContain(rows.join("\n"));
    });

    it("walks a list for each tracer that wants the site, and does alike work once", () => {
      const path = compileHarness(isa, designs[0]?.flags);
      const design = listDesign(isa.name, 3, 2);
      const run = { work: counters(1), design, test: ["results", "100"] };
      const { calls, counters: seen } = runHarness(isa, path, run);
      expect(seen).toMatchObject(calls);
      const nobody = { ...run, design: listDesign(isa.name, 0, 5) };
      expect(new Set(Object.values(runHarness(isa, path, nobody).counters))).toEqual(new Set([0]));
    });
  });
}

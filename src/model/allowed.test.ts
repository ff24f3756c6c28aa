/** The table of what the engine may do, asked again for every place in a line. */
import { describe, expect, it } from "vitest";
import { codeAddr } from "../base/brand.ts";
import {
  userDesign,
  x86CallOps,
  x86CallOpsPad,
  x86FiveNops,
  x86FiveNopsCovered,
  x86Jump,
  x86JumpCovered,
} from "../patch/designs/x86-64.ts";
import type { Check } from "../patch/protocol.ts";
import { liveCallOpsCover, liveCallOpsStore } from "../patch/protocols/live-call-ops.ts";
import type { MachineName } from "../patch/verdicts.ts";
import { longNops } from "../patch/x86-64-layouts.ts";
import { allowedProtocols, type LiveRule, liveRules } from "./allowed.ts";
import { runCheck } from "./check.ts";

const machines: readonly MachineName[] = ["x86-intel", "x86-amd", "x86-observed"];
const phases = Array.from({ length: 64 }, (_, phase) => phase);
/** Every place around the ends of a quadword and of a line. */
const edges = [0, 3, 4, 7, 60, 63];
const nop5 = { windowSize: 5 };

/** A design that the rule's protocol is made for. */
function designOf(rule: LiveRule): Check["design"] {
  const covers = rule.protocol.id.startsWith("LIVE/cover");
  if (rule.takesSeveral) return covers ? x86FiveNopsCovered : x86FiveNops;
  return covers ? x86JumpCovered : x86Jump;
}

const isSafe = (rule: LiveRule, machine: MachineName, phase: number): boolean =>
  runCheck({
    protocol: rule.protocol,
    design: designOf(rule),
    machine,
    adversities: [],
    history: [{ to: "a", free: false }],
    phase,
    expected: "safe",
    reason: "",
  }).verdict === "safe";

describe("liveRules", () => {
  const cases = liveRules.flatMap((rule) => machines.map((machine) => ({ rule, machine })));
  it.each(cases)("$rule.protocol.id on $machine, wherever it lies", ({ rule, machine }) => {
    const allows = rule.safeOn[machine];
    // Long protocols are the same everywhere: their edges are enough.
    const places =
      rule.protocol.enable.length > 2 && !rule.protocol.id.includes("skip") ? edges : phases;
    const claimed = places.filter((p) => allows?.({ offsetInLine: p, size: 5 }) === true);
    const found = places.filter((phase) => isSafe(rule, machine, phase));
    // The engine's one store is an aligned one, even where any store inside a line would do.
    const isStricter = rule.protocol.id === "LIVE/store" && machine === "x86-observed";
    if (isStricter) expect(found).toEqual(expect.arrayContaining(claimed));
    else expect(claimed).toEqual(found);
  });
});

describe("allowedProtocols", () => {
  it("prefers one store, and falls back to what needs more", () => {
    const ids = (at: bigint, promises: "intel" | "amd" | "observed"): string[] =>
      allowedProtocols(nop5, codeAddr(at), promises).map(({ protocol }) => protocol.id);
    expect(ids(0x1000n, "amd")).toEqual(["LIVE/store", "LIVE/cover", "LIVE/skip", "P12/int3"]);
    expect(ids(0x1004n, "amd")).toEqual(["LIVE/cover", "LIVE/skip", "P12/int3"]);
    expect(ids(0x1007n, "amd")).toEqual(["LIVE/cover", "P12/int3"]);
    expect(ids(0x1000n, "intel")).toEqual(["LIVE/cover", "P12/int3"]);
    expect(ids(0x103fn, "observed")).toEqual(["LIVE/cover", "P12/int3"]);
  });

  it("lets nothing call from a window that a call returns into", () => {
    const nop8 = longNops.get(8);
    if (nop8 === undefined) throw new Error("no layout");
    expect(allowedProtocols(nop8, codeAddr(0x1000n), "amd", { use: "call" })).toEqual([]);
    const called = runCheck({
      protocol: liveRules[0]?.protocol ?? fail(),
      design: userDesign(nop8, "call"),
      machine: "x86-amd",
      adversities: [],
      expected: "unwritten-instruction",
      reason: "",
    });
    expect(called.verdict).toBe("unwritten-instruction");
  });
});

describe("calls with a literal beside them", () => {
  // Aligned functions, with a landing pad or without: the places that the engine takes.
  const sites = [
    { design: x86CallOps, offsets: [0, 16, 32, 48] },
    { design: x86CallOpsPad, offsets: [4, 20, 36, 52] },
  ];
  const verdict = (protocol: LiveRule["protocol"], site: (typeof sites)[number], phase: number) =>
    runCheck({
      protocol,
      design: site.design,
      machine: protocol.id.endsWith("store") ? "x86-amd" : "x86-intel",
      adversities: [],
      history: ["a", "b", "list", "idle"].map((to) => ({ to, free: true })),
      phase,
      expected: "safe",
      reason: "",
    }).verdict;

  it.each([liveCallOpsStore, liveCallOpsCover])("are safe by $id", (protocol) => {
    for (const site of sites) {
      // By the store protocol only windows that lie in one quadword are changed.
      const isStore = protocol.id.endsWith("store");
      for (const phase of site.offsets.filter((at) => !isStore || (at % 8) + 5 <= 8)) {
        expect([site.design.id, phase, verdict(protocol, site, phase)]).toEqual([
          site.design.id,
          phase,
          "safe",
        ]);
      }
    }
  });
});

function fail(): never {
  throw new Error("no rule");
}

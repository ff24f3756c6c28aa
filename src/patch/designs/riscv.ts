/**
 * RISC-V designs, as the mailing lists have them. What they share: a site's window is a few 4-byte
 * instructions, AUIPC holds the upper bits of a distance and JALR the lower twelve.
 */
import { ensure } from "../../base/assert.ts";
import type { CodeAddr } from "../../base/brand.ts";
import { concat } from "../bytes.ts";
import type { Design, DesignState, Targets } from "../design.ts";
import { RA, riscv32Code, riscv64Code, splitDistance, T0, T1 } from "../riscv-code.ts";
import {
  callOpsOnce,
  callOpsSplit,
  callOpsTwice,
  directFunction,
  dynamicTrampoline,
  entries,
  globalPair,
} from "../trampolines.ts";

const at = (targets: Targets, name: string): CodeAddr => ensure(targets.get(name), name);
const { auipc, jal, jalr, nop } = riscv64Code;

/**
 * JALR's mask and match for `jalr t0, imm(t0)`, which compilers never emit at a function's entry.
 */
export const jalrT0 = { mask: 0x000f_ffff, match: 0x0002_82e7 } as const;

/** What a function's prologue may clobber besides the argument registers. */
const scratch = ["t0", "t1", "t2", "t3", "t4", "t5", "t6"];

type Window = DesignState["window"];

/** `auipc t0, hi(base); jalr t0, lo(t0)`, where `lo` is the target's, cut to its twelve bits. */
const callThrough =
  (base: string, target: string): Window =>
  (site, targets) => {
    const { hi } = splitDistance(at(targets, base) - site);
    const { lo } = splitDistance(at(targets, target) - site);
    return concat(auipc(T0, hi), jalr(T0, T0, lo));
  };

/** `auipc t0, hi(base); nop`. */
const idleBefore =
  (base: string): Window =>
  (site, targets) =>
    concat(auipc(T0, splitDistance(at(targets, base) - site).hi), nop());

/**
 * Linux since v6.16: literal, `auipc t0` fixed at boot, `nop <-> jalr t0, lo(t0)`. `near` is what
 * the code's rule does for a direct target within 2047 bytes of the common trampoline.
 */
export const rv64CallOps: Design = {
  id: "riscv64/call-ops",
  isa: "riscv64",
  summary: "literal; auipc t0; nop <-> jalr t0, lo(t0): Linux since v6.16",
  windowSize: 8,
  align: 8,
  literal: { offset: -8, size: 8 },
  words: { "direct:e": "direct 1" },
  states: {
    idle: { window: idleBefore("common"), literal: "nop" },
    a: { window: callThrough("common", "common"), literal: "a", owns: ["ops:a"] },
    b: { window: callThrough("common", "common"), literal: "b", owns: ["ops:b"] },
    direct: {
      window: callThrough("common", "common"),
      literal: "d",
      owns: ["ops:d", "direct 1"],
    },
    near: { window: callThrough("common", "direct 1"), literal: "nop", owns: ["direct 1"] },
    "direct 1": {
      window: callThrough("common", "common"),
      literal: "e",
      words: { "direct:e": "direct 1" },
      owns: ["direct 1"],
    },
    "direct 2": {
      window: callThrough("common", "common"),
      literal: "e",
      words: { "direct:e": "direct 2" },
      owns: ["direct 2"],
    },
  },
  code: {
    common: callOpsTwice(entries.riscvT0, 1, -16),
    "direct 1": directFunction(entries.riscvT0),
    "direct 2": directFunction(entries.riscvT0),
  },
  ops: [
    { name: "nop" },
    { name: "a" },
    { name: "b" },
    { name: "d", direct: "direct 1" },
    { name: "e", direct: "direct 1" },
  ],
  scratch,
};

/** A trampoline that takes the function from one load of the literal and the ops from another. */
export const rv64SplitLoads: Design = {
  ...rv64CallOps,
  id: "riscv64/call-ops-split",
  summary: "as call-ops, with function and ops from two loads of the literal",
  code: { ...rv64CallOps.code, common: callOpsSplit(entries.riscvT0, 1, -16) },
};

/**
 * The proposal of February 2023: `mv t0, ra; auipc t1; nop <-> jalr ra, lo(t1)`; the literal is
 * found at ra - 0x14 on RV64 and at ra - 0x10 on RV32.
 */
function proposal2023(bits: 32 | 64): Design {
  const code = bits === 64 ? riscv64Code : riscv32Code;
  const size = bits === 64 ? 8 : 4;
  const window =
    (enabled: boolean): Window =>
    (site, targets) => {
      const { hi, lo } = splitDistance(at(targets, "common") - (site + 4n));
      const call = enabled ? code.jalr(RA, T1, lo) : code.nop();
      return concat(code.mv(T0, RA), code.auipc(T1, hi), call);
    };
  return {
    id: `riscv${bits}/call-ops-2023`,
    isa: bits === 64 ? "riscv64" : "riscv32",
    summary: "literal; mv t0, ra; auipc t1; nop <-> jalr ra, lo(t1): proposed in 2023",
    windowSize: 12,
    align: size,
    literal: { offset: -size, size },
    states: {
      idle: { window: window(false), literal: "nop" },
      a: { window: window(true), literal: "a", owns: ["ops:a"] },
      b: { window: window(true), literal: "b", owns: ["ops:b"] },
      direct: { window: window(true), literal: "d", owns: ["ops:d", "direct"] },
    },
    code: {
      common: callOpsOnce(entries.riscvRa, 1, bits === 64 ? -0x14 : -0x10),
      direct: directFunction(entries.riscvRa),
    },
    ops: [{ name: "nop" }, { name: "a" }, { name: "b" }, { name: "d", direct: "direct" }],
    scratch,
  };
}

export const rv64CallOps2023: Design = proposal2023(64);
export const rv32CallOps2023: Design = proposal2023(32);

const trampolines = {
  "tramp a": dynamicTrampoline(entries.riscvT0, "a"),
  "tramp b": dynamicTrampoline(entries.riscvT0, "b"),
};
const twoOps = [{ name: "a" }, { name: "b" }];

/** Linux up to v6.15: idle is two no-ops, both instructions change. */
export const rv64Pair: Design = {
  id: "riscv64/nop-nop",
  isa: "riscv64",
  summary: "nop; nop <-> auipc t0; jalr t0, lo(t0): Linux up to v6.15",
  windowSize: 8,
  align: 4,
  states: {
    idle: { window: () => concat(nop(), nop()) },
    a: { window: callThrough("tramp a", "tramp a"), owns: ["tramp a", "ops:a"] },
    b: { window: callThrough("tramp b", "tramp b"), owns: ["tramp b", "ops:b"] },
  },
  code: trampolines,
  ops: twoOps,
  scratch,
};

/** Idle is AUIPC and no-op; another target rewrites both. `replay` is what trap returns do. */
function auipcPair(replay: Design["trapReturn"], name: string, summary: string): Design {
  return {
    ...rv64Pair,
    id: `riscv64/${name}`,
    summary,
    states: { ...rv64Pair.states, idle: { window: idleBefore("tramp a") } },
    ...(replay === undefined ? {} : { trapReturn: replay }),
  };
}

export const rv64AuipcPair: Design = auipcPair(
  undefined,
  "auipc-pair",
  "auipc t0; nop <-> jalr t0: both rewritten for another target, plain trap returns",
);
export const rv64ReplayAddress: Design = auipcPair(
  { offset: 4, by: "address", nmi: true },
  "auipc-replay",
  "auipc t0; nop <-> jalr t0: a trap return to the second instruction goes to the first",
);
export const rv64ReplayWord: Design = auipcPair(
  { offset: 4, by: jalrT0, nmi: true },
  "auipc-replay-word",
  "as auipc-replay, if the word there is `jalr t0, imm(t0)` when it is read",
);
export const rv64ReplayNotNmi: Design = auipcPair(
  { offset: 4, by: "address", nmi: false },
  "auipc-replay-no-nmi",
  "as auipc-replay, but returns from non-maskable interrupts do not do it",
);

/** Entries of a table of stubs that load their target from a slot each: only JALR changes. */
export const rv64Table: Design = {
  id: "riscv64/table",
  isa: "riscv64",
  summary: "auipc t0 to a page of stubs; nop <-> jalr t0, lo(t0) of one of them (after zcmt)",
  windowSize: 8,
  align: 4,
  words: { "slot 1": "tramp a" },
  states: {
    idle: { window: idleBefore("entry 1") },
    a: { window: callThrough("entry 1", "entry 1"), words: { "slot 1": "tramp a" } },
    b: { window: callThrough("entry 1", "entry 2"), words: { "slot 1": "tramp a" } },
    c: {
      window: callThrough("entry 1", "entry 1"),
      words: { "slot 1": "tramp c" },
      owns: ["tramp c"],
    },
    "a again": {
      window: callThrough("entry 1", "entry 1"),
      words: { "slot 1": "tramp a" },
      owns: ["tramp a"],
    },
  },
  code: {
    "entry 1": [
      { op: "word", into: "to", name: "slot 1" },
      { op: "jumpDirect", to: "to" },
    ],
    "entry 2": [{ op: "jumpTo", code: "tramp b" }],
    ...trampolines,
    "tramp c": dynamicTrampoline(entries.riscvT0, "c"),
  },
  // One AUIPC serves both entries.
  places: { "entry 1": 0x0081_2340n, "entry 2": 0x0081_234cn },
  ops: [...twoOps, { name: "c" }],
  scratch,
};

/** Within the reach of JAL. */
const near = { "tramp a": 0x0018_1230n, "tramp b": 0x0019_2454n, stub: 0x001a_3568n };

/** One JAL, within 1 MiB, to one of several dispatchers (option B of March 2024). */
export const rv64Jal: Design = {
  id: "riscv64/jal",
  isa: "riscv64",
  summary: "nop <-> jal t0 to one of several dispatchers",
  windowSize: 4,
  align: 4,
  states: {
    idle: { window: nop },
    a: { window: (site, t) => jal(T0, Number(at(t, "tramp a") - site)), owns: ["tramp a"] },
    b: { window: (site, t) => jal(T0, Number(at(t, "tramp b") - site)), owns: ["tramp b"] },
  },
  code: trampolines,
  places: near,
  ops: twoOps,
  scratch,
};

/** One JAL to a stub of the function's own, which loads its target from the function's literal. */
export const rv64OwnStub: Design = {
  id: "riscv64/own-stub",
  isa: "riscv64",
  summary: "nop <-> jal t0 to a stub of its own, whose target is the literal (option C)",
  windowSize: 4,
  align: 8,
  literal: { offset: -8, size: 8 },
  states: {
    idle: { window: nop, literal: "nop" },
    a: {
      window: (site, t) => jal(T0, Number(at(t, "stub") - site)),
      literal: "a",
      owns: ["ops:a"],
    },
    b: {
      window: (site, t) => jal(T0, Number(at(t, "stub") - site)),
      literal: "b",
      owns: ["ops:b"],
    },
  },
  // The stub stands before the function; t0 is the site's end, 12 bytes behind the literal.
  code: { stub: callOpsOnce(entries.riscvT0, 1, -12) },
  places: near,
  ops: [{ name: "nop" }, ...twoOps],
  scratch,
};

/** AUIPC and JALR fixed at boot; the first one toggles with a jump over both (option D). */
export const rv64Toggle: Design = {
  id: "riscv64/toggle",
  isa: "riscv64",
  summary: "j +8 <-> auipc t0; jalr t0, lo(t0) fixed: the first word toggles",
  windowSize: 8,
  align: 8,
  literal: { offset: -8, size: 8 },
  states: {
    idle: {
      window: (site, targets) =>
        concat(jal(0, 8), callThrough("common", "common")(site, targets).slice(4)),
      literal: "nop",
    },
    a: { window: callThrough("common", "common"), literal: "a", owns: ["ops:a"] },
    b: { window: callThrough("common", "common"), literal: "b", owns: ["ops:b"] },
  },
  code: { common: callOpsOnce(entries.riscvT0, 1, -16) },
  ops: [{ name: "nop" }, ...twoOps],
  scratch,
};

/** A site that always calls; the trampoline finds function and ops in two global words. */
export const rv64GlobalPair: Design = {
  id: "riscv64/global-pair",
  isa: "riscv64",
  summary: "the site always calls; function and ops are two global words",
  windowSize: 8,
  align: 4,
  words: { ops: "nop", func: "func:nop" },
  states: {
    idle: { window: callThrough("common", "common"), words: { ops: "nop", func: "func:nop" } },
    a: {
      window: callThrough("common", "common"),
      words: { ops: "a", func: "func:a" },
      owns: ["ops:a"],
    },
    b: {
      window: callThrough("common", "common"),
      words: { ops: "b", func: "func:b" },
      owns: ["ops:b"],
    },
  },
  code: { common: globalPair(entries.riscvT0, ["ops", "func"]) },
  ops: [{ name: "nop" }, { name: "list", takesAny: true }, ...twoOps],
  scratch,
};

/**
 * P3. CALL_OPS on RISC-V as Linux has it since v6.16, and what it does with direct calls.
 *
 *   -8  literal -> ops                       8-byte store, flushed everywhere
 *   +0  auipc t0, hi(ftrace_caller - site)   written at boot
 *   +4  13 00 00 00 nop <-> jalr t0, lo(t0)  4-byte store, flushed everywhere
 *
 * Linux arch/riscv/kernel/{ftrace.c, patch.c}, arch/riscv/mm/cacheflush.c; legal by Ziccif.
 */
import { rv64CallOps, rv64SplitLoads } from "../designs/riscv.ts";
import { type Check, checksFor, type Family, type Protocol } from "../protocol.ts";
import {
  fullBarrier,
  literal,
  localSync,
  quiesceHarts,
  quiesceTasks,
  type Step,
  storeBarrier,
  sync,
  toNew,
  window,
  word,
  write,
} from "../steps.ts";

/** flush_icache_all: fence.i here, fence w,o, fence.i on all others. */
const flushAll: readonly Step[] = [localSync, fullBarrier, sync];
const slot = window(4, 4);
const swing: readonly Step[] = [
  write(literal, toNew),
  localSync,
  ...flushAll,
  write(slot, toNew),
  localSync,
  ...flushAll,
];
const retire = [quiesceHarts, quiesceTasks];

export const callOpsMainline: Protocol = {
  id: "P3/call-ops",
  title: "literal, fence.i everywhere, nop <-> jalr, fence.i everywhere",
  enable: swing,
  disable: swing,
  retire,
};

/** One flush for both stores: what P3 could save. */
const oneFlush: readonly Step[] = [
  write(literal, toNew),
  storeBarrier,
  write(slot, toNew),
  storeBarrier,
  sync,
];
export const callOpsOneFlush: Protocol = {
  ...callOpsMainline,
  id: "P3/one-flush",
  title: "literal, nop <-> jalr, fence.i everywhere once",
  enable: oneFlush,
  disable: oneFlush,
};

/** The target of a direct call changes in the ops that the literal goes on pointing at. */
const retarget: readonly Step[] = [write(word("direct:e"), toNew), storeBarrier];
export const directByOps: Protocol = {
  ...callOpsMainline,
  id: "P3/direct-by-ops",
  title: "as P3/call-ops; a direct call's target is a store to ops->direct_call",
  modify: retarget,
};
export const directFreedEarly: Protocol = {
  ...directByOps,
  id: "P3/direct-freed-early",
  title: "as P3/direct-by-ops, the old target freed at once",
  retire: [],
};

const mainline = { protocol: callOpsMainline, design: rv64CallOps } as const;
const one = "only one aligned instruction and one aligned word change, and any literal is valid";
const changeDirect = [
  { to: "direct 1", free: false },
  { to: "direct 2", free: true },
  { to: "idle", free: true },
];

export const checks: readonly Check[] = [
  ...checksFor(
    { ...mainline, expected: "safe", reason: one },
    ["strong", "riscv-ziccif", "riscv-ziccid"],
    [
      [],
      ["preemption"],
      ["nmi"],
      ["preemption", "retarget", "free"],
      ["preemption", "modify", "free"],
      ["nmi", "modify", "free"],
      ["firmware-fences", "preemption", "modify", "free"],
      ["two-patchers", "preemption", "free"],
      ["idle-loop", "free"],
    ],
  ),
  ...checksFor(
    {
      ...mainline,
      protocol: callOpsOneFlush,
      expected: "safe",
      reason: "a new jalr with an older literal calls ops that are still there",
    },
    ["riscv-ziccif", "riscv-ziccid"],
    [
      ["free", "idle-loop"],
      ["preemption", "retarget", "free"],
      ["preemption", "modify", "free"],
    ],
  ),
  ...checksFor(
    {
      ...mainline,
      history: [
        { to: "a", free: false },
        { to: "direct", free: true },
        { to: "b", free: true },
        { to: "idle", free: true },
      ],
      expected: "safe",
      reason: "each of the two loads of the literal pairs ops with what those ops hold",
    },
    ["riscv-ziccif", "riscv-ziccid"],
    [["preemption", "free"]],
  ),
  ...checksFor(
    {
      ...mainline,
      design: rv64SplitLoads,
      expected: "wrong-pairing",
      reason: "the function of one load is called with the ops of the other",
    },
    ["strong"],
    [["modify"]],
  ),
  ...checksFor(
    {
      ...mainline,
      protocol: directByOps,
      history: changeDirect,
      expected: "safe",
      reason: "the target is one aligned word, and old targets outlive their grace period",
    },
    ["riscv-ziccif", "riscv-ziccid"],
    [["preemption", "free"]],
  ),
  ...checksFor(
    {
      ...mainline,
      protocol: directFreedEarly,
      history: changeDirect,
      expected: "use-after-free",
      reason: "a thread runs in the old target, or is about to jump to it",
    },
    ["strong"],
    [["free"]],
  ),
  // The rule |target - common| <= 2047 for sites at both ends of what it gets right.
  {
    ...mainline,
    history: [{ to: "near", free: false }],
    phase: 0,
    places: { common: 0x0081_2340n, "direct 1": 0x0081_2440n },
    machine: "strong",
    adversities: [],
    expected: "safe",
    reason: "256 bytes behind ftrace_caller, and in the same 4 KiB window of this site's auipc",
  },
  {
    ...mainline,
    history: [{ to: "near", free: false }],
    phase: 0,
    places: { common: 0x0081_2780n, "direct 1": 0x0081_2880n },
    machine: "strong",
    adversities: [],
    expected: "wild-jump",
    reason: "256 bytes behind ftrace_caller, but across the window's end: 4096 bytes off",
  },
];

export const p3: Family = {
  id: "P3",
  title: "CALL_OPS on RISC-V as Linux has it",
  source: "Linux v6.16 and later, arch/riscv/kernel/ftrace.c, Documentation/arch/riscv/cmodx.rst",
  checks,
};

/**
 * P1. CALL_OPS on arm64: one literal, one instruction.
 *
 *   -8  literal -> ops              8-byte store, never fetched as an instruction
 *   +0  e9 03 1e aa  mov x9, x30    written at boot
 *   +4  1f 20 03 d5 nop <-> bl      4-byte store, then DC CVAU, DSB, IC IVAU, DSB, ISB; no IPI
 *
 * NOP and BL are in the list of instructions that may be changed while they are executed (Arm ARM
 * B2.2.5). Linux arch/arm64/kernel/ftrace.c since v6.3 (commit baaf553d3bc3).
 */
import { arm64CallOps, arm64CallOpsBti } from "../designs/aarch64.ts";
import { type Change, type Check, checksFor, type Family, type Protocol } from "../protocol.ts";
import {
  literal,
  maintain,
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

const slot = window(4, 4);
const swing: readonly Step[] = [
  write(literal, toNew),
  storeBarrier,
  write(slot, toNew),
  ...maintain(slot),
];
const retire = [quiesceHarts, quiesceTasks];

export const callOpsArm64: Protocol = {
  id: "P1/call-ops",
  title: "literal, then nop <-> bl with maintenance by the writer alone",
  enable: swing,
  disable: swing,
  modify: [write(literal, toNew), storeBarrier],
  retire,
};

const variant = (id: string, title: string, change: Partial<Protocol>): Protocol => ({
  ...callOpsArm64,
  id: `P1/${id}`,
  title,
  ...change,
});

const unordered: readonly Step[] = [write(literal, toNew), write(slot, toNew), ...maintain(slot)];
export const unorderedLiteral: Protocol = variant(
  "unordered-literal",
  "nothing orders the literal before the instruction",
  { enable: unordered, disable: unordered },
);
const bare: readonly Step[] = [write(literal, toNew), storeBarrier, write(slot, toNew)];
export const withoutMaintenance: Protocol = variant(
  "no-maintenance",
  "no cache maintenance at all",
  { enable: bare, disable: bare },
);
export const freedAtOnce: Protocol = variant("freed-at-once", "ops freed without a grace period", {
  retire: [],
});
export const freedAfterHarts: Protocol = variant(
  "freed-after-harts",
  "ops freed when every hart has switched threads",
  { retire: [quiesceHarts] },
);
export const freedAfterTasks: Protocol = variant(
  "freed-after-tasks",
  "ops freed when every task has left",
  { retire: [quiesceTasks] },
);

/** Straight calls: the instruction itself goes to the direct function. */
const blOnly: readonly Step[] = [write(slot, toNew), ...maintain(slot)];
export const straight: Protocol = variant(
  "straight",
  "nop <-> bl to the direct function itself, freed after the grace periods",
  { enable: blOnly, disable: blOnly, modify: blOnly },
);
export const straightSynced: Protocol = variant(
  "straight-synced",
  "as P1/straight, with a context synchronisation of every hart before the grace periods",
  { enable: blOnly, disable: blOnly, modify: blOnly, retire: [sync, ...retire] },
);
/** The direct call's target changes in the ops that the literal goes on pointing at. */
export const directByOps: Protocol = variant(
  "direct-by-ops",
  "a direct call's target is a store to ops->direct_call",
  { modify: [write(word("direct:e"), toNew), storeBarrier] },
);

const arms = ["armv8-dic0-idc0", "armv8-dic0-idc1", "armv8-dic1-idc1"] as const;
const main = { protocol: callOpsArm64, design: arm64CallOps } as const;
const one = "one listed instruction and one aligned word change, and any literal is valid";
const changeDirect = (kind: string): readonly Change[] => [
  { to: `${kind} 1`, free: false },
  { to: `${kind} 2`, free: true },
  { to: "idle", free: true },
];

const safe: readonly Check[] = [
  ...checksFor(
    { ...main, expected: "safe", reason: one },
    ["strong", ...arms],
    [
      [],
      ["preemption"],
      ["nmi"],
      ["preemption", "retarget", "free"],
      ["preemption", "modify", "free"],
      ["nmi", "modify", "free"],
      ["two-sites", "preemption"],
      ["two-patchers", "preemption", "free"],
      ["idle-loop", "free"],
    ],
  ),
  ...checksFor(
    { protocol: callOpsArm64, design: arm64CallOpsBti, phase: 4, expected: "safe", reason: one },
    ["armv8-dic0-idc0"],
    [["preemption", "modify", "free"]],
  ),
  ...checksFor(
    {
      ...main,
      protocol: unorderedLiteral,
      expected: "safe",
      reason: "a new bl with an older literal calls ops that are still there (nop or old)",
    },
    arms,
    [
      ["preemption", "retarget", "free"],
      ["preemption", "modify"],
      ["free", "idle-loop"],
    ],
  ),
  ...checksFor(
    {
      ...main,
      protocol: withoutMaintenance,
      expected: "safe",
      reason: "old and new instruction are both fine for ever: late, not wrong",
    },
    ["armv8-dic0-idc0", "armv8-dic1-idc1"],
    [
      ["preemption", "retarget", "free"],
      ["preemption", "modify"],
      ["free", "idle-loop"],
    ],
  ),
];

const grace: readonly Check[] = [
  {
    ...main,
    protocol: freedAtOnce,
    machine: "strong",
    adversities: ["free"],
    expected: "use-after-free",
    reason: "a thread in the trampoline holds the ops that it loaded",
  },
  {
    ...main,
    protocol: freedAfterHarts,
    machine: "armv8-dic0-idc0",
    adversities: ["modify", "free", "idle-loop"],
    expected: "safe",
    reason: "without preemption a hart that switches threads has left the trampoline",
  },
  {
    ...main,
    protocol: freedAfterHarts,
    machine: "strong",
    adversities: ["preemption", "free"],
    expected: "use-after-free",
    reason: "a thread preempted in the trampoline outlives the switch",
  },
  {
    ...main,
    protocol: freedAfterTasks,
    machine: "armv8-dic0-idc0",
    adversities: ["preemption", "modify", "free"],
    expected: "safe",
    reason: "every task has left the trampoline",
  },
  {
    ...main,
    protocol: freedAfterTasks,
    machine: "strong",
    adversities: ["idle-loop", "free"],
    expected: "use-after-free",
    reason: "a hart's idle loop is no task that the grace period waits for",
  },
  {
    ...main,
    phase: 4,
    machine: "armv8-dic1-idc1",
    adversities: ["modify"],
    expected: "torn-data",
    reason: "without 8-byte alignment of the function the literal is stored and loaded in halves",
  },
];

const direct: readonly Check[] = [
  ...checksFor(
    {
      ...main,
      history: [
        { to: "a", free: false },
        { to: "direct", free: true },
        { to: "b", free: true },
        { to: "idle", free: true },
      ],
      expected: "safe",
      reason: "one load of the literal decides between the direct call and the callback",
    },
    ["armv8-dic0-idc0"],
    [["preemption", "free"]],
  ),
  ...checksFor(
    {
      ...main,
      protocol: directByOps,
      history: changeDirect("direct"),
      expected: "safe",
      reason: "the target is one aligned word, and old targets outlive their grace period",
    },
    ["armv8-dic0-idc0", "armv8-dic1-idc1"],
    [["preemption", "free"]],
  ),
  ...checksFor(
    {
      ...main,
      protocol: straight,
      history: changeDirect("straight"),
      expected: "use-after-free",
      reason: "a hart without a context synchronisation may still fetch the old bl",
    },
    arms,
    [["free"]],
  ),
  ...checksFor(
    {
      ...main,
      protocol: straightSynced,
      history: changeDirect("straight"),
      expected: "safe",
      reason: "after the context synchronisation nobody fetches the old bl",
    },
    arms,
    [
      ["preemption", "free"],
      ["nmi", "free"],
      ["free", "idle-loop"],
    ],
  ),
];

export const p1: Family = {
  id: "P1",
  title: "CALL_OPS on arm64",
  source: "M. Rutland, 2023-01-13 (ftrace: Add DYNAMIC_FTRACE_WITH_CALL_OPS); Linux since v6.3",
  checks: [...safe, ...grace, ...direct],
};

/**
 * P2. CALL_OPS for RISC-V as proposed in February 2023: one literal, one instruction.
 *
 * RV64, enabled (site 8-aligned, T = common trampoline):
 *   -8  literal -> ops                 8-byte store
 *   +0  93 82 00 00  mv t0, ra         never changes
 *   +4  auipc t1, hi(T - (site+4))     never changes
 *   +8  13 00 00 00 nop <-> jalr ra, lo(t1)   4-byte store, aligned
 *
 * Legal as one aligned store to one aligned instruction (RISC-V Unprivileged, Ziccif).
 */
import { rv32CallOps2023, rv64CallOps2023 } from "../designs/riscv.ts";
import { type Check, checksFor, type Family, type Protocol } from "../protocol.ts";
import {
  literal,
  quiesceHarts,
  quiesceTasks,
  type Step,
  storeBarrier,
  sync,
  toNew,
  window,
  write,
} from "../steps.ts";

const slot = window(8, 4);
const swing: readonly Step[] = [
  write(literal, toNew),
  storeBarrier,
  write(slot, toNew),
  storeBarrier,
  sync,
];

export const callOps2023: Protocol = {
  id: "P2/call-ops",
  title: "literal, then nop <-> jalr, then fence.i everywhere",
  enable: swing,
  disable: swing,
  retire: [quiesceHarts, quiesceTasks],
};

const unordered: readonly Step[] = [write(literal, toNew), write(slot, toNew), storeBarrier, sync];

/** Nothing orders the literal before the instruction. */
export const unorderedLiteral: Protocol = {
  ...callOps2023,
  id: "P2/unordered-literal",
  title: "literal and instruction in any order",
  enable: unordered,
  disable: unordered,
};

export const withoutSync: Protocol = {
  ...callOps2023,
  id: "P2/no-sync",
  title: "literal, then nop <-> jalr, and no fence.i on other harts",
  enable: [write(literal, toNew), storeBarrier, write(slot, toNew), storeBarrier],
  disable: [write(literal, toNew), storeBarrier, write(slot, toNew), storeBarrier],
};

export const freedAtOnce: Protocol = {
  ...callOps2023,
  id: "P2/freed-at-once",
  title: "as P2/call-ops, ops freed without a grace period",
  retire: [],
};
export const freedAfterHarts: Protocol = {
  ...callOps2023,
  id: "P2/freed-after-harts",
  title: "as P2/call-ops, ops freed when every hart has switched threads",
  retire: [quiesceHarts],
};
export const freedAfterTasks: Protocol = {
  ...callOps2023,
  id: "P2/freed-after-tasks",
  title: "as P2/call-ops, ops freed when every task has left",
  retire: [quiesceTasks],
};

const rv64 = { protocol: callOps2023, design: rv64CallOps2023 } as const;
const hostile = [
  ["preemption"],
  ["nmi"],
  ["preemption", "retarget", "free"],
  ["preemption", "modify", "free", "nmi"],
  ["two-sites", "preemption"],
  ["two-patchers", "preemption", "free"],
] as const;

const one = "only one aligned instruction and one aligned word change, and any literal is valid";

export const checks: readonly Check[] = [
  ...checksFor(
    { ...rv64, expected: "safe", reason: one },
    ["strong", "riscv-ziccif", "riscv-ziccid"],
    [[], ...hostile],
  ),
  ...checksFor(
    { protocol: callOps2023, design: rv32CallOps2023, expected: "safe", reason: one },
    ["riscv-ziccif", "riscv-ziccid"],
    [
      ["preemption", "retarget", "free"],
      ["preemption", "modify", "nmi"],
    ],
  ),
  ...checksFor(
    {
      ...rv64,
      history: [
        { to: "direct", free: false },
        { to: "idle", free: true },
      ],
      expected: "safe",
      reason: "the trampoline reaches the direct call through the ops that the literal names",
    },
    ["riscv-ziccif"],
    [["preemption", "free"]],
  ),
  {
    ...rv64,
    machine: "riscv-parcel",
    adversities: [],
    expected: "unwritten-instruction",
    reason: "without Ziccif the two parcels of nop and jalr are fetched apart",
  },
  {
    ...rv64,
    phase: 2,
    machine: "riscv-ziccif",
    adversities: [],
    expected: "unwritten-instruction",
    reason: "at 2 mod 4 the instruction spans two fetch blocks, and its store is not atomic",
  },
  {
    ...rv64,
    phase: 4,
    machine: "riscv-ziccif",
    adversities: ["modify"],
    expected: "torn-data",
    reason: "without 8-byte alignment of the function the literal is stored and loaded in halves",
  },
  {
    protocol: callOps2023,
    design: rv32CallOps2023,
    phase: 4,
    machine: "riscv-ziccif",
    adversities: ["preemption", "modify"],
    expected: "safe",
    reason: "RV32's literal is 4 bytes: 4-byte alignment of the function is enough",
  },
  ...checksFor(
    {
      ...rv64,
      protocol: unorderedLiteral,
      expected: "safe",
      reason: "a new jalr with an older literal calls ops that are still there (nop or old)",
    },
    ["riscv-ziccif", "riscv-ziccid"],
    [
      ["preemption", "retarget", "free"],
      ["free", "idle-loop"],
    ],
  ),
  ...checksFor(
    {
      ...rv64,
      protocol: withoutSync,
      expected: "safe",
      reason: "a hart that never hears of the change runs the old instruction: late, not wrong",
    },
    ["riscv-ziccif"],
    [
      ["preemption", "retarget", "free"],
      ["free", "idle-loop"],
    ],
  ),
  {
    ...rv64,
    protocol: freedAtOnce,
    machine: "strong",
    adversities: ["free"],
    expected: "use-after-free",
    reason: "a thread in the trampoline holds the ops that it loaded",
  },
  {
    ...rv64,
    protocol: freedAfterHarts,
    machine: "riscv-ziccif",
    adversities: ["free"],
    expected: "safe",
    reason: "without preemption a hart that switches threads has left the trampoline",
  },
  {
    ...rv64,
    protocol: freedAfterHarts,
    machine: "strong",
    adversities: ["preemption", "free"],
    expected: "use-after-free",
    reason: "a thread preempted in the trampoline outlives the switch",
  },
  {
    ...rv64,
    protocol: freedAfterTasks,
    machine: "riscv-ziccif",
    adversities: ["preemption", "free"],
    expected: "safe",
    reason: "every task has left the trampoline",
  },
  {
    ...rv64,
    protocol: freedAfterTasks,
    machine: "strong",
    adversities: ["idle-loop", "free"],
    expected: "use-after-free",
    reason: "a hart's idle loop is no task that the grace period waits for",
  },
  ...checksFor(
    {
      ...rv64,
      expected: "safe",
      reason: "both grace periods together cover tasks and idle loops",
    },
    ["riscv-ziccif"],
    [["idle-loop", "free"]],
  ),
];

export const p2: Family = {
  id: "P2",
  title: "CALL_OPS on RISC-V as proposed in 2023",
  source: "M. Rutland, linux-riscv, 2023-02-07 (riscv: Optimize function trace, V7 0/7)",
  checks,
};

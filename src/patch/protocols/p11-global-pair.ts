/**
 * P11. Function and ops as two global words: the trampoline without CALL_OPS. A published bug.
 *
 *   func := list walker; wait; ops := new ops; store barrier; wait; func := new function
 *
 * "Wait" is what ftrace_modify_all_code and its predecessors have had there: an interrupt on every
 * hart, a switch of threads on every hart, a stopped machine.
 */
import { rv64GlobalPair } from "../designs/riscv.ts";
import { type Check, checksFor, type Family, type Protocol } from "../protocol.ts";
import {
  quiesceHarts,
  quiesceTasks,
  type Step,
  stop,
  storeBarrier,
  sync,
  toAddress,
  toNew,
  word,
  write,
} from "../steps.ts";

const ops = word("ops");
const func = word("func");
const retire = [quiesceHarts, quiesceTasks];

const protocolOf = (id: string, title: string, steps: readonly Step[]): Protocol => ({
  id: `P11/${id}`,
  title,
  enable: steps,
  disable: steps,
  retire,
});

const toList = [write(func, toAddress("func:list")), storeBarrier] as const;
const setOps = [write(ops, toNew), storeBarrier] as const;

export const byInterrupt: Protocol = protocolOf("interrupt", "waits by an interrupt per hart", [
  ...toList,
  sync,
  ...setOps,
  sync,
  write(func, toNew),
]);
export const bySwitch: Protocol = protocolOf("switch", "waits by a thread switch per hart", [
  ...toList,
  quiesceHarts,
  ...setOps,
  quiesceHarts,
  write(func, toNew),
]);
export const byTasks: Protocol = protocolOf("tasks", "waits until every task has left", [
  ...toList,
  quiesceTasks,
  ...setOps,
  quiesceTasks,
  write(func, toNew),
]);
export const byStop: Protocol = protocolOf("stop", "both words while all harts are stopped", [
  stop(write(func, toAddress("func:list")), write(ops, toNew), write(func, toNew)),
]);
export const atOnce: Protocol = protocolOf("at-once", "function and ops one after the other", [
  ...setOps,
  write(func, toNew),
]);

const pair = { design: rv64GlobalPair } as const;

export const checks: readonly Check[] = [
  ...checksFor(
    {
      ...pair,
      protocol: byInterrupt,
      expected: "wrong-pairing",
      reason: "the interrupt comes between the two loads: old ops, and soon a new function",
    },
    ["strong", "riscv-ziccif"],
    [["modify"], ["modify", "preemption"]],
  ),
  ...checksFor(
    {
      ...pair,
      protocol: bySwitch,
      expected: "safe",
      reason: "without preemption no hart switches threads between the two loads",
    },
    ["strong", "riscv-ziccif"],
    [["modify"], ["modify", "interrupts"]],
  ),
  ...checksFor(
    {
      ...pair,
      protocol: bySwitch,
      expected: "wrong-pairing",
      reason: "preempted between the two loads, the thread calls the new function with old ops",
    },
    ["strong", "riscv-ziccif"],
    [["modify", "preemption"]],
  ),
  ...checksFor(
    {
      ...pair,
      protocol: byStop,
      expected: "safe",
      reason: "without preemption harts stop outside of the trampoline",
    },
    ["strong", "riscv-ziccif"],
    [["modify"]],
  ),
  ...checksFor(
    {
      ...pair,
      protocol: byStop,
      expected: "wrong-pairing",
      reason: "preempted between the two loads, the thread calls the new function with old ops",
    },
    ["strong"],
    [["modify", "preemption"]],
  ),
  ...checksFor(
    {
      ...pair,
      protocol: byTasks,
      expected: "safe",
      reason: "no task is between the two loads any more",
    },
    ["strong", "riscv-ziccif"],
    [["modify", "preemption"]],
  ),
  ...checksFor(
    {
      ...pair,
      protocol: atOnce,
      expected: "wrong-pairing",
      reason: "new ops with the old function",
    },
    ["strong"],
    [["modify"]],
  ),
];

export const p11: Family = {
  id: "P11",
  title: "Function and ops as two global words",
  source: "M. Rutland, 2024-03-07 (Zenx_Q0UiwMbSAdP@FVFF77S0Q05N)",
  checks,
};

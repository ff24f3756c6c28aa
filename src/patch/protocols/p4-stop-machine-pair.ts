/**
 * P4. Two instructions at once: nop, nop <-> auipc, jalr, while all harts are stopped.
 *
 *   13 00 00 00 13 00 00 00  <->  97 x2 xx xx e7 82 x2 xx     8 bytes, copied in any order
 *
 * Linux arch/riscv/kernel/ftrace.c up to v6.15. A thread that is not running when harts stop keeps
 * its place between the two instructions.
 */
import { rv64Pair } from "../designs/riscv.ts";
import { type Check, checksFor, type Family, type Protocol } from "../protocol.ts";
import {
  localSync,
  quiesceHarts,
  quiesceTasks,
  type Step,
  stop,
  storeBarrier,
  sync,
  toNew,
  window,
  write,
  writePieces,
} from "../steps.ts";

const stopped: readonly Step[] = [stop(writePieces(window(0, "rest"), toNew), localSync)];
const retire = [quiesceHarts, quiesceTasks];

export const stopMachine: Protocol = {
  id: "P4/stop-machine",
  title: "both instructions while all harts are stopped",
  enable: stopped,
  disable: stopped,
  retire,
};

const plain: readonly Step[] = [
  write(window(0, 4), toNew),
  storeBarrier,
  write(window(4, 4), toNew),
  storeBarrier,
  sync,
];
export const twoStores: Protocol = {
  id: "P4/two-stores",
  title: "auipc, then jalr, then fence.i everywhere",
  enable: plain,
  disable: plain,
  retire,
};

/** A grace period in front of the stop does not help: threads come in behind it. */
const graceFirst: readonly Step[] = [quiesceTasks, ...stopped];
export const graceThenStop: Protocol = {
  id: "P4/grace-then-stop",
  title: "a grace period, then both instructions while all harts are stopped",
  enable: graceFirst,
  disable: graceFirst,
  retire,
};

const pair = { protocol: stopMachine, design: rv64Pair } as const;

export const checks: readonly Check[] = [
  ...checksFor(
    {
      ...pair,
      expected: "safe",
      reason: "harts stop where threads switch, which without preemption is outside of the site",
    },
    ["strong", "riscv-ziccif", "riscv-ziccid", "riscv-parcel"],
    [[], ["modify"], ["retarget", "free"]],
  ),
  ...checksFor(
    {
      ...pair,
      expected: "safe",
      reason: "interrupts are off while harts are stopped",
    },
    ["riscv-ziccif"],
    [["interrupts", "modify"]],
  ),
  ...checksFor(
    {
      ...pair,
      expected: "wild-jump",
      reason: "preempted behind the first nop, the thread goes on with jalr and no base",
    },
    ["strong", "riscv-ziccif"],
    [["preemption"]],
  ),
  ...checksFor(
    {
      ...pair,
      history: [
        { to: "a", free: false },
        { to: "b", free: false },
      ],
      expected: "wild-jump",
      reason: "preempted behind a nop or behind the old auipc, the thread goes on with a new jalr",
    },
    ["strong"],
    [["preemption"]],
  ),
  ...checksFor(
    {
      ...pair,
      expected: "unwritten-instruction",
      reason: "a handler that can't be masked runs the site while it is half written",
    },
    ["strong"],
    [["nmi"]],
  ),
  ...checksFor(
    {
      ...pair,
      protocol: graceThenStop,
      expected: "wild-jump",
      reason: "threads come in between the grace period and the stop",
    },
    ["strong"],
    [["preemption"]],
  ),
  ...checksFor(
    {
      ...pair,
      protocol: twoStores,
      expected: "wild-jump",
      reason: "a thread executes a nop, or the old auipc, in front of the new jalr",
    },
    ["strong", "riscv-ziccif"],
    [[]],
  ),
];

export const p4: Family = {
  id: "P4",
  title: "AUIPC and JALR under stop_machine",
  source: "Linux up to v6.15; M. Rutland, 2024-03-12 (ZfBbxPDd0rz6FN2T@FVFF77S0Q05N)",
  checks,
};

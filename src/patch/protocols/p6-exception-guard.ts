/**
 * P6. An exception-generating instruction with a fixup handler, and grace periods.
 *
 *   start   auipc t0, hi  | jalr t0, lo(t0)
 *   step 1  auipc t0, hi  | 73 00 10 00 ebreak      fence.i everywhere; traps act as the new call
 *   step 2  auipc t0, hi' | ebreak                 fence.i everywhere, grace period
 *   step 3  auipc t0, hi' | jalr t0, lo'(t0)       fence.i everywhere
 *
 * The handler must not mind which AUIPC was executed: it does the whole new call itself.
 */
import { rv64AuipcPair, rv64Pair } from "../designs/riscv.ts";
import { type Check, checksFor, type Family, type Protocol } from "../protocol.ts";
import {
  type InnerStep,
  localSync,
  quiesceHarts,
  quiesceTasks,
  type Step,
  stop,
  storeBarrier,
  sync,
  toNew,
  toTrap,
  trap,
  untrap,
  window,
  write,
} from "../steps.ts";

const first = window(0, 4);
const second = window(4, 4);
const retire = [quiesceHarts, quiesceTasks];
const publish: readonly Step[] = [storeBarrier, sync];

const protocolOf = (id: string, title: string, steps: readonly Step[]): Protocol => ({
  id: `P6/${id}`,
  title,
  enable: steps,
  disable: steps,
  retire,
});

const begin: readonly Step[] = [trap("new"), write(second, toTrap), ...publish];
const end: readonly Step[] = [write(second, toNew), ...publish, untrap];

export const guard: Protocol = protocolOf(
  "guard",
  "ebreak, sync, auipc', sync, grace period, jalr', sync",
  [...begin, write(first, toNew), ...publish, quiesceTasks, ...end],
);
export const graceTooEarly: Protocol = protocolOf(
  "grace-too-early",
  "as P6/guard, with the grace period between ebreak and auipc'",
  [...begin, quiesceTasks, write(first, toNew), ...publish, ...end],
);
export const noGrace: Protocol = protocolOf("no-grace", "as P6/guard, no grace period", [
  ...begin,
  write(first, toNew),
  ...publish,
  ...end,
]);
export const noSync: Protocol = protocolOf("no-sync", "as P6/guard, no fence.i behind auipc'", [
  ...begin,
  write(first, toNew),
  storeBarrier,
  quiesceTasks,
  ...end,
]);
export const noHandler: Protocol = protocolOf(
  "no-handler",
  "as P6/guard, and nobody handles the trap",
  guard.enable.filter((step) => step.op !== "trap" && step.op !== "untrap"),
);
export const resumeBehind: Protocol = protocolOf(
  "resume-behind",
  "as P6/guard, the handler goes on behind the site",
  guard.enable.map((step) => (step.op === "trap" ? trap("skip") : step)),
);

/** All in stopped machines, with nothing between: a grace period can't be inside of one. */
const stoppedWrite = (...steps: readonly InnerStep[]): Step => stop(...steps, localSync);
export const stoppedOnly: Protocol = protocolOf(
  "stopped-only",
  "each of the three writes under a stop_machine of its own, no grace period",
  [
    trap("new"),
    stoppedWrite(write(second, toTrap)),
    stoppedWrite(write(first, toNew)),
    stoppedWrite(write(second, toNew)),
    untrap,
  ],
);
export const stoppedWithGrace: Protocol = protocolOf(
  "stopped-with-grace",
  "three stop_machines, with the grace period between the second and the third",
  [
    trap("new"),
    stoppedWrite(write(second, toTrap)),
    stoppedWrite(write(first, toNew)),
    quiesceTasks,
    stoppedWrite(write(second, toNew)),
    untrap,
  ],
);

const rv = ["strong", "riscv-ziccif", "riscv-ziccid"] as const;
const good = "whoever executed the old auipc has trapped or left before jalr' is written";

export const checks: readonly Check[] = [
  ...checksFor({ protocol: guard, design: rv64AuipcPair, expected: "safe", reason: good }, rv, [
    ["modify"],
    ["modify", "preemption"],
    ["modify", "preemption", "nmi"],
    ["modify", "preemption", "firmware-fences"],
    ["modify", "preemption", "two-sites"],
    ["retarget", "preemption", "free"],
  ]),
  ...checksFor(
    {
      protocol: guard,
      design: rv64Pair,
      expected: "safe",
      reason: "from two nops too: whoever executed the first one has trapped or left",
    },
    ["riscv-ziccif"],
    [["modify", "preemption"]],
  ),
  ...checksFor(
    {
      protocol: graceTooEarly,
      design: rv64AuipcPair,
      expected: "wild-jump",
      reason: "a thread runs the old auipc behind the grace period, and jalr' behind the sync",
    },
    ["strong", "riscv-ziccif"],
    [["modify"], ["modify", "preemption"]],
  ),
  ...checksFor(
    {
      protocol: noGrace,
      design: rv64AuipcPair,
      expected: "wild-jump",
      reason: "a thread that runs the old auipc is interrupted and goes on with jalr'",
    },
    ["strong", "riscv-ziccif"],
    [["modify"], ["modify", "preemption"]],
  ),
  ...checksFor(
    {
      protocol: noSync,
      design: rv64AuipcPair,
      expected: "wild-jump",
      reason: "behind the grace period a hart still fetches the old auipc",
    },
    ["riscv-ziccif"],
    [["modify"]],
  ),
  ...checksFor(
    {
      protocol: noSync,
      design: rv64AuipcPair,
      expected: "safe",
      reason: "where fetch is coherent the grace period is enough",
    },
    ["strong"],
    [["modify", "preemption"]],
  ),
  ...checksFor(
    {
      protocol: noHandler,
      design: rv64AuipcPair,
      expected: "unhandled-trap",
      reason: "threads run into the ebreak",
    },
    ["strong"],
    [["modify"]],
  ),
  ...checksFor(
    {
      protocol: resumeBehind,
      design: rv64AuipcPair,
      expected: "safe",
      reason: "a call that is not traced during the change harms nobody",
    },
    ["riscv-ziccif"],
    [["modify", "preemption"]],
  ),
  ...checksFor(
    {
      protocol: stoppedOnly,
      design: rv64AuipcPair,
      expected: "wild-jump",
      reason: "a thread preempted behind the old auipc is not moved by stopping harts",
    },
    ["strong", "riscv-ziccif"],
    [["modify", "preemption"]],
  ),
  ...checksFor(
    {
      protocol: stoppedWithGrace,
      design: rv64AuipcPair,
      expected: "safe",
      reason: "the grace period between the stopped writes empties the site",
    },
    ["strong", "riscv-ziccif"],
    [["modify", "preemption"]],
  ),
];

export const p6: Family = {
  id: "P6",
  title: "Exception guard with grace periods",
  source: "M. Rutland, 2024-03-12, quoted and corrected by S. Rostedt, 2024-03-21",
  checks,
};

/**
 * P10. The options of March 2024 for RISC-V, and a fourth: one instruction changes in each.
 *
 *   A  literal; auipc fixed; nop <-> jalr                      P3
 *   B  nop <-> jal t0, dispatcher (1 MiB)                      4-byte store
 *   C  nop <-> jal t0, stub of the function's own; literal     4-byte store, 8-byte store
 *   D  j +8 <-> auipc t0; jalr t0, lo(t0) fixed                4-byte store to the first word
 */
import { rv64AuipcPair, rv64Jal, rv64OwnStub, rv64Toggle } from "../designs/riscv.ts";
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

const first = window(0, 4);
const publish: readonly Step[] = [storeBarrier, sync];
const retire = [quiesceHarts, quiesceTasks];

const protocolOf = (id: string, title: string, steps: readonly Step[]): Protocol => ({
  id: `P10/${id}`,
  title,
  enable: steps,
  disable: steps,
  retire,
});

export const optionB: Protocol = protocolOf("b", "nop <-> jal to one of several dispatchers", [
  write(first, toNew),
  ...publish,
]);
const literalThenFirst = [write(literal, toNew), storeBarrier, write(first, toNew), ...publish];
export const optionC: Protocol = protocolOf(
  "c",
  "nop <-> jal to the function's own stub, with a literal",
  literalThenFirst,
);
export const optionD: Protocol = protocolOf(
  "d",
  "j +8 <-> auipc in front of a fixed jalr, with a literal",
  literalThenFirst,
);
export const splitImmediate: Protocol = protocolOf(
  "split-immediate",
  "auipc and jalr one after the other, fence.i everywhere behind each",
  [write(first, toNew), ...publish, write(window(4, 4), toNew), ...publish],
);

const rv = ["strong", "riscv-ziccif", "riscv-ziccid"] as const;
const hostile = [
  ["modify", "preemption"],
  ["modify", "nmi"],
  ["retarget", "preemption", "free"],
  ["modify", "preemption", "firmware-fences"],
  ["modify", "free", "idle-loop"],
] as const;

export const checks: readonly Check[] = [
  ...checksFor(
    {
      protocol: optionB,
      design: rv64Jal,
      expected: "safe",
      reason: "one aligned instruction changes",
    },
    rv,
    hostile,
  ),
  ...checksFor(
    {
      protocol: optionC,
      design: rv64OwnStub,
      expected: "safe",
      reason: "one aligned instruction and one aligned word change",
    },
    rv,
    hostile,
  ),
  ...checksFor(
    {
      protocol: optionD,
      design: rv64Toggle,
      expected: "safe",
      reason: "one aligned instruction and one aligned word change; jalr is always right",
    },
    rv,
    hostile,
  ),
  ...checksFor(
    {
      protocol: splitImmediate,
      design: rv64AuipcPair,
      expected: "wild-jump",
      reason: "between the two stores every thread that comes by is lost",
    },
    ["strong", "riscv-ziccif"],
    [["modify"]],
  ),
];

export const p10: Family = {
  id: "P10",
  title: "Options for RISC-V with one instruction to change",
  source: "B. Töpel, linux-riscv, 2024-03-14; A. Chiu's fourth",
  checks,
};

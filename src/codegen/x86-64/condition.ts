/** Conditions (`ftrace/condition.ts`) as machine code: comparisons and jumps. */
import type { Comparison, Condition, ConditionValue } from "../../ftrace/condition.ts";
import type { Label } from "../../isa/x86-64/operands.ts";
import { r64 } from "../../isa/x86-64/registers.ts";
import type { Routine } from "./record.ts";
import { loadPlace, widen } from "./values.ts";

const { rax, rdx, rsi } = r64;

type Jump = "je" | "jne" | "jl" | "jle" | "jg" | "jge" | "jb" | "jbe" | "ja" | "jae";
/** The jump that is taken where a comparison holds, of signed and of unsigned numbers. */
const jumps: Readonly<Record<Comparison, readonly [signed: Jump, unsigned: Jump]>> = {
  "==": ["je", "je"],
  "!=": ["jne", "jne"],
  "<": ["jl", "jb"],
  "<=": ["jle", "jbe"],
  ">": ["jg", "ja"],
  ">=": ["jge", "jae"],
};
const opposites: Readonly<Record<Comparison, Comparison>> = {
  "==": "!=",
  "!=": "==",
  "<": ">=",
  "<=": ">",
  ">": "<=",
  ">=": "<",
};

/** Where a condition finds the call's values. */
export type ConditionPlace = {
  /** Where what `save` pushed begins, from the stack pointer. */
  readonly saved: number;
  /** Loads the call's duration so far, in ticks, into rax; may clobber rdx and rsi. */
  readonly loadDuration?: () => void;
  /** Of durations. */
  readonly ticksPerNs: number;
};

/** Jumps to `target` if the condition's outcome is `outcome`. Clobbers rax, rdx, rsi, flags. */
export function jumpIf(
  routine: Routine,
  condition: Condition,
  outcome: boolean,
  place: ConditionPlace,
  target: Label,
): void {
  const { a } = routine;
  switch (condition.kind) {
    case "not":
      jumpIf(routine, condition.of, !outcome, place, target);
      return;
    case "and":
    case "or": {
      const { left, right } = condition;
      // One side alone decides where it has the outcome that makes the whole have it.
      if ((condition.kind === "or") === outcome) {
        jumpIf(routine, left, outcome, place, target);
        jumpIf(routine, right, outcome, place, target);
        return;
      }
      const over = a.label();
      jumpIf(routine, left, !outcome, place, over);
      jumpIf(routine, right, outcome, place, target);
      a.bind(over);
      return;
    }
    case "duration":
      place.loadDuration?.();
      a.i("mov", rdx, BigInt(Math.round(condition.ns * place.ticksPerNs)));
      break;
    case "compare":
      compare(routine, condition.left, condition.right, place);
      break;
    default:
      condition satisfies never;
      return;
  }
  a.i("cmp", rax, rdx);
  const how = outcome ? condition.how : opposites[condition.how];
  const unsigned = condition.kind === "duration" || isUnsigned(condition.left.type);
  a.i(jumps[how][unsigned ? 1 : 0], target);
}

/** Loads what is to be compared into rax and rdx. */
function compare(
  routine: Routine,
  left: ConditionValue,
  right: string | ConditionValue,
  place: ConditionPlace,
): void {
  const { a } = routine;
  if (typeof right !== "string") {
    load(routine, right, place);
    a.i("mov", rsi, rax);
  }
  load(routine, left, place);
  if (typeof right !== "string") a.i("mov", rdx, rsi);
  else a.i("mov", rdx, BigInt.asIntN(64, BigInt(right)));
}

function load(
  routine: Routine,
  { place: where, type, mask }: ConditionValue,
  place: ConditionPlace,
): void {
  const { a } = routine;
  loadPlace(routine, where, place.saved);
  widen(routine, type);
  if (mask === undefined) return;
  a.i("mov", rdx, BigInt.asIntN(64, BigInt(mask)));
  a.i("and", rax, rdx);
}

const isUnsigned = (type: ConditionValue["type"]): boolean =>
  type.startsWith("u") || type === "pointer" || type === "bool" || type === "char";

/** Expressions with dependencies: a value, and the reads of this thread that it comes from. */

import { assert } from "../../base/assert.ts";
import { applyBinary, applyUnary, type Expr } from "../../isa/effects.ts";
import type { Mask } from "./trace.ts";

/** A value and what it depends on: through data alone, and through picked operands too. */
export type Tainted = { readonly value: bigint; readonly on: Mask; readonly pick: Mask };

export const plain = (value: bigint): Tainted => ({ value, on: 0n, pick: 0n });

/** What expressions are evaluated in. */
export type Scope = {
  readonly register: (name: string) => Tainted;
  readonly temps: ReadonlyMap<string, Tainted>;
  readonly pc: bigint;
  /** The conditions of `ite` pick (CSEL), instead of being operands like others. */
  readonly picks: boolean;
};

const join = (value: bigint, a: Tainted, b: Tainted): Tainted => ({
  value,
  on: a.on | b.on,
  pick: a.pick | b.pick,
});

function evaluateIte(expr: Expr & { op: "ite" }, scope: Scope): Tainted {
  const when = evaluate(expr.when, scope);
  const yes = evaluate(expr.yes, scope);
  const no = evaluate(expr.no, scope);
  const chosen = when.value === 0n ? no : yes;
  // Arm ARM B2.3.2, pick dependency: the operand that is not chosen is not read.
  if (scope.picks) return { ...chosen, pick: chosen.pick | when.pick };
  return { ...join(chosen.value, join(0n, yes, no), when) };
}

/** The value of an expression. A syntactic dependency stays one where the value cancels out. */
export function evaluate(expr: Expr, scope: Scope): Tainted {
  switch (expr.op) {
    case "const":
      return plain(expr.value);
    case "reg":
      return scope.register(expr.name);
    case "temp": {
      const found = scope.temps.get(expr.name);
      assert(found !== undefined, `temporary ${expr.name} is used before it is set`);
      return found;
    }
    case "pc":
      return plain(scope.pc);
    case "binary": {
      const a = evaluate(expr.a, scope);
      const b = evaluate(expr.b, scope);
      const division = /^(div|rem)/.test(expr.fn) && b.value === 0n;
      return join(division ? 0n : applyBinary(expr.fn, expr.bits, a.value, b.value), a, b);
    }
    case "unary": {
      const a = evaluate(expr.a, scope);
      return { ...a, value: applyUnary(expr.fn, expr.bits, a.value) };
    }
    case "zext": {
      const a = evaluate(expr.a, scope);
      return { ...a, value: BigInt.asUintN(expr.from, a.value) };
    }
    case "sext": {
      const a = evaluate(expr.a, scope);
      return { ...a, value: BigInt.asUintN(expr.to, BigInt.asIntN(expr.from, a.value)) };
    }
    case "ite":
      return evaluateIte(expr, scope);
    default:
      return expr satisfies never;
  }
}

/**
 * The reference interpreter of the effects language: pure over a `Cpu`, in bigint, one instruction
 * at a time. Slow on purpose: it is what faster readers of the same data are compared with.
 */

import { assert, unreachable } from "../base/assert.ts";
import {
  type AccessBytes,
  applyAtomic,
  applyBinary,
  applyUnary,
  type Effect,
  type Expr,
  type TrapCause,
} from "./effects.ts";

/** The state that instructions act on. Values are unsigned; stores get values of 8 * bytes bits. */
export interface Cpu {
  read(reg: string): bigint;
  write(reg: string, value: bigint): void;
  load(addr: bigint, bytes: AccessBytes): bigint;
  store(addr: bigint, value: bigint, bytes: AccessBytes): void;
  /** Takes a reservation on the bytes (LDXR, LR). Without it, reservations always hold. */
  reserve?(addr: bigint, bytes: AccessBytes): void;
  /** Whether the reservation on the bytes still holds; it is given up either way. */
  releaseReservation?(addr: bigint, bytes: AccessBytes): boolean;
  /** Told of every barrier, cache operation and hint. */
  observe?(effect: Effect & { kind: "barrier" | "cache" | "hint" }, addr?: bigint): void;
}

/** How an instruction ended. */
export type Outcome =
  | { readonly kind: "next"; readonly pc: bigint }
  | { readonly kind: "jump"; readonly pc: bigint; readonly taken: "jump" | "call" | "return" }
  | {
      readonly kind: "trap";
      readonly pc: bigint;
      readonly cause: TrapCause;
      readonly code: bigint;
    };

/** The value of an expression. `read` gives registers as they were before the instruction. */
export function evaluate(
  expr: Expr,
  read: (reg: string) => bigint,
  temps: ReadonlyMap<string, bigint>,
  pc: bigint,
): bigint {
  const value = (e: Expr): bigint => evaluate(e, read, temps, pc);
  switch (expr.op) {
    case "const":
      return expr.value;
    case "reg":
      return read(expr.name);
    case "temp": {
      const found = temps.get(expr.name);
      assert(found !== undefined, `temporary ${expr.name} is used before it is set`);
      return found;
    }
    case "pc":
      return pc;
    case "binary":
      return applyBinary(expr.fn, expr.bits, value(expr.a), value(expr.b));
    case "unary":
      return applyUnary(expr.fn, expr.bits, value(expr.a));
    case "zext":
      return BigInt.asUintN(expr.from, value(expr.a));
    case "sext":
      return BigInt.asUintN(expr.to, BigInt.asIntN(expr.from, value(expr.a)));
    case "ite":
      return value(value(expr.when) === 0n ? expr.no : expr.yes);
    default:
      return unreachable(expr);
  }
}

/**
 * Carries out one instruction's effects on `cpu`.
 * @param pc its address.
 * @param size its length in bytes.
 * @param wordBits width of an address: results of address arithmetic wrap to it.
 */
export function execute(
  effects: readonly Effect[],
  cpu: Cpu,
  pc: bigint,
  size: number,
  wordBits: 32 | 64,
): Outcome {
  const temps = new Map<string, bigint>();
  const writes = new Map<string, bigint>();
  const value = (e: Expr): bigint => evaluate(e, (name) => cpu.read(name), temps, pc);
  const address = (e: Expr): bigint => BigInt.asUintN(wordBits, value(e));
  let outcome: Outcome = { kind: "next", pc: BigInt.asUintN(wordBits, pc + BigInt(size)) };

  for (const effect of effects) {
    switch (effect.kind) {
      case "let":
        temps.set(effect.temp, value(effect.value));
        break;
      case "set":
        writes.set(effect.reg, value(effect.value));
        break;
      case "jump":
        if (effect.when !== undefined && value(effect.when) === 0n) break;
        outcome = { kind: "jump", pc: address(effect.target), taken: effect.as };
        break;
      case "trap":
        if (effect.when !== undefined && value(effect.when) === 0n) break;
        for (const [name, written] of writes) cpu.write(name, written);
        return { kind: "trap", pc, cause: effect.cause, code: effect.code };
      case "barrier":
      case "hint":
        cpu.observe?.(effect);
        break;
      case "cache":
        cpu.observe?.(effect, effect.addr === undefined ? undefined : address(effect.addr));
        break;
      default:
        accessMemory(effect, cpu, temps, value, address);
    }
  }
  for (const [name, written] of writes) cpu.write(name, written);
  return outcome;
}

type MemoryEffect = Effect & { kind: "load" | "store" | "storeExclusive" | "atomic" };

function accessMemory(
  effect: MemoryEffect,
  cpu: Cpu,
  temps: Map<string, bigint>,
  value: (e: Expr) => bigint,
  address: (e: Expr) => bigint,
): void {
  const addr = address(effect.addr);
  const bits = 8 * effect.bytes;
  switch (effect.kind) {
    case "load":
      temps.set(effect.into, cpu.load(addr, effect.bytes));
      if (effect.exclusive === true) cpu.reserve?.(addr, effect.bytes);
      return;
    case "store":
      cpu.store(addr, BigInt.asUintN(bits, value(effect.value)), effect.bytes);
      return;
    case "storeExclusive": {
      const held = cpu.releaseReservation?.(addr, effect.bytes) ?? true;
      if (held) cpu.store(addr, BigInt.asUintN(bits, value(effect.value)), effect.bytes);
      temps.set(effect.into, held ? 0n : 1n);
      return;
    }
    case "atomic": {
      const old = cpu.load(addr, effect.bytes);
      const expected = effect.expected === undefined ? undefined : value(effect.expected);
      const next = applyAtomic(effect.fn, bits, old, value(effect.operand), expected);
      if (next !== undefined) cpu.store(addr, next, effect.bytes);
      temps.set(effect.into, old);
      return;
    }
    default:
      unreachable(effect);
  }
}

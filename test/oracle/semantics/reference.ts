/** The reference interpreter's machine: registers, two pieces of memory, and a reservation. */
import { ensure } from "../../../src/base/assert.ts";
import type { AccessBytes, Effect, Expr } from "../../../src/isa/effects.ts";
import type { Cpu } from "../../../src/isa/execute.ts";
import type { State } from "./driver.ts";

/** The program touched memory that a trial must not touch: other values have to be drawn. */
export class OutOfScratch extends Error {}

export type Region = {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly writable: boolean;
};

/** Bytes as an unsigned little-endian number. */
export const numberOf = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

export class ReferenceCpu implements Cpu {
  readonly state: State;
  readonly #regions: readonly Region[];
  readonly #undo: { region: Region; at: number; before: Uint8Array }[] = [];
  #reserved: bigint | undefined;
  /** Where memory was touched, in order. */
  readonly touched: bigint[] = [];

  constructor(state: State, regions: readonly Region[]) {
    this.state = new Map(state);
    this.#regions = regions;
  }

  read(name: string): bigint {
    return ensure(this.state.get(name), `register ${name}`);
  }

  write(name: string, value: bigint): void {
    ensure(this.state.get(name), `register ${name}`);
    this.state.set(name, value);
  }

  #place(addr: bigint, bytes: number, write: boolean): { region: Region; at: number } {
    for (const region of this.#regions) {
      const at = addr - region.address;
      const inside = at >= 0n && at + BigInt(bytes) <= BigInt(region.bytes.length);
      if (inside && (region.writable || !write)) return { region, at: Number(at) };
    }
    throw new OutOfScratch(`0x${addr.toString(16)}`);
  }

  load(addr: bigint, bytes: AccessBytes): bigint {
    const { region, at } = this.#place(addr, bytes, false);
    this.touched.push(addr);
    return numberOf(region.bytes.subarray(at, at + bytes));
  }

  store(addr: bigint, value: bigint, bytes: AccessBytes): void {
    const { region, at } = this.#place(addr, bytes, true);
    this.touched.push(addr);
    this.#undo.push({ region, at, before: region.bytes.slice(at, at + bytes) });
    let rest = value;
    for (let i = 0; i < bytes; i++) {
      region.bytes[at + i] = Number(rest & 0xffn);
      rest >>= 8n;
    }
  }

  reserve(addr: bigint): void {
    this.#reserved = addr;
  }

  releaseReservation(addr: bigint): boolean {
    const held = this.#reserved === addr;
    this.#reserved = undefined;
    return held;
  }

  /** Takes every store back. */
  rollback(): void {
    for (const { region, at, before } of this.#undo.toReversed()) region.bytes.set(before, at);
  }
}

const namesInExpr = (expr: Expr, into: Set<string>): void => {
  switch (expr.op) {
    case "reg":
      into.add(expr.name);
      return;
    case "binary":
      namesInExpr(expr.a, into);
      namesInExpr(expr.b, into);
      return;
    case "ite":
      namesInExpr(expr.when, into);
      namesInExpr(expr.yes, into);
      namesInExpr(expr.no, into);
      return;
    case "unary":
    case "zext":
    case "sext":
      namesInExpr(expr.a, into);
      return;
    default:
  }
};

/** Registers in an expression. */
export const registersIn = (expr: Expr): Set<string> => {
  const names = new Set<string>();
  namesInExpr(expr, names);
  return names;
};

/** The expressions that an effect has directly. */
const exprsOf = (effect: Effect): Expr[] => {
  const found: (Expr | undefined)[] = [];
  if ("value" in effect) found.push(effect.value);
  if ("addr" in effect) found.push(effect.addr);
  if (effect.kind === "atomic") found.push(effect.operand, effect.expected);
  if (effect.kind === "jump") found.push(effect.target);
  if ("when" in effect) found.push(effect.when);
  return found.filter((expr) => expr !== undefined);
};

/** Every register that the effects read or write. */
export const registersOf = (effects: readonly Effect[]): Set<string> => {
  const names = new Set<string>();
  for (const effect of effects) {
    if (effect.kind === "set") names.add(effect.reg);
    for (const expr of exprsOf(effect)) namesInExpr(expr, names);
  }
  return names;
};

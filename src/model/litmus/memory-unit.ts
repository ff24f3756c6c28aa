/** Accesses of one thread: values from the candidates, events with their dependencies. */

import { ensure } from "../../base/assert.ts";
import { applyAtomic, type Effect, type Expr } from "../../isa/effects.ts";
import type { Candidate, Candidates } from "./candidates.ts";
import { type Choices, Cut } from "./choices.ts";
import { evaluate, plain, type Scope, type Tainted } from "./evaluate.ts";
import type { EventLog, EventParts } from "./event-log.ts";
import type { Image } from "./image.ts";
import type { Decoded } from "./isa.ts";
import { maskOf } from "./trace.ts";

export type MemoryEffect = Effect & { kind: "load" | "store" | "storeExclusive" | "atomic" };

type Access = Omit<EventParts, "kind"> & { readonly addressPick: bigint };

/** An instruction on its way: what it is, and the temporaries of its effects. */
export type Executing = {
  readonly decoded: Decoded;
  readonly scope: Scope;
  readonly temps: Map<string, Tainted>;
};

/** Whether an expression uses a temporary. */
function uses(expr: Expr | undefined, temp: string): boolean {
  if (expr === undefined) return false;
  switch (expr.op) {
    case "temp":
      return expr.name === temp;
    case "binary":
      return uses(expr.a, temp) || uses(expr.b, temp);
    case "ite":
      return uses(expr.when, temp) || uses(expr.yes, temp) || uses(expr.no, temp);
    case "unary":
    case "zext":
    case "sext":
      return uses(expr.a, temp);
    default:
      return false;
  }
}

const isUsed = (effects: readonly Effect[], temp: string): boolean =>
  effects.some((e) => (e.kind === "set" || e.kind === "let") && uses(e.value, temp));

export class MemoryUnit {
  readonly #image: Image;
  readonly #thread: number;
  readonly #candidates: Candidates;
  readonly #choices: Choices;
  readonly #log: EventLog;
  /** The read that took the reservation, and where. */
  #reservation: { event: number; address: bigint; bytes: number } | undefined;

  constructor(
    image: Image,
    thread: number,
    candidates: Candidates,
    choices: Choices,
    log: EventLog,
  ) {
    this.#image = image;
    this.#thread = thread;
    this.#candidates = candidates;
    this.#choices = choices;
    this.#log = log;
  }

  /** Whether a load-exclusive waits for its store. */
  get isReserved(): boolean {
    return this.#reservation !== undefined;
  }

  /** Gives up the reservation of a load-exclusive. */
  clearReservation(): void {
    this.#reservation = undefined;
  }

  /** Values that the bytes may have; there is at least one. */
  valuesAt(address: bigint, bytes: number): readonly Candidate[] {
    const values = this.#candidates.values(address, bytes);
    if (values === undefined) throw new Cut(false);
    if (values.length > 0) return values;
    return this.#log.refuse("an access has too many possible values to search");
  }

  /** Carries out an access; the address that faulted, if there is no memory. */
  access(effect: MemoryEffect, executing: Executing): bigint | undefined {
    const { scope, temps, decoded } = executing;
    const at = evaluate(effect.addr, scope);
    const address = BigInt.asUintN(8 * this.#image.isa.pointerBytes, at.value);
    const { bytes } = effect;
    if (this.#image.bytesAt(address, bytes) === undefined) return address;
    const acquire = effect.acquire === true;
    const access: Access = {
      ...{ address, bytes, addressOn: at.on, addressPick: at.pick },
      acquire: acquire && !decoded.acquirePc,
      acquirePc: acquire && decoded.acquirePc,
      release: effect.release === true,
    };
    switch (effect.kind) {
      case "load": {
        if (effect.fetch === true) this.#log.refuse("loads that are fetches are not modelled");
        const exclusive = effect.exclusive === true;
        const event = this.#read({ ...access, exclusive }, effect.into, temps);
        if (exclusive) this.#reservation = { event, address, bytes };
        return undefined;
      }
      case "store":
        this.#write(access, evaluate(effect.value, scope));
        return undefined;
      case "storeExclusive":
        this.#storeExclusive(effect, { ...access, exclusive: true }, executing);
        return undefined;
      case "atomic":
        this.#readModifyWrite(effect, { ...access, atomic: true }, executing);
        return undefined;
      default:
        return effect satisfies never;
    }
  }

  #read(access: Access, into: string, temps: Map<string, Tainted>): number {
    const { address, bytes } = access;
    const values = this.valuesAt(address, bytes).filter((candidate) =>
      this.#isReadable(candidate, address, bytes),
    );
    if (values.length === 0) throw new Cut(false);
    const { value } = ensure(values[this.#choices.choose(values.length)], "a value");
    const index = this.#log.add({ kind: "read", value, ...access });
    // The result depends on this read, and on what its address was picked by.
    temps.set(into, { value, on: maskOf(index), pick: maskOf(index) | access.addressPick });
    return index;
  }

  /**
   * Whether a read may return the value at all, by the thread's own stores to the same bytes (all
   * models here have coherence per location): not a value of the past that its own store covers.
   */
  #isReadable({ value, threads }: Candidate, address: bigint, bytes: number): boolean {
    for (const thread of threads) if (thread >= 0 && thread !== this.#thread) return true;
    if (this.#isMixed(address, bytes)) return true;
    const own = this.#log.events.findLast(
      (e) => e.kind === "write" && e.address === address && e.bytes === bytes,
    );
    return own === undefined ? threads.has(-1) || threads.size > 1 : own.value === value;
  }

  /** Whether own stores overlap these bytes without being the same bytes. */
  #isMixed(address: bigint, bytes: number): boolean {
    const end = address + BigInt(bytes);
    return this.#log.events.some(
      (e) =>
        e.kind === "write" &&
        e.address < end &&
        address < e.address + BigInt(e.bytes) &&
        (e.address !== address || e.bytes !== bytes),
    );
  }

  #write(access: Access, { value, on, pick }: Tainted): number {
    const stored = BigInt.asUintN(8 * access.bytes, value);
    return this.#log.add({ kind: "write", value: stored, dataOn: on, dataPick: pick, ...access });
  }

  #storeExclusive(
    effect: Effect & { kind: "storeExclusive" },
    access: Access,
    { scope, temps }: Executing,
  ): void {
    const held = this.#reservation;
    this.#reservation = undefined;
    const paired = held?.address === access.address && held.bytes === access.bytes;
    const done = paired && this.#choices.choose(2) === 0;
    if (!done) {
      temps.set(effect.into, plain(1n));
      return;
    }
    const written = this.#write({ ...access, rmw: held.event }, evaluate(effect.value, scope));
    // Arm: the status of a Store-Exclusive carries no dependency (aarch64deps, lxsx). RISC-V: SC is
    // a source of its rd (RVWMO, "Syntactic Dependencies").
    const on = this.#image.isa.arch === "RISCV" ? maskOf(written) : 0n;
    temps.set(effect.into, { value: 0n, on, pick: on });
  }

  #readModifyWrite(
    effect: Effect & { kind: "atomic" },
    access: Access,
    { scope, temps, decoded }: Executing,
  ): void {
    const { into, fn } = effect;
    const operand = evaluate(effect.operand, scope);
    const expected = effect.expected === undefined ? undefined : evaluate(effect.expected, scope);
    const noReturn = fn !== "cas" && access.acquire !== true && !isUsed(decoded.effects, into);
    const read = this.#read({ ...access, release: false, noReturn }, into, temps);
    const old = ensure(temps.get(into), into).value;
    const next = applyAtomic(fn, 8 * access.bytes, old, operand.value, expected?.value);
    if (next === undefined) return;
    // A swap stores its operand alone; the others compute with what they read.
    const own = fn === "swap" || fn === "cas" ? 0n : maskOf(read);
    const value = { value: next, on: operand.on | own, pick: operand.pick | own };
    this.#write({ ...access, acquire: false, acquirePc: false, rmw: read }, value);
  }
}

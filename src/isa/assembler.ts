/**
 * The assembler of the ISAs whose instructions are words (AArch64, RISC-V): the same methods as
 * x86-64's, no text parsing. Operands stand in the order of the manual's assembly; labels go both
 * ways; holes make the code a template.
 *
 *     const a = new Assembler(aarch64, codeAddr(0x7f0000001000n));
 *     const done = a.label();
 *     a.i("cbz", x(0), done);
 *     a.i("ldr", x(1), mem(x(0), 8));
 *     a.bind(done);
 *     a.i("ret");
 *     const { bytes } = a.finish();
 */

import { assert, ensure } from "../base/assert.ts";
import { type CodeAddr, codeAddr, hex } from "../base/brand.ts";
import {
  type Computation,
  encodeForm,
  type Fields,
  type Form,
  findMisfit,
  type Table,
} from "./table.ts";

/** A place in the code of one assembler. */
export type Label = { readonly kind: "label"; readonly id: number };

/** A value that every copy of the code has for itself: see `copyCode`. */
export type Hole = { readonly kind: "hole"; readonly name: string };

/** Something with an address: a label, a hole that will hold one, or the address itself. */
export type Place = Label | Hole | CodeAddr;

/** A part of an address or of a distance, as an operand. */
export type Part = {
  readonly kind: "part";
  readonly place: Place;
  /** Where distances count from; the instruction itself where it is absent. */
  readonly from?: Label;
  readonly computation: Computation;
};

/** What the assembler asks of an ISA. */
export type AssemblerIsa<Arg> = {
  /** An argument that stands for one that is filled in later. */
  readonly placeholder: Arg;
  /** Address size in bits: distances wrap at it. */
  readonly wordBytes: 4 | 8;
  readonly nopBytes: Uint8Array;
  readonly table: Table<Arg>;
};

type Target =
  | { readonly kind: "own"; readonly label: Label }
  | { readonly kind: "address"; readonly address: CodeAddr }
  | { readonly kind: "hole"; readonly name: string };

/** A field of an instruction, or 4 or 8 bytes of data, that waits for an address or a value. */
type Reference<Arg> = {
  readonly offset: number;
  readonly target: Target;
  readonly content:
    | { readonly kind: "data"; readonly sizeBytes: 4 | 8 }
    | {
        readonly kind: "field";
        readonly name: string;
        readonly form: Form<Arg>;
        readonly fields: Fields;
        readonly from: Label | undefined;
        /** Absent: the value itself. */
        readonly computation: Computation | undefined;
      };
};

/** A place in finished code that is filled in copy by copy. */
export type PlacedHole = { readonly name: string; readonly offset: number };

/** Finished code. */
export type Assembled = {
  /** Owned by the caller; holes are zero in it. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly origin: CodeAddr;
  /** The address of a bound label. */
  readonly labels: (label: Label) => CodeAddr;
  /** In the order of their places; a name may occur several times. */
  readonly holes: readonly PlacedHole[];
  /**
   * Writes a copy to `out[start...]` as it has to be to run at `at`.
   * @param values one per hole, in the order of `holes`: the value, or the address it names.
   */
  readonly copyTo: (
    out: Uint8Array,
    start: number,
    at: CodeAddr,
    values: readonly bigint[],
  ) => void;
};

/** An operand as callers write it: the ISA's own, or something with an address. */
export type Operand<Arg> = Arg | Place | Part;

/** A field that is filled in when the code is finished. */
type Later = {
  readonly field: string;
  readonly place: Place;
  readonly from: Label | undefined;
  readonly computation: Computation | undefined;
};

const isPlace = (operand: unknown): operand is Place => {
  if (typeof operand === "bigint") return true;
  if (typeof operand !== "object" || operand === null || !("kind" in operand)) return false;
  return operand.kind === "label" || operand.kind === "hole";
};

const isPart = (operand: unknown): operand is Part =>
  typeof operand === "object" && operand !== null && "kind" in operand && operand.kind === "part";

const targetOf = (place: Place): Target => {
  if (typeof place === "bigint") return { kind: "address", address: place };
  return place.kind === "label"
    ? { kind: "own", label: place }
    : { kind: "hole", name: place.name };
};

export class Assembler<Arg> {
  readonly #isa: AssemblerIsa<Arg>;
  readonly #origin: CodeAddr;
  readonly #labels: (number | undefined)[] = [];
  readonly #references: Reference<Arg>[] = [];
  #bytes = new Uint8Array(256);
  #size = 0;

  /** @param origin the address of the first byte when the code runs. */
  constructor(isa: AssemblerIsa<Arg>, origin: CodeAddr) {
    this.#isa = isa;
    this.#origin = origin;
  }

  /** The address of the next byte. */
  get here(): CodeAddr {
    return codeAddr(this.#origin + BigInt(this.#size));
  }

  /** Bytes so far. */
  get size(): number {
    return this.#size;
  }

  /** A new label, not bound to a place yet. */
  label(): Label {
    return { kind: "label", id: this.#labels.push(undefined) - 1 };
  }

  /** Puts `label` here; once. */
  bind(label: Label): this {
    assert(label.id < this.#labels.length, `label ${label.id} is of another assembler`);
    assert(this.#labels[label.id] === undefined, `label ${label.id} is bound twice`);
    this.#labels[label.id] = this.#size;
    return this;
  }

  /** A new label, bound here. */
  bindNew(): Label {
    const label = this.label();
    this.bind(label);
    return label;
  }

  /** A value that every copy of the code has for itself: an immediate, an address or data. */
  hole(name: string): Hole {
    return { kind: "hole", name };
  }

  /**
   * Appends an instruction. Operands that no form takes are programmer errors, as are, when the
   * code is finished, targets out of reach: ask `canReach` first.
   */
  i(mnemonic: string, ...operands: readonly Operand<Arg>[]): this {
    const plain = operands.map((operand) =>
      isPlace(operand) || isPart(operand) ? this.#isa.placeholder : operand,
    );
    const reading = this.#isa.table.read(mnemonic, plain);
    if (typeof reading === "string") {
      const given = operands.map((o) => (typeof o === "object" ? JSON.stringify(o) : String(o)));
      throw new Error(`assertion failed: ${mnemonic} ${given.join(", ")}: ${reading}`);
    }
    const { form, fields, slots } = reading;
    const later = operands.flatMap((operand, index): Later[] => {
      if (!isPlace(operand) && !isPart(operand)) return [];
      const names = ensure(slots[index]?.names, `${mnemonic}: operand ${index} names no address`);
      const { field, computation } = names;
      return isPart(operand)
        ? [{ field, place: operand.place, from: operand.from, computation: operand.computation }]
        : [{ field, place: operand, from: undefined, computation }];
    });
    assert(later.length <= 1, `${mnemonic}: one operand at most can be filled in later`);
    return this.#emit(form, fields, later[0]);
  }

  /**
   * Appends the instruction of this form (the table's unique name) with these fields.
   * @param later a field that is filled in when its place is known.
   */
  emit(
    name: string,
    fields: Fields,
    later?: { readonly field: string; readonly part: Part },
  ): this {
    const form = this.#isa.table.form(name);
    if (later === undefined) return this.#emit(form, fields, undefined);
    const { place, from, computation } = later.part;
    return this.#emit(form, fields, { field: later.field, place, from, computation });
  }

  #emit(form: Form<Arg>, fields: Fields, later: Later | undefined): this {
    if (later !== undefined) {
      const { field, place, from, computation } = later;
      this.#references.push({
        offset: this.#size,
        target: targetOf(place),
        content: { kind: "field", name: field, form, fields, from, computation },
      });
    }
    return this.#uint(BigInt(encodeForm(form, fields)), form.pattern.sizeBytes);
  }

  #uint(value: bigint, sizeBytes: number): this {
    this.#reserve(sizeBytes);
    setUint(this.#bytes, this.#size, value, sizeBytes);
    this.#size += sizeBytes;
    return this;
  }

  #reserve(count: number): void {
    if (this.#size + count <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#size + count));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }

  /** Appends bytes as they are (borrowed, copied). */
  bytes(bytes: ArrayLike<number>): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#size);
    this.#size += bytes.length;
    return this;
  }

  #data(value: bigint | Label | Hole, sizeBytes: 4 | 8): this {
    if (typeof value === "bigint") return this.#uint(value, sizeBytes);
    const content = { kind: "data", sizeBytes } as const;
    this.#references.push({ offset: this.#size, target: targetOf(value), content });
    return this.#uint(0n, sizeBytes);
  }

  /** Appends 8 bytes of data: a value, or the address of a label. */
  u64(value: bigint | Label | Hole): this {
    return this.#data(value, 8);
  }

  /** Appends 4 bytes of data: a value, or on a 32-bit ISA the address of a label. */
  u32(value: number | Label | Hole): this {
    return this.#data(typeof value === "number" ? BigInt(value) : value, 4);
  }

  /** Appends NOPs; `sizeBytes` has to be a multiple of one NOP's. */
  nop(sizeBytes: number): this {
    const { nopBytes } = this.#isa;
    assert(sizeBytes % nopBytes.length === 0, `${sizeBytes} bytes of NOPs`);
    for (let i = 0; i < sizeBytes; i += nopBytes.length) this.bytes(nopBytes);
    return this;
  }

  /** Brings `here` to a multiple of `alignment`, a power of two, with NOPs or with zeros. */
  align(alignment: number, fill: "nop" | "zero" = "nop"): this {
    assert(alignment > 0 && (alignment & (alignment - 1)) === 0, `alignment ${alignment}`);
    const missing = Number(BigInt.asUintN(64, 0n - this.here) & BigInt(alignment - 1));
    return fill === "nop" ? this.nop(missing) : this.bytes(new Uint8Array(missing));
  }

  /** The code; every label that was used has to be bound. */
  finish(): Assembled {
    const labels = [...this.#labels];
    const references = [...this.#references];
    const bytes = this.#bytes.slice(0, this.#size);
    const holes = references.flatMap(({ target, offset }) =>
      target.kind === "hole" ? [{ name: target.name, offset }] : [],
    );
    const isa = this.#isa;
    const offsetOf = (label: Label): number =>
      ensure(labels[label.id], `label ${label.id} is not bound`);
    for (const reference of references) {
      if (reference.target.kind === "hole") continue;
      settle(isa, reference, bytes, 0, this.#origin, 0n, offsetOf);
    }
    return {
      bytes,
      origin: this.#origin,
      labels: (label) => codeAddr(this.#origin + BigInt(offsetOf(label))),
      holes,
      copyTo: (out, start, at, values) => {
        assert(values.length === holes.length, `${holes.length} holes, ${values.length} values`);
        out.set(bytes, start);
        let index = 0;
        for (const reference of references) {
          const isHole = reference.target.kind === "hole";
          if (!isHole && !moves(reference)) continue;
          const value = isHole ? ensure(values[index], "a value for every hole") : 0n;
          if (isHole) index++;
          settle(isa, reference, out, start, at, value, offsetOf);
        }
      },
    };
  }
}

/** Whether the reference has to be settled again when the code is moved. */
const moves = <Arg>({ target, content }: Reference<Arg>): boolean => {
  if (target.kind !== "own" || content.kind === "data") return true;
  return content.computation?.absolute === true;
};

const setUint = (out: Uint8Array, at: number, value: bigint, sizeBytes: number): void => {
  let rest = BigInt.asUintN(8 * sizeBytes, value);
  for (let i = 0; i < sizeBytes; i++) {
    out[at + i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
};

/** Fills a reference in, in a copy of the code at `out[start...]` that will run at `at`. */
const settle = <Arg>(
  isa: AssemblerIsa<Arg>,
  reference: Reference<Arg>,
  out: Uint8Array,
  start: number,
  at: CodeAddr,
  holeValue: bigint,
  offsetOf: (label: Label) => number,
): void => {
  const { offset, target, content } = reference;
  const addressOf = (label: Label): bigint => at + BigInt(offsetOf(label));
  const goal =
    target.kind === "own"
      ? addressOf(target.label)
      : target.kind === "address"
        ? target.address
        : holeValue;
  if (content.kind === "data") {
    setUint(out, start + offset, goal, content.sizeBytes);
    return;
  }
  const { form, name, computation, from } = content;
  const base = from === undefined ? at + BigInt(offset) : addressOf(from);
  const wordBits = 8 * isa.wordBytes;
  const value =
    computation === undefined ? goal : BigInt.asIntN(wordBits, computation.value(goal, base));
  const fields = { ...content.fields, [name]: Number(value) };
  const problem = findMisfit(form, fields);
  assert(problem === undefined, `${form.name} at ${hex(base)} to ${hex(goal)}: ${problem}`);
  setUint(out, start + offset, BigInt(encodeForm(form, fields)), form.pattern.sizeBytes);
};

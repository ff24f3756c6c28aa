/**
 * A small assembler for x86-64: one method per need, no text parsing. Instructions are named as in
 * the manual, destination first; labels go both ways; holes make the code a template.
 *
 *     const a = new Assembler(codeAddr(0x7f0000001000n));
 *     const done = a.label();
 *     a.i("test", r64.rdi, r64.rdi);
 *     a.i("je", done);
 *     a.lock().i("inc", mem64(r64.rdi, { disp: 8 }));
 *     a.bind(done);
 *     a.i("ret");
 *     const { bytes } = a.finish();
 */
import { assert, ensure } from "../../base/assert.ts";
import { type CodeAddr, codeAddr, type DataAddr } from "../../base/brand.ts";
import { CodeBuffer, encode, type Pending } from "./encode.ts";
import { type Form, getForms } from "./forms.ts";
import { type BranchTarget, type Matched, matchForm } from "./match.ts";
import type { Hole, HoleSize, Label, Operand } from "./operands.ts";
import { canReach, type DistanceBytes, OutOfReach } from "./reach.ts";
import { lockable, type Mnemonic, nops } from "./table.ts";

/** A place in finished code whose value depends on where the code stands. */
export type Fixup =
  /** 4 (or 1) bytes at `offset`: the distance from `endOffset` to `target`, outside of the code. */
  | {
      readonly kind: "distance";
      readonly offset: number;
      readonly sizeBytes: DistanceBytes;
      readonly endOffset: number;
      readonly target: CodeAddr | DataAddr;
    }
  /** 8 bytes at `offset`: the address of the code's own byte `targetOffset`. */
  | { readonly kind: "address"; readonly offset: number; readonly targetOffset: number };

/** A place in finished code that is filled in copy by copy. */
export type PlacedHole = {
  readonly name: string;
  readonly offset: number;
  readonly sizeBytes: HoleSize;
  /** Set where the hole holds the distance from this offset to the address that is filled in. */
  readonly endOffset: number | undefined;
};

/** Finished code. */
export type Assembled = {
  /** Owned by the caller. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly origin: CodeAddr;
  /** The address of a bound label. */
  readonly labels: (label: Label) => CodeAddr;
  readonly fixups: readonly Fixup[];
  /** In the order of their places; a name may occur several times. */
  readonly holes: readonly PlacedHole[];
};

type LabelState = {
  offset: number | undefined;
  /** Distances that wait for the label: bound, then filled in. */
  readonly waiting: { at: number; sizeBytes: DistanceBytes; end: number; addend: number }[];
};

type BranchSize = "any" | "short" | "near";

const isBranchForm = (form: Form): boolean =>
  form.operands.some((code) => code.kind === "placed" && code.place === "J");

export class Assembler {
  readonly #origin: CodeAddr;
  readonly #out = new CodeBuffer();
  readonly #labels: LabelState[] = [];
  readonly #fixups: Fixup[] = [];
  readonly #holes: PlacedHole[] = [];
  #locked = false;

  /** @param origin the address of the first byte when the code runs. */
  constructor(origin: CodeAddr) {
    this.#origin = origin;
  }

  /** The address of the next byte. */
  get here(): CodeAddr {
    return this.#addressOf(this.#out.size);
  }

  /** Bytes so far. */
  get size(): number {
    return this.#out.size;
  }

  #addressOf(offset: number): CodeAddr {
    return codeAddr(this.#origin + BigInt(offset));
  }

  /** A new label, not bound to a place yet. */
  label(): Label {
    const id = this.#labels.push({ offset: undefined, waiting: [] }) - 1;
    return { kind: "label", id };
  }

  #state(label: Label): LabelState {
    return ensure(this.#labels[label.id], `label ${label.id} is of another assembler`);
  }

  /** Puts `label` here; once. */
  bind(label: Label): this {
    const state = this.#state(label);
    assert(state.offset === undefined, `label ${label.id} is bound twice`);
    state.offset = this.#out.size;
    for (const { at, sizeBytes, end, addend } of state.waiting) {
      this.#fillDistance(at, sizeBytes, end, codeAddr(this.here + BigInt(addend)));
    }
    return this;
  }

  /** A new label, bound here. */
  bindNew(): Label {
    const label = this.label();
    this.bind(label);
    return label;
  }

  /**
   * A hole: an immediate, a displacement (`{ disp: hole }`), a branch target (size 4) or
   * rip-relative memory (`mem64(hole)`, size 4) whose value every copy of the code has for itself.
   */
  hole(name: string, size: HoleSize): Hole {
    return { kind: "hole", name, size };
  }

  /** Puts LOCK before the next instruction. */
  lock(): this {
    this.#locked = true;
    return this;
  }

  /**
   * Appends an instruction. A branch to a label behind takes its short form where that reaches;
   * forward ones and those to addresses take rel32. Operands that no form fits, and targets out of
   * reach (`OutOfReach`), are programmer errors.
   */
  i(mnemonic: Mnemonic, ...operands: readonly Operand[]): this {
    return this.#emit(mnemonic, operands, "any");
  }

  /** A branch in its short form, also forward: the label has to come within 127 bytes. */
  short(mnemonic: Mnemonic, target: Label | CodeAddr): this {
    return this.#emit(mnemonic, [target], "short");
  }

  /** A branch in its rel32 form, also backward: where the size must not depend on distances. */
  near(mnemonic: Mnemonic, target: Label | CodeAddr): this {
    return this.#emit(mnemonic, [target], "near");
  }

  #emit(mnemonic: Mnemonic, operands: readonly Operand[], size: BranchSize): this {
    const matched = this.#match(mnemonic, operands, size);
    if (this.#locked) {
      const [destination] = operands;
      const toMemory = typeof destination === "object" && destination.kind === "mem";
      assert(toMemory && lockable.has(mnemonic), `${mnemonic} can't be locked here`);
    }
    const pending = encode(matched, this.#locked, this.#out);
    this.#locked = false;
    const end = this.#out.size;
    for (const item of pending) this.#settle(item, end);
    return this;
  }

  #match(mnemonic: Mnemonic, operands: readonly Operand[], size: BranchSize): Matched {
    const forms = getForms(mnemonic);
    for (const form of forms) {
      const matched = matchForm(form, operands);
      if (matched === undefined) continue;
      const { branch } = matched;
      if (branch === undefined) return matched;
      const onlyForm = forms.filter(isBranchForm).length === 1;
      const short = size === "short" || (size === "any" && this.#reachesShort(branch.target));
      if (onlyForm || (branch.sizeBytes === 1) === short) return matched;
    }
    const given = operands.map((operand) =>
      typeof operand === "object" ? JSON.stringify(operand) : String(operand),
    );
    throw new Error(`assertion failed: no form of ${mnemonic} takes ${given.join(", ")}`);
  }

  /** Short branches have two bytes, so their distance counts from there. */
  #reachesShort(target: BranchTarget): boolean {
    if (typeof target === "bigint") return false;
    if (target.kind === "hole") return target.size === 1;
    const { offset } = this.#state(target);
    return offset !== undefined && offset - (this.#out.size + 2) >= -128;
  }

  #settle(item: Pending, end: number): void {
    if (item.kind === "value") {
      const { name, size } = item.hole;
      this.#holes.push({ name, offset: item.at, sizeBytes: size, endOffset: undefined });
      return;
    }
    const { at, sizeBytes, addend, target } = item;
    if (typeof target === "bigint") {
      const to = codeAddr(target + BigInt(addend));
      this.#fillDistance(at, sizeBytes, end, to);
      this.#fixups.push({ kind: "distance", offset: at, sizeBytes, endOffset: end, target: to });
    } else if (target.kind === "hole") {
      this.#holes.push({ name: target.name, offset: at, sizeBytes, endOffset: end });
    } else {
      const state = this.#state(target);
      if (state.offset === undefined) state.waiting.push({ at, sizeBytes, end, addend });
      else this.#fillDistance(at, sizeBytes, end, this.#addressOf(state.offset + addend));
    }
  }

  #fillDistance(at: number, sizeBytes: DistanceBytes, end: number, to: CodeAddr): void {
    const from = this.#addressOf(end);
    const reach = canReach(from, to, sizeBytes);
    if (reach.kind !== "reachable") throw new OutOfReach(from, to, sizeBytes);
    this.#out.setUint(at, reach.distance, sizeBytes);
  }

  /** Appends bytes as they are (borrowed, copied). */
  bytes(bytes: ArrayLike<number>): this {
    this.#out.append(bytes);
    return this;
  }

  /** Appends 8 bytes of data: a value, or the address of a label that is bound already. */
  u64(value: bigint | Label | Hole): this {
    const offset = this.#out.size;
    if (typeof value === "bigint") {
      this.#out.uint(value, 8);
    } else if (value.kind === "hole") {
      assert(value.size === 8, `hole ${value.name}: 8 bytes here`);
      this.#out.uint(0n, 8);
      this.#holes.push({ name: value.name, offset, sizeBytes: 8, endOffset: undefined });
    } else {
      const targetOffset = ensure(this.#state(value).offset, `label ${value.id} is not bound yet`);
      this.#out.uint(this.#addressOf(targetOffset), 8);
      this.#fixups.push({ kind: "address", offset, targetOffset });
    }
    return this;
  }

  /** Appends 4 bytes of data. */
  u32(value: number): this {
    this.#out.uint(BigInt(value), 4);
    return this;
  }

  /** Appends `sizeBytes` of the longest NOPs that fit. */
  nop(sizeBytes: number): this {
    for (let left = sizeBytes; left > 0; ) {
      const nop = ensure(nops[Math.min(left, nops.length - 1)], "a NOP of this length");
      this.#out.append(nop);
      left -= nop.length;
    }
    return this;
  }

  /** Brings `here` to a multiple of `alignment`, a power of two, with NOPs or with int3. */
  align(alignment: number, fill: "nop" | "int3" = "nop"): this {
    assert(alignment > 0 && (alignment & (alignment - 1)) === 0, `alignment ${alignment}`);
    const missing = Number(BigInt.asUintN(64, 0n - this.here) & BigInt(alignment - 1));
    if (fill === "nop") return this.nop(missing);
    return this.bytes(new Uint8Array(missing).fill(0xcc));
  }

  /** The code; every label that was used has to be bound. */
  finish(): Assembled {
    for (const [id, { offset, waiting }] of this.#labels.entries()) {
      assert(offset !== undefined || waiting.length === 0, `label ${id} is never bound`);
    }
    assert(!this.#locked, "a lock without an instruction");
    return {
      bytes: this.#out.copy(),
      origin: this.#origin,
      labels: (label) =>
        this.#addressOf(ensure(this.#state(label).offset, `label ${label.id} is not bound`)),
      fixups: [...this.#fixups],
      holes: [...this.#holes],
    };
  }
}

/**
 * From a matched form to bytes: prefixes, REX or VEX, opcode, ModRM, SIB, displacement, immediate
 * (SDM Vol. 2A, chapter 2). What depends on an address or a hole is left zero and reported.
 */
import { assert, ensure } from "../../base/assert.ts";
import type { BranchTarget, Matched } from "./match.ts";
import type { Hole, Mem } from "./operands.ts";
import type { Register } from "./registers.ts";

/** Bytes being written; grows as needed. */
export class CodeBuffer {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(256);
  #view: DataView = new DataView(this.#bytes.buffer);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  #grow(count: number): number {
    const at = this.#size;
    this.#size += count;
    if (this.#size > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#size));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  u8(value: number): void {
    const at = this.#grow(1);
    this.#bytes[at] = value;
  }

  /** Appends `value` modulo its size, little-endian. */
  uint(value: bigint, sizeBytes: number): void {
    const at = this.#grow(sizeBytes);
    this.setUint(at, value, sizeBytes);
  }

  /** Overwrites bytes that have been written. */
  setUint(at: number, value: bigint, sizeBytes: number): void {
    for (let i = 0; i < sizeBytes; i++) {
      this.#view.setUint8(at + i, Number((value >> BigInt(8 * i)) & 0xffn));
    }
  }

  append(bytes: ArrayLike<number>): void {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** A copy of what has been written. */
  copy(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#size);
  }
}

/** A place in the instruction whose value is not known to the encoder. */
export type Pending =
  /** `size` bytes at `at` hold the distance from `end` to `target` (+ `addend`). */
  | {
      readonly kind: "distance";
      readonly at: number;
      readonly sizeBytes: 1 | 4;
      readonly addend: number;
      readonly target: BranchTarget;
    }
  /** The value of a hole itself. */
  | { readonly kind: "value"; readonly at: number; readonly hole: Hole };

const isMem = (operand: Register | Mem | undefined): operand is Mem => operand?.kind === "mem";
const numberOf = (register: Register | undefined): number => register?.number ?? 0;

const rexBits = (m: Matched): { r: number; x: number; b: number } => {
  const base = isMem(m.rm) ? m.rm.base : (m.rm ?? m.opcodeRegister);
  const index = isMem(m.rm) ? m.rm.index : undefined;
  return { r: numberOf(m.reg) >> 3, x: numberOf(index) >> 3, b: numberOf(base) >> 3 };
};

const isWide = (m: Matched): boolean => m.form.w || (m.form.sized && m.operandSize === 64);

const segmentPrefix = { fs: 0x64, gs: 0x65 } as const;

const emitLegacyHead = (m: Matched, lock: boolean, out: CodeBuffer): void => {
  const { form } = m;
  if (form.prefix === 0x66 || (form.sized && m.operandSize === 16)) out.u8(0x66);
  if (lock) out.u8(0xf0);
  if (form.prefix === 0xf2 || form.prefix === 0xf3) out.u8(form.prefix);
  const { r, x, b } = rexBits(m);
  const rex = (isWide(m) ? 8 : 0) | (r << 2) | (x << 1) | b;
  const byteRegisters = [m.rm, m.reg, m.opcodeRegister].flatMap((register) =>
    register?.kind === "gpr" && register.size === 8 ? [register] : [],
  );
  const high = byteRegisters.some((register) => register.high);
  const needsRex = byteRegisters.some(({ high: isHigh, number }) => !isHigh && number >= 4);
  assert(!(high && (rex !== 0 || needsRex)), `${form.mnemonic}: ah to bh exclude REX`);
  if (rex !== 0 || needsRex) out.u8(0x40 | rex);
  if (form.map !== 0) out.u8(0x0f);
  if (form.map === 2) out.u8(0x38);
  if (form.map === 3) out.u8(0x3a);
};

/** SDM Vol. 2A, 2.3.5: C5 RvvvvLpp, C4 RXBmmmmm WvvvvLpp; R, X, B and vvvv stand inverted. */
const emitVex = (m: Matched, l: 0 | 1, out: CodeBuffer): void => {
  const { r, x, b } = rexBits(m);
  const pp = { 0: 0, 102: 1, 243: 2, 242: 3 }[m.form.prefix];
  const tail = ((~numberOf(m.vvvv) & 15) << 3) | (l << 2) | pp;
  if (x === 0 && b === 0 && !isWide(m) && m.form.map === 1) {
    out.u8(0xc5);
    out.u8(((r ^ 1) << 7) | tail);
    return;
  }
  out.u8(0xc4);
  out.u8(((r ^ 1) << 7) | ((x ^ 1) << 6) | ((b ^ 1) << 5) | m.form.map);
  out.u8((isWide(m) ? 0x80 : 0) | tail);
};

/** ModRM.mod and displacement size for a base register: rbp and r13 have no form without one. */
const displacementMode = (memory: Mem): { mod: number; sizeBytes: 0 | 1 | 4 } => {
  const { base, disp } = memory;
  if (typeof disp === "object") {
    assert(disp.size === 1 || disp.size === 4, `hole ${disp.name}: displacements are 1 or 4 bytes`);
    return disp.size === 1 ? { mod: 1, sizeBytes: 1 } : { mod: 2, sizeBytes: 4 };
  }
  if (disp === 0 && base !== undefined && (base.number & 7) !== 5) return { mod: 0, sizeBytes: 0 };
  return disp >= -128 && disp < 128 ? { mod: 1, sizeBytes: 1 } : { mod: 2, sizeBytes: 4 };
};

const emitDisplacement = (
  disp: number | Hole,
  sizeBytes: 0 | 1 | 4,
  out: CodeBuffer,
): Pending[] => {
  const at = out.size;
  out.uint(typeof disp === "number" ? BigInt(disp) : 0n, sizeBytes);
  return typeof disp === "number" ? [] : [{ kind: "value", at, hole: disp }];
};

const emitRipRelative = (memory: Mem, reg: number, out: CodeBuffer): Pending[] => {
  out.u8((reg << 3) | 5);
  const at = out.size;
  out.uint(0n, 4);
  const { target, disp } = memory;
  if (typeof disp === "object") {
    assert(disp.size === 4, `hole ${disp.name}: a rip-relative hole has 4 bytes`);
    return [{ kind: "distance", at, sizeBytes: 4, addend: 0, target: disp }];
  }
  const to = ensure(target, "a rip-relative operand has a target");
  return [{ kind: "distance", at, sizeBytes: 4, addend: disp, target: to }];
};

/** SDM Vol. 2A, 2.1.5, tables 2-2 and 2-3. */
const emitMemory = (memory: Mem, reg: number, out: CodeBuffer): Pending[] => {
  if (memory.rip) return emitRipRelative(memory, reg, out);
  const { base, index, scale, disp } = memory;
  const scaleBits = { 1: 0, 2: 1, 4: 2, 8: 3 }[scale] << 6;
  const indexBits = (index === undefined ? 4 : index.number & 7) << 3;
  if (base === undefined) {
    out.u8((reg << 3) | 4);
    out.u8(scaleBits | indexBits | 5);
    assert(typeof disp === "number" || disp.size === 4, "an address without base has 4 bytes");
    return emitDisplacement(disp, 4, out);
  }
  const { mod, sizeBytes } = displacementMode(memory);
  const needsSib = index !== undefined || (base.number & 7) === 4;
  out.u8((mod << 6) | (reg << 3) | (needsSib ? 4 : base.number & 7));
  if (needsSib) out.u8(scaleBits | indexBits | (base.number & 7));
  return emitDisplacement(disp, sizeBytes, out);
};

const emitModRm = (m: Matched, out: CodeBuffer): Pending[] => {
  const { form, rm } = m;
  if (form.modrm !== undefined) {
    out.u8(form.modrm);
    return [];
  }
  if (rm === undefined) return [];
  const reg = form.digit ?? numberOf(m.reg) & 7;
  if (isMem(rm)) return emitMemory(rm, reg, out);
  out.u8(0xc0 | (reg << 3) | (rm.number & 7));
  return [];
};

const emitTail = (m: Matched, out: CodeBuffer): Pending[] => {
  const at = out.size;
  if (m.branch !== undefined) {
    const { target, sizeBytes } = m.branch;
    out.uint(0n, sizeBytes);
    return [{ kind: "distance", at, sizeBytes, addend: 0, target }];
  }
  if (m.immediate === undefined) return [];
  const { value, sizeBytes } = m.immediate;
  out.uint(typeof value === "bigint" ? value : 0n, sizeBytes);
  return typeof value === "bigint" ? [] : [{ kind: "value", at, hole: value }];
};

/** Appends the instruction to `out`; what it returns is still to be filled in. */
export const encode = (m: Matched, lock: boolean, out: CodeBuffer): readonly Pending[] => {
  const { form } = m;
  if (isMem(m.rm) && m.rm.seg !== undefined) out.u8(segmentPrefix[m.rm.seg]);
  if (form.vexL === undefined) emitLegacyHead(m, lock, out);
  else emitVex(m, form.vexL, out);
  out.u8(form.opcode + (numberOf(m.opcodeRegister) & 7));
  const inModRm = emitModRm(m, out);
  const inTail = emitTail(m, out);
  return [...inModRm, ...inTail];
};

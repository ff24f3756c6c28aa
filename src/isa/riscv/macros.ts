/** What RISC-V assembly has pseudo instructions for: more than one instruction each. */

import { assert } from "../../base/assert.ts";
import type { Assembler, Place } from "../assembler.ts";
import { pcrelHigh, pcrelLow } from "./reach.ts";
import { type Register, ra, x } from "./registers.ts";
import type { Arg } from "./slots.ts";

type RiscvAssembler = Assembler<Arg>;

/** Instructions that put a 32-bit signed value into a register. */
const loadSmall = (a: RiscvAssembler, rd: Register, value: bigint, addName: string): void => {
  const low = Number(BigInt.asIntN(12, value));
  const high = Number(BigInt.asIntN(32, value + 0x800n) >> 12n);
  if (high === 0) {
    a.i("addi", rd, x(0), low);
    return;
  }
  a.i("lui", rd, high);
  if (low !== 0) a.i(addName, rd, rd, low);
};

/**
 * `li rd, value`: one to eight instructions; `value` is taken modulo 2^xlen.
 * @param xlen of the code: on RV32 two instructions always suffice.
 */
export function loadConstant(a: RiscvAssembler, rd: Register, value: bigint, xlen: 32 | 64): void {
  assert(rd.kind === "x" && rd.n !== 0, "a constant goes to an integer register");
  const wanted = BigInt.asIntN(xlen, value);
  if (BigInt.asIntN(32, wanted) === wanted) {
    loadSmall(a, rd, wanted, xlen === 32 ? "addi" : "addiw");
    return;
  }
  // The low 12 bits are added last; what is left has fewer bits and as many zeros as can be below.
  const low = BigInt.asIntN(12, wanted);
  let rest = BigInt.asIntN(64, wanted - low);
  let shift = 0;
  while ((rest & 1n) === 0n) {
    rest >>= 1n;
    shift++;
  }
  loadConstant(a, rd, rest, xlen);
  a.i("slli", rd, rd, shift);
  if (low !== 0n) a.i("addi", rd, rd, Number(low));
}

/** `la rd, place`: the address of a place within 2 GiB; two instructions. */
export function loadAddress(a: RiscvAssembler, rd: Register, place: Place): void {
  const anchor = a.bindNew();
  a.emit("auipc", { rd: rd.n, imm: 0 }, { field: "imm", part: pcrelHigh(place) });
  const later = { field: "imm", part: pcrelLow(place, anchor) };
  a.emit("addi", { rd: rd.n, rs1: rd.n, imm: 0 }, later);
}

/**
 * `call place` within 2 GiB: AUIPC and JALR.
 * @param link receives the return address; `zero` makes it a jump.
 * @param base holds the upper part in between; it is `link` unless that is `zero`.
 */
export function callFar(
  a: RiscvAssembler,
  place: Place,
  link: Register = ra,
  base: Register = link,
): void {
  assert(base.n !== 0, "the upper part of the address needs a register");
  const anchor = a.bindNew();
  a.emit("auipc", { rd: base.n, imm: 0 }, { field: "imm", part: pcrelHigh(place) });
  const later = { field: "imm", part: pcrelLow(place, anchor) };
  a.emit("jalr", { rd: link.n, rs1: base.n, imm: 0 }, later);
}

/** What takes more than one AArch64 instruction. */

import { assert } from "../../base/assert.ts";
import type { Assembler, Place } from "../assembler.ts";
import { encodeBitmask } from "./bitmask.ts";
import { pageOffset } from "./reach.ts";
import type { GeneralRegister } from "./registers.ts";
import { type Arg, imm } from "./slots.ts";

type AArch64Assembler = Assembler<Arg>;

/** Puts a 64-bit constant into an X register: one to four instructions. */
export function loadConstant(a: AArch64Assembler, rd: GeneralRegister, value: bigint): void {
  assert(rd.kind === "x" && rd.n !== 31, "a constant goes to an X register");
  const wanted = BigInt.asUintN(64, value);
  const parts = [0, 1, 2, 3].map((hw) => Number((wanted >> BigInt(16 * hw)) & 0xffffn));
  const zeros = parts.filter((part) => part === 0).length;
  const ones = parts.filter((part) => part === 0xffff).length;
  if (Math.max(zeros, ones) < 3 && encodeBitmask(wanted, 64) !== undefined) {
    a.i("mov", rd, imm(wanted));
    return;
  }
  // What MOVZ or MOVN leaves in the other halfwords does not have to be written.
  const background = ones > zeros ? 0xffff : 0;
  const first = Math.max(
    0,
    parts.findIndex((part) => part !== background),
  );
  const start = background === 0 ? "movz" : "movn";
  const shown = parts[first] ?? 0;
  a.i(start, rd, background === 0 ? shown : shown ^ 0xffff, 16 * first);
  parts.forEach((part, hw) => {
    if (hw > first && part !== background) a.i("movk", rd, part, 16 * hw);
  });
}

/** The address of a place within 4 GiB: ADRP and ADD. */
export function loadAddress(a: AArch64Assembler, rd: GeneralRegister, place: Place): void {
  a.i("adrp", rd, place).i("add", rd, rd, pageOffset(place));
}

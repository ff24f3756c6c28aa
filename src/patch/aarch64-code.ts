/** The AArch64 instructions that sites are made of, as bytes; each call returns fresh ones. */
import { aarch64, bytesOf } from "../isa/aarch64/isa.ts";
import type { Fields } from "../isa/table.ts";

const encode = (form: string, fields: Fields): Uint8Array =>
  bytesOf(aarch64.instruction(form, fields));

/** Farthest distances of B and BL in bytes (Arm ARM C6.2.35): 128 MiB. */
export const branchMax: number = 2 ** 27 - 4;
export const branchMin: number = -(2 ** 27);

export const nop = (): Uint8Array => encode("nop", {});
export const branch = (distance: number): Uint8Array => encode("b", { offset: distance });
export const branchLink = (distance: number): Uint8Array => encode("bl", { offset: distance });
export const breakpoint = (): Uint8Array => encode("brk", { imm: 0 });
/** `mov xd, xs`, registers 0 to 30. */
export const move = (rd: number, rs: number): Uint8Array =>
  encode("orr.x.reg", { shift: 0, rm: rs, amount: 0, rn: 31, rd });
/** `stp x29, x30, [sp, #-16]!` */
export const pushFrame = (): Uint8Array =>
  encode("stp.x.pre", { simm: -16, rt2: 30, rn: 31, rt: 29 });
/** `mov x29, sp` */
export const setFrame = (): Uint8Array => encode("add.x.imm", { sh: 0, imm: 0, rn: 31, rd: 29 });
/** `ldp x29, x30, [sp], #16` */
export const popFrame = (): Uint8Array =>
  encode("ldp.x.post", { simm: 16, rt2: 30, rn: 31, rt: 29 });

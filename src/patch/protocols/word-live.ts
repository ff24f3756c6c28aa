/**
 * The protocols by which the live engine changes windows of AArch64 and RISC-V while everybody
 * runs. The engine carries out these very lists; the checker runs them, too.
 *
 *     AArch64  word  nop; nop           ─►  nop; b thunk
 *              moved stp x29, x30, ..   ─►  b thunk, which goes on with a copy of the stp
 *     RISC-V   skip  xx xx xx .. xx     ─►  c.j .+8; xx .. xx  ─►  c.j .+8; yy .. yy  ─►  yy .. yy
 *
 * NOP and B are among the instructions that may change while they are executed (Arm ARM B2.2.5), so
 * one aligned word is all there is to it. A function without a site begins with any instruction,
 * which is replaced likewise. About that the manual promises nothing while others execute it; it is
 * safe where code runs as it stands in memory, as under an emulator, and with all threads stopped.
 *
 * On RISC-V a window is two instructions, AUIPC and JALR: a first parcel of two bytes that jumps
 * over the rest comes first, those that stand inside are waited for, and the rest changes while
 * nobody is there. Two bytes are stored and fetched whole at every alignment there is; that is why
 * it needs the C extension.
 */
import {
  drain,
  fullBarrier,
  localSync,
  maintain,
  membarrierSync,
  type Step,
  toNew,
  toSkip,
  window,
  write,
  writePieces,
} from "../steps.ts";

const slot = window(4, 4);
const head = window(0, 2);
const rest = window(2, "rest");
/** What a RISC-V writer does after a store to code: FENCE, FENCE.I. */
const seen: readonly Step[] = [fullBarrier, localSync, membarrierSync];

const first = window(0, 4);

export const aarch64LiveProtocols: {
  readonly word: readonly Step[];
  readonly moved: readonly Step[];
} = {
  word: [write(slot, toNew), ...maintain(slot), membarrierSync],
  moved: [write(first, toNew), ...maintain(first), membarrierSync],
};

export const riscvLiveProtocols: { readonly skip: readonly Step[] } = {
  skip: [
    write(head, toSkip),
    ...seen,
    drain,
    writePieces(rest, toNew),
    ...seen,
    write(head, toNew),
    ...seen,
  ],
};

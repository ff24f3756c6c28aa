/**
 * The protocols by which the live engine changes windows of AArch64 and RISC-V while everybody
 * runs. The engine carries out these very lists; the checker runs them, too.
 *
 *     AArch64  word    xx; nop             ─►  xx; b thunk, or bl trampoline, or back
 *              link    nop; nop            ─►  mov x9, x30; nop  ─►  mov x9, x30; bl trampoline
 *              moved   stp x29, x30, ..    ─►  b thunk, which goes on with a copy of the stp
 *              unlink  mov x9, x30; bl     ─►  mov x9, x30; yy   ─►  nop; yy
 *     RISC-V   skip    xx xx xx .. xx      ─►  c.j .+8; xx .. xx ─►  c.j .+8; yy .. ─►  yy yy .. yy
 *              slot    auipc; nop          ─►  auipc; jalr, or back
 *
 * NOP, B and BL are among the instructions that may change while they are executed (Arm ARM
 * B2.2.5), so one aligned word is all there is to a jump, and to a call whose first instruction is
 * there. MOV is not among them, nor is the instruction that a function without a site begins with:
 * `link`, `unlink` and `moved` are safe where code runs as it stands in memory, as under an
 * emulator, and with all threads stopped.
 *
 * On RISC-V a window is two instructions, AUIPC and JALR: a first parcel of two bytes that jumps
 * over the rest comes first, those that stand inside are waited for, and the rest changes while
 * nobody is there. Two bytes are stored and fetched whole at every alignment there is; that is why
 * it needs the C extension. Where AUIPC stays, JALR comes and goes in one aligned word (Ziccif).
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
const toFirst: readonly Step[] = [write(first, toNew), ...maintain(first), membarrierSync];
const toSlot: readonly Step[] = [write(slot, toNew), ...maintain(slot), membarrierSync];

type AArch64Name = "word" | "link" | "unlink" | "moved";
export const aarch64LiveProtocols: Readonly<Record<AArch64Name, readonly Step[]>> = {
  word: toSlot,
  /** Who has passed by the first instruction before it kept the return address must not call. */
  link: [...toFirst, drain, ...toSlot],
  unlink: [...toSlot, ...toFirst],
  moved: toFirst,
};

export const riscvLiveProtocols: Readonly<Record<"skip" | "slot", readonly Step[]>> = {
  skip: [
    write(head, toSkip),
    ...seen,
    drain,
    writePieces(rest, toNew),
    ...seen,
    write(head, toNew),
    ...seen,
  ],
  slot: [write(slot, toNew), ...seen],
};

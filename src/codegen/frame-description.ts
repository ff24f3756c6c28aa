/**
 * What an unwinder must know to get through a thunk: one frame description entry (.eh_frame,
 * LSB core specification; DWARF 5 section 6.4) for all thunks of a region, with the personality
 * routine that records when one is left (`x86-64/personality.ts`).
 *
 * At the return point of a thunk, with X the stack pointer there, the body's frame has CFA = X.
 * libgcc tells frames apart by their CFA, so the thunk's frame says CFA = X + 8; the caller's
 * stack pointer is X = CFA - 8, and the return address, which was at X - 8 on the stack, is in the
 * mirror at X - 8 + delta = CFA - 16 + delta.
 */
import type { CodeAddr } from "../base/brand.ts";

/** What differs between ISAs, in DWARF's numbers of registers. */
export type FrameAbi = {
  readonly stackPointer: number;
  /** The column of the return address. */
  readonly returnAddress: number;
  /** From the thunk's CFA down to the return address's place, before the mirror's distance. */
  readonly belowCfa: bigint;
  /** The highest bit of what the mirror has may say that the frame was left. */
  readonly marksLeft: boolean;
};

/** System V ABI, AMD64 supplement, figure 3.36. */
export const x8664Frames: FrameAbi = {
  stackPointer: 7,
  returnAddress: 16,
  belowCfa: 16n,
  marksLeft: true,
};
/**
 * DWARF for the Arm 64-bit Architecture (AADWARF64), section 4.1. The mirror's slot is the stack
 * pointer's own: X + delta.
 */
export const aarch64Frames: FrameAbi = {
  stackPointer: 31,
  returnAddress: 30,
  belowCfa: 8n,
  marksLeft: false,
};
/** RISC-V ABIs Specification, "DWARF Register Numbers". */
export const riscvFrames: FrameAbi = {
  stackPointer: 2,
  returnAddress: 1,
  belowCfa: 8n,
  marksLeft: false,
};

const opcode = {
  defCfa: 0x0c,
  expression: 0x10,
  valExpression: 0x16,
  nop: 0x00,
  opConst8s: 0x0f,
  opDeref: 0x06,
  opShl: 0x24,
  opShr: 0x25,
  opLit1: 0x31,
  opLit8: 0x38,
  opMinus: 0x1c,
  opPlus: 0x22,
} as const;

const u32 = (value: number): number[] => [...new Uint8Array(new Uint32Array([value]).buffer)];
const u64 = (value: bigint): number[] => [
  ...new Uint8Array(new BigUint64Array([BigInt.asUintN(64, value)]).buffer),
];

/** How the personality routine's address is stated: as it is (DW_EH_PE_absptr). */
const absolutePointer = 0;

/** One record with its length in front, filled up with no-ops to a multiple of 8 bytes. */
const record = (body: readonly number[]): number[] => {
  const padded = [...body];
  while ((padded.length + 4) % 8 !== 0) padded.push(opcode.nop);
  return [...u32(padded.length), ...padded];
};

/** An .eh_frame section image. */
export type FrameImage = {
  readonly bytes: Uint8Array;
  /** Offset of its only FDE. */
  readonly fde: number;
};

/**
 * One CIE, one FDE for the `size` bytes at `start`, and the end mark. Absolute addresses: it can
 * stand anywhere.
 */
export function thunkFrames(
  start: CodeAddr,
  size: number,
  mirrorDelta: bigint,
  personality: CodeAddr | undefined,
  { stackPointer, returnAddress, belowCfa, marksLeft }: FrameAbi = x8664Frames,
): FrameImage {
  const hasPersonality = personality !== undefined;
  const place = [opcode.opConst8s, ...u64(mirrorDelta - belowCfa), opcode.opPlus];
  // Without the bit that says that the frame was left.
  const unmark = [opcode.opLit1, opcode.opShl, opcode.opLit1, opcode.opShr];
  const expression = marksLeft ? [...place, opcode.opDeref, ...unmark] : place;
  const rule = marksLeft ? opcode.valExpression : opcode.expression;
  const cie = record([
    ...u32(0), // CIE id
    1, // version
    ...(hasPersonality ? [0x7a, 0x50, 0] : [0]), // augmentation "zP" or ""
    1, // code alignment factor
    0x78, // data alignment factor, sleb128 -8
    returnAddress,
    ...(hasPersonality ? [9, absolutePointer, ...u64(personality)] : []),
    ...[opcode.defCfa, stackPointer, 8],
    // sp = CFA - 8. Not by DW_CFA_val_offset: LLVM's libunwind aborts at that.
    ...[opcode.valExpression, stackPointer, 2, opcode.opLit8, opcode.opMinus],
    ...[rule, returnAddress, expression.length, ...expression],
  ]);
  const augmentation = hasPersonality ? [0] : [];
  const fde = record([
    ...u32(cie.length + 4),
    ...u64(start),
    ...u64(BigInt(size)),
    ...augmentation,
  ]);
  return { bytes: Uint8Array.from([...cie, ...fde, ...u32(0)]), fde: cie.length };
}

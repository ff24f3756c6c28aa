/**
 * What an unwinder must know to get through a thunk: one frame description entry (.eh_frame,
 * LSB core specification; DWARF 5 section 6.4) for all thunks of a region.
 *
 * At the return point of a thunk, with X the stack pointer there, the body's frame has CFA = X.
 * libgcc tells frames apart by their CFA, so the thunk's frame says CFA = X + 8; the caller's
 * stack pointer is X = CFA - 8, and the return address, which was at X - 8 on the stack, is in the
 * mirror at X - 8 + delta = CFA - 16 + delta.
 */
import type { CodeAddr } from "../base/brand.ts";

/** DWARF numbers of x86-64 registers (System V ABI, AMD64 supplement, figure 3.36). */
const dwarfRsp = 7;
const dwarfReturnAddress = 16;

const opcode = {
  defCfa: 0x0c,
  expression: 0x10,
  valOffset: 0x14,
  nop: 0x00,
  opConst8s: 0x0f,
  opPlus: 0x22,
} as const;

const u32 = (value: number): number[] => [...new Uint8Array(new Uint32Array([value]).buffer)];
const u64 = (value: bigint): number[] => [
  ...new Uint8Array(new BigUint64Array([BigInt.asUintN(64, value)]).buffer),
];

/** One record with its length in front, filled up with no-ops to a multiple of 8 bytes. */
const record = (body: readonly number[]): number[] => {
  const padded = [...body];
  while ((padded.length + 4) % 8 !== 0) padded.push(opcode.nop);
  return [...u32(padded.length), ...padded];
};

/**
 * An .eh_frame section image: one CIE, one FDE for the `size` bytes at `start`, and the end mark.
 * Absolute addresses: it can stand anywhere.
 */
export function thunkFrames(start: CodeAddr, size: number, mirrorDelta: bigint): Uint8Array {
  const expression = [opcode.opConst8s, ...u64(mirrorDelta - 16n), opcode.opPlus];
  const cie = record([
    ...u32(0), // CIE id
    1, // version
    0, // augmentation ""
    1, // code alignment factor
    0x78, // data alignment factor, sleb128 -8
    dwarfReturnAddress,
    ...[opcode.defCfa, dwarfRsp, 8],
    ...[opcode.valOffset, dwarfRsp, 1], // rsp = CFA + 1 * -8
    ...[opcode.expression, dwarfReturnAddress, expression.length, ...expression],
  ]);
  const fde = record([...u32(cie.length + 4), ...u64(start), ...u64(BigInt(size))]);
  return Uint8Array.from([...cie, ...fde, ...u32(0)]);
}

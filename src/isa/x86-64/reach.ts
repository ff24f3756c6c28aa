/** How far a branch or a rip-relative operand reaches. */
import { type CodeAddr, type DataAddr, hex } from "../../base/brand.ts";
import { type Reach, reach } from "../reach.ts";

/** Bytes in the distance: 4 for rel32 and rip-relative operands, 1 for short branches. */
export type DistanceBytes = 1 | 4;

/** The distance from `end`, which is the address after the instruction, to `to`; signed. */
export const distance = (end: CodeAddr, to: CodeAddr | DataAddr): bigint =>
  BigInt.asIntN(64, to - end);

/**
 * Whether an instruction that ends at `end` can name `to` in a signed distance of `sizeBytes`. Ask
 * before emitting: the assembler takes a refusal for a programmer error.
 */
export const canReach = (
  end: CodeAddr,
  to: CodeAddr | DataAddr,
  sizeBytes: DistanceBytes = 4,
): Reach => {
  const limit = 1n << BigInt(8 * sizeBytes - 1);
  return reach(distance(end, to), -limit, limit - 1n, 1n);
};

/** Thrown by the assembler where `canReach` would have refused: a programmer error. */
export class OutOfReach extends Error {
  readonly end: CodeAddr;
  readonly to: CodeAddr | DataAddr;

  constructor(end: CodeAddr, to: CodeAddr | DataAddr, sizeBytes: DistanceBytes) {
    super(`assertion failed: ${hex(to)} is out of a ${8 * sizeBytes}-bit reach from ${hex(end)}`);
    this.name = "OutOfReach";
    this.end = end;
    this.to = to;
  }
}

/**
 * Code that is assembled once and copied many times: only what depends on the place and the holes
 * is filled in, about a dozen stores for a thunk.
 */
import { assert, ensure } from "../../base/assert.ts";
import type { CodeAddr } from "../../base/brand.ts";
import type { Assembled, PlacedHole } from "./assembler.ts";
import { canReach, type DistanceBytes, OutOfReach } from "./reach.ts";

const setUint = (view: DataView, at: number, value: bigint, sizeBytes: number): void => {
  if (sizeBytes === 8) view.setBigUint64(at, BigInt.asUintN(64, value), true);
  else if (sizeBytes === 4) view.setUint32(at, Number(BigInt.asUintN(32, value)), true);
  else if (sizeBytes === 2) view.setUint16(at, Number(BigInt.asUintN(16, value)), true);
  else view.setUint8(at, Number(BigInt.asUintN(8, value)));
};

const setDistance = (
  view: DataView,
  at: number,
  sizeBytes: DistanceBytes,
  end: CodeAddr,
  to: CodeAddr,
): void => {
  if (!canReach(end, to, sizeBytes)) throw new OutOfReach(end, to, sizeBytes);
  setUint(view, at, to - end, sizeBytes);
};

const fillHole = (view: DataView, start: number, at: bigint, hole: PlacedHole, value: bigint) => {
  const { offset, sizeBytes, endOffset } = hole;
  if (endOffset !== undefined) {
    const size = sizeBytes === 1 ? 1 : 4;
    const end = (at + BigInt(endOffset)) as CodeAddr;
    setDistance(view, start + offset, size, end, value as CodeAddr);
    return;
  }
  const bits = 8 * sizeBytes;
  const fits = BigInt.asUintN(bits, value) === value || BigInt.asIntN(bits, value) === value;
  assert(fits, `hole ${hole.name}: ${value} does not fit ${sizeBytes} bytes`);
  setUint(view, start + offset, value, sizeBytes);
};

/**
 * Writes a copy of `code` to `out[start...]` as it has to be to run at `at`.
 * @param values one per hole, in the order of `code.holes`: the value itself, or for a branch
 * target or rip-relative hole the address that it names.
 */
export const copyCode = (
  code: Assembled,
  out: Uint8Array,
  start: number,
  at: CodeAddr,
  values: readonly bigint[],
): void => {
  assert(
    values.length === code.holes.length,
    `${code.holes.length} holes, ${values.length} values`,
  );
  out.set(code.bytes, start);
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  for (const fixup of code.fixups) {
    if (fixup.kind === "address") {
      view.setBigUint64(start + fixup.offset, at + BigInt(fixup.targetOffset), true);
    } else {
      const end = (at + BigInt(fixup.endOffset)) as CodeAddr;
      setDistance(view, start + fixup.offset, fixup.sizeBytes, end, fixup.target as CodeAddr);
    }
  }
  for (let i = 0; i < values.length; i++) {
    const hole = ensure(code.holes[i], "as many holes as values");
    fillHole(view, start, at, hole, ensure(values[i], "a value for every hole"));
  }
};

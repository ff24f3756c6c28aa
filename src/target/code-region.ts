/**
 * One piece of generated code in the target, near the text that it serves: the routines that thunks
 * call, the frame description, and the thunks of a batch of sites. Readable and executable, never
 * writable: it is filled through /proc/PID/mem.
 */
import { assert } from "../base/assert.ts";
import { type CodeAddr, codeAddr, type DataAddr, dataAddr } from "../base/brand.ts";
import { thunkFrames } from "../codegen/frame-description.ts";
import type { ClaimPlan } from "../codegen/x86-64/claim.ts";
import { fillThunks, type ThunkSites, thunkStride } from "../codegen/x86-64/fill-thunks.ts";
import type { RecordPlan } from "../codegen/x86-64/record.ts";
import { type ThunkTemplate, thunkRoutines } from "../codegen/x86-64/thunk.ts";

/** Where things are in the target. */
export type CodeRegion = {
  readonly start: bigint;
  readonly bytes: number;
  /** An `int3`, for remote calls to return to. */
  readonly returnTrap: CodeAddr;
  /** The .eh_frame image that describes the thunks; present when they hook returns. */
  readonly frames: DataAddr | undefined;
  readonly thunks: number;
  readonly stride: number;
  readonly count: number;
  /** Offset of the return point in a thunk; undefined when it doesn't hook returns. */
  readonly returnOffset: number | undefined;
};

/** Bytes in front of the thunks, and where in them the frames are; the routines come first. */
const headBytes = 4096;
const framesOffset = 2048;

/** Where the copies of moved instructions lie in a region for `count` thunks: behind these. */
export const copiesOffset = (template: ThunkTemplate, count: number): number =>
  headBytes + thunkStride(template) * count;

/** Bytes that a region for `count` thunks and `copyBytes` of moved instructions takes. */
export const regionBytes = (template: ThunkTemplate, count: number, copyBytes: number): number =>
  (copiesOffset(template, count) + copyBytes + 4095) & ~4095;

/**
 * The region's content for `start`, and its map. The buffer is the caller's.
 * @param copies of moved instructions, for the place that `copiesOffset` tells.
 */
export function buildRegion(
  start: bigint,
  template: ThunkTemplate,
  sites: ThunkSites,
  claim: ClaimPlan,
  plan: RecordPlan,
  copies: Uint8Array,
): { readonly region: CodeRegion; readonly bytes: Uint8Array } {
  const size = regionBytes(template, sites.count, copies.length);
  const bytes = new Uint8Array(size).fill(0xcc);
  bytes.set(copies, copiesOffset(template, sites.count));
  const put = (offset: number, part: Uint8Array, end: number): void => {
    assert(offset + part.length <= end, `what lies at ${offset} of a region ends before ${end}`);
    bytes.set(part, offset);
  };
  const routines = thunkRoutines(codeAddr(start), template.work, plan, claim);
  put(0, routines.code.bytes, framesOffset - 1);
  const stride = thunkStride(template);
  const thunks = Number(start) + headBytes;
  const thunksBytes = stride * sites.count;
  const { returnPoint } = template;
  if (returnPoint !== undefined) {
    const frames = thunkFrames(codeAddr(BigInt(thunks)), thunksBytes, plan.mirrorDelta);
    put(framesOffset, frames, headBytes);
  }
  const place = bytes.subarray(headBytes, headBytes + thunksBytes);
  fillThunks(place, template, thunks, sites, {
    enter: Number(routines.enter),
    leave: Number(routines.leave),
  });
  const region: CodeRegion = {
    start,
    bytes: bytes.length,
    returnTrap: codeAddr(start + BigInt(framesOffset - 1)),
    frames: returnPoint === undefined ? undefined : dataAddr(start + BigInt(framesOffset)),
    thunks,
    stride,
    count: sites.count,
    returnOffset: returnPoint,
  };
  return { region, bytes };
}

/** Whether `pc` lies in the region's code. */
export const isInRegion = (region: CodeRegion, pc: bigint): boolean =>
  pc >= region.start && pc < region.start + BigInt(region.bytes);

/** Whether `address` is the return point of one of the region's thunks. */
export function isReturnPoint(region: CodeRegion, address: number): boolean {
  if (region.returnOffset === undefined) return false;
  const from = address - region.thunks - region.returnOffset;
  return from >= 0 && from < region.stride * region.count && from % region.stride === 0;
}

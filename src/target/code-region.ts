/**
 * One piece of generated code in the target, near the text that it serves: the claim routine, the
 * frame description, and the thunks of a batch of sites. Readable and executable, never writable:
 * it is filled through /proc/PID/mem.
 */
import { type CodeAddr, codeAddr, type DataAddr, dataAddr } from "../base/brand.ts";
import { thunkFrames } from "../codegen/frame-description.ts";
import { type ClaimPlan, claimRoutine } from "../codegen/x86-64/claim.ts";
import { fillThunks, type ThunkSites, thunkStride } from "../codegen/x86-64/fill-thunks.ts";
import type { ThunkTemplate } from "../codegen/x86-64/record.ts";

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

/** Bytes in front of the thunks: the claim routine, the trap and the frames. */
const headBytes = 4096;
const framesOffset = 1024;

/** Bytes that a region for `count` thunks takes. */
export const regionBytes = (template: ThunkTemplate, count: number): number =>
  (headBytes + thunkStride(template) * count + 4095) & ~4095;

/** The return point of a thunk: behind its only call of the body. */
function findReturnOffset(template: ThunkTemplate): number | undefined {
  const callOpcode = 0xe8;
  for (const { name, offset, endOffset } of template.holes) {
    if (name === "body" && template.bytes[offset - 1] === callOpcode) return endOffset;
  }
  return undefined;
}

/** The region's content for `start`, and its map. The buffer is the caller's. */
export function buildRegion(
  start: bigint,
  template: ThunkTemplate,
  sites: ThunkSites,
  claim: ClaimPlan,
  mirrorDelta: bigint,
): { readonly region: CodeRegion; readonly bytes: Uint8Array } {
  const bytes = new Uint8Array(regionBytes(template, sites.count)).fill(0xcc);
  const routine = claimRoutine(codeAddr(start), claim).bytes;
  bytes.set(routine, 0);
  const stride = thunkStride(template);
  const thunks = Number(start) + headBytes;
  const returnOffset = findReturnOffset(template);
  if (returnOffset !== undefined) {
    const frames = thunkFrames(codeAddr(BigInt(thunks)), stride * sites.count, mirrorDelta);
    bytes.set(frames, framesOffset);
  }
  bytes.set(fillThunks(template, thunks, sites, Number(start)), headBytes);
  const region: CodeRegion = {
    start,
    bytes: bytes.length,
    returnTrap: codeAddr(start + BigInt(framesOffset - 1)),
    frames: returnOffset === undefined ? undefined : dataAddr(start + BigInt(framesOffset)),
    thunks,
    stride,
    count: sites.count,
    returnOffset,
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

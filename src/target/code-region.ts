/**
 * One piece of generated code in the target, near the text that it serves: the routines that thunks
 * call, and the thunks of a batch of sites. Readable and executable, never writable: it is filled
 * through /proc/PID/mem.
 */
import { type CodeAddr, codeAddr } from "../base/brand.ts";
import type { BackEnd, ThunkCode } from "../codegen/back-end.ts";
import type { Work } from "../codegen/work.ts";
import type { ThunkSites } from "../codegen/x86-64/fill-thunks.ts";
import type { ThunkPlan } from "../codegen/x86-64/record.ts";
import type { ThunkRoutines } from "../codegen/x86-64/thunk.ts";

/** Where things are in the target. */
export type CodeRegion = {
  readonly start: bigint;
  readonly bytes: number;
  /** A trap instruction, for remote calls to return to. */
  readonly returnTrap: CodeAddr;
  /** First stub of the personality routine; undefined when returns are not hooked. */
  readonly personality: CodeAddr | undefined;
  readonly thunks: number;
  readonly stride: number;
  readonly count: number;
  /** Offset of the return point in a thunk; undefined when it doesn't hook returns. */
  readonly returnOffset: number | undefined;
};

/** What the regions of one work have in common. */
export type RegionCode = {
  readonly backEnd: BackEnd;
  readonly thunk: ThunkCode;
  /** At the region's start. */
  readonly routines: ThunkRoutines;
  /** Offset of the thunks; a trap instruction stands before them. */
  readonly thunks: number;
};

/** The code for regions of `work`. */
export function makeRegionCode(backEnd: BackEnd, work: Work, plan: ThunkPlan): RegionCode {
  const thunk = backEnd.thunkCode(work);
  const routines = backEnd.thunkRoutines(work, plan);
  const thunks = (routines.bytes.length + backEnd.trapInstruction.length + 63) & ~63;
  return { backEnd, thunk, routines, thunks };
}

/** Where the copies of moved instructions lie in a region for `count` thunks: behind these. */
export const copiesOffset = ({ thunk, thunks }: RegionCode, count: number): number =>
  thunks + thunk.stride * count;

/** Bytes that a region for `count` thunks and `copyBytes` of moved instructions takes. */
export const regionBytes = (code: RegionCode, count: number, copyBytes: number): number =>
  (copiesOffset(code, count) + copyBytes + 4095) & ~4095;

/**
 * The region's content for `start`, and its map. The buffer is the caller's.
 * @param copies of moved instructions, for the place that `copiesOffset` tells.
 */
export function buildRegion(
  start: bigint,
  code: RegionCode,
  sites: ThunkSites,
  copies: Uint8Array,
): { readonly region: CodeRegion; readonly bytes: Uint8Array } {
  const { backEnd, thunk, routines } = code;
  const bytes = new Uint8Array(regionBytes(code, sites.count, copies.length));
  const trap = backEnd.trapInstruction;
  bytes.set(trap);
  for (let filled = trap.length; filled < bytes.length; filled *= 2) {
    bytes.copyWithin(filled, 0, filled);
  }
  bytes.set(copies, copiesOffset(code, sites.count));
  bytes.set(routines.bytes);
  const view = new DataView(bytes.buffer);
  for (const at of routines.addresses) {
    view.setBigUint64(at, view.getBigUint64(at, true) + start, true);
  }
  const { stride } = thunk;
  const thunks = Number(start) + code.thunks;
  const thunksBytes = stride * sites.count;
  const place = bytes.subarray(code.thunks, code.thunks + thunksBytes);
  thunk.fill(place, thunks, sites, {
    enter: Number(start) + routines.enter,
    leave: Number(start) + routines.leave,
  });
  const region: CodeRegion = {
    start,
    bytes: bytes.length,
    returnTrap: codeAddr(start + BigInt(code.thunks - trap.length)),
    personality:
      routines.personality === undefined
        ? undefined
        : codeAddr(start + BigInt(routines.personality)),
    thunks,
    stride,
    count: sites.count,
    returnOffset: thunk.returnPoint,
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

/**
 * One piece of generated code in the target, near the text that it serves: the routines that thunks
 * call, the frame description, and the thunks of a batch of sites. Readable and executable, never
 * writable: it is filled through /proc/PID/mem.
 */
import { assert, ensure } from "../base/assert.ts";
import { type CodeAddr, codeAddr, type DataAddr, dataAddr } from "../base/brand.ts";
import { thunkFrames } from "../codegen/frame-description.ts";
import { type ClaimPlan, claimRoutine } from "../codegen/x86-64/claim.ts";
import { fillThunks, type ThunkSites, thunkStride } from "../codegen/x86-64/fill-thunks.ts";
import type { RecordPlan, ThunkTemplate } from "../codegen/x86-64/record.ts";
import { tailRoutine } from "../codegen/x86-64/tail.ts";

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

/** Bytes in front of the thunks, and where in them things are; the claim routine comes first. */
const headBytes = 4096;
const tailOffset = 512;
const framesOffset = 1024;

/** Where the copies of moved instructions lie in a region for `count` thunks: behind these. */
export const copiesOffset = (template: ThunkTemplate, count: number): number =>
  headBytes + thunkStride(template) * count;

/** Bytes that a region for `count` thunks and `copyBytes` of moved instructions takes. */
export const regionBytes = (template: ThunkTemplate, count: number, copyBytes: number): number =>
  (copiesOffset(template, count) + copyBytes + 4095) & ~4095;

/** The return point of a thunk: behind its only call of the body. */
function findReturnOffset(template: ThunkTemplate): number | undefined {
  const callOpcode = 0xe8;
  for (const { name, offset, endOffset } of template.holes) {
    if (name === "body" && template.bytes[offset - 1] === callOpcode) return endOffset;
  }
  return undefined;
}

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
  put(0, claimRoutine(codeAddr(start), claim).bytes, tailOffset);
  const stride = thunkStride(template);
  const thunks = Number(start) + headBytes;
  const returnOffset = findReturnOffset(template);
  if (returnOffset !== undefined) {
    const code = stride * sites.count;
    put(framesOffset, thunkFrames(codeAddr(BigInt(thunks)), code, plan.mirrorDelta), headBytes);
    const exitEvent = template.holes.find(({ name }) => name === "exitEvent")?.offset;
    const tail = tailRoutine(codeAddr(start + BigInt(tailOffset)), {
      record: plan,
      claim: codeAddr(start),
      exitEvent: ensure(exitEvent, "a thunk with a return point records an exit") - returnOffset,
    });
    put(tailOffset, tail.bytes, framesOffset - 1);
  }
  const routines = { claim: Number(start), tail: Number(start) + tailOffset };
  bytes.set(fillThunks(template, thunks, sites, routines), headBytes);
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

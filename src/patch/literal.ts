/**
 * The literal of CALL_OPS on x86-64: the 8 aligned bytes before a function say, while its site
 * calls the common trampoline, which site it is and which ops it wants.
 *
 *     bits 0-31   number of the ops, below `opsMax`; 0: nothing happens
 *     bits 40-63  id of the site, where an event has it (`ring/layout.ts`)
 *
 * The compiler's no-ops, which stand there before and after, read as no ops' number, so that a
 * thread that has called the trampoline may find them at any time.
 */
import { branchSize } from "./x86-64-layouts.ts";

export const literalBytes = 8;
/** From bit 32 up to the site's id, within the upper half. */
export const literalSiteShift = 8;
/** Ops at the same time. */
export const opsMax = 1024;
/** Ops that do nothing. */
export const nopOps = 0;

/** The literal's two halves, the lower first. */
export const encodeLiteral = (site: number, ops: number): readonly [low: number, high: number] => [
  ops,
  (site << literalSiteShift) >>> 0,
];

/** Whether 8 bytes (borrowed), as the compiler left them, name no ops. */
export const namesNoOps = (bytes: Uint8Array): boolean =>
  new DataView(bytes.buffer, bytes.byteOffset, literalBytes).getUint32(0, true) >= opsMax;

/** What decides whether a site can call with a literal beside it. */
export type LiteralFacts = {
  /** The function's first byte minus the literal's; 0: no room before it. */
  readonly room: number;
  readonly aligned: boolean;
  readonly windowSize: number;
  /** What stands in the literal's place in the file; absent without room. */
  readonly bytes: Uint8Array | undefined;
};

/** Why a site can't call with a literal beside it; undefined when it can. */
export function whyNoLiteral(facts: LiteralFacts): string | undefined {
  const { room, aligned, windowSize, bytes } = facts;
  if (room === 0 || bytes === undefined) {
    return "it has no room for a pointer (compile with -fpatchable-function-entry=13,8)";
  }
  if (!aligned) return "the room before it is not aligned to 8 bytes";
  if (windowSize !== branchSize) {
    return `a call would return into its window of ${windowSize} bytes`;
  }
  return namesNoOps(bytes) ? undefined : "what stands before it reads like a pointer";
}

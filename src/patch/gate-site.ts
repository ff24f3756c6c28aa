/** Functions of a C library that call a gate: sites in the place of their first instructions. */
import { fileOffset, type LinkAddr, linkAddr } from "../base/brand.ts";
import { prologue } from "./prologue-layout.ts";
import type { SiteCandidate } from "./site.ts";
import { branchSize, isEndbr64 } from "./x86-64-layouts.ts";

const landingPadSize = 4;

/** Bytes of the landing pad that a function begins with, whose place in its file is `start`. */
export const landingPadAt = (bytes: Uint8Array, start: number): number =>
  isEndbr64(bytes, start) ? landingPadSize : 0;

/** A function of an x86-64 file, and what has to make way for the jump to its gate. */
type Gated = {
  readonly gate: NonNullable<SiteCandidate["gate"]>;
  readonly name: string;
  readonly functionAddr: LinkAddr;
  /** The function's place in the file. */
  readonly start: number;
  /** Whole instructions behind the landing pad, of at least a jump's size. */
  readonly moved: Uint8Array;
};

export function gateSite(
  bytes: Uint8Array,
  { gate, name, functionAddr, start, moved }: Gated,
): SiteCandidate {
  const pad = landingPadAt(bytes, start);
  return {
    addr: linkAddr(functionAddr + BigInt(pad)),
    functionAddr,
    symbol: name,
    layout: prologue,
    compiled: moved.subarray(0, branchSize),
    fileOffset: fileOffset(start + pad),
    literal: undefined,
    displaced: moved,
    gate,
  };
}

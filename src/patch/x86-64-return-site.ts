/**
 * A function that does nothing but return, with padding behind it, as a patch site: the dynamic
 * linker's `_dl_debug_state`.
 *
 *     c3 xx xx xx xx  ─►  c3 rel32  ─►  e9 rel32        nobody executes what is behind the return
 *
 * The tail changes while nobody can come to it, then one byte makes a jump of the return. Back, the
 * byte comes first.
 */
import { membarrierSync, type Step, toNew, window, write, writePieces } from "./steps.ts";
import { branchSize, endbr64, isEndbr64, nopSizeAt } from "./x86-64-layouts.ts";

export const returnOpcode = 0xc3;
/** Functions begin at multiples of this; what is before the next one is padding. */
const functionAlignment = 16;

export const enableReturnSite: readonly Step[] = [
  writePieces(window(1, "rest"), toNew),
  membarrierSync,
  write(window(0, 1), toNew),
  membarrierSync,
];
export const disableReturnSite: readonly Step[] = [
  write(window(0, 1), toNew),
  membarrierSync,
  writePieces(window(1, "rest"), toNew),
  membarrierSync,
];

/** Bytes that have to be read to find the window. */
export const returnSiteBytes: number = 2 * functionAlignment;

/**
 * Where the window is in the function whose first bytes are `bytes` (borrowed), an offset;
 * undefined where it does more than return, or has no padding.
 * @param at the function's address.
 */
export function findReturnSite(bytes: Uint8Array, at: bigint): number | undefined {
  const offset = isEndbr64(bytes, 0) ? endbr64.length : 0;
  if (bytes[offset] !== returnOpcode) return undefined;
  const end = functionAlignment - Number(at % BigInt(functionAlignment));
  if (end - offset < branchSize) return undefined;
  for (let from = offset + 1; from < end; ) {
    const size = bytes[from] === 0xcc ? 1 : nopSizeAt(bytes, from);
    if (size === 0) return undefined;
    from += size;
  }
  return offset;
}

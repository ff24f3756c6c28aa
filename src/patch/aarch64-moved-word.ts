/** The window of an AArch64 function without a site: its first instruction, moved out of line. */
import type { CodeAddr } from "../base/brand.ts";
import { codeAddr } from "../base/brand.ts";
import { err, ok, type Result } from "../base/result.ts";
import { moveWord } from "../isa/aarch64/move-word.ts";
import { wordAt } from "./aarch64-sites.ts";

/** Moves the instruction `displaced` (borrowed), which stands at `window`, to `to`. */
export function moveFirst(
  displaced: Uint8Array,
  window: CodeAddr,
  to: CodeAddr,
): Result<
  { bytes: Uint8Array; moves: readonly { from: CodeAddr; to: CodeAddr }[] },
  { reason: string }
> {
  const moved = moveWord(wordAt(displaced, 0), Number(window), Number(to));
  if (!moved.ok) return err({ reason: `the first instruction can't be moved: ${moved.error}` });
  const bytes = new Uint8Array(new Uint32Array(moved.value).buffer);
  return ok({ bytes, moves: [{ from: window, to: codeAddr(to) }] });
}

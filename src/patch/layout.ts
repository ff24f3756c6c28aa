/**
 * Layouts: for one ISA and one way of compiling, where a site's window of patchable bytes is,
 * where its literal is if it has one, and what bytes stand there in each state.
 */
import type { CodeAddr } from "../base/brand.ts";
import type { Result } from "../base/result.ts";
import type { IsaName, ReachRefusal } from "../isa/isa.ts";

/**
 * What a window's bytes mean.
 * - `compiled`: what the compiler left; the file has it, and detaching restores it.
 * - `idle`: one no-op as long as the window, so that no thread can stand inside it. Where the
 *   compiler left one no-op, `compiled` is as good and need not be replaced.
 * - `call`: calls `target`, with the return address behind the call instruction.
 * - `jump`: jumps to `target`.
 */
export type SiteState =
  | { readonly kind: "compiled" }
  | { readonly kind: "idle" }
  | { readonly kind: "call"; readonly target: CodeAddr }
  | { readonly kind: "jump"; readonly target: CodeAddr };

export type Layout = {
  /** Name for people and for `--json`: `x86-64/nop5`, `x86-64/nop1x5`. */
  readonly id: string;
  readonly isa: IsaName;
  /** What makes a compiler emit it, and what stands there: one line. */
  readonly summary: string;
  /** Bytes in the window. */
  readonly windowSize: number;
  /**
   * Lengths of the instructions the compiler left in the window; they add up to `windowSize`. None
   * where these are the function's own and differ from one to the next.
   */
  readonly compiledSizes: readonly number[];
  /**
   * An aligned word of data beside the window: its place relative to the window's first byte
   * (negative: before it). Absent when the layout has none; a site may still say that it has
   * room for one.
   */
  readonly literal?: { readonly offset: number; readonly size: 4 | 8 };
  /** The window's bytes in state `idle`; a fresh copy. */
  idle(): Uint8Array;
  /** The window's bytes that call `target` when the window stands at `at`. */
  call(at: CodeAddr, target: CodeAddr): Result<Uint8Array, ReachRefusal>;
  /** The window's bytes that jump to `target` when the window stands at `at`. */
  jump(at: CodeAddr, target: CodeAddr): Result<Uint8Array, ReachRefusal>;
  /** What `bytes` (borrowed) mean in a window at `at`, `compiled` being what the file has there. */
  recognise(bytes: Uint8Array, at: CodeAddr, compiled: Uint8Array): SiteState | undefined;
};

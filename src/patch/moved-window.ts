/**
 * Windows of real x86-64 instructions, which are moved out of line: whether that is sound for the
 * five bytes at a place, and which instructions have to go. Control must enter the window at its
 * first byte alone, and each instruction must be able to run elsewhere.
 */
import { type CodeAddr, codeAddr } from "../base/brand.ts";
import { decodeInto, Instruction } from "../isa/x86-64/decode-into.ts";
import type { RelocationRefusal } from "../isa/x86-64/move-instruction.ts";
import { attribute, flows } from "../isa/x86-64/opcode-attributes.ts";
import { relocatePrologue } from "../isa/x86-64/relocator.ts";
import { lowerBound } from "../symbols/symbol-table.ts";
import type { ProgramCode } from "./program-code.ts";
import type { RefusalReason } from "./site.ts";
import { branchSize } from "./x86-64-layouts.ts";

const reasonOf: Readonly<Record<RelocationRefusal["kind"], RefusalReason>> = {
  undecodable: "undecodable",
  tooShort: "function-too-short",
  fixed: "not-movable",
  branchIntoWindow: "branch-into-window",
  returnsIntoWindow: "call-in-window",
  outOfReach: "not-movable",
};

/** Bytes of whole instructions from `at` on that cover the window; or why there are none. */
function displacedSize(bytes: Uint8Array, at: number, end: number): number | RefusalReason {
  const instruction = new Instruction();
  let size = 0;
  while (size < branchSize) {
    if (at + size >= end) return "function-too-short";
    const length = decodeInto(bytes.subarray(0, end), at + size, instruction);
    if (length === 0) return "undecodable";
    const flow = flows[(instruction.word >> attribute.flowShift) & attribute.flowMask];
    // A thread may sleep in the kernel there, and go on in the copy after it is gone.
    if (flow === "system") return "system-call";
    size += length;
  }
  return size;
}

/**
 * The instructions (borrowed from the file) that have to move when the window at link address
 * `window` is taken; or why it can't be.
 * @param at the window's place in the file.
 * @param end where, in the file, its function ends.
 */
export function displacedAt(
  { elf, starts, references }: Pick<ProgramCode, "elf" | "starts" | "references">,
  window: number,
  at: number,
  end: number,
): Uint8Array | RefusalReason {
  const size = displacedSize(elf.bytes, at, end);
  if (typeof size === "string") return size;
  const inner = starts[lowerBound(starts, window + 1)] ?? Number.POSITIVE_INFINITY;
  if (inner < window + branchSize) return "branch-into-window";
  if (references.leadsInto(window, window + branchSize)) return "branch-into-window";
  const displaced = elf.bytes.subarray(at, at + size);
  const place = codeAddr(BigInt(window));
  const moved = moveWindow(displaced, place, place);
  return moved.ok ? displaced : reasonOf[moved.error.kind];
}

/** Moves the displaced instructions of a window, which stand there, to `to`. */
export const moveWindow = (
  displaced: Uint8Array,
  window: CodeAddr,
  to: CodeAddr,
): ReturnType<typeof relocatePrologue> =>
  // Calls push what the original pushes: unwinders and returns never see the copy.
  relocatePrologue(displaced, window, branchSize, to, { returnAddress: "original" });

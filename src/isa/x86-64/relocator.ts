/**
 * Moving instructions from the beginning of a function to another place, so that what is written
 * over them can be jumped around: the moved copy does what the originals did, then goes on behind
 * them. For functions that were compiled without a patch site.
 *
 * What depends on its place is rewritten: rip-relative operands and branches get new distances or,
 * where 32 bits do not reach, a longer form; short branches become near ones; branches among the
 * moved instructions stay among the copies. A leading endbr64 stays where indirect calls look for
 * it. What can't be moved is refused with the reason.
 *
 * Branches into the window are looked for in the function itself. Ones from elsewhere (a part that
 * the compiler split off, `foo.cold`) and from jump tables are not seen here; `hasIndirectJumps`
 * tells of the latter.
 */
import { assert, ensure } from "../../base/assert.ts";
import { type CodeAddr, codeAddr } from "../../base/brand.ts";
import { err, ok, type Result } from "../../base/result.ts";
import { Assembler } from "./assembler.ts";
import { type Decoded, decode, relocationClass } from "./decode.ts";
import { decodeInto, Instruction } from "./decode-into.ts";
import {
  emitJumpTo,
  emitMoved,
  type MoveContext,
  type RelocationRefusal,
} from "./move-instruction.ts";
import { attribute, flows } from "./opcode-attributes.ts";
import type { Label } from "./operands.ts";

/** Where one instruction went. */
export type Move = { readonly from: CodeAddr; readonly to: CodeAddr };

export type Relocated = {
  /** First byte that may be overwritten: the function's first, or the one after its endbr64. */
  readonly window: CodeAddr;
  /** Bytes of the whole instructions that were moved; at least the window's. */
  readonly displacedBytes: number;
  /** The copy, for the address that was asked for; owned by the caller. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** In order; for threads that stand in the window while it changes. */
  readonly moves: readonly Move[];
  /** Where the copy goes on in the original; undefined where it never does. */
  readonly resume: CodeAddr | undefined;
  /** The function jumps through registers or tables, whose targets are not known here. */
  readonly hasIndirectJumps: boolean;
};

export type RelocationOptions = {
  /**
   * What a call in the window pushes. "original": the address after the original call, so that
   * backtraces and unwinders see what they know and the callee returns into the original code.
   * "copy": the address after the copied call, so that its return is predicted.
   */
  readonly returnAddress?: "original" | "copy";
};

type Refused = { readonly ok: false; readonly error: RelocationRefusal };

const refuse = (kind: RelocationRefusal["kind"], at: CodeAddr, reason: string): Refused =>
  err({ kind, at, reason });

const endbr64 = [0xf3, 0x0f, 0x1e, 0xfa] as const;
const isEndbr64 = (bytes: Uint8Array, offset: number): boolean =>
  endbr64.every((byte, index) => bytes[offset + index] === byte);

/** The instructions that cover the window, from `start` in `code`. */
const displaced = (
  code: Uint8Array,
  at: CodeAddr,
  start: number,
  windowBytes: number,
): Result<readonly Decoded[], RelocationRefusal> => {
  const found: Decoded[] = [];
  let offset = start;
  while (offset < start + windowBytes) {
    const here = codeAddr(at + BigInt(offset));
    if (offset >= code.length) {
      return refuse("tooShort", here, `the function ends ${offset - start} bytes into the window`);
    }
    const decoded = decode(code, offset, here);
    if (decoded === undefined) return refuse("undecodable", here, "no instruction stands there");
    if (relocationClass(decoded) === "fixed") {
      return refuse("fixed", here, "it is privileged, a far transfer, or has a 32-bit address");
    }
    if (decoded.flow === "trap" && decoded.length === 1) {
      return refuse("fixed", here, "a breakpoint stands there");
    }
    if (offset > start && isEndbr64(code, offset)) {
      return refuse("branchIntoWindow", here, "indirect calls and jumps may come there (endbr64)");
    }
    found.push(decoded);
    offset += decoded.length;
  }
  return ok(found);
};

/**
 * A moved branch that goes into the window but to no instruction's beginning (over a lock prefix,
 * for one), or a moved call that goes there at all; undefined where there is none.
 */
const findInnerTarget = (
  instructions: readonly Decoded[],
  window: CodeAddr,
  windowEnd: CodeAddr,
): RelocationRefusal | undefined => {
  const beginnings = new Set<bigint>(instructions.map((one) => one.at));
  for (const { at, length, flow, branch } of instructions) {
    if (branch === undefined || branch.target <= window || branch.target >= windowEnd) continue;
    const callsNext = branch.target === at + BigInt(length);
    const isMoved = flow === "call" ? callsNext : beginnings.has(branch.target);
    if (isMoved) continue;
    return { kind: "branchIntoWindow", at, reason: "its target is inside of the window" };
  }
  return undefined;
};

type Scan = {
  /** Offset of a branch to the inside of the window. */
  readonly intoWindow: number | undefined;
  readonly hasIndirectJumps: boolean;
};

/**
 * Looks through the rest of the function for branches to the inside of the window, that is behind
 * its first byte.
 */
const scanBody = (
  code: Uint8Array,
  start: number,
  windowEnd: number,
  bodyStart: number,
): Result<Scan, number> => {
  const instruction = new Instruction();
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  let hasIndirectJumps = false;
  for (let offset = bodyStart; offset < code.length; ) {
    const length = decodeInto(code, offset, instruction);
    if (length === 0) return err(offset);
    const { word, immediateOffset, immediateBytes } = instruction;
    const end = offset + length;
    if ((word & attribute.distance) !== 0) {
      const from = offset + immediateOffset;
      const bytes = immediateBytes === 1 ? view.getInt8(from) : view.getInt32(from, true);
      if (end + bytes > start && end + bytes < windowEnd) {
        return ok({ intoWindow: offset, hasIndirectJumps });
      }
    }
    const flow = flows[(word >> attribute.flowShift) & attribute.flowMask];
    hasIndirectJumps ||= flow === "indirectJump";
    offset = end;
  }
  return ok({ intoWindow: undefined, hasIndirectJumps });
};

/** Whether the copy of the last instruction runs on into what follows it. */
const fallsThrough = (last: Decoded, returnAddress: "original" | "copy"): boolean => {
  if (last.flow === "jump" || last.flow === "return" || last.flow === "indirectJump") return false;
  const isCall = last.flow === "call" || last.flow === "indirectCall";
  const callsNext = last.branch?.target === codeAddr(last.at + BigInt(last.length));
  return !isCall || returnAddress === "copy" || callsNext;
};

/** Checks that nothing else in the function goes into the window. */
const checkBody = (
  code: Uint8Array,
  at: CodeAddr,
  start: number,
  windowBytes: number,
  displacedBytes: number,
): Result<Scan, RelocationRefusal> => {
  const scan = scanBody(code, start, start + windowBytes, start + displacedBytes);
  if (!scan.ok) {
    const place = codeAddr(at + BigInt(scan.error));
    return refuse("undecodable", place, "the rest of the function can't be checked for branches");
  }
  const { intoWindow } = scan.value;
  if (intoWindow === undefined) return ok(scan.value);
  const place = codeAddr(at + BigInt(intoWindow));
  return refuse("branchIntoWindow", place, "it branches into the middle of the window");
};

/**
 * Moves the instructions under the first `windowBytes` of a function to `to`.
 * @param code the whole function (borrowed); it stands at `at`.
 */
export const relocatePrologue = (
  code: Uint8Array,
  at: CodeAddr,
  windowBytes: number,
  to: CodeAddr,
  options: RelocationOptions = {},
): Result<Relocated, RelocationRefusal> => {
  assert(windowBytes > 0, "a window has bytes");
  const start = isEndbr64(code, 0) ? endbr64.length : 0;
  const window = codeAddr(at + BigInt(start));
  const found = displaced(code, at, start, windowBytes);
  if (!found.ok) return found;
  const instructions = found.value;
  const last = ensure(instructions.at(-1), "a window has an instruction");
  const resume = codeAddr(last.at + BigInt(last.length));
  const displacedBytes = Number(resume - window);
  const windowEnd = codeAddr(window + BigInt(windowBytes));
  const inner = findInnerTarget(instructions, window, windowEnd);
  if (inner !== undefined) return err(inner);
  const body = checkBody(code, at, start, windowBytes, displacedBytes);
  if (!body.ok) return body;

  const a = new Assembler(to);
  const labels = new Map<bigint, Label>(instructions.map((one) => [one.at, a.label()]));
  const { returnAddress = "original" } = options;
  const context: MoveContext = { a, labels, windowEnd, returnAddress };
  const moves: Move[] = [];
  for (const instruction of instructions) {
    a.bind(ensure(labels.get(instruction.at), "a label for every instruction"));
    moves.push({ from: instruction.at, to: a.here });
    const refusal = emitMoved(context, instruction);
    if (refusal !== undefined) return err(refusal);
  }
  const goesOn = fallsThrough(last, returnAddress);
  if (goesOn) emitJumpTo(context, resume);
  return ok({
    window,
    displacedBytes,
    bytes: a.finish().bytes,
    moves,
    resume: goesOn ? resume : undefined,
    hasIndirectJumps: body.value.hasIndirectJumps,
  });
};

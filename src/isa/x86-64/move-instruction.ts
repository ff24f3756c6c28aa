/**
 * One instruction of a moved sequence, written so that it does at its new place what it did at the
 * old one.
 */
import { ensure } from "../../base/assert.ts";
import { type CodeAddr, codeAddr } from "../../base/brand.ts";
import type { Assembler } from "./assembler.ts";
import { type Decoded, relocationClass } from "./decode.ts";
import {
  emitFarJump,
  emitFarJumpThrough,
  emitPush,
  emitWithFarOperand,
  hasFarOperandForm,
} from "./long-form.ts";
import { type Label, mem64 } from "./operands.ts";
import { canReach } from "./reach.ts";
import { conditions } from "./registers.ts";

/** Why instructions were not moved. */
export type RelocationRefusal = {
  readonly kind: // One line per reason.
  /** No instruction stands there, or its length depends on the processor. */
    | "undecodable"
    /** The function ends before the window does. */
    | "tooShort"
    /** A far transfer, a privileged instruction, a 32-bit rip-relative address, a breakpoint. */
    | "fixed"
    /** A branch or an indirect call (endbr64) comes into the middle of the window. */
    | "branchIntoWindow"
    /** A call in the window would return into the window. */
    | "returnsIntoWindow"
    /** The target is too far and there is no longer form for this instruction. */
    | "outOfReach";
  readonly at: CodeAddr;
  /** For people: what stands there and what is wrong with it. */
  readonly reason: string;
};

/** What moving one instruction needs to know. */
export type MoveContext = {
  readonly a: Assembler;
  /** Labels of the copies, by the address of the original. */
  readonly labels: ReadonlyMap<bigint, Label>;
  readonly windowEnd: CodeAddr;
  readonly returnAddress: "original" | "copy";
};

/** More than any instruction emitted here is long, so that what is in reach stays in reach. */
const marginBytes = 32n;

const reaches = ({ a }: MoveContext, target: CodeAddr): boolean =>
  canReach(codeAddr(a.here + marginBytes), target).kind === "reachable" &&
  canReach(a.here, target).kind === "reachable";

/** Appends a jump to an address, near or far. */
export const emitJumpTo = (context: MoveContext, target: CodeAddr): void => {
  if (reaches(context, target)) context.a.i("jmp", target);
  else emitFarJump(context.a, target);
};

/** Appends a jump that goes to the copy where its target was moved too. */
const emitJump = (context: MoveContext, target: CodeAddr): void => {
  const label = context.labels.get(target);
  if (label !== undefined) context.a.near("jmp", label);
  else emitJumpTo(context, target);
};

/** jcc, jrcxz, loop: where no near form serves, the condition jumps over a jump around the jump. */
const emitBranch = (context: MoveContext, decoded: Decoded): RelocationRefusal | undefined => {
  const { a, labels } = context;
  const { parts, bytes } = decoded;
  const { target } = ensure(decoded.branch, "a direct branch has a target");
  const isNear = parts.map === 1;
  const isJcc = isNear || (parts.map === 0 && parts.opcode >= 0x70 && parts.opcode < 0x80);
  const destination = labels.get(target) ?? (reaches(context, target) ? target : undefined);
  if (isJcc && destination !== undefined) {
    a.near(`j${ensure(conditions[parts.opcode & 15], "a condition")}`, destination);
    return undefined;
  }
  if (parts.immediateBytes !== 1 && !isNear) {
    return { kind: "fixed", at: decoded.at, reason: "it begins a transaction" };
  }
  // The condition itself, over a two-byte jump, to the long one.
  const past = a.label();
  if (isNear) a.bytes([0x70 | (parts.opcode & 15), 2]);
  else a.bytes(bytes.subarray(0, parts.immediateOffset)).bytes([2]);
  a.short("jmp", past);
  emitJump(context, target);
  a.bind(past);
  return undefined;
};

/** The instruction as it is, but for the distance of its rip-relative operand. */
const emitAdjusted = ({ a }: MoveContext, decoded: Decoded, bytes: Uint8Array): void => {
  const { rip } = decoded;
  if (rip === undefined) {
    a.bytes(bytes);
    return;
  }
  const copy = new Uint8Array(bytes);
  const distance = rip.target - (a.here + BigInt(decoded.length));
  new DataView(copy.buffer).setInt32(rip.offset, Number(BigInt.asIntN(64, distance)), true);
  a.bytes(copy);
};

const stackPointer = 4;

const emitRipRelative = (context: MoveContext, decoded: Decoded): RelocationRefusal | undefined => {
  const { target } = ensure(decoded.rip, "a rip-relative operand");
  if (reaches(context, target)) {
    emitAdjusted(context, decoded, decoded.bytes);
    return undefined;
  }
  if (!hasFarOperandForm(decoded)) {
    const reason = "its operand is too far, and it has no longer form (rsp, ah to bh)";
    return { kind: "outOfReach", at: decoded.at, reason };
  }
  emitWithFarOperand(context.a, decoded);
  return undefined;
};

/** FF /2 and FF /4 differ in ModRM.reg alone: an indirect call's bytes as a jump's. */
const asIndirectJump = ({ bytes, parts }: Decoded): Uint8Array => {
  const copy = new Uint8Array(bytes);
  const sibBytes = parts.sib < 0 ? 0 : 1;
  const modrmAt = parts.displacementOffset - 1 - sibBytes;
  copy[modrmAt] = (parts.modrm & 0xc7) | (4 << 3);
  return copy;
};

/** Whether the operand of FF /2 reads rsp, which the pushed return address would have changed. */
const readsStackPointer = ({ parts }: Decoded): boolean => {
  const base = parts.sib >= 0 ? parts.sib & 7 : parts.modrm & 7;
  return base === stackPointer && (parts.rex & 1) === 0;
};

/** A jump to where an indirect call or jump goes, in the bytes of a jump. */
const emitIndirectJump = (context: MoveContext, decoded: Decoded, bytes: Uint8Array): void => {
  const { rip } = decoded;
  if (rip === undefined || reaches(context, rip.target)) emitAdjusted(context, decoded, bytes);
  else emitFarJumpThrough(context.a, rip.target);
};

const emitCallReturningHere = (
  context: MoveContext,
  decoded: Decoded,
): RelocationRefusal | undefined => {
  const { a } = context;
  if (decoded.branch === undefined) {
    if (decoded.rip === undefined || reaches(context, decoded.rip.target)) {
      emitAdjusted(context, decoded, decoded.bytes);
      return undefined;
    }
    const reason = "the slot that it calls through is too far";
    return { kind: "outOfReach", at: decoded.at, reason };
  }
  const { target } = decoded.branch;
  if (reaches(context, target)) {
    a.i("call", target);
    return undefined;
  }
  const address = a.label();
  const past = a.label();
  a.i("call", mem64(address)).short("jmp", past).bind(address).u64(target).bind(past);
  return undefined;
};

const emitCall = (context: MoveContext, decoded: Decoded): RelocationRefusal | undefined => {
  const { a, windowEnd, returnAddress } = context;
  const after = codeAddr(decoded.at + BigInt(decoded.length));
  const target = decoded.branch?.target;
  if (target === after) {
    // `call next; pop` asks for its own address: nothing is called.
    emitPush(a, after);
    return undefined;
  }
  if (returnAddress === "copy") return emitCallReturningHere(context, decoded);
  if (after < windowEnd) {
    const reason = "its return address is inside of the window";
    return { kind: "returnsIntoWindow", at: decoded.at, reason };
  }
  if (target === undefined && readsStackPointer(decoded)) {
    return { kind: "fixed", at: decoded.at, reason: "it calls through rsp" };
  }
  emitPush(a, after);
  // A call to the function itself goes where all calls go, not to the copy, and is seen there.
  if (target !== undefined) emitJumpTo(context, target);
  else emitIndirectJump(context, decoded, asIndirectJump(decoded));
  return undefined;
};

/** Appends the instruction for its new place; says why where it can't be moved. */
export const emitMoved = (
  context: MoveContext,
  decoded: Decoded,
): RelocationRefusal | undefined => {
  const kind = relocationClass(decoded);
  switch (kind) {
    case "independent":
    case "return":
      context.a.bytes(decoded.bytes);
      return undefined;
    case "ripRelative":
      return emitRipRelative(context, decoded);
    case "directJump":
      emitJump(context, ensure(decoded.branch, "a jump has a target").target);
      return undefined;
    case "directBranch":
      return emitBranch(context, decoded);
    case "directCall":
    case "indirectCall":
      return emitCall(context, decoded);
    case "indirectJump":
      emitIndirectJump(context, decoded, decoded.bytes);
      return undefined;
    default:
      return { kind: "fixed", at: decoded.at, reason: "it can't be moved" };
  }
};

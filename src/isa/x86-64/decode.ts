/**
 * Decoding one instruction with all that a patcher asks about it: where control goes, what depends
 * on where it stands, and whether it may be moved. Loops over whole programs use `decodeInto`.
 */
import { ensure } from "../../base/assert.ts";
import { type CodeAddr, codeAddr } from "../../base/brand.ts";
import { decodeInto, Instruction, prefixBit } from "./decode-into.ts";
import { attribute, type Flow, flows } from "./opcode-attributes.ts";
import type { DistanceBytes } from "./reach.ts";

/** A distance inside of an instruction and the address that it names from there. */
export type Reference = {
  /** From the beginning of the instruction. */
  readonly offset: number;
  readonly sizeBytes: DistanceBytes;
  readonly target: CodeAddr;
};

export type Decoded = {
  readonly at: CodeAddr;
  readonly length: number;
  /** Owned by the result. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly flow: Flow;
  /** Only the kernel may execute it, or it does I/O: user code that has it is not what it seems. */
  readonly privileged: boolean;
  /** Of a direct jump, conditional branch or call. */
  readonly branch: Reference | undefined;
  /** Of a memory operand that counts from the end of the instruction. */
  readonly rip: Reference | undefined;
  /** The encoding's parts. */
  readonly parts: Readonly<Instruction>;
};

/** How an instruction depends on where it stands. */
export type RelocationClass =
  /** It may stand anywhere. */
  | "independent"
  /** It names memory by a distance from itself. */
  | "ripRelative"
  | "directJump"
  | "directBranch"
  /** Moving it changes the return address that it pushes. */
  | "directCall"
  | "indirectCall"
  | "indirectJump"
  | "return"
  /** It is not moved: far transfers, privileged ones, 32-bit rip-relative addresses. */
  | "fixed";

export const flowOf = (parts: Readonly<Instruction>): Flow =>
  ensure(flows[(parts.word >> attribute.flowShift) & attribute.flowMask], "a flow");

/** Whether the memory operand is [rip + disp32]: mod 0, rm 5 (SDM Vol. 2A, 2.2.1.6). */
export const isRipRelative = (parts: Readonly<Instruction>): boolean =>
  parts.modrm >= 0 && (parts.modrm & 0xc7) === 5 && (parts.word & attribute.modIgnored) === 0;

const signedAt = (bytes: Uint8Array, offset: number, sizeBytes: DistanceBytes): number => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return sizeBytes === 1 ? view.getInt8(offset) : view.getInt32(offset, true);
};

const reference = (
  bytes: Uint8Array,
  at: CodeAddr,
  offset: number,
  sizeBytes: DistanceBytes,
): Reference => {
  const distance = BigInt(bytes.length + signedAt(bytes, offset, sizeBytes));
  return { offset, sizeBytes, target: codeAddr(at + distance) };
};

/**
 * The instruction at `bytes[offset]` (borrowed), which stands at `at` when it runs; undefined where
 * there is none, or where the bytes end within it.
 */
export const decode = (bytes: Uint8Array, offset: number, at: CodeAddr): Decoded | undefined => {
  const parts = new Instruction();
  const length = decodeInto(bytes, offset, parts);
  if (length === 0) return undefined;
  const own = new Uint8Array(bytes.subarray(offset, offset + length));
  const hasDistance = (parts.word & attribute.distance) !== 0;
  const branchBytes = parts.immediateBytes === 1 ? 1 : 4;
  return {
    at,
    length,
    bytes: own,
    flow: flowOf(parts),
    privileged: (parts.word & attribute.privileged) !== 0,
    branch: hasDistance ? reference(own, at, parts.immediateOffset, branchBytes) : undefined,
    rip: isRipRelative(parts) ? reference(own, at, parts.displacementOffset, 4) : undefined,
    parts,
  };
};

const classByFlow: Readonly<Record<Flow, RelocationClass>> = {
  next: "independent",
  jump: "directJump",
  branch: "directBranch",
  call: "directCall",
  return: "return",
  indirectJump: "indirectJump",
  indirectCall: "indirectCall",
  far: "fixed",
  // A trap's address differs after a move, its meaning does not.
  trap: "independent",
  system: "independent",
};

/**
 * How the instruction depends on its place. An indirect call or jump through [rip + disp] is
 * reported as such; `rip` says that its operand has to be adjusted too.
 */
export const relocationClass = (decoded: Decoded): RelocationClass => {
  const truncated = decoded.rip && (decoded.parts.prefixes & prefixBit.addressSize) !== 0;
  if (decoded.privileged || truncated) return "fixed";
  const byFlow = classByFlow[decoded.flow];
  return byFlow === "independent" && decoded.rip !== undefined ? "ripRelative" : byFlow;
};

/**
 * The literal of CALL_OPS: the 8 aligned bytes before a function say, while its site calls the
 * common trampoline, which site it is and which ops it wants.
 *
 *     bits 0-31   number of the ops, below `opsMax`; 0: nothing happens
 *     bits 40-63  id of the site, where an event has it (`ring/layout.ts`)
 *
 * The compiler's no-ops, which stand there before and after, read as the number of no ops, so that
 * a thread that has called the trampoline may find them at any time. On x86-64 they are beyond
 * `opsMax`. On AArch64 and RISC-V a trampoline looks at the low ten bits alone, and the few numbers
 * that no-ops have there are given to nobody.
 */
import type { Machine } from "../elf/elf-file.ts";
import { branchSize } from "./x86-64-layouts.ts";

export const literalBytes = 8;
/** From bit 32 up to the site's id, within the upper half. */
export const literalSiteShift = 8;
/** Ops at the same time, and how many bits name them. */
export const opsMax = 1024;
export const opsBits = 10;
/** Ops that do nothing. */
export const nopOps = 0;

/** What an ISA's sites are like, where literals are concerned. */
type LiteralRules = {
  /** Bytes of the instructions that call: where a window is longer, they would return into it. */
  readonly callBytes: number;
  /** What is said of a site without room: one string, since many sites are told apart by it. */
  readonly noRoom: string;
  /** Numbers that the compiler's no-ops have for a trampoline, as it masks them. */
  readonly noOps: readonly number[];
};

const noRoom = (option: string): string =>
  `it has no room for a pointer (compile with -fpatchable-function-entry=${option})`;

const literalRules: Readonly<Record<Machine, LiteralRules>> = {
  "x86-64": { callBytes: branchSize, noRoom: noRoom("13,8"), noOps: [] },
  // nop is d503201f.
  aarch64: { callBytes: 8, noRoom: noRoom("4,2"), noOps: [0x1f] },
  // c.nop twice is 00010001, nop is 00000013.
  riscv64: { callBytes: 8, noRoom: noRoom("8,4 (4,2 without C)"), noOps: [0x01, 0x13] },
};

/** Whether a number may name ops on that ISA. */
export const isOpsNumber = (machine: Machine, number: number): boolean =>
  number !== nopOps && number < opsMax && !literalRules[machine].noOps.includes(number);

/** The literal's two halves, the lower first. */
export const encodeLiteral = (site: number, ops: number): readonly [low: number, high: number] => [
  ops,
  (site << literalSiteShift) >>> 0,
];

/** Whether 8 bytes (borrowed), as the compiler left them, name no ops. */
export function namesNoOps(machine: Machine, bytes: Uint8Array): boolean {
  const low = new DataView(bytes.buffer, bytes.byteOffset, literalBytes).getUint32(0, true);
  if (machine === "x86-64") return low >= opsMax;
  return !isOpsNumber(machine, low % opsMax);
}

/** What decides whether a site can call with a literal beside it. */
export type LiteralFacts = {
  readonly machine: Machine;
  /** The window's first byte minus the literal's; 0: no room before it. */
  readonly room: number;
  readonly aligned: boolean;
  readonly windowSize: number;
  /** What stands in the literal's place in the file; absent without room. */
  readonly bytes: Uint8Array | undefined;
};

/** Why a site can't call with a literal beside it; undefined when it can. */
export function whyNoLiteral(facts: LiteralFacts): string | undefined {
  const { machine, room, aligned, windowSize, bytes } = facts;
  const rules = literalRules[machine];
  if (room === 0 || bytes === undefined) return rules.noRoom;
  if (!aligned) {
    return "the room before it is not aligned to 8 bytes (compile with -falign-functions=8)";
  }
  if (windowSize !== rules.callBytes) {
    return `a call would return into its window of ${windowSize} bytes`;
  }
  return namesNoOps(machine, bytes) ? undefined : "what stands before it reads like a pointer";
}

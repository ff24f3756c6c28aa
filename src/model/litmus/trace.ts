/**
 * What one thread did in one candidate execution: its accesses and fetches in program order, the
 * barriers between them, and which of them depend on which reads.
 */

import type { Barrier } from "../../isa/effects.ts";

/** A set of events of one trace, bit n for event n. */
export type Mask = bigint;

export type EventKind =
  | "read"
  | "write"
  /** Instruction fetch that other threads' stores (or its own) can be seen by. */
  | "fetch"
  /** Cleans a data cache line to the point of unification (DC CVAU). */
  | "clean"
  /** Invalidates instruction cache lines (IC IVAU; without address: all of them). */
  | "invalidate";

/** One access to memory, fetch, or cache operation. */
export type TraceEvent = {
  readonly kind: EventKind;
  /** Number of the instruction in program order. */
  readonly step: number;
  readonly address: bigint;
  /** Bytes; 0 for an operation on everything. */
  readonly bytes: number;
  readonly value: bigint;
  readonly acquire: boolean;
  /** Acquire in the RCpc sense. */
  readonly acquirePc: boolean;
  readonly release: boolean;
  /** Part of a read-modify-write whose old value goes nowhere (Arm ARM: NoRet). */
  readonly noReturn: boolean;
  /** Of one indivisible instruction (AMO, LOCK). */
  readonly atomic: boolean;
  /** Of a pair of instructions with a reservation (LDXR/STXR, LR/SC). */
  readonly exclusive: boolean;
  /** For the write of a read-modify-write: the event that read. */
  readonly rmw: number | undefined;
  /** Reads that the address depends on; `...Pick` adds those that only pick the operand. */
  readonly addressOn: Mask;
  readonly addressPick: Mask;
  /** Reads that the stored value depends on. */
  readonly dataOn: Mask;
  readonly dataPick: Mask;
  /** Reads that a branch (or an indirect jump) before this instruction depends on. */
  readonly control: Mask;
};

/** Barriers, and what synchronises context: ISB, exception entry and return. */
export type Fence = {
  readonly step: number;
  readonly barrier: Barrier | { readonly name: "exception" };
  readonly control: Mask;
};

export type FaultType =
  | "UndefinedInstruction"
  | "SupervisorCall"
  | "Breakpoint"
  | "MMU:Translation";

export type Fault = {
  readonly pc: bigint;
  readonly type: FaultType;
  /** Address of the access, where the fault is about one. */
  readonly address: bigint | undefined;
};

/** One executed instruction, for people. */
export type Step = { readonly pc: bigint; readonly text: string };

export type Trace = {
  readonly thread: number;
  readonly steps: readonly Step[];
  readonly events: readonly TraceEvent[];
  readonly fences: readonly Fence[];
  /** Registers at the end. */
  readonly registers: ReadonlyMap<string, bigint>;
  readonly faults: readonly Fault[];
};

/** The numbers of a mask's events. */
export function eventsOf(mask: Mask): readonly number[] {
  const found: number[] = [];
  for (let rest = mask, at = 0; rest !== 0n; rest >>= 1n, at++) {
    if ((rest & 1n) === 1n) found.push(at);
  }
  return found;
}

export const maskOf = (event: number): Mask => 1n << BigInt(event);

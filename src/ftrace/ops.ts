/**
 * Ops: one user's wish. Which functions, what is to happen there, and what that needs of the code
 * at a site.
 */
import type { CodeAddr } from "../base/brand.ts";
import type { Condition } from "./condition.ts";
import { emptyHash, type FtraceHash, wants } from "./hash.ts";
import type { Wish } from "./record.ts";
import type { FunctionValues, ValueSpec } from "./value-spec.ts";

/** How much of its stack an entry brings along. */
export type StackWish = {
  /** Return addresses at the most. */
  readonly depth: number;
  /** The number of the trigger that counts how often; without it, always. */
  readonly word?: number;
};

/** Return addresses of a stack: at the most, and where nobody says. */
export const stackDepthMax = 64;
export const stackDepthDefault = 32;

/** Which calls are meant; all without any of it. */
export type CallTests = {
  /** Calls of which this holds. */
  readonly when?: Condition;
  /** One call in so many, on average. */
  readonly sample?: number;
  /** Calls of the threads alone that the user's filter of threads lets pass. */
  readonly threads?: true;
};

/** Of which calls there are events, and what they bring along. */
export type RecordDetails = CallTests & {
  /** Values that the events bring along. */
  readonly values?: FunctionValues;
  /** The return addresses of the calls around it. */
  readonly stack?: StackWish;
  /** Of static probes, the values that they name. */
  readonly operands?: true;
  /** Not while a trigger has switched the recording off. */
  readonly switched?: boolean;
};

/** Where a user has rows for values: offset of their keys in his arena, and the first row. */
export type ValueTable = { readonly keys: number; readonly firstRow: number };

/** A value by which the calls of a function are counted apart: integers, addresses. */
export type CountedValue = ValueSpec & { readonly table: ValueTable };

/** What happens at a function that an ops wants. */
export type Handler =
  /** An event in the ring, at the entry or at entry and exit. */
  | ({ readonly kind: "record"; readonly exits: boolean } & RecordDetails)
  /** The user's recording is switched. */
  | {
      readonly kind: "trigger";
      readonly does: "traceon" | "traceoff" | "snapshot";
      /** Its number among the triggers of the recording, where it counts how often it acts. */
      readonly word: number;
      /** The site's id that marks the place in the trace. */
      readonly mark: number;
    }
  /** A count per function. */
  | { readonly kind: "count" }
  /** Calls per function; with exits, which is so unless said otherwise, what they take. */
  | ({
      readonly kind: "statistics";
      readonly exits?: boolean;
      /** With a row for each value, instead of the function's. */
      readonly by?: CountedValue;
    } & CallTests)
  /** A native function is called instead of the trampoline: a direct call. */
  | {
      readonly kind: "direct";
      readonly target: CodeAddr;
      /** It is code of Patchbay's own: see `codegen/work.ts`. */
      readonly isGate?: true;
    }
  /** The function is replaced: control goes to `target` and not to its body. */
  | { readonly kind: "replace"; readonly target: CodeAddr };

export type Ops = {
  readonly name: string;
  readonly handler: Handler;
  readonly filter: FtraceHash;
  readonly notrace: FtraceHash;
  /** The rings and counters that it writes: every user of a process has some of his own. */
  readonly instance: number;
};

export const makeOps = (
  name: string,
  handler: Handler,
  hashes: { readonly filter?: FtraceHash; readonly notrace?: FtraceHash } = {},
  instance = 0,
): Ops => ({
  name,
  handler,
  filter: hashes.filter ?? emptyHash,
  notrace: hashes.notrace ?? emptyHash,
  instance,
});

/** What an ops asks of the sites that it wants. */
export function wishOf({ handler }: Ops): Wish {
  const replace = handler.kind === "replace";
  const direct = handler.kind === "direct";
  return {
    regs: replace,
    direct,
    ipModify: replace,
    trampoline: true,
    callOps: !direct,
  };
}

/** Ops that change where a call goes have to say which functions they mean. */
export const needsFilter = ({ handler }: Ops): boolean =>
  handler.kind === "direct" || handler.kind === "replace";

export const opsWants = (ops: Ops, site: number): boolean => wants(ops.filter, ops.notrace, site);

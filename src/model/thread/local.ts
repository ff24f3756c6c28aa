/** One thread's own state: where it is, and what its registers and stack hold. */
import type { ViolationKind } from "../../patch/verdicts.ts";
import type { Registers } from "./registers.ts";

export type SiteLocal = {
  readonly at: "site";
  readonly site: number;
  readonly pc: bigint;
  readonly cpu: Registers;
  /** A trampoline was run since the call. */
  readonly called: boolean;
  /** What was executed at which offset, for properties of sequences; empty unless asked for. */
  readonly trail: string;
};

/** In front of step `index` of a trampoline. */
export type CodeLocal = {
  readonly at: "code";
  readonly site: number;
  readonly code: string;
  readonly index: number;
  readonly cpu: Registers;
  readonly slots: Readonly<Record<string, bigint>>;
  readonly link: bigint;
  /** Name of the ops whose callback is running. */
  readonly inside: string;
};

/** In the handler of a trap taken at `pc`. */
export type HandlerLocal = {
  readonly at: "handler";
  readonly site: number;
  readonly pc: bigint;
  readonly cpu: Registers;
};

export type Local =
  /** Not in the function: in its caller, or anywhere else. */
  { readonly at: "outside" } | SiteLocal | CodeLocal | HandlerLocal;

export const outside: Local = { at: "outside" };

/** What a local state has to know before it can move. */
export type Reading =
  | { readonly of: "nothing" }
  | { readonly of: "bank"; readonly bank: number }
  | { readonly of: "trap" };

/** One thing that a thread can do next. */
export type Draft = {
  /** Where it leads: a state, or the violation that it would be. */
  readonly to: Local | { readonly violation: ViolationKind };
  /** State of the bank that was read, afterwards. */
  readonly bank: number;
  /** Things used, as bits: none of them may be freed. */
  readonly uses: number;
  readonly marks: number;
  /** The hart synchronises on the way (a trap is entered or left). */
  readonly syncs: boolean;
  /** The same to people. */
  readonly text: string;
  /** Completed trail, if the thread came to the end of the site. */
  readonly trail: string;
};

/** A draft with all that is usual; `more` says what is not. */
export const draft = (to: Draft["to"], text: string, more: Partial<Draft> = {}): Draft => ({
  to,
  bank: 0,
  uses: 0,
  marks: 0,
  syncs: false,
  text,
  trail: "",
  ...more,
});

export const bad = (violation: ViolationKind, text: string, more: Partial<Draft> = {}): Draft =>
  draft({ violation }, text, more);

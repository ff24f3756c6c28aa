/**
 * A litmus test as it stands in its file, before anything has an address: what `parse.ts` makes of
 * herd's format (herdtools7, "herd" manual, section "Syntax of litmus tests").
 */

import { PatchbayError } from "../../base/error.ts";

/** Architectures by the word that a test's first line begins with. */
export type LitmusArch = "AArch64" | "RISCV" | "X86_64";

/** A value of the initial state or of the condition. */
export type ValueText =
  | { readonly kind: "number"; readonly value: bigint }
  /** The address of a variable, plus `index` elements. */
  | { readonly kind: "symbol"; readonly name: string; readonly index: number }
  /** The address of a label of a thread's code: `P1:L0`. */
  | { readonly kind: "label"; readonly thread: number; readonly label: string }
  /** An instruction as data: `NOP`, `instr:"B .+4"`. */
  | { readonly kind: "instruction"; readonly text: string };

/** What an initial value is given to, and what conditions speak of. */
export type Place =
  | { readonly kind: "register"; readonly thread: number; readonly register: string }
  | { readonly kind: "memory"; readonly name: string; readonly index: number };

/** One entry of the initial state; without values it declares its place, which is then zero. */
export type InitEntry = {
  readonly line: number;
  readonly place: Place;
  /** C type as written, `*` included; `undefined` where there is none. */
  readonly type: string | undefined;
  /** One value, or as many as an array has elements. */
  readonly values: readonly ValueText[];
  /** Elements of an array. */
  readonly length?: number;
};

/** `pte_x=(oa:phy_y)`: two names of one place. */
export type AliasEntry = { readonly line: number; readonly name: string; readonly target: string };

/** One cell of the program's table. */
export type CodeLine = {
  readonly line: number;
  readonly labels: readonly string[];
  /** Instruction, one space between words; `undefined` where the cell has labels only. */
  readonly text: string | undefined;
};

/** A column: a thread's code, or the handler of its exceptions (`P1.F`). */
export type Column = {
  readonly thread: number;
  readonly role: "main" | "handler";
  readonly code: readonly CodeLine[];
};

/** `fault(P1:L0, x, UndefinedInstruction)`; parts that are not said match anything. */
export type FaultText = {
  readonly thread: number;
  readonly label: string | undefined;
  readonly place: string | undefined;
  readonly type: string | undefined;
};

export type Proposition =
  | { readonly op: "true" | "false" }
  | { readonly op: "and" | "or" | "implies"; readonly a: Proposition; readonly b: Proposition }
  | { readonly op: "not"; readonly a: Proposition }
  | {
      readonly op: "equals";
      readonly place: Place;
      readonly value: ValueText;
      readonly line: number;
    }
  | { readonly op: "same"; readonly a: Place; readonly b: Place; readonly line: number }
  | { readonly op: "fault"; readonly fault: FaultText; readonly line: number };

/** `exists`, `~exists` or `forall`. */
export type Quantifier = "exists" | "not exists" | "forall";

export type LitmusTest = {
  readonly arch: LitmusArch;
  readonly name: string;
  /** What messages call it: the file's name, else its own. */
  readonly source: string;
  /** `Key=Value` lines between the first line and the initial state; keys in lower case. */
  readonly info: ReadonlyMap<string, { readonly value: string; readonly line: number }>;
  readonly init: readonly InitEntry[];
  readonly aliases: readonly AliasEntry[];
  readonly columns: readonly Column[];
  /** Places to print besides those of the condition. */
  readonly locations: readonly Place[];
  /** Final states that count. */
  readonly filter: Proposition | undefined;
  readonly quantifier: Quantifier;
  /** Line that the condition's section begins in. */
  readonly conditionLine: number;
  readonly condition: Proposition;
};

/**
 * The error for a test that can't be run: bad syntax, or something that is not modelled. Refusing
 * is the answer to everything that is not understood; nothing is guessed.
 * @param name how the test is called (a file name, or the name in its first line).
 */
export function refusal(name: string, line: number, why: string): PatchbayError {
  return new PatchbayError({
    code: "unsupported",
    doing: `run litmus test ${name}`,
    why: `line ${line}: ${why.replaceAll(/\s+/g, " ")}`,
  });
}

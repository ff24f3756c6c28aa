/**
 * Designs: a site together with everything that its states lead to. A layout says what bytes stand
 * in a window; a design adds the literal's values, the shared words, the trampolines and the ops,
 * so that a protocol on it can be executed from the call to the function's body.
 */
import type { CodeAddr } from "../base/brand.ts";
import type { IsaName } from "../isa/isa.ts";
import type { Trampoline } from "./trampolines.ts";

/** Addresses of code by name: the trampolines and targets of a design. */
export type Targets = ReadonlyMap<string, CodeAddr>;

/**
 * An instruction at `offset` of the window that does nothing there. With `size` it is any
 * instruction of so many bytes that begins with `bytes`, whatever the others are.
 */
export type Harmless = {
  readonly offset: number;
  readonly bytes: readonly number[];
  readonly size?: number;
};

/** One state that a site can be in: what the window holds, and what the data words beside it do. */
export type DesignState = {
  /** The window's bytes for a site at `at`; a fresh array. */
  window(at: CodeAddr, targets: Targets): Uint8Array;
  /** Name of the ops that the literal points at. */
  readonly literal?: string;
  /** What shared words have to hold: ops, the function of ops (`func:NAME`), or code. */
  readonly words?: Readonly<Record<string, string>>;
  /** Code and ops that only this state needs: what can be freed after it was left. */
  readonly owns?: readonly string[];
};

/** Ops: what a callback belongs to. */
export type Ops = {
  readonly name: string;
  /** The code that its direct call goes to. */
  readonly direct?: string;
  /** Its callback walks a list and does not look at the ops that it is given. */
  readonly takesAny?: boolean;
};

export type Design = {
  /** Name for people and for `--json`: `riscv64/call-ops`. */
  readonly id: string;
  readonly isa: IsaName;
  readonly summary: string;
  readonly windowSize: number;
  /** Alignment of the window's first byte that the compiler gives. */
  readonly align: number;
  /** The literal relative to the window's first byte. */
  readonly literal?: { readonly offset: number; readonly size: 4 | 8 };
  /** Words of data that all sites share, and what they hold at first. */
  readonly words?: Readonly<Record<string, string>>;
  /** States by name; `idle` is where a site begins. */
  readonly states: Readonly<Record<string, DesignState>> & { readonly idle: DesignState };
  /** Code beside the sites, by name; the checker gives each an address. */
  readonly code: Readonly<Record<string, Trampoline>>;
  /** Addresses that some code has to have, for branches that do not reach far. */
  readonly places?: Readonly<Record<string, bigint>>;
  readonly ops: readonly Ops[];
  /** Registers that the site may clobber on the way to the body. */
  readonly scratch: readonly string[];
  /** Instructions that no state has and that may be met on the way, since they do nothing. */
  readonly harmless?: readonly Harmless[];
  /** The function does nothing: its window may return to the caller by itself. */
  readonly returns?: boolean;
  /** What returns from traps and interrupts do to a pc inside of the window. */
  readonly trapReturn?: TrapReturn;
};

/**
 * A rule that every return from a trap applies: a thread that would go on at `offset` in the window
 * goes back to its start. `by`: always, or only when the word at `offset` (read as data) matches.
 */
export type TrapReturn = {
  readonly offset: number;
  readonly by: "address" | { readonly mask: number; readonly match: number };
  /** Whether returns from non-maskable interrupts apply it too. */
  readonly nmi: boolean;
};

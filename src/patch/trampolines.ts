/**
 * What happens between a site's call and the function's body, as far as it matters to the patching:
 * which loads trampolines make, in which order, and what they call. The checker runs these short
 * programs; between any two of their steps a thread can be interrupted.
 *
 * Sources: Linux arch/{arm64,riscv,x86}/kernel: entry-ftrace.S, mcount-dyn.S, ftrace_64.S.
 */

/** Where a value is found: a register, or a word at the stack pointer (index in words). */
export type Place = { readonly reg: string } | { readonly stack: number };

export type TrampolineStep =
  /**
   * Entry by a call. `link`: the address that the call left, somewhere in the site or at its end.
   * `parent`: the function's own return address, if the convention has it anywhere; on return it
   * goes to register `home` when that is named.
   */
  | {
      readonly op: "enter";
      readonly link: Place;
      readonly parent?: Place;
      readonly home?: string;
    }
  /** Entry by a jump: nothing is left behind; the way back is the window's end. */
  | { readonly op: "enterByJump"; readonly parent: Place }
  /** Loads a word at `(link & -align) + offset` into slot `into`. */
  | {
      readonly op: "literal";
      readonly into: string;
      readonly align: number;
      readonly offset: number;
    }
  /** Loads a field of the ops that slot `of` points at. */
  | {
      readonly op: "field";
      readonly into: string;
      readonly of: string;
      readonly field: "func" | "direct";
    }
  /** Loads a word that all sites share. */
  | { readonly op: "word"; readonly into: string; readonly name: string }
  /** Goes on at the address in the slot, with link and parent as they were, unless it is 0. */
  | { readonly op: "jumpDirect"; readonly to: string }
  /** Goes on at the code of that name. */
  | { readonly op: "jumpTo"; readonly code: string }
  /** Calls the function in slot `func` with the ops in slot `ops`. */
  | { readonly op: "call"; readonly func: string; readonly ops: string }
  /** Calls a callback that is built into the trampoline with its ops. */
  | { readonly op: "callOps"; readonly ops: string }
  /** Back to the site. */
  | { readonly op: "leave" };

export type Trampoline = readonly TrampolineStep[];

type EntryName =
  | "arm64"
  | "arm64SiteRestores"
  | "arm64Frame"
  | "riscvT0"
  | "riscvRa"
  | "x86"
  | "x86Jump"
  | "arm64Jump"
  | "riscvJump";

/** Entry conventions by name. */
export const entries: Readonly<Record<EntryName, TrampolineStep>> = {
  /** BL with the parent's return address kept by `mov x9, x30` (Linux since v5.5). */
  arm64: { op: "enter", link: { reg: "x30" }, parent: { reg: "x9" }, home: "x30" },
  /** The same where the site itself restores x30 (Li Bin 2016). */
  arm64SiteRestores: { op: "enter", link: { reg: "x30" }, parent: { reg: "x9" } },
  /** BL inside of a frame that the site pushes and pops (Akashi 2016). */
  arm64Frame: { op: "enter", link: { reg: "x30" }, parent: { stack: 1 } },
  /** `jalr t0, lo(t0)`: ra is untouched (Linux since v6.16). */
  riscvT0: { op: "enter", link: { reg: "t0" }, parent: { reg: "ra" } },
  /** `mv t0, ra ... jalr ra, lo(t1)` (the proposal of 2023). */
  riscvRa: { op: "enter", link: { reg: "ra" }, parent: { reg: "t0" }, home: "ra" },
  /** CALL: the site's address on the stack, the parent's above it. */
  x86: { op: "enter", link: { stack: 0 }, parent: { stack: 1 } },
  /** JMP: only the parent's return address is there. */
  x86Jump: { op: "enterByJump", parent: { stack: 0 } },
  arm64Jump: { op: "enterByJump", parent: { reg: "x30" } },
  riscvJump: { op: "enterByJump", parent: { reg: "ra" } },
};

/** The common trampoline of CALL_OPS that loads the literal once (arm64). */
export const callOpsOnce = (enter: TrampolineStep, align: number, offset: number): Trampoline => [
  enter,
  { op: "literal", into: "ops", align, offset },
  { op: "field", into: "direct", of: "ops", field: "direct" },
  { op: "jumpDirect", to: "direct" },
  { op: "field", into: "func", of: "ops", field: "func" },
  // The callback of a direct call leaves its target for the trampoline's end.
  { op: "field", into: "late", of: "ops", field: "direct" },
  { op: "call", func: "func", ops: "ops" },
  { op: "jumpDirect", to: "late" },
  { op: "leave" },
];

/** The same with a second load of the literal for the ops (RISC-V). */
export const callOpsTwice = (enter: TrampolineStep, align: number, offset: number): Trampoline => [
  enter,
  { op: "literal", into: "first", align, offset },
  { op: "field", into: "direct", of: "first", field: "direct" },
  { op: "jumpDirect", to: "direct" },
  { op: "literal", into: "ops", align, offset },
  { op: "field", into: "func", of: "ops", field: "func" },
  // The callback of a direct call leaves its target for the trampoline's end.
  { op: "field", into: "late", of: "ops", field: "direct" },
  { op: "call", func: "func", ops: "ops" },
  { op: "jumpDirect", to: "late" },
  { op: "leave" },
];

/** The second load dropped, the first kept for the direct check only: `func` with stale `ops`. */
export const callOpsSplit = (enter: TrampolineStep, align: number, offset: number): Trampoline => [
  enter,
  { op: "literal", into: "first", align, offset },
  { op: "field", into: "func", of: "first", field: "func" },
  { op: "literal", into: "ops", align, offset },
  { op: "call", func: "func", ops: "ops" },
  { op: "leave" },
];

/** The common trampoline of CALL_OPS without direct calls (Patchbay's on x86-64). */
export const callOpsPlain = (enter: TrampolineStep, align: number, offset: number): Trampoline => [
  enter,
  { op: "literal", into: "ops", align, offset },
  { op: "field", into: "func", of: "ops", field: "func" },
  { op: "call", func: "func", ops: "ops" },
  { op: "leave" },
];

/** A trampoline made for one ops (x86's dynamic trampolines), or a direct call's target. */
export const dynamicTrampoline = (enter: TrampolineStep, ops: string): Trampoline => [
  enter,
  { op: "callOps", ops },
  { op: "leave" },
];

/** A trampoline that finds function and ops in two global words, in this order of loads. */
export const globalPair = (
  enter: TrampolineStep,
  order: readonly ["ops", "func"] | readonly ["func", "ops"],
): Trampoline => [
  enter,
  ...order.map((name): TrampolineStep => ({ op: "word", into: name, name })),
  { op: "call", func: "func", ops: "ops" },
  { op: "leave" },
];

/** A native function that a site reaches directly, and that returns to the site. */
export const directFunction = (enter: TrampolineStep): Trampoline => [enter, { op: "leave" }];

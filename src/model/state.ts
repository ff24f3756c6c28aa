/** The words of a system's state, and what their bits mean. */

/** Words in their order; two per patcher follow (position, pending events), then one per bank. */
export const W = {
  /** Interrupts and firmware calls that harts have to answer, and marks of those waited for. */
  flags: 0,
  /** Things that were freed, by bit. */
  freed: 1,
  /** Number of the armed trap, 0 for none. */
  armed: 2,
  /** Syncs that hart 0 has answered, while they are counted. */
  answered: 3,
  /** Local state of the thread, and the hart that it runs on (or `OFF`). */
  thread: 4,
  threadHart: 5,
  /** Local state of the handler that is nested on hart 0; `outside` when there is none. */
  nested: 6,
  patchers: 7,
} as const;

/** Not on any hart. */
export const OFF = 0xff;

/** Hart 0 is where the thread begins; hart 1, with preemption, is the patcher's own. */
export const PATCHER_HART = 1;

/** Bits of `W.flags`, for hart 0 where they are per hart. */
export const F = {
  interrupt: 0x0001,
  firmware: 0x0010,
  markedHart: 0x0100,
  markedThread: 0x1000,
  markedNested: 0x2000,
  /** All bits of one kind. */
  interrupts: 0x00f,
  firmwares: 0x0f0,
  markedHarts: 0xf00,
} as const;

/** A word of a state; `at` is within the width. */
export const wordOf = (state: Int32Array, at: number): number => state[at] ?? 0;

export const setFlag = (state: Int32Array, bits: number): void => {
  state[W.flags] = wordOf(state, W.flags) | bits;
};

export const clearFlag = (state: Int32Array, bits: number): void => {
  state[W.flags] = wordOf(state, W.flags) & ~bits;
};

export const hasFlag = (state: Int32Array, bits: number): boolean =>
  (wordOf(state, W.flags) & bits) !== 0;

/** Kinds of actions; the code of an action is kind << 24 | who << 16 | what. */
export const A = {
  /** Patcher `who` carries out its next line. */
  patcher: 0,
  /** Pending event `what` of patcher `who` takes effect. */
  event: 1,
  /** The thread (`who` 0) or the nested handler (1) makes its move `what`. */
  move: 2,
  /** Hart `who` takes a sync's interrupt. */
  answer: 3,
  /** Firmware synchronises hart `who`. */
  firmware: 4,
  preempt: 5,
  /** The thread goes on on hart `what`. */
  resume: 6,
  /** A handler comes to hart 0 and calls the function of site `what`. */
  interrupt: 7,
} as const;

export type ActionKind = (typeof A)[keyof typeof A];

export const actionCode = (kind: ActionKind, who: number, what: number): number =>
  (kind << 24) | (who << 16) | what;

/** An action taken apart. */
export const readAction = (
  code: number,
): { readonly kind: number; readonly who: number; readonly what: number } => ({
  kind: code >>> 24,
  who: (code >>> 16) & 0xff,
  what: code & 0xffff,
});

/** Who moves: the thread, or the handler nested on top of it. */
export const THREAD = 0;
export const NESTED = 1;

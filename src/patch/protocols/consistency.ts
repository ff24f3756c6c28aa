/**
 * How a running program changes from one version of some functions to another: the steps that live
 * patching carries out (`target/live-patch.ts`), and those of other ways that mix versions. The
 * checker runs the same lists (`model/consistency.ts`).
 *
 * Each function's entry leads to a stub that picks the version: the one that `turn` has set, or the
 * other one for threads on a list. A thread must not call one version from inside of the other,
 * and once the change is done, calls that begin run the version that was asked for.
 */

export type Version = "old" | "new";

export type SwitchStep =
  /** Makes the entries lead to their stubs, while all threads are held. */
  | { readonly kind: "arm" }
  /** Holds every thread, also those that are born meanwhile. */
  | { readonly kind: "holdAll" }
  /** Lets held threads that are in a stub go on to where it leads them. */
  | { readonly kind: "leaveStubs" }
  /** Puts the threads on the list that have a function of `version` on their stack. */
  | { readonly kind: "listInside"; readonly version: Version }
  /** Threads that are not on the list run `to` from now on. */
  | { readonly kind: "turn"; readonly to: Version }
  | { readonly kind: "letGo" }
  /**
   * Until the list is empty: holds a thread of it, lets it leave its stub, and takes it off when no
   * function of `version` is on its stack.
   */
  | { readonly kind: "settle"; readonly version: Version };

export type SwitchProtocol = {
  readonly id: string;
  readonly title: string;
  readonly steps: readonly SwitchStep[];
};

/** What comes out of checking one. */
export type SwitchVerdict = "safe" | "mixed-versions" | "late-version";

const hold: readonly SwitchStep[] = [{ kind: "holdAll" }, { kind: "leaveStubs" }];
const other = { old: "new", new: "old" } as const;

/** Turns the switch; who is inside of the version that is left keeps to it. */
export const turning = (to: Version): readonly SwitchStep[] => [
  ...hold,
  { kind: "listInside", version: other[to] },
  { kind: "turn", to },
  { kind: "letGo" },
];
export const settling = (to: Version): readonly SwitchStep[] => [
  { kind: "settle", version: other[to] },
];

/** Turns it, whoever is where. */
export const turningAtOnce = (to: Version): readonly SwitchStep[] => [
  ...hold,
  { kind: "turn", to },
  { kind: "letGo" },
];

const arm: SwitchStep = { kind: "arm" };

export const consistent: SwitchProtocol = {
  id: "consistent",
  title: "who is inside of the old version keeps to it until he is out of it",
  steps: [arm, ...turning("new"), ...settling("new")],
};
export const reverted: SwitchProtocol = {
  id: "reverted",
  title: "the same, and back again",
  steps: [...consistent.steps, ...turning("old"), ...settling("old")],
};
export const cancelled: SwitchProtocol = {
  id: "cancelled",
  title: "turned back while threads keep to the old version",
  steps: [arm, ...turning("new"), ...turning("old"), ...settling("old")],
};
export const immediate: SwitchProtocol = {
  id: "immediate",
  title: "nobody is waited for",
  steps: [arm, ...turningAtOnce("new")],
};
export const inStubs: SwitchProtocol = {
  id: "in-stubs",
  title: "as consistent, but threads that are in a stub stay there",
  steps: consistent.steps.filter(({ kind }) => kind !== "leaveStubs"),
};
export const unheld: SwitchProtocol = {
  id: "unheld",
  title: "as consistent, but the list is made and the switch turned while threads run",
  steps: [
    arm,
    { kind: "listInside", version: "old" },
    { kind: "turn", to: "new" },
    { kind: "settle", version: "old" },
  ],
};

export const unsettled: SwitchProtocol = {
  id: "unsettled",
  title: "as consistent, but said to be done while threads keep to the old version",
  steps: consistent.steps.filter(({ kind }) => kind !== "settle"),
};

/** A question to the checker, and the answer that is expected. */
export type SwitchCheck = {
  readonly protocol: SwitchProtocol;
  readonly expected: SwitchVerdict;
  /** States of what is safe; else steps of the shortest way to the violation. */
  readonly size: number;
};
export const switchChecks: readonly SwitchCheck[] = [
  { protocol: consistent, expected: "safe", size: 30_216 },
  { protocol: reverted, expected: "safe", size: 58_944 },
  { protocol: cancelled, expected: "safe", size: 61_674 },
  { protocol: immediate, expected: "mixed-versions", size: 10 },
  { protocol: inStubs, expected: "mixed-versions", size: 13 },
  { protocol: unheld, expected: "mixed-versions", size: 5 },
  { protocol: unsettled, expected: "late-version", size: 14 },
];

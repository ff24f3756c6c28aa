/**
 * The properties as numbers, for the explorer's results: kinds of violations, and marks that say
 * that an interesting thing happened (so that "always" is not true of nothing).
 */
import { ensure } from "../base/assert.ts";
import type { ViolationKind } from "../patch/verdicts.ts";
import { STUCK } from "./explorer.ts";

const kinds: readonly ViolationKind[] = [
  "unwritten-instruction",
  "unpredictable",
  "wild-jump",
  "lost-context",
  "use-after-free",
  "wrong-pairing",
  "torn-data",
  "unhandled-trap",
];

/** Number of a violation kind: 1 and up; `stuck` is the explorer's own. */
export const codeOf = (kind: ViolationKind): number =>
  kind === "stuck" ? STUCK : kinds.indexOf(kind) + 1;

export const violationOf = (code: number): ViolationKind =>
  code === STUCK ? "stuck" : ensure(kinds[code - 1], `violation ${code}`);

/** Things that have to happen sometimes, each a bit of `Exploration.marks`. */
export const markNames = [
  /** The function's body was reached without any call from the site. */
  "passed",
  /** A trampoline, a callback or a direct function ran, and the body was reached afterwards. */
  "called",
  /** A fetch saw an older version than memory had. */
  "stale-fetch",
  /** A fetch could choose between versions. */
  "raced",
  /** A load saw an older value than memory had. */
  "stale-load",
  /** A trap of the protocol was handled. */
  "trapped",
  /** The thread was preempted inside of the window. */
  "preempted-inside",
  /** The thread went on on another hart. */
  "migrated",
  /** A nested handler called the site. */
  "nested",
  /** A hart took a sync's interrupt while its thread was inside of the window. */
  "synced-inside",
  /** A grace period or a drain had to wait for somebody. */
  "waited",
  /** All harts were stopped with a thread inside of the window. */
  "stopped-inside",
  /** A trap return moved a thread back to the window's start. */
  "replayed",
  /** Something was freed. */
  "freed",
  /** The function was called after something had been freed. */
  "called-after-free",
  /** The patcher came to its end. */
  "finished",
  /** A change was over, and a hart still executed what had been there before. */
  "late",
] as const;

export type MarkName = (typeof markNames)[number];

export const markBit = (name: MarkName): number => 1 << markNames.indexOf(name);

export const marksOf = (bits: number): readonly MarkName[] =>
  markNames.filter((_, index) => (bits & (1 << index)) !== 0);

/** Counting tests: what a tier of Vitest reported, and the last line of `npm test`. */

export type Tally = { readonly passed: number; readonly failed: number; readonly skipped: number };

export const onePassed: Tally = { passed: 1, failed: 0, skipped: 0 };
export const oneFailed: Tally = { passed: 0, failed: 1, skipped: 0 };

export const sumTallies = (tallies: readonly Tally[]): Tally => ({
  passed: tallies.reduce((sum, { passed }) => sum + passed, 0),
  failed: tallies.reduce((sum, { failed }) => sum + failed, 0),
  skipped: tallies.reduce((sum, { skipped }) => sum + skipped, 0),
});

/** `12 passed, 0 failed`, and the skipped where there are. */
export function formatTally({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}

/**
 * The tally of one run of Vitest.
 * @param report what its `json` reporter wrote; undefined where it wrote nothing.
 * @param ok whether it ended with status 0: a file that doesn't load or an error outside of any
 *   test fails the run without a failed test. So does a run in which no test ran at all.
 */
export function tallyOf(report: unknown, ok: boolean): Tally {
  const tally = {
    passed: field(report, "numPassedTests"),
    failed: field(report, "numFailedTests"),
    skipped: field(report, "numPendingTests") + field(report, "numTodoTests"),
  };
  const isSound = ok && tally.passed > 0;
  return isSound || tally.failed > 0 ? tally : { ...tally, failed: 1 };
}

function field(report: unknown, name: string): number {
  if (typeof report !== "object" || report === null) return 0;
  const value: unknown = Object.entries(report).find(([key]) => key === name)?.[1];
  return typeof value === "number" ? value : 0;
}

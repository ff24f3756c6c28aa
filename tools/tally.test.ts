import { describe, expect, it } from "vitest";
import { formatTally, oneFailed, onePassed, sumTallies, tallyOf } from "./tally.ts";

const report = { numPassedTests: 5, numFailedTests: 0, numPendingTests: 2, numTodoTests: 1 };

describe("tallyOf", () => {
  it("takes over what was reported", () => {
    expect(tallyOf(report, true)).toEqual({ passed: 5, failed: 0, skipped: 3 });
    expect(tallyOf({ ...report, numFailedTests: 4 }, false)).toMatchObject({ failed: 4 });
  });

  it("counts a failure where the run failed without a failed test", () => {
    expect(tallyOf(report, false)).toEqual({ passed: 5, failed: 1, skipped: 3 });
  });

  it("counts a failure where no test ran", () => {
    expect(tallyOf({ ...report, numPassedTests: 0 }, true)).toMatchObject({ failed: 1 });
    expect(tallyOf(undefined, true)).toEqual(oneFailed);
    expect(tallyOf(null, false)).toEqual(oneFailed);
    expect(tallyOf("a text", true)).toEqual(oneFailed);
  });
});

describe("formatTally", () => {
  it("names the skipped only where there are some", () => {
    expect(formatTally(sumTallies([onePassed, onePassed, oneFailed]))).toBe("2 passed, 1 failed");
    expect(formatTally({ ...onePassed, skipped: 2 })).toBe("1 passed, 0 failed, 2 skipped");
  });
});

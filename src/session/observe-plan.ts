/** What an observation needs to know before anything in the process is touched. */
import { PatchbayError } from "../base/error.ts";
import { conjuncts, needsExit } from "../ftrace/condition.ts";
import type { CountingHandler } from "./observation.ts";
import { type ObserveOptions, statisticsWords } from "./options.ts";
import { planTests } from "./record-details.ts";

export type ObservePlan = {
  /** What happens at all of its functions. */
  readonly handler: CountingHandler;
  /** Words of frames beside their return address. */
  readonly frameWords: number;
  /** Whether nothing is counted of calls whose end does not come by. */
  readonly needsEnds: boolean;
};

/** The plan of what `options` ask for; fails in one line where they make no sense. */
export function planObservation({ times = true, ...choice }: ObserveOptions): ObservePlan {
  const tests = planTests(choice);
  const needsEnds = tests.when !== undefined && conjuncts(tests.when).some(needsExit);
  if (needsEnds && !times) {
    throw new PatchbayError({
      code: "bad-usage",
      doing: "count calls by their result or duration",
      why: "without times nothing waits for their ends",
      hint: "leave --no-times out",
    });
  }
  const isChoosing = Object.keys(tests).length > 0;
  if (!times && !isChoosing) return { handler: { kind: "count" }, frameWords: 0, needsEnds };
  const frameWords = times ? statisticsWords : 0;
  return { handler: { kind: "statistics", exits: times, ...tests }, frameWords, needsEnds };
}

/** What an observation needs to know before anything in the process is touched. */
import { PatchbayError } from "../base/error.ts";
import { conjuncts, needsExit } from "../ftrace/condition.ts";
import { isResult, placeName, type ValueSpec } from "../ftrace/value-spec.ts";
import type { CataloguedFunction } from "./catalogue.ts";
import type { CountingHandler } from "./observation.ts";
import { type ObserveOptions, statisticsWords } from "./options.ts";
import { parseValues, planTests } from "./record-details.ts";
import type { FunctionValue } from "./value-tables.ts";

export type ObservePlan = {
  /** What happens at all of its functions. */
  readonly handler: CountingHandler;
  /** Words of frames beside their return address. */
  readonly frameWords: number;
  /** Whether nothing is counted of calls whose end does not come by. */
  readonly needsEnds: boolean;
  /** Values by which calls of some functions are counted. */
  readonly values: readonly FunctionValue[];
};

/** Functions counted by values: each has 8 KiB, and address space for 2.5 MiB of rows a thread. */
const countedMax = 16;

/**
 * The plan of what `options` ask for; fails in one line where they make no sense.
 * @param select gives the functions that a pattern names; fails where there is none.
 */
export function planObservation(
  { times = true, by = [], ...choice }: ObserveOptions,
  select: (glob: string) => readonly CataloguedFunction[],
): ObservePlan {
  const tests = planTests(choice);
  const values = by.flatMap((text) => planValue(text, select));
  if (new Set(values.map(({ site }) => site)).size < values.length) {
    throw problem("a function's calls can be counted by one of its values alone");
  }
  if (values.length > countedMax) {
    throw problem(`these are ${values.length} functions, more than ${countedMax}`);
  }
  const conditions = tests.when === undefined ? [] : conjuncts(tests.when);
  const needsEnds = conditions.some(needsExit) || values.some(({ place }) => isResult(place));
  if (needsEnds && !times) {
    throw new PatchbayError({
      code: "bad-usage",
      doing: "count calls by their result or duration",
      why: "without times nothing waits for their ends",
      hint: "leave --no-times out",
    });
  }
  const isPlain = Object.keys(tests).length + values.length === 0;
  if (!times && isPlain) return { handler: { kind: "count" }, frameWords: 0, needsEnds, values };
  const words = values.length === 0 ? statisticsWords.all : statisticsWords.byValue;
  const handler = { kind: "statistics", exits: times, ...tests } as const;
  return { handler, frameWords: times ? words : 0, needsEnds, values };
}

const problem = (why: string): PatchbayError =>
  new PatchbayError({ code: "bad-usage", doing: "count calls by a value", why });

/** What the calls of functions are counted by: `open*@arg2/x`. */
function planValue(
  text: string,
  select: (glob: string) => readonly CataloguedFunction[],
): readonly FunctionValue[] {
  const { glob, values } = parseValues(text, "count calls by a value");
  const [value, ...more] = [...values.entry, ...values.exit];
  if (value === undefined || more.length > 0) throw problem(`${text} names more than one value`);
  refuseType(text, value);
  return select(glob).map(({ id, name, demangled, site }) => {
    if (site.inside !== undefined) throw problem(`${name} is a place inside of a function`);
    return { ...value, site: id, function: demangled ?? name, word: placeName(value.place) };
  });
}

/** Values are keys as they are: what is behind a pointer is not looked at. */
function refuseType(text: string, { type }: ValueSpec): void {
  if (type === "text") throw problem(`${text} is a text; its address is arg1/p`);
  if (type === "f32" || type === "f64") throw problem(`${text} is a floating point number`);
}

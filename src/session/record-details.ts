/** Which calls a recording wants and what of them: from what people write to what ops carry. */
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import {
  bothOf,
  type Condition,
  conjuncts,
  needsExit,
  parseCondition,
  usesArguments,
} from "../ftrace/condition.ts";
import { type CallTests, type Handler, type RecordDetails, stackDepthMax } from "../ftrace/ops.ts";
import {
  parseValueRequest,
  pointAt,
  type TextProblem,
  type ValueRequest,
} from "../ftrace/value-spec.ts";
import { filtersSyscalls } from "../os/proc.ts";
import type { SiteFilter } from "./catalogue.ts";
import type { RegisteredOps, Seat } from "./seat.ts";
import type { ThreadChoice } from "./thread-filter.ts";

/** Which calls are recorded, and what their events bring along. */
export type CallOptions = {
  /** Values to record: `open*@arg1/s,arg2/x,ret/d`; see `ftrace/value-spec.ts`. */
  readonly values?: readonly (string | ValueRequest)[];
  /** Record what debug information knows of: parameters and results, with their names. */
  readonly autoArgs?: boolean;
  /** Record the return addresses of so many calls around each, as far as they can be found. */
  readonly stack?: number;
  /** Calls to record: `arg2 > 4096 && ret < 0`; see `ftrace/condition.ts`. */
  readonly when?: string;
  /** Calls that take at least so long, in ns, and those within which such a call is made. */
  readonly minNs?: number;
  /** One call in so many, on average. */
  readonly sample?: number;
  /** Calls of these threads alone. */
  readonly threads?: ThreadChoice;
};

/** Which calls are meant, of those options. */
export type CallChoice = Pick<CallOptions, "when" | "minNs" | "sample" | "threads">;

export type CallPlan = {
  /** Of every op of the recording. */
  readonly details: RecordDetails;
  readonly values: readonly ValueRequest[];
  /** Words of frames beside their return address. */
  readonly frameWords: number;
};

/** Highest of `sample`. */
const sampleMax = 2 ** 30;

/** The tests that calls have to pass; fails in one line where they make no sense. */
export function planTests({ minNs, sample, threads, ...options }: CallChoice): CallTests {
  const min: Condition | undefined =
    minNs === undefined ? undefined : { kind: "duration", how: ">=", ns: minNs };
  const when = bothOf(parseWhen(options.when), min);
  checkNumber("choose one call in so many", "calls", sample, sampleMax);
  return {
    ...(when === undefined ? {} : { when }),
    ...(sample === undefined || sample === 1 ? {} : { sample }),
    ...(threads === undefined ? {} : { threads: true }),
  };
}

/**
 * What `options` ask for; fails in one line where they make no sense.
 * @param known values that are recorded besides.
 * @param hasStacks stacks of some functions are recorded besides.
 */
export function planCalls(
  options: CallOptions,
  known: readonly ValueRequest[] = [],
  hasStacks = false,
): CallPlan {
  const { stack } = options;
  const tests = planTests(options);
  checkNumber("record stacks", `calls, from 1 to ${stackDepthMax}`, stack, stackDepthMax);
  const details = { ...tests, ...(stack === undefined ? {} : { stack: { depth: stack } }) };
  const values = [...(options.values ?? []), ...known].map((one) =>
    typeof one === "string" ? parseValues(one) : one,
  );
  const entries = Math.max(0, ...values.map((one) => one.values.entry.length));
  return {
    details,
    values,
    frameWords: wordsFor(tests, entries, stack !== undefined || hasStacks),
  };
}

/** Words of frames beside their return address that what is recorded so needs. */
export const frameWordsOf = ({ values, stack, ...tests }: RecordDetails): number =>
  wordsFor(tests, values?.entry.length ?? 0, stack !== undefined);

function wordsFor(
  { when, sample, threads }: RecordDetails,
  entryValues: number,
  hasStack: boolean,
): number {
  // Of calls that are held back: `codegen/x86-64/held.ts`.
  if (when !== undefined && needsExit(when)) return 4 + entryValues + (hasStack ? 1 : 0);
  return (when ?? sample ?? threads) === undefined ? 0 : 1;
}

function checkNumber(doing: string, what: string, value: number | undefined, max: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= max)) return;
  const why = `${value} is no number of ${what}`;
  throw new PatchbayError({ code: "bad-usage", doing, why });
}

/** Registers the recording's ops: one for all functions, and one for each request for values. */
export async function registerCalls(
  seat: Seat,
  name: string,
  handler: Extract<Handler, { kind: "record" }>,
  filter: Partial<SiteFilter>,
  values: readonly ValueRequest[],
): Promise<RegisteredOps> {
  // These first, so that none of their calls is recorded without its values.
  for (const { glob, names, values: wanted } of values) {
    const { exclude = [] } = filter;
    const one = { ...handler, values: wanted };
    await seat.register(`values of ${glob}`, one, { include: names ?? [glob], exclude });
  }
  return seat.register(name, handler, filter);
}

function parseWhen(text: string | undefined): Condition | undefined {
  if (text === undefined) return undefined;
  const parsed = parseCondition(text);
  if (!parsed.ok) throw problemOf("choose calls by a condition", text, parsed.error);
  for (const condition of conjuncts(parsed.value)) {
    if (!needsExit(condition) || !usesArguments(condition)) continue;
    throw new PatchbayError({
      code: "bad-usage",
      doing: "choose calls by a condition",
      why: "arguments go together with the result or the duration by && alone",
      hint: "they are looked at when the call begins, the others when it ends",
    });
  }
  return parsed.value;
}

/** A request for values, as people write it. @param doing what they are for. */
export function parseValues(text: string, doing = "record values"): ValueRequest {
  const parsed = parseValueRequest(text);
  if (!parsed.ok) throw problemOf(doing, text, parsed.error);
  return parsed.value;
}

const problemOf = (doing: string, text: string, problem: TextProblem): PatchbayError =>
  new PatchbayError({ code: "bad-usage", doing, why: pointAt(text, problem) });

export const hasTexts = (values: readonly ValueRequest[]): boolean =>
  values.some(({ values: { entry, exit } }) =>
    [...entry, ...exit].some(({ type }) => type === "text"),
  );

/**
 * Texts are read by a system call (process_vm_readv), so that a bad pointer does no harm, and so
 * are pages of stacks. A filter of system calls could end the process for it.
 */
export function refuseReading(pid: Pid, what: "texts" | "stacks"): void {
  if (!filtersSyscalls(pid)) return;
  throw new PatchbayError({
    code: "unsupported",
    doing: `record ${what} in process ${pid}`,
    why: `it filters its system calls (seccomp), and reading ${what} safely takes one`,
    ...(what === "texts" ? { hint: "record them as pointers: arg1/p" } : {}),
  });
}

export const noFrameWords = (pid: Pid, hint: string): PatchbayError =>
  new PatchbayError({
    code: "unsupported",
    doing: `choose among the calls of process ${pid}`,
    why: "its address space has no room for what that needs",
    hint,
  });

/** What a recording needs to know before anything in the process is touched. */
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { needsExit } from "../ftrace/condition.ts";
import type { Handler, RecordDetails } from "../ftrace/ops.ts";
import { filtersSyscalls } from "../os/proc.ts";
import { type AutoValues, autoValuesFor } from "./auto-values.ts";
import type { CataloguedFunction, SiteFilter } from "./catalogue.ts";
import type { RecordOptions } from "./options.ts";
import {
  type CallPlan,
  frameWordsOf,
  hasTexts,
  planCalls,
  refuseReading,
} from "./record-details.ts";
import { canSwitch, parseTriggers, type Trigger, wantStacks } from "./triggers.ts";

export type RecordPlan = Pick<CallPlan, "values" | "frameWords"> & {
  readonly triggers: readonly Trigger[];
  /** What happens at all of its functions. */
  readonly handler: Extract<Handler, { readonly kind: "record" }>;
  /** Events can bring values, and stacks. */
  readonly hasLong: boolean;
  readonly hasStacks: boolean;
  /** What the trace says of functions' values, by site. */
  readonly valueFacts: AutoValues["facts"] | undefined;
};

/**
 * Fails where a recording has begun without what a handler needs that comes to it later: its
 * reader does not expect long events then, or frames have no words.
 */
export function refuseLater(plan: RecordPlan, handler: Handler): void {
  if (handler.kind !== "record") return;
  const { values, stack, threads } = handler;
  const isLong = values !== undefined && values.entry.length + values.exit.length > 0;
  const needs = [
    ["values", isLong && !plan.hasLong],
    ["stacks", stack !== undefined && !plan.hasStacks],
    ["a choice of threads", threads !== undefined && plan.handler.threads === undefined],
    ["a choice of calls", frameWordsOf(handler) > plan.frameWords],
  ] as const;
  const missing = needs.find(([, isMissing]) => isMissing);
  if (missing === undefined) return;
  throw new PatchbayError({
    code: "bad-usage",
    doing: "add to a recording",
    why: `it has begun without ${missing[0]}`,
    hint: "begin it with them, or another one beside it",
  });
}

/** Fails where calls are recorded when they end: what signal they are for is told as they begin. */
function refuseSignals({ when }: RecordDetails): void {
  if (when === undefined || !needsExit(when)) return;
  throw new PatchbayError({
    code: "bad-usage",
    doing: "tell the calls of signal handlers",
    why: "which calls are recorded is decided when they end",
    hint: "choose them by arguments, or when reading the trace",
  });
}

/**
 * The plan of what `options` ask for; fails in one line where they make no sense.
 * @param select gives the functions that a filter names; fails where there is none.
 */
export function planRecording(
  pid: Pid,
  options: RecordOptions,
  select: (filter: Partial<SiteFilter> | undefined) => readonly CataloguedFunction[],
): RecordPlan {
  const { exits = true, startsOff = false, flightRecorder = false } = options;
  const doing = `trace functions of process ${pid}`;
  const triggers = parseTriggers(doing, options.triggers ?? [], flightRecorder);
  for (const { glob } of triggers) select({ include: [glob] });
  const auto = autoValuesFor(options, pid, () => select(options.filter));
  const hasTriggered = wantStacks(triggers);
  const { details, values, frameWords } = planCalls(options, auto?.requests, hasTriggered);
  const hasStacks = details.stack !== undefined || hasTriggered;
  if (hasTexts(values)) refuseReading(pid, "texts");
  if (hasStacks) refuseReading(pid, "stacks");
  const { signals = false } = options;
  if (signals) refuseSignals(details);
  // Where reading memory is no risk.
  const operands = options.probes === true && !filtersSyscalls(pid);
  const switches = startsOff || canSwitch(triggers) ? { switched: true } : {};
  return {
    triggers,
    values,
    frameWords,
    handler: {
      kind: "record",
      exits,
      ...details,
      ...switches,
      ...(operands ? { operands } : {}),
    },
    hasLong: values.length > 0 || hasStacks || operands || signals,
    hasStacks,
    valueFacts: auto?.facts,
  };
}

/**
 * Triggers of a recording: functions that switch it on and off, have its rings written out or their
 * stacks recorded, as set_ftrace_filter has them (`FUNCTION:traceoff`, `FUNCTION:traceon:3`).
 */
import { PatchbayError } from "../base/error.ts";
import { type FilterTerm, parseFilter, type TriggerAction } from "../ftrace/filter.ts";
import {
  type Handler,
  type RecordDetails,
  type StackWish,
  stackDepthDefault,
} from "../ftrace/ops.ts";
import { MappedFile } from "../os/mapped-file.ts";
import { control, pageBytes, triggersMax, triggerWord } from "../ring/arena.ts";
import { badFilter } from "./catalogue.ts";
import type { AnnouncedFunction, Rings, Seat } from "./seat.ts";

/** A trigger that can be carried out. */
export type Trigger = {
  readonly glob: string;
  readonly does: TriggerAction;
  /** How often it acts; without it, always. */
  readonly count: number | undefined;
};

/** What stands in the trace where a recording was switched, or written out. */
const markNames = {
  traceoff: "[tracing off]",
  traceon: "[tracing on]",
  snapshot: "[snapshot]",
} as const;
const marks = ["traceoff", "traceon", "snapshot"] as const;

/** Whether one of them has stacks recorded. */
export const wantStacks = (triggers: readonly Trigger[]): boolean =>
  triggers.some(({ does }) => does === "stacktrace");

/** Whether one of them can switch the recording off. */
export const canSwitch = (triggers: readonly Trigger[]): boolean =>
  triggers.some(({ does }) => does === "traceoff" || does === "traceon");

/**
 * Triggers by their texts. Fails where one is none, or can't be carried out.
 * @param overwrites whether the recording's rings keep their events.
 */
export function parseTriggers(
  doing: string,
  texts: readonly string[],
  overwrites: boolean,
): readonly Trigger[] {
  const triggers = texts.map((text) => {
    const parsed = parseFilter(text);
    if (!parsed.ok) throw badFilter(doing, parsed.error.word, parsed.error.problem);
    const [term, ...rest] = parsed.value;
    if (term === undefined || rest.length > 0)
      throw badFilter(doing, text, "one trigger at a time");
    return toTrigger(doing, text, term);
  });
  if (!overwrites && triggers.some(({ does }) => does === "snapshot")) {
    throw new PatchbayError({
      code: "bad-usage",
      doing,
      why: "all events are written out anyway: there is nothing to take a snapshot of",
      hint: "--flight-recorder keeps the latest ones in memory until then",
    });
  }
  if (triggers.length <= triggersMax) return triggers;
  throw new PatchbayError({ code: "bad-usage", doing, why: `more than ${triggersMax} triggers` });
}

function toTrigger(doing: string, text: string, term: FilterTerm): Trigger {
  if (term.kind !== "trigger" || term.remove) {
    throw badFilter(doing, text, "that is no trigger, such as FUNCTION:traceoff:1");
  }
  const { glob, action, count } = term;
  return { glob, does: action, count };
}

/** Writes what the target reads: how often each trigger acts, and whether recording is off. */
export function armTriggers(rings: Rings, triggers: readonly Trigger[], isOff: boolean): void {
  using mapped = new MappedFile(rings.arenaFd, 0, pageBytes);
  const words = new Int32Array(mapped.buffer);
  for (const [index, { count = -1 }] of triggers.entries()) words[triggerWord(index) / 4] = count;
  Atomics.store(words, control.tracingOff / 4, isOff ? 1 : 0);
}

/**
 * Registers the triggers; their recording is told of the marks before.
 * @param record what the recording does at its functions.
 */
export async function registerTriggers(
  seat: Seat,
  triggers: readonly Trigger[],
  record: Extract<Handler, { kind: "record" }>,
): Promise<void> {
  for (const [word, { glob, does, count }] of triggers.entries()) {
    const handler: Handler =
      does === "stacktrace"
        ? { ...record, stack: stackOf(record, count === undefined ? undefined : word) }
        : { kind: "trigger", does, word, mark: seat.rings.firstMark + marks.indexOf(does) };
    await seat.register(`${glob}:${does}`, handler, { include: [glob] });
  }
}

/** As deep as other stacks of the recording. */
const stackOf = ({ stack }: RecordDetails, word: number | undefined): StackWish => ({
  depth: stack?.depth ?? stackDepthDefault,
  ...(word === undefined ? {} : { word }),
});

/** The marks as functions that a trace names. @param module where they are said to be. */
export const markFunctions = (rings: Rings, module: string): readonly AnnouncedFunction[] =>
  marks.map((does, index) => ({
    site: rings.firstMark + index,
    name: markNames[does],
    demangled: undefined,
    module,
    address: 0n,
    entriesOnly: false,
    linkAddress: 0n,
  }));

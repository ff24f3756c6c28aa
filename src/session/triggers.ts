/**
 * Triggers of a recording: functions that switch it on and off, as set_ftrace_filter has them
 * (`FUNCTION:traceoff`, `FUNCTION:traceon:3`).
 */
import { PatchbayError } from "../base/error.ts";
import { type FilterTerm, parseFilter } from "../ftrace/filter.ts";
import type { Handler } from "../ftrace/ops.ts";
import { MappedFile } from "../os/mapped-file.ts";
import { control, pageBytes, triggersMax, triggerWord } from "../ring/arena.ts";
import { badFilter } from "./catalogue.ts";
import type { AnnouncedFunction, Rings, Seat } from "./seat.ts";

/** A trigger that can be carried out. */
export type Trigger = {
  readonly glob: string;
  readonly does: "traceon" | "traceoff";
  /** How often it acts; without it, always. */
  readonly count: number | undefined;
};

/** What stands in the trace where a recording was switched. */
const markNames = { traceoff: "[tracing off]", traceon: "[tracing on]" } as const;
const marks = ["traceoff", "traceon"] as const;

/** Triggers by their texts. Fails where one is none, or can't be carried out. */
export function parseTriggers(doing: string, texts: readonly string[]): readonly Trigger[] {
  const triggers = texts.map((text) => {
    const parsed = parseFilter(text);
    if (!parsed.ok) throw badFilter(doing, parsed.error.word, parsed.error.problem);
    const [term, ...rest] = parsed.value;
    if (term === undefined || rest.length > 0)
      throw badFilter(doing, text, "one trigger at a time");
    return toTrigger(doing, text, term);
  });
  if (triggers.length <= triggersMax) return triggers;
  throw new PatchbayError({ code: "bad-usage", doing, why: `more than ${triggersMax} triggers` });
}

function toTrigger(doing: string, text: string, term: FilterTerm): Trigger {
  if (term.kind !== "trigger" || term.remove) {
    throw badFilter(doing, text, "that is no trigger, such as FUNCTION:traceoff:1");
  }
  const { glob, action, count } = term;
  if (action === "traceon" || action === "traceoff") return { glob, does: action, count };
  throw new PatchbayError({
    code: "unsupported",
    doing,
    why: `trigger ${text}: ${action} can't be carried out in a process`,
    hint:
      action === "snapshot"
        ? `--flight-recorder with ${glob}:traceoff keeps what led to it`
        : "record the function's callers, too",
  });
}

/** Writes what the target reads: how often each trigger acts, and whether recording is off. */
export function armTriggers(rings: Rings, triggers: readonly Trigger[], isOff: boolean): void {
  using mapped = new MappedFile(rings.arenaFd, 0, pageBytes);
  const words = new Int32Array(mapped.buffer);
  for (const [index, { count = -1 }] of triggers.entries()) words[triggerWord(index) / 4] = count;
  Atomics.store(words, control.tracingOff / 4, isOff ? 1 : 0);
}

/** Registers the triggers; their recording is told of the marks before. */
export async function registerTriggers(seat: Seat, triggers: readonly Trigger[]): Promise<void> {
  for (const [word, { glob, does }] of triggers.entries()) {
    const mark = seat.rings.firstMark + marks.indexOf(does);
    const handler: Handler = { kind: "trigger", does, word, mark };
    await seat.register(`${glob}:${does}`, handler, { include: [glob] });
  }
}

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

/** The options that choose among calls and ask for their values. */
import { type Command, InvalidArgumentError } from "commander";
import {
  type CallChoice,
  type CallOptions,
  parseDurationNs,
  stackDepthDefault,
  stackDepthMax,
} from "../index.ts";
import { collect } from "./trace-options.ts";

/** What chooses among calls. */
export type ChoiceFlags = {
  readonly if?: string;
  readonly min?: number;
  readonly sample?: number;
  readonly tid?: readonly number[];
  readonly threadName?: readonly string[];
};

export type CallFlags = ChoiceFlags & {
  readonly args?: readonly string[];
  readonly retval?: readonly string[];
  readonly autoArgs?: boolean;
  readonly stack?: number | true;
};

function parseMin(text: string): number {
  const ns = parseDurationNs(text);
  if (ns === undefined) throw new InvalidArgumentError("a time is written as 10us, 1.5ms or 2s.");
  return ns;
}

function parseSample(text: string): number {
  const calls = /^\d+$/.test(text) ? Number(text) : 0;
  if (calls < 1 || calls > 2 ** 30) throw new InvalidArgumentError("a number of calls is meant.");
  return calls;
}

function collectTid(text: string, before: readonly number[] | undefined): readonly number[] {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError("that is no thread id.");
  return [...(before ?? []), Number(text)];
}

function depth(text: string): number {
  const calls = /^\d+$/.test(text) ? Number(text) : 0;
  if (calls >= 1 && calls <= stackDepthMax) return calls;
  throw new InvalidArgumentError(
    `a depth is a number from 1 to ${stackDepthMax}; a command stands behind --.`,
  );
}

/**
 * Adds those that choose among calls to a verb.
 * @param long what `--min` means.
 */
export const addChoiceOptions = (command: Command, long = "calls that take so long"): Command =>
  command
    .option("--if <condition>", "calls of which this holds: 'arg2 > 4096 && ret < 0'")
    .option("--min <time>", `${long}: 10us, 1ms`, parseMin)
    .option("--sample <n>", "one call in so many, on average", parseSample)
    .option("--tid <tid>", "calls of this thread alone (repeatable)", collectTid)
    .option("--thread-name <glob>", "calls of threads with such a name (repeatable)", collect);

/** Adds all of them. */
export const addCallOptions = (command: Command): Command => {
  command
    .option("-A, --args <spec>", "values of calls: 'open*@arg1/s,arg2/x' (repeatable)", collect)
    .option("-R, --retval <spec>", "results of calls: 'open*@ret/d' (repeatable)", collect)
    .option("--auto-args", "values of calls that debug information knows of, by name")
    .option(
      "--stack [depth]",
      "with each call, the calls around it that return addresses tell",
      depth,
    );
  return addChoiceOptions(command, "calls that take so long, and who called them");
};

/** What a verb's parsed options choose. */
export function callChoice({ min, sample, tid, threadName, ...flags }: ChoiceFlags): CallChoice {
  const threads = {
    ...(tid === undefined ? {} : { tids: tid }),
    ...(threadName === undefined ? {} : { names: threadName }),
  };
  return {
    ...(flags.if === undefined ? {} : { when: flags.if }),
    ...(min === undefined ? {} : { minNs: min }),
    ...(sample === undefined ? {} : { sample }),
    ...(tid === undefined && threadName === undefined ? {} : { threads }),
  };
}

/** What they ask for in all. */
export function callOptions(flags: CallFlags): CallOptions {
  const { args = [], retval = [], autoArgs, stack } = flags;
  const values = [...args, ...retval.map((spec) => (spec.includes("@") ? spec : `${spec}@ret`))];
  return {
    ...callChoice(flags),
    ...(values.length === 0 ? {} : { values }),
    ...(autoArgs === undefined ? {} : { autoArgs }),
    ...(stack === undefined ? {} : { stack: stack === true ? stackDepthDefault : stack }),
  };
}

/** Options that the verbs which read traces have in common. */
import { type Command, InvalidArgumentError } from "commander";
import { parseDurationNs } from "../reading.ts";

/** For options that can be given more than once. */
export const collect = (value: string, before: readonly string[] | undefined): string[] => [
  ...(before ?? []),
  value,
];

/** The same for patterns of names. */
export function collectPattern(text: string, before: readonly string[] | undefined): string[] {
  if (text === "") throw new InvalidArgumentError("it names no function; all are '*'.");
  return collect(text, before);
}

/** `1.5ms` to nanoseconds. */
export function duration(text: string): number {
  const ns = parseDurationNs(text);
  if (ns === undefined) throw new InvalidArgumentError("a time is written as 250ns, 1.5us or 2s.");
  return ns;
}

/** A whole number that is not negative. */
export function count(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("a number is expected.");
  return Number(text);
}

const threadList = (text: string, before: readonly number[] | undefined): number[] => [
  ...(before ?? []),
  count(text),
];

export type SelectionFlags = {
  readonly filter?: readonly string[];
  readonly notrace?: readonly string[];
  readonly thread?: readonly number[];
};

/** -F, -N and --thread. */
export const addSelection = (command: Command): Command =>
  command
    .option("-F, --filter <glob>", "only functions that match (repeatable)", collectPattern)
    .option("-N, --notrace <glob>", "no functions that match (repeatable)", collectPattern)
    .option("--thread <tid>", "only this thread (repeatable)", threadList);

export const selectionOf = (
  flags: SelectionFlags,
): {
  readonly include: readonly string[] | undefined;
  readonly exclude: readonly string[] | undefined;
  readonly threads: readonly number[] | undefined;
} => ({ include: flags.filter, exclude: flags.notrace, threads: flags.thread });

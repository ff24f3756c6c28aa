/**
 * Which children were forked by whom, and when: one JSON object a line, appended to as children
 * come into the trace.
 */
import { asBigint, asCount, asObject, type Json, parseJson } from "./json.ts";

/** A child of which there are events, or of the program that it has become. */
export type Fork = {
  /** The child. */
  readonly pid: number;
  /** The process that forked it; absent where nobody knows. */
  readonly parent?: number | undefined;
  /** The thread of it that did; absent where that is not known. */
  readonly thread?: number | undefined;
  /** The program image that it ran then; 0 where it is absent. */
  readonly image?: number | undefined;
  /**
   * When that thread called the C library's function that forks, in ticks of the trace's clock;
   * of a vforked child, when that called execve. Absent where it is not known.
   */
  readonly ticks?: bigint | undefined;
};

/** One line, with its end. */
export const encodeFork = ({ ticks, ...fork }: Fork): string =>
  `${JSON.stringify({ ...fork, ticks: ticks?.toString() })}\n`;

function decode(value: Json | undefined): Fork | undefined {
  const object = asObject(value) ?? {};
  const pid = asCount(object["pid"]);
  if (pid === undefined) return undefined;
  return {
    pid,
    parent: asCount(object["parent"]),
    thread: asCount(object["thread"]),
    image: asCount(object["image"]),
    ticks: asBigint(object["ticks"]),
  };
}

/** Reads the lines; those that are not finished or make no sense are passed over. */
export const parseForks = (text: string): readonly Fork[] =>
  text
    .split("\n")
    .map((line) => (line === "" ? undefined : decode(parseJson(line))))
    .filter((fork) => fork !== undefined);

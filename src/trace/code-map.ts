/**
 * Which files' code was mapped where in the process: one JSON object a line, appended to as
 * libraries come, so that addresses of recorded stacks can be named when the trace is read.
 */
import { hex } from "../base/brand.ts";
import { asBigint, asCount, asObject, asString, type Json, parseJson } from "./json.ts";

/** One executable mapping of a file. */
export type CodeMapping = {
  /** Addresses in the process: [start, end). */
  readonly start: bigint;
  readonly end: bigint;
  /** Offset in the file of what is at `start`, in bytes. */
  readonly offset: number;
  readonly path: string;
};

/** One line, with its end. */
export const encodeCodeMapping = ({ start, end, offset, path }: CodeMapping): string =>
  `${JSON.stringify({ start: hex(start), end: hex(end), offset, path })}\n`;

function decode(value: Json | undefined): CodeMapping | undefined {
  const object = asObject(value) ?? {};
  const start = asBigint(object["start"]);
  const end = asBigint(object["end"]);
  const offset = asCount(object["offset"]);
  const path = asString(object["path"]);
  if (start === undefined || end === undefined) return undefined;
  return offset === undefined || path === undefined ? undefined : { start, end, offset, path };
}

/** Reads the lines; those that are not finished or make no sense are passed over. */
export const parseCodeMap = (text: string): readonly CodeMapping[] =>
  text
    .split("\n")
    .map((line) => (line === "" ? undefined : decode(parseJson(line))))
    .filter((mapping) => mapping !== undefined);

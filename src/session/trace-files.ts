/** The places of things in a trace's directory, and what goes wrong with files in general. */
import { type ErrorCode, PatchbayError } from "../base/error.ts";

/**
 * CTF readers take every file in the directory for a stream of events, except `metadata` and what
 * lies in directories below; so what only Patchbay reads lies in one.
 */
export const traceFiles = {
  metadata: "metadata",
  own: "patchbay",
  session: "patchbay/session.json",
  functions: "patchbay/functions.ndjson",
  code: "patchbay/code.ndjson",
  forks: "patchbay/forks.ndjson",
  perfMap: "patchbay/perf.map",
  /** Files are made here, then renamed into their place, so that no one sees half of one. */
  unfinished: "patchbay/unfinished",
} as const;

/** What the operating system calls the failure: `ENOSPC`; empty where it is none of its own. */
export const errnoOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";

const reasons: Readonly<Record<string, readonly [ErrorCode, string, string?]>> = {
  ENOSPC: ["disk-full", "no space is left there"],
  EDQUOT: ["disk-full", "your quota is used up"],
  EACCES: ["no-permission", "permission denied"],
  EPERM: ["no-permission", "permission denied"],
  EROFS: ["no-permission", "the file system is read-only"],
  ENOENT: ["io", "there is no such file or directory"],
  ENOTDIR: ["io", "a part of that path is no directory"],
  EISDIR: ["io", "it is a directory"],
  EEXIST: ["io", "a file of that name is there", "choose another one"],
  EMFILE: ["io", "this process has too many files open", "raise the limit: ulimit -n 65536"],
  ENFILE: ["io", "the system has too many files open"],
  EFBIG: ["disk-full", "the file would be larger than is allowed there"],
};

/** What Node.js says of a failure that has no text above: `EIO: i/o error, write`. */
const textOf = (error: unknown): string =>
  error instanceof Error ? error.message.replace(/^\w+: |, [a-z]+\b.*$/g, "") : "";

/** What the file system objected to when `doing` was tried. */
export function fileProblem(
  doing: string,
  error: unknown,
  whenFull = "make room, or choose another place",
): PatchbayError {
  const [code, why, known] = reasons[errnoOf(error)] ?? ["io", textOf(error)];
  const hint = code === "disk-full" ? whenFull : known;
  return new PatchbayError({
    code,
    doing,
    why,
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

/**
 * Does `work`; what the file system objects becomes a `PatchbayError` that begins with `doing`.
 * @param whenFull what to do, or to know, when there is no room left.
 */
export function withFiles<T>(doing: string, work: () => T, whenFull?: string): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof PatchbayError || errnoOf(error) === "") throw error;
    throw fileProblem(doing, error, whenFull);
  }
}

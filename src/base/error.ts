/**
 * Errors that the world causes, as users meet them: one line that says what was being done, to
 * what, why it failed, and what to do about it. Programmer errors are `assert`.
 */

/** Which kind of failure; a closed set, part of the `--json` contract. */
export type ErrorCode =
  | "bad-usage"
  | "no-such-process"
  | "no-permission"
  | "already-traced"
  | "owner-gone"
  | "target-exited"
  | "not-elf"
  | "bad-elf"
  | "wrong-architecture"
  | "no-sites"
  | "no-match"
  | "bad-site"
  | "unsupported"
  | "bad-trace"
  | "disk-full"
  | "io"
  | "missing-tool"
  | "system";

export type ErrorDetails = {
  readonly code: ErrorCode;
  /** What was being done, to what: "attach to process 4711". */
  readonly doing: string;
  /** Why it failed: "no such process". */
  readonly why: string;
  /** What to do about it, where there is something to do. */
  readonly hint?: string;
  readonly cause?: unknown;
};

export class PatchbayError extends Error {
  readonly code: ErrorCode;
  readonly doing: string;
  readonly why: string;
  readonly hint: string | undefined;

  constructor(details: ErrorDetails) {
    const hint = details.hint === undefined ? "" : ` (${details.hint})`;
    super(`${details.doing}: ${details.why}${hint}`, { cause: details.cause });
    this.name = "PatchbayError";
    this.code = details.code;
    this.doing = details.doing;
    this.why = details.why;
    this.hint = details.hint;
  }

  /** The same error as a plain value, to cross a thread boundary or to be printed as JSON. */
  toJSON(): ErrorDetails {
    return {
      code: this.code,
      doing: this.doing,
      why: this.why,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
    };
  }
}

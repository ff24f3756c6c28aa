/** The values of calls as text, with the names of parameters where the trace has them. */
import type { LongPayload } from "../trace/call-stack.ts";
import type { FunctionTable } from "../trace/functions.ts";
import { formatValues } from "../trace/values.ts";

/** Arguments as people write them: `fd=3, "a text"`; `values` as `formatValues` gives them. */
export function formatArguments(
  functions: FunctionTable,
  site: number,
  values: readonly string[],
): string {
  const names = functions.find(site)?.parameters ?? [];
  return values
    .map((value, i) => (names[i] === undefined ? value : `${names[i]}=${value}`))
    .join(", ");
}

/** Keeps the values of a thread's open calls for exporters that write a call when it ends. */
export class CallValues {
  readonly #functions: FunctionTable;
  /** Of the event that comes next. */
  #pending: readonly string[] | undefined;
  /** Arguments of the open calls, by their place in the stack. */
  readonly #open: (string | undefined)[] = [];

  constructor(functions: FunctionTable) {
    this.#functions = functions;
  }

  /** To be told by the visitor's `values`. */
  announce(payload: LongPayload): void {
    this.#pending = formatValues(payload);
  }

  /** A call begins; its arguments. */
  enter(site: number, index: number): string | undefined {
    if (this.#pending === undefined && this.#open.length <= index) return undefined;
    const text = this.#takeArguments(site);
    this.#open[index] = text;
    return text;
  }

  /** The arguments of a call that is told of as a point. */
  point(site: number): string | undefined {
    return this.#takeArguments(site);
  }

  /** A call ends: what it was called with, and what came of it. */
  leave(index: number): CallTexts {
    const result = this.#pending?.join(", ");
    this.#pending = undefined;
    const args = this.#open[index];
    if (this.#open.length > index) this.#open.length = index;
    return { arguments: args, result };
  }

  #takeArguments(site: number): string | undefined {
    const values = this.#pending;
    this.#pending = undefined;
    return values === undefined ? undefined : formatArguments(this.#functions, site, values);
  }
}

export type CallTexts = {
  readonly arguments: string | undefined;
  readonly result: string | undefined;
};

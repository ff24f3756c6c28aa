/**
 * The values of calls as text, with what the trace knows of them: names of parameters, names of
 * enumerations' values, what pointers point to.
 */
import type { LongPayload } from "../trace/call-stack.ts";
import type { FunctionTable, TracedFunction } from "../trace/functions.ts";
import { formatValues } from "../trace/values.ts";

/** Arguments as people write them: `fd=3, "a text"`; `values` as `formatValues` gives them. */
export const formatArguments = (
  functions: FunctionTable,
  site: number,
  values: readonly string[],
): string =>
  namedArguments(functions, site, values)
    .map(([name, value]) => (name === undefined ? value : `${name}=${value}`))
    .join(", ");

/** Arguments with the parameters' names, where they are known. */
export function namedArguments(
  functions: FunctionTable,
  site: number,
  values: readonly string[],
): readonly (readonly [name: string | undefined, value: string])[] {
  const f = functions.find(site);
  return values.map((value, i) => [
    f?.parameters?.[i],
    typedValue(f, f?.parameterTypes?.[i], value),
  ]);
}

/** Results by their types. */
export function typedResults(
  functions: FunctionTable,
  site: number,
  values: readonly string[],
): readonly string[] {
  const f = functions.find(site);
  return values.map((value, i) => typedValue(f, f?.resultTypes?.[i], value));
}

/** Results as people write them. */
export const formatResults = (
  functions: FunctionTable,
  site: number,
  values: readonly string[],
): string => typedResults(functions, site, values).join(", ");

/** Pointers to what has a name: `const struct server *`; not to numbers and functions. */
const namedTarget = /^(?:const |volatile )*((?:struct|class|union) [^*&]+?) ?[*&]+$/;

function typedValue(
  f: TracedFunction | undefined,
  type: string | undefined,
  value: string,
): string {
  if (type === undefined) return value;
  const named = f?.enumerations?.[type]?.[value];
  if (named !== undefined) return named;
  if (!/^0x[0-9a-f]+$/.test(value)) return value;
  if (value === "0x0") return "NULL";
  const target = namedTarget.exec(type)?.[1];
  return target === undefined ? value : `${target}@${value}`;
}

/** What a call was called with, and what came of it. */
export type CallTexts = {
  readonly arguments: string | undefined;
  readonly result: string | undefined;
};

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

  /** A call begins. */
  enter(site: number, index: number): void {
    if (this.#pending === undefined && this.#open.length <= index) return;
    this.#open[index] = this.#takeArguments(site);
  }

  /** The arguments of a call that is told of as a point. */
  point(site: number): string | undefined {
    return this.#takeArguments(site);
  }

  /** A call ends. */
  leave(site: number, index: number): CallTexts {
    const values = this.#pending;
    this.#pending = undefined;
    const result = values === undefined ? undefined : formatResults(this.#functions, site, values);
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

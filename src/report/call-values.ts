/**
 * The values of calls as text, with what the trace knows of them: names of parameters, names of
 * enumerations' values, what pointers point to.
 */
import type { LongPayload } from "../trace/call-stack.ts";
import type { FunctionTable, TracedFunction } from "../trace/functions.ts";
import { formatStack } from "../trace/stack-frames.ts";
import type { Trace } from "../trace/trace.ts";
import { formatValues, type SignalFacts, signalOf, stackOf } from "../trace/values.ts";
import { formatSignal } from "./signal-text.ts";

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

/** What a call was called with and from where, and what came of it. */
export type CallTexts = {
  readonly stack?: string | undefined;
  /** The signal that it is for. */
  readonly signal?: string | undefined;
  readonly arguments: string | undefined;
  readonly result: string | undefined;
};

/** What an entry came with. */
type Entered = Pick<CallTexts, "arguments" | "stack" | "signal">;
const nothing: Entered = { arguments: undefined, stack: undefined };

/** Of calls without any values, which most are: one object for them all. */
export const noTexts: CallTexts = { arguments: undefined, result: undefined };

/** Keeps the values of a thread's open calls for exporters that write a call when it ends. */
export class CallValues {
  readonly #trace: Pick<Trace, "functions" | "nameStack">;
  /** Of the event that comes next. */
  #pending: readonly string[] | undefined;
  #stack: readonly bigint[] | undefined;
  #signal: SignalFacts | undefined;
  /** Of the open calls, by their place in the stack. */
  readonly #open: Entered[] = [];

  constructor(trace: Pick<Trace, "functions" | "nameStack">) {
    this.#trace = trace;
  }

  /** To be told by the visitor's `values`. */
  announce(payload: LongPayload): void {
    const values = formatValues(payload);
    this.#stack = stackOf(payload);
    this.#signal = signalOf(payload);
    // Stacks and signals alone bring no arguments.
    const isBare = this.#stack === undefined && this.#signal === undefined;
    this.#pending = values.length === 0 && !isBare ? undefined : values;
  }

  /** A call begins. */
  enter(site: number, index: number): void {
    const isBare = (this.#pending ?? this.#stack ?? this.#signal) === undefined;
    if (isBare && this.#open.length <= index) return;
    this.#open[index] = this.#takeEntered(site);
  }

  /** Of a call that is told of as a point. */
  point(site: number): CallTexts {
    return { ...this.#takeEntered(site), result: undefined };
  }

  /** A call ends. */
  leave(site: number, index: number): CallTexts {
    const values = this.#pending;
    if (values === undefined && this.#open.length <= index) return noTexts;
    this.#pending = undefined;
    const { functions } = this.#trace;
    const result = values === undefined ? undefined : formatResults(functions, site, values);
    const entered = this.#open[index] ?? nothing;
    if (this.#open.length > index) this.#open.length = index;
    return { ...entered, result };
  }

  #takeEntered(site: number): Entered {
    const values = this.#pending;
    const [stack, signal] = [this.#stack, this.#signal];
    this.#pending = undefined;
    this.#stack = undefined;
    this.#signal = undefined;
    if ((values ?? stack ?? signal) === undefined) return nothing;
    const { functions, nameStack } = this.#trace;
    return {
      arguments: values === undefined ? undefined : formatArguments(functions, site, values),
      stack: stack === undefined ? undefined : formatStack(nameStack, stack),
      signal: signal === undefined ? undefined : formatSignal(signal),
    };
  }
}

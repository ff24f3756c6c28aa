/** Lines of a graph for programs: one JSON object each. Part of the `--json` contract. */
import { hex } from "../base/brand.ts";
import { type CallEnd, callEnd } from "../trace/call-stack.ts";
import type { Trace } from "../trace/trace.ts";
import type { SignalFacts } from "../trace/values.ts";
import { namedArguments, typedResults } from "./call-values.ts";
import type { GraphCall, GraphEnd, GraphSink } from "./graph-visitor.ts";
import { tickNs } from "./summary.ts";

/** What programs call the ways in which a call can end. */
export const endNames: Readonly<Record<CallEnd, string>> = {
  [callEnd.returned]: "returned",
  [callEnd.unwound]: "unwound",
  [callEnd.left]: "left",
  [callEnd.lost]: "lost",
  [callEnd.open]: "open",
};

/** A stack, innermost first, as far as it is certain; null for what is not known. */
const jsonStack = ({ nameStack }: Trace, addresses: readonly bigint[]): readonly unknown[] =>
  nameStack(addresses).map(({ name, module, address }) => ({
    function: name ?? null,
    module: module ?? null,
    address: hex(address),
  }));

/** A signal; null for what is not known of it. */
const jsonSignal = ({ number, code, sender }: SignalFacts): unknown => ({
  number: number ?? null,
  code: code ?? null,
  sender: sender ?? null,
});

export class JsonGraph {
  readonly #trace: Trace;
  readonly #ns: number;
  #text = "";

  constructor(trace: Trace) {
    this.#trace = trace;
    this.#ns = tickNs(trace);
  }

  get length(): number {
    return this.#text.length;
  }

  take(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  sinkFor(_: number, threadOf: () => { readonly tid: number }): GraphSink {
    const write = (event: Readonly<Record<string, unknown>>): void => {
      this.#text += `${JSON.stringify({ thread: threadOf().tid, ...event })}\n`;
    };
    const ended = (call: GraphCall, end: GraphEnd): void =>
      write({
        event: "call",
        ...this.#call(call),
        end: endNames[end.how],
        // Of calls that did not return these are lower bounds.
        durationNs: (end.end - call.start) * this.#ns,
        selfNs: end.self * this.#ns,
        result: end.values && typedResults(this.#trace.functions, call.site, end.values),
      });
    return {
      open: () => undefined,
      close: ended,
      leaf: ended,
      point: (call) => write({ event: "entry", ...this.#call(call) }),
      orphan: (site, time) =>
        write({
          event: "exit",
          function: this.#trace.functions.name(site),
          site,
          atNs: time * this.#ns,
        }),
      fork: (child, time) => write({ event: "fork", child, atNs: time * this.#ns }),
      gap: (lost, from, to) =>
        write({
          event: "lost",
          // JSON has no infinity: null says that nobody knows how many.
          count: lost,
          fromNs: from * this.#ns,
          toNs: to * this.#ns,
        }),
    };
  }

  #call(call: GraphCall): Readonly<Record<string, unknown>> {
    const { functions } = this.#trace;
    const named = call.values && namedArguments(functions, call.site, call.values);
    return {
      function: this.#trace.functions.name(call.site),
      site: call.site,
      level: call.level,
      startNs: call.start * this.#ns,
      arguments: named?.map(([, value]) => value),
      stack: call.stack && jsonStack(this.#trace, call.stack),
      signal: call.signal && jsonSignal(call.signal),
      parameters: named?.some(([name]) => name !== undefined)
        ? named.map(([name]) => name ?? null)
        : undefined,
    };
  }
}

/**
 * Which calls have sent the signals that handlers were called for: those of the process that the
 * kernel names as the sender, with the signal's number, to that thread or process, since the
 * handler was called for one like it. There can be several: while a signal waits to be delivered,
 * others like it add nothing. Only calls whose arguments were recorded say where they send what;
 * what goes to groups of processes is left out.
 */
import type { CallVisitor } from "../trace/call-stack.ts";
import type { FunctionTable } from "../trace/functions.ts";
import type { Trace } from "../trace/trace.ts";
import { TraceReader, type TraceThread } from "../trace/trace-reader.ts";
import { formatValues, signalOf } from "../trace/values.ts";

/** A call, by its thread's index, its function and its beginning in ticks. */
export type CallKey = string;
export const callKey = (thread: number, site: number, time: number): CallKey =>
  `${thread} ${site} ${time}`;

/** Calls that send signals, and the handlers' calls that these led to. */
export type SentSignals = {
  /** Sites of functions that send. */
  readonly senders: ReadonlySet<number>;
  /** Pairs, by the time of the handler's call. */
  readonly pairs: readonly { readonly from: CallKey; readonly to: CallKey }[];
};

/** Where a function that sends has what: the place of an argument. */
type SendArguments = {
  readonly signal: number;
  readonly process?: number;
  readonly thread?: number;
};

const sendFunctions: ReadonlyMap<string, SendArguments> = new Map([
  ["kill", { process: 0, signal: 1 }],
  ["sigqueue", { process: 0, signal: 1 }],
  ["tgkill", { process: 0, thread: 1, signal: 2 }],
  ["tkill", { thread: 0, signal: 1 }],
  ["pthread_kill", { signal: 1 }],
  ["pthread_sigqueue", { signal: 1 }],
]);

/** One end: the call, and what a sender and a handler of the same signal have in common. */
type End = { readonly key: CallKey; readonly time: number; readonly kind: string };

const kindOf = (sender: number, signal: number, to: "thread" | "process", id: number): string =>
  `${sender} ${signal} ${to} ${id}`;

/** Reads all of the trace, if there can be any. */
export function findSentSignals(trace: Trace): SentSignals {
  const functions = findSenders(trace.functions);
  const senders = new Set(functions.keys());
  if (trace.session.options["signals"] !== true || senders.size === 0)
    return { senders, pairs: [] };
  const sends: End[] = [];
  const handled: End[] = [];
  using reader = new TraceReader(trace, (thread) =>
    collector(thread, functions, { sends, handled }),
  );
  reader.readAll();
  return { senders, pairs: pairUp(sends, handled) };
}

/** The functions that send, by their sites; what a program calls in its libraries counts, too. */
function findSenders(functions: FunctionTable): ReadonlyMap<number, SendArguments> {
  const found = new Map<number, SendArguments>();
  for (const { site, name } of functions.all) {
    const known = sendFunctions.get(name.replace(/@plt$/, ""));
    if (known !== undefined) found.set(site, known);
  }
  return found;
}

function collector(
  { index, first: { pid, tid } }: TraceThread,
  functions: ReadonlyMap<number, SendArguments>,
  { sends, handled }: { readonly sends: End[]; readonly handled: End[] },
): CallVisitor {
  let payload: Parameters<NonNullable<CallVisitor["values"]>>[0] | undefined;
  const enter = (site: number, time: number): void => {
    const came = payload;
    payload = undefined;
    if (came === undefined) return;
    const key = callKey(index, site, time);
    const { number, sender } = signalOf(came) ?? {};
    if (number !== undefined && sender !== undefined) {
      for (const kind of [
        kindOf(sender, number, "thread", tid),
        kindOf(sender, number, "process", pid),
      ]) {
        handled.push({ key, time, kind });
      }
    }
    const places = functions.get(site);
    if (places !== undefined) sends.push(...sendOf(places, formatValues(came), pid, key, time));
  };
  const forget = (): void => {
    payload = undefined;
  };
  return {
    values: (came) => {
      payload = came;
    },
    enter,
    point: enter,
    leave: forget,
    orphan: forget,
    gap: forget,
  };
}

/** What a call with these arguments sends; nothing where they do not say. */
function sendOf(
  places: SendArguments,
  values: readonly string[],
  pid: number,
  key: CallKey,
  time: number,
): readonly End[] {
  const at = (place: number): number => Number(values[place]);
  const signal = at(places.signal);
  const [to, id] =
    places.thread !== undefined
      ? (["thread", at(places.thread)] as const)
      : (["process", places.process === undefined ? pid : at(places.process)] as const);
  if (!Number.isInteger(signal) || !Number.isInteger(id) || id < 1) return [];
  return [{ key, time, kind: kindOf(pid, signal, to, id) }];
}

/** Each handler's call with the calls that sent its signal since the last one. */
function pairUp(sends: readonly End[], handled: readonly End[]): SentSignals["pairs"] {
  const byTime = (list: readonly End[]): readonly End[] => list.toSorted((a, b) => a.time - b.time);
  const waiting = new Map<string, { readonly ends: End[]; next: number }>();
  for (const send of byTime(sends)) {
    const known = waiting.get(send.kind);
    if (known === undefined) waiting.set(send.kind, { ends: [send], next: 0 });
    else known.ends.push(send);
  }
  const pairs: { readonly from: CallKey; readonly to: CallKey }[] = [];
  for (const { key: to, time, kind } of byTime(handled)) {
    const queue = waiting.get(kind);
    if (queue === undefined) continue;
    for (let send = queue.ends[queue.next]; send; send = queue.ends[++queue.next]) {
      if (send.time > time) break;
      pairs.push({ from: send.key, to });
    }
  }
  return pairs;
}

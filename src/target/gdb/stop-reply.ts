/** Stop replies of the GDB remote protocol: why a program no longer runs (GDB manual, E.3). */
import { fromHex, toLatin1 } from "./packet.ts";

/** A thread as the protocol names it. */
export type ThreadId = {
  /** Present when both ends speak of several processes. */
  readonly process: number | undefined;
  readonly thread: number;
};

/** Signals are GDB's numbers, most of which are those of Linux: see `linuxSignal`. */
export type StopReply =
  | {
      readonly kind: "stopped";
      readonly signal: number;
      readonly thread: ThreadId | undefined;
      /** Everything else that it says: `library`, `watch`, register numbers, ... */
      readonly notes: ReadonlyMap<string, string>;
    }
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "killed"; readonly signal: number }
  | { readonly kind: "thread-exited"; readonly thread: ThreadId }
  /** No thread is left that could stop. */
  | { readonly kind: "no-threads" }
  /** Text that the program has written to the stub. */
  | { readonly kind: "output"; readonly text: string };

const number16 = (text: string): number | undefined =>
  /^-?[0-9a-fA-F]+$/.test(text) ? Number.parseInt(text, 16) : undefined;

/** `p12.34`, `34`; undefined where it is none, or all threads, or any. */
export function parseThreadId(text: string): ThreadId | undefined {
  const match = /^(?:p([0-9a-fA-F]+)\.)?([0-9a-fA-F]+)$/.exec(text);
  if (match === null) return undefined;
  const process = match[1] === undefined ? undefined : Number.parseInt(match[1], 16);
  return { process, thread: Number.parseInt(match[2] ?? "0", 16) };
}

/** A thread id as packets carry it. */
export function formatThreadId({ process, thread }: ThreadId): string {
  const prefix = process === undefined ? "" : `p${process.toString(16)}.`;
  return prefix + thread.toString(16);
}

function parseStopped(text: string): StopReply | undefined {
  const signal = number16(text.slice(1, 3));
  if (signal === undefined) return undefined;
  const notes = new Map<string, string>();
  if (text[0] === "T") {
    for (const pair of text.slice(3).split(";")) {
      const colon = pair.indexOf(":");
      if (colon > 0) notes.set(pair.slice(0, colon), pair.slice(colon + 1));
    }
  }
  const thread = parseThreadId(notes.get("thread") ?? "");
  notes.delete("thread");
  return { kind: "stopped", signal, thread, notes };
}

/** What `payload` says; undefined where it is no stop reply. */
export function parseStopReply(payload: Uint8Array): StopReply | undefined {
  const text = toLatin1(payload);
  switch (text[0]) {
    case "S":
    case "T":
      return parseStopped(text);
    case "W": {
      const status = number16(text.slice(1).split(";")[0] ?? "");
      return status === undefined ? undefined : { kind: "exited", status };
    }
    case "X": {
      const signal = number16(text.slice(1).split(";")[0] ?? "");
      return signal === undefined ? undefined : { kind: "killed", signal };
    }
    case "w": {
      const thread = parseThreadId(text.split(";")[1] ?? "");
      return thread === undefined ? undefined : { kind: "thread-exited", thread };
    }
    case "N":
      return text === "N" ? { kind: "no-threads" } : undefined;
    case "O": {
      const bytes = text === "OK" ? undefined : fromHex(text.slice(1));
      return bytes === undefined ? undefined : { kind: "output", text: toLatin1(bytes) };
    }
    default:
      return undefined;
  }
}

/** GDB's numbers of signals (include/gdb/signals.def) whose Linux number is another one. */
const linuxSignals: ReadonlyMap<number, number> = new Map([
  [10, 7], // BUS
  [12, 31], // SYS
  [16, 23], // URG
  [17, 19], // STOP
  [18, 20], // TSTP
  [19, 18], // CONT
  [20, 17], // CHLD
  [23, 29], // IO
  [30, 10], // USR1
  [31, 12], // USR2
  [32, 30], // PWR
]);
/** GDB's SIGRT33 is 45 and goes on to SIGRT63; SIGRT32 is 77. */
const realTimeFirst = 45;
const realTimeLast = 75;

/** The Linux number of GDB's signal `number`. */
export function linuxSignal(number: number): number {
  if (number >= realTimeFirst && number <= realTimeLast) return number - realTimeFirst + 33;
  return linuxSignals.get(number) ?? number;
}

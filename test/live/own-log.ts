/**
 * Compares a program's own log of its calls (`test/fixtures/live/own-log.h`) with what a trace says
 * of each thread: the same calls, entered and left in the same order and in the same way.
 */
import { expect } from "vitest";
import { openTrace } from "../../src/session/open-trace.ts";
import { type CallEnd, type CallVisitor, callEnd } from "../../src/trace/call-stack.ts";
import { TraceReader } from "../../src/trace/trace-reader.ts";
import type { Target } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

/** `>name` entered, `<name` returned, `!name` left by an exception or a longjmp; by thread. */
export type CallLog = ReadonlyMap<number, readonly string[]>;

const marks: Readonly<Record<CallEnd, string>> = {
  [callEnd.returned]: "<",
  [callEnd.unwound]: "!",
  [callEnd.left]: "?left ",
  [callEnd.lost]: "?lost ",
  [callEnd.open]: "?open ",
};

/** The program's lines "log TID entry entry ...". Threads without calls are left out. */
export function parseOwnLog(lines: readonly string[]): CallLog {
  const logs = new Map<number, readonly string[]>();
  for (const line of lines) {
    const [word, tid, ...entries] = line.split(" ");
    if (word === "log" && entries.length > 0) logs.set(Number(tid), entries);
  }
  return logs;
}

/** What the program prints before "done". */
export async function linesOf(target: Target): Promise<readonly string[]> {
  const lines: string[] = [];
  for (;;) {
    const line = await target.line(/./);
    if (line === "done") return lines;
    lines.push(line);
  }
}

/** The program's log and the trace's. */
export type Recorded = { readonly own: CallLog; readonly traced: CallLog };

/** Ends a program whose recording has ended: it is as it was, and the trace there is whole. */
export async function finish(
  target: Target,
  lines: readonly string[],
  directory: string,
): Promise<Recorded> {
  expect(changedTextBytes(target.pid)).toBe(0);
  target.send("end");
  expect(await target.ended).toEqual({ status: 0, signal: null });
  expect(countTrace(directory)).toMatchObject({ lost: 0, backwards: 0, damages: 0 });
  return { own: parseOwnLog(lines), traced: traceLog(directory) };
}

/** The same from the trace in `directory`; names without namespaces' and types' parameters. */
export function traceLog(directory: string): CallLog {
  const trace = openTrace(directory);
  const logs = new Map<number, string[]>();
  const name = (site: number): string => trace.functions.name(site);
  const visitorFor = (tid: number): CallVisitor => {
    const log: string[] = [];
    if (logs.has(tid)) throw new Error(`two threads of the number ${tid}`);
    logs.set(tid, log);
    return {
      enter: (site) => log.push(`>${name(site)}`),
      point: (site) => log.push(`.${name(site)}`),
      leave: (site, _start, _end, _self, _index, how) => log.push(`${marks[how]}${name(site)}`),
      orphan: (site, _time, _index, how) => log.push(`?orphan ${marks[how]}${name(site)}`),
      gap: () => log.push("?gap"),
    };
  };
  using reader = new TraceReader(trace, ({ first }) => visitorFor(first.tid));
  reader.readAll();
  for (const [tid, log] of logs) if (log.length === 0) logs.delete(tid);
  return logs;
}

/** Where two logs part, or undefined: a long log is no message. */
export function findDifference(own: CallLog, traced: CallLog): string | undefined {
  const tids = [...new Set([...own.keys(), ...traced.keys()])];
  for (const tid of tids) {
    const expected = own.get(tid) ?? [];
    const found = traced.get(tid) ?? [];
    const length = Math.max(expected.length, found.length);
    for (let at = 0; at < length; at++) {
      if (expected[at] === found[at]) continue;
      const around = (log: readonly string[]): string =>
        log.slice(Math.max(0, at - 5), at + 10).join(" ");
      return `thread ${tid}, event ${at}:\nown   ${around(expected)}\ntrace ${around(found)}`;
    }
  }
  return undefined;
}

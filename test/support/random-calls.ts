/**
 * Random call histories with the truth about them: a list of moves makes a thread's events and,
 * independently of any reader, the calls that they stand for.
 */
import fc from "fast-check";
import { eventKind } from "../../src/ring/layout.ts";
import type { TestEvent } from "./trace-builder.ts";

/** A move of a thread: call a function, return from one, throw out of one. */
export type Move = {
  readonly does: "call" | "return" | "throw";
  readonly site: number;
  /** Ticks since the move before. */
  readonly after: number;
};

/** A call as it really was; `end` is undefined while it runs. */
export type TrueCall = {
  readonly site: number;
  readonly start: number;
  readonly depth: number;
  end: number | undefined;
  isUnwound: boolean;
  self: number;
  /** Indices of its two events. */
  readonly entry: number;
  exit: number | undefined;
};

export type History = {
  readonly events: readonly TestEvent[];
  readonly calls: readonly TrueCall[];
  /** How many calls were open before each event, and after the last. */
  readonly depths: readonly number[];
};

/** Calls are likelier than returns, or the histories would all be flat. */
export const moves = (maxLength: number, sites = 4): fc.Arbitrary<readonly Move[]> =>
  fc.array(
    fc.record<Move>({
      does: fc.constantFrom("call", "call", "call", "return", "return", "throw"),
      site: fc.nat({ max: sites - 1 }),
      after: fc.nat({ max: 9 }),
    }),
    { maxLength, size: "max" },
  );

/** What a thread that begins at `start` does; returns out of nothing are left out. */
export function historyOf(list: readonly Move[], start = 1000): History {
  const events: TestEvent[] = [];
  const calls: TrueCall[] = [];
  const depths: number[] = [];
  const open: TrueCall[] = [];
  let time = start;
  for (const move of list) {
    const top = open.at(-1);
    if (move.does !== "call" && top === undefined) continue;
    time += move.after;
    if (top !== undefined) top.self += move.after;
    depths.push(open.length);
    if (move.does === "call") {
      const call: TrueCall = {
        site: move.site,
        start: time,
        depth: open.length,
        end: undefined,
        isUnwound: false,
        self: 0,
        entry: events.length,
        exit: undefined,
      };
      calls.push(call);
      open.push(call);
      events.push({ kind: eventKind.entry, time, site: move.site });
    } else if (top !== undefined) {
      open.pop();
      top.end = time;
      top.exit = events.length;
      top.isUnwound = move.does === "throw";
      const kind = top.isUnwound ? eventKind.unwound : eventKind.exit;
      events.push({ kind, time, site: top.site });
    }
  }
  depths.push(open.length);
  return { events, calls, depths };
}

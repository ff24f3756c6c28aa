/**
 * Runs that go in circles. A round of a loop that only read, and left the thread as it was, can be
 * left out of any execution: what is left orders no more than before. So the run that goes on from
 * the first visit stands for the one that comes by again, and nothing is missed by ending it.
 */

import { plain, type Tainted } from "./evaluate.ts";
import { overlaps } from "./execution.ts";
import { reservation } from "./liveness.ts";
import type { TraceEvent } from "./trace.ts";

/** A thread as it comes to an instruction. */
export type Visit = {
  readonly registers: ReadonlyMap<string, Tainted>;
  /** Registers that it can still read; `undefined`: any. */
  readonly live: ReadonlySet<string> | undefined;
  /** Lengths of its logs. */
  readonly events: number;
  readonly faults: number;
  /** A load-exclusive waits for its store. */
  readonly isReserved: boolean;
};

/** Whether the registers hold the same values, with at least the dependencies that they had. */
function isRepeated(before: Visit, now: Visit): boolean {
  const names = now.live ?? now.registers.keys();
  return [...names].every((name) => {
    const was = before.registers.get(name) ?? plain(0n);
    const is = now.registers.get(name) ?? plain(0n);
    return was.value === is.value && (was.on & ~is.on) === 0n && (was.pick & ~is.pick) === 0n;
  });
}

/**
 * An indivisible swap that stores what it has read: it stands right behind the store that it read
 * from, which can take its place for everybody else. Own stores to the place would not be the last
 * ones any more when it is left out, so there must be none.
 */
function isSilent(event: TraceEvent, events: readonly TraceEvent[], from: number): boolean {
  const read = event.rmw === undefined ? undefined : events[event.rmw];
  if (!event.atomic || read?.value !== event.value) return false;
  return !events.some((e, at) => at < from && e.kind === "write" && overlaps(e, event));
}

/** Whether the thread was here before, and nothing has come of what it did since. */
export function isCircle(before: Visit, now: Visit, events: readonly TraceEvent[]): boolean {
  if (before.faults !== now.faults) return false;
  const reserves = now.live?.has(reservation) ?? true;
  if (reserves && (before.isReserved || now.isReserved)) return false;
  const leavesNothing = events
    .slice(before.events)
    .every(
      (event) =>
        event.kind === "read" ||
        event.kind === "fetch" ||
        (event.kind === "write" && isSilent(event, events, before.events)),
    );
  return leavesNothing && isRepeated(before, now);
}

/** What goes on in a session, under the names by which consoles and other users know it. */
import { formatCount, plural } from "../report/units.ts";
import type { Observation } from "./observation.ts";
import type { Recording } from "./recording.ts";
import type { RegisteredOps, Seat } from "./seat.ts";

export type User = {
  readonly name: string;
  readonly work:
    | { readonly kind: "record"; readonly recording: Recording }
    | { readonly kind: "count"; readonly observation: Observation };
  readonly seat: Seat;
  /** The ops that it began with; replaced when its filter is. */
  ops: RegisteredOps;
  /** Whether its ops are in the register (ftrace's tracing_on). */
  isOn: boolean;
};

/** Takes a name for a new user: as he wishes, with a number behind it where that is taken. */
export function reserveName(wish: string, users: Map<string, User | undefined>): string {
  let name = wish;
  for (let number = 2; users.has(name); number++) name = `${wish}${number}`;
  users.set(name, undefined);
  return name;
}

/** Ends what a user does, or waits for its end; what came of it, in a few words. */
export async function stopWork(work: User["work"], reason: string): Promise<string> {
  if (work.kind === "record") {
    const { recording } = work;
    const summary = await (recording.isEnding ? recording.ended : recording.stop(reason));
    const { events, lost, threads, directory } = summary;
    return (
      `recorded ${plural(events, "event")} in ${plural(threads, "thread")}, ` +
      `${formatCount(lost)} lost, in ${directory}`
    );
  }
  const { observation } = work;
  const summary = await (observation.isEnding ? observation.ended : observation.stop(reason));
  const calls = summary.statistics.reduce((sum, one) => sum + one.calls, 0);
  return `counted ${plural(calls, "call")} of ${plural(summary.functions, "function")}`;
}

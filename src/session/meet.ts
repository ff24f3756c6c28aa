/** Who owns the tracing of a process: this Patchbay process, or one that it can join. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { FileLock } from "../os/file-lock.ts";
import { refuseOtherTracer } from "../target/other-tracer.ts";
import { MeetingPlace } from "./meeting-place.ts";
import { RemoteHost } from "./remote-host.ts";

/** The right to trace a process, until it is released or this process is gone. */
export type Ownership = {
  /** Where others can be let in; undefined where there is no place that is private. */
  readonly socket: string | undefined;
  readonly lock: FileLock | undefined;
};

/**
 * Somebody who is about to open the door, or has just closed it, gets this long, in ms: he may have
 * a hundred files to read, on a busy machine.
 */
const patienceMs = 30_000;
const againMs = 20;

/** Becomes the owner, or joins who is. */
export async function meet(pid: Pid, startTime: number): Promise<Ownership | RemoteHost> {
  const place = MeetingPlace.of(pid, startTime);
  const start = performance.now();
  for (;;) {
    const ownership = become(place, pid);
    if (ownership !== undefined) return ownership;
    const host = place === undefined ? undefined : await RemoteHost.join(place.socket);
    if (host !== undefined) return host;
    if (performance.now() - start > patienceMs) {
      throw new PatchbayError({
        code: "already-traced",
        doing: `attach to process ${pid}`,
        why: "another patchbay process holds it and does not answer",
        hint: "is that one stopped? continue it, or end it",
      });
    }
    await sleep(againMs);
  }
}

/** Becomes the owner of a process that nobody else can have found yet. */
export function own(pid: Pid, startTime: number): Ownership {
  return become(MeetingPlace.of(pid, startTime), pid) ?? { socket: undefined, lock: undefined };
}

/** Becomes the owner; undefined where somebody of this user is. */
function become(place: MeetingPlace | undefined, pid: Pid): Ownership | undefined {
  const lock = place?.own();
  if (place !== undefined && lock === undefined) return undefined;
  try {
    // Somebody may be there whom we can't meet: another user, in another container.
    refuseOtherTracer(pid);
    place?.clear();
  } catch (error) {
    lock?.[Symbol.dispose]();
    throw error;
  }
  return { socket: place?.socket, lock };
}

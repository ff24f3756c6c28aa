/** Commanding a Patchbay process that traces: the same verbs as in its console, for scripts. */
import { pid as toPid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { readStat } from "../os/proc.ts";
import type { Answer } from "./console.ts";
import { MeetingPlace } from "./meeting-place.ts";
import { RemoteHost } from "./remote-host.ts";

/** A connection to the process that traces; dispose of it in the end. */
export type Control = AsyncDisposable & {
  /** The process that carries commands out. */
  readonly owner: number;
  /** Carries out one command; relative paths in it begin at `folder`. */
  execute(words: readonly string[], folder: string): Promise<Answer>;
};

/** Connects to whoever traces process `pid`; fails where nobody of this user does. */
export async function control(pid: number): Promise<Control> {
  const target = toPid(pid);
  const place = MeetingPlace.of(target, readStat(target).startTime);
  const host = place === undefined ? undefined : await RemoteHost.join(place.socket);
  if (host === undefined) {
    throw new PatchbayError({
      code: "no-such-process",
      doing: `command who traces process ${pid}`,
      why: "no patchbay process of this user has attached to it",
      hint: `patchbay attach -p ${pid}, or patchbay record -p ${pid}`,
    });
  }
  return {
    owner: host.owner,
    execute: (words, folder) => host.command(words, folder),
    [Symbol.asyncDispose]: () => host.close(),
  };
}

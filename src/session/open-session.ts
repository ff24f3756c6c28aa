/** The ways into a session: a process that runs, a program to be started, one that waits. */
import { pid as toPid } from "../base/brand.ts";
import { readStat } from "../os/proc.ts";
import type { EmulatorOptions } from "../target/gdb/launch-emulated.ts";
import { describeProcess } from "./about.ts";
import { refuseUnattachable } from "./attachable.ts";
import { meet, own } from "./meet.ts";
import { orElse } from "./or-else.ts";
import { Owner } from "./owner.ts";
import { RemoteHost } from "./remote-host.ts";
import { Session } from "./session.ts";
import {
  checkProgram,
  type HeldProgram,
  type LaunchOptions,
  startProgram,
  takeOver,
} from "./start-program.ts";
import type { TargetHandlers } from "./target-worker.ts";
import { newTargetWorker } from "./trace-start.ts";
import type { WorkerClient } from "./worker-rpc.ts";

/**
 * Attaches to a running process. Nothing in it changes before something is recorded. Where another
 * Patchbay process of this user has attached already, this one joins it.
 */
export async function attach(pid: number): Promise<Session> {
  const target = toPid(pid);
  refuseUnattachable(target);
  const { startTime } = readStat(target);
  const met = await meet(target, startTime);
  const close = async (): Promise<void> =>
    met instanceof RemoteHost ? met.close() : met.lock?.[Symbol.dispose]();
  return orElse(close, async () => {
    const about = describeProcess(target, startTime);
    if (met instanceof RemoteHost) return new Session(about, met);
    const worker = newTargetWorker();
    const owner = await Owner.of({ ...about, worker, ownership: met, held: undefined });
    return new Session(about, owner);
  });
}

/**
 * Starts a program and holds it before its first own instruction; it runs once something is
 * recorded, or with `run`.
 */
export async function launch(
  command: readonly string[],
  options: LaunchOptions = {},
): Promise<Session> {
  checkProgram(command, options);
  return hostHeld((worker) => startProgram(worker, command, options));
}

/**
 * Takes over a program that waits under the GDB stub of a qemu-user of this machine, at `HOST:PORT`
 * or a socket's path; else as `launch`.
 */
export function attachStub(place: string, options: EmulatorOptions = {}): Promise<Session> {
  return hostHeld((worker) => takeOver(worker, place, options));
}

/** A session with the program that `start` has made a new target worker hold. */
function hostHeld(
  start: (worker: WorkerClient<TargetHandlers>) => Promise<HeldProgram>,
): Promise<Session> {
  const worker = newTargetWorker();
  return orElse(
    async () => {
      await worker.call("abandon").catch(() => undefined);
      await worker.end();
    },
    async () => {
      const { pid, list } = await start(worker);
      const about = describeProcess(pid, readStat(pid).startTime, list);
      const ownership = own(pid, about.startTime);
      const held = { isOurs: true, isNew: true };
      return new Session(about, await Owner.of({ ...about, worker, ownership, held }));
    },
  );
}

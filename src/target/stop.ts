/**
 * Holding all threads of a process, or one, for a moment.
 *
 * Seizing stops nothing; interrupting does. A thread that is found at the delivery of a signal
 * gets that signal when it is let go. Whatever happens in between, disposing lets every thread
 * go: the target runs on.
 */
import type { Pid, Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { listThreads, readStatus } from "../os/proc.ts";
import { detach, interrupt, poll, seize, waitFor } from "../os/ptrace.ts";

/** Longest wait for one thread to stop, in ms. */
const stopTimeoutMs = 3000;

type Held = {
  readonly tid: Tid;
  stopped: boolean;
  /** Signal to be delivered when the thread is let go; 0 for none. */
  deliver: number;
};

export class StoppedThreads {
  readonly pid: Pid;
  readonly #held = new Map<Tid, Held>();

  private constructor(pid: Pid) {
    this.pid = pid;
  }

  /** Stops every thread but `except` (the agent), also those that are born meanwhile. */
  static all(pid: Pid, except?: Tid): StoppedThreads {
    return StoppedThreads.#guarded(pid, (stopped) => {
      while (stopped.#hold(listThreads(pid).filter((tid) => tid !== except))) {
        // A thread that was still running may have made another: look again.
      }
    });
  }

  /** Stops one thread: the first that does stop, in the order of `candidates`. */
  static one(pid: Pid, candidates: readonly Tid[] = listThreads(pid)): StoppedThreads {
    return StoppedThreads.#guarded(pid, (stopped) => {
      for (const tid of candidates) {
        stopped.#hold([tid]);
        if (stopped.#held.size > 0) return;
      }
    });
  }

  /** Stops thread `tid`; undefined when it has ended. */
  static oneIfThere(pid: Pid, tid: Tid): StoppedThreads | undefined {
    const stopped = new StoppedThreads(pid);
    try {
      stopped.#hold([tid]);
    } catch (error) {
      stopped.letGo();
      throw error;
    }
    return stopped.#held.size === 0 ? undefined : stopped;
  }

  /** Takes over a thread that is seized and stopped already, the only one of its process. */
  static adopt(pid: Pid, tid: Tid): StoppedThreads {
    const stopped = new StoppedThreads(pid);
    stopped.#held.set(tid, { tid, stopped: true, deliver: 0 });
    return stopped;
  }

  static #guarded(pid: Pid, hold: (stopped: StoppedThreads) => void): StoppedThreads {
    refuseTraced(pid);
    const stopped = new StoppedThreads(pid);
    try {
      hold(stopped);
    } catch (error) {
      stopped.letGo();
      throw error;
    }
    if (stopped.#held.size === 0) {
      throw new PatchbayError({
        code: "no-such-process",
        doing: `stop process ${pid}`,
        why: "it has no threads left",
      });
    }
    return stopped;
  }

  get tids(): readonly Tid[] {
    return [...this.#held.keys()];
  }

  /** A thread that no signal is about to be delivered to, for system calls on its back. */
  get quietest(): Tid {
    for (const held of this.#held.values()) if (held.deliver === 0) return held.tid;
    throw new PatchbayError({
      code: "system",
      doing: `use a thread of process ${this.pid}`,
      why: "every thread is about to receive a signal",
      hint: "try again",
    });
  }

  /** Remembers a signal that arrived while the thread was driven, to be delivered at the end. */
  keepSignal(tid: Tid, number: number): void {
    const held = this.#held.get(tid);
    if (held !== undefined && held.deliver === 0) held.deliver = number;
  }

  /** Seizes and stops those of `tids` that are not held yet; whether there were any. */
  #hold(tids: readonly Tid[]): boolean {
    const fresh: Held[] = [];
    for (const tid of tids) {
      if (this.#held.has(tid) || !seize(tid)) continue;
      const held: Held = { tid, stopped: false, deliver: 0 };
      this.#held.set(tid, held);
      fresh.push(held);
    }
    for (const held of fresh) interrupt(held.tid);
    for (const held of fresh) this.#await(held);
    return fresh.length > 0;
  }

  #await(held: Held): void {
    const event = waitFor(held.tid, stopTimeoutMs);
    switch (event.kind) {
      case "exited":
      case "killed":
        this.#held.delete(held.tid);
        return;
      case "signal":
        held.deliver = event.signal;
        break;
      case "event-stop":
      case "exec":
        break;
    }
    held.stopped = true;
  }

  /** Lets every thread go. Idempotent. */
  letGo(): void {
    for (const held of this.#held.values()) {
      if (!held.stopped) this.#settle(held);
      if (held.stopped) detach(held.tid, held.deliver);
    }
    this.#held.clear();
  }

  /** A seized thread that never stopped can't be detached: give it a last moment to do so. */
  #settle(held: Held): void {
    const event = poll(held.tid);
    if (event === undefined || event.kind === "exited" || event.kind === "killed") return;
    if (event.kind === "signal") held.deliver = event.signal;
    held.stopped = true;
  }

  [Symbol.dispose](): void {
    this.letGo();
  }
}

/** Another debugger has the process: say which, and touch nothing. */
function refuseTraced(pid: Pid): void {
  const tracer = readStatus(pid).get("TracerPid") ?? "0";
  if (tracer === "0") return;
  throw new PatchbayError({
    code: "already-traced",
    doing: `attach to process ${pid}`,
    why: `process ${tracer} is tracing it`,
    hint: `end that debugger or tracer first: kill ${tracer}`,
  });
}

/**
 * What a drain learns of forks: a child's first claim has copied its parent's note of the fork
 * (`codegen/x86-64/fork-gate.ts`) into the header of its ring.
 */
import { type Pid, type Tid, pid as toPid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { innerPid, readStatus } from "../os/proc.ts";
import { type ClockReading, readClocks, ticksPerSecond } from "../os/tsc.ts";
import { ringHeader } from "../ring/layout.ts";
import type { Fork } from "../trace/forks.ts";

type Parts = {
  /** The process that was attached to. */
  readonly pid: Pid;
  /** Whether the trace's ticks are nanoseconds of CLOCK_MONOTONIC. */
  readonly isCoarse: boolean;
  readonly tell: (fork: Fork) => void;
};

export class ForkNotes {
  readonly #parts: Parts;
  /** The processes of threads that there are events of. */
  readonly #processes = new Map<number, Pid>();
  /** Children that were told of. */
  readonly #told = new Set<Pid>();
  readonly #begin: ClockReading | undefined;
  /** Whether its processes call themselves what the kernel calls them here. */
  readonly #isNamedAlike: boolean;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#isNamedAlike = innerPid(parts.pid) === parts.pid;
    this.#begin = parts.isCoarse ? readClocks("tsc") : undefined;
  }

  /**
   * A thread has its first events in a ring with these words in its header (borrowed).
   * @param isChild whether its process is a forked child.
   */
  thread(words: Uint32Array, tid: Tid, pid: Pid, isChild: boolean): void {
    this.#processes.set(tid, pid);
    if (!isChild || this.#told.has(pid)) return;
    this.#told.add(pid);
    const thread = Atomics.load(words, ringHeader.forkThread / 4);
    const parent = thread === 0 ? this.#parentNow(pid) : this.#processOf(thread);
    const isKnown = thread !== 0 && parent !== pid;
    this.#parts.tell({
      pid,
      parent: parent === pid ? undefined : parent,
      thread: isKnown ? thread : undefined,
      ticks: isKnown ? this.#ticksOf(words) : undefined,
    });
  }

  /** The thread has ended: another one may have its number. */
  forget(tid: Tid, pid: Pid): void {
    if (Number(tid) === Number(pid)) this.#told.delete(pid);
  }

  #processOf(thread: number): Pid | undefined {
    return this.#processes.get(thread) ?? this.#statusOf(thread, "Tgid");
  }

  /** Whose child it is at this moment: the parent's, unless that has ended. */
  #parentNow(pid: Pid): Pid | undefined {
    const parent = this.#statusOf(pid, "PPid");
    const isOurs = parent === this.#parts.pid || (parent !== undefined && this.#told.has(parent));
    return isOurs ? parent : undefined;
  }

  /** A number that the kernel states of a thread; undefined where it has ended. */
  #statusOf(thread: number, field: string): Pid | undefined {
    if (!this.#isNamedAlike) return undefined;
    try {
      const value = Number(readStatus(toPid(thread)).get(field));
      return Number.isInteger(value) && value > 0 ? toPid(value) : undefined;
    } catch (error) {
      if (error instanceof PatchbayError && error.code === "no-such-process") return undefined;
      throw error;
    }
  }

  #ticksOf(words: Uint32Array): bigint {
    const at = words.byteOffset + ringHeader.forkTime;
    const ticks = Atomics.load(new BigUint64Array(words.buffer, at, 1), 0);
    if (this.#begin === undefined) return ticks;
    const now = readClocks("tsc");
    const ago = (Number(now.ticks - ticks) * 1e9) / ticksPerSecond(this.#begin, now);
    return now.monotonicNs - BigInt(Math.round(ago));
  }
}

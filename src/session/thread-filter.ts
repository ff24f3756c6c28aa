/**
 * Which threads a user's ops see: a bit for each thread id, in memory that the target's thunks
 * look at. By id it holds from the first call on; by name, threads are looked after now and then,
 * because they come and change their names.
 */
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { MappedFile } from "../os/mapped-file.ts";
import { listThreads, threadName } from "../os/proc.ts";
import { threadBitsBytes, threadBitsOffset } from "../ring/arena.ts";
import { compileGlob } from "../symbols/glob.ts";
import type { Rings } from "./seat.ts";

/** Threads by their ids or by patterns for their names; those that match one of all. */
export type ThreadChoice = {
  readonly tids?: readonly number[];
  readonly names?: readonly string[];
};

/** How often names are looked at, in ms. */
const lookMs = 50;

export class ThreadFilter {
  readonly #pid: Pid;
  readonly #mapped: MappedFile;
  readonly #bits: Uint8Array;
  readonly #tids: ReadonlySet<number>;
  readonly #names: readonly ((name: string) => boolean)[];
  readonly #timer: NodeJS.Timeout | undefined;
  #passing: ReadonlySet<number> = new Set();

  constructor(pid: Pid, { arenaFd, shape }: Rings, { tids = [], names = [] }: ThreadChoice) {
    this.#pid = pid;
    this.#mapped = new MappedFile(arenaFd, threadBitsOffset(shape), threadBitsBytes);
    this.#bits = new Uint8Array(this.#mapped.buffer);
    this.#tids = new Set(tids);
    this.#names = names.map(compileGlob);
    this.#update();
    if (names.length > 0) this.#timer = setInterval(() => this.#update(), lookMs).unref();
  }

  #update(): void {
    const passing = new Set<number>(this.#tids);
    for (const tid of this.#names.length > 0 ? this.#threads() : []) {
      const name = threadName(this.#pid, tid);
      if (name !== undefined && this.#names.some((matches) => matches(name))) passing.add(tid);
    }
    for (const tid of passing) if (!this.#passing.has(tid)) this.#set(tid, true);
    for (const tid of this.#passing) if (!passing.has(tid)) this.#set(tid, false);
    this.#passing = passing;
  }

  #threads(): ReturnType<typeof listThreads> {
    try {
      return listThreads(this.#pid);
    } catch (error) {
      // It has ended: nobody is left to be seen.
      if (error instanceof PatchbayError && error.code === "no-such-process") return [];
      throw error;
    }
  }

  #set(tid: number, on: boolean): void {
    const at = tid >> 3;
    const bit = 1 << (tid & 7);
    if (on) this.#bits[at] = (this.#bits[at] ?? 0) | bit;
    else this.#bits[at] = (this.#bits[at] ?? 0) & ~bit;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#mapped[Symbol.dispose]();
  }
}

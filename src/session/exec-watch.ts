/**
 * Watches the gate of execs (`codegen/x86-64/exec-gate.ts`) of one program image: threads of its
 * process, and of children that are followed, wait there until they are told to pass.
 */
import { fstatSync } from "node:fs";
import { type Pid, type Tid, pid as toPid, tid as toTid } from "../base/brand.ts";
import { wake } from "../os/futex.ts";
import { MappedFile } from "../os/mapped-file.ts";
import { mapsFile } from "../os/proc.ts";
import { control, execPlace, execPlaces, execState, pageBytes } from "../ring/arena.ts";

/** How often there is a look, in ms: execs are rare, and a look is one word. */
const lookMs = 3;

/** A thread that waits to exec. */
export type Waiting = {
  readonly pid: Pid;
  readonly tid: Tid;
  /** The thread that has forked or vforked its process, and when, by the time stamp counter. */
  readonly forked: { readonly thread: number; readonly ticks: bigint } | undefined;
  /** Lets it go on; once, however often it is called. */
  readonly pass: () => void;
};

type Parts = {
  /** The arena with the gate's words. */
  readonly arenaFd: number;
  /** The only process whose threads wait; undefined: its forked children's, too. */
  readonly only: Pid | undefined;
  readonly onExec: (waiting: Waiting) => void;
};

export class ExecWatch {
  readonly #parts: Parts;
  readonly #page: MappedFile;
  readonly #words: Uint32Array;
  readonly #timer: NodeJS.Timeout;
  #seen: number;
  /** The threads that have been told of, by their places. */
  readonly #told = new Map<number, Tid>();
  /** The arena's file: whoever waits has it mapped. */
  readonly #inode: number;
  #strangers = 0;
  #isOver = false;

  /** Threads wait from now on. */
  constructor(parts: Parts) {
    this.#parts = parts;
    this.#page = new MappedFile(parts.arenaFd, 0, pageBytes);
    this.#inode = fstatSync(parts.arenaFd).ino;
    this.#words = new Uint32Array(this.#page.buffer);
    this.#seen = Atomics.load(this.#words, control.execEvents / 4);
    Atomics.store(this.#words, control.execPid / 4, parts.only ?? 0);
    Atomics.store(this.#words, control.execArmed / 4, 1);
    this.#timer = setInterval(() => this.#look(), lookMs);
  }

  #look(): void {
    const events = Atomics.load(this.#words, control.execEvents / 4);
    if (events === this.#seen) return;
    this.#seen = events;
    for (let index = 0; index < execPlaces; index++) {
      const at = control.execPlaces + index * execPlace.bytes;
      const load = (field: number): number => Atomics.load(this.#words, (at + field) / 4);
      if (load(execPlace.state) !== execState.waiting) continue;
      const [pid, tid] = [toPid(load(execPlace.pid)), toTid(load(execPlace.tid))];
      if (this.#told.get(index) === tid) continue;
      // A child in a namespace of its own has given the number of some other process.
      if (!mapsFile(pid, this.#inode)) {
        this.#strangers++;
        this.#pass(index);
        continue;
      }
      this.#told.set(index, tid);
      let hasPassed = false;
      const pass = (): void => {
        if (!hasPassed) this.#pass(index);
        hasPassed = true;
      };
      const thread = load(execPlace.forkThread);
      const ticks = new BigUint64Array(this.#page.buffer, at + execPlace.forkTime, 1)[0] ?? 0n;
      this.#parts.onExec({ pid, tid, forked: thread === 0 ? undefined : { thread, ticks }, pass });
    }
  }

  #pass(index: number): void {
    this.#told.delete(index);
    if (this.#isOver) return;
    const at = control.execPlaces + index * execPlace.bytes + execPlace.state;
    const { waiting, passed } = execState;
    Atomics.compareExchange(this.#words, at / 4, waiting, passed);
    wake(this.#page.address + BigInt(at));
  }

  /**
   * Nobody waits any more, and nothing is told. Gives the number of threads that went on untold:
   * too many waited, or they did so for too long, or their numbers were not their own.
   */
  end(): number {
    if (this.#isOver) return 0;
    const missed = Atomics.load(this.#words, control.execMissed / 4);
    clearInterval(this.#timer);
    Atomics.store(this.#words, control.execArmed / 4, 0);
    for (let index = 0; index < execPlaces; index++) {
      wake(this.#page.address + BigInt(control.execPlaces + index * execPlace.bytes));
    }
    this.#isOver = true;
    this.#page[Symbol.dispose]();
    return missed + this.#strangers;
  }
}

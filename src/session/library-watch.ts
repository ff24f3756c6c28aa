/**
 * Watches the dynamic linker of a traced process: which libraries come and go. Where its threads
 * wait for that (`codegen/x86-64/loader-gate.ts`), a library's functions are traced before `dlopen`
 * returns; elsewhere there is a look now and then.
 */
import { codeAddr, type Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { dynamicTag, segmentType } from "../elf/constants.ts";
import { BackgroundWait, wake } from "../os/futex.ts";
import { MappedFile } from "../os/mapped-file.ts";
import { ProcessMemory } from "../os/proc.ts";
import { control, pageBytes } from "../ring/arena.ts";
import type { Module } from "./process-modules.ts";

/** struct r_debug of <link.h>, by its fields' offsets, and what r_state says. */
const rDebug = { brk: 16n, state: 24n } as const;
export const loaderState = { consistent: 0, add: 1, delete: 2 } as const;

/** The longest wait for news, in ms: then the process is looked after. */
const patienceMs = 250;
/** How often there is a look where threads do not wait, in ms. */
const lookMs = 50;

/** Where the loader of a process keeps what debuggers want to know. */
export type Loader = {
  /** Address of its struct r_debug. */
  readonly debug: bigint;
  /** The function that it calls when something changes. */
  readonly brk: bigint;
};

/** The loader of the process whose program is `module`; undefined for static programs. */
export function findLoader(pid: Pid, { program, bias }: Module): Loader | undefined {
  const dynamic = program.elf.segments.find(({ type }) => type === segmentType.dynamic);
  if (dynamic === undefined) return undefined;
  using memory = new ProcessMemory(pid);
  const words = memory.read(BigInt(dynamic.addr) + bias, dynamic.memSize);
  const view = new DataView(words.buffer);
  for (let at = 0; at + 16 <= words.length; at += 16) {
    const tag = Number(view.getBigUint64(at, true));
    if (tag === dynamicTag.null) return undefined;
    const debug = view.getBigUint64(at + 8, true);
    if (tag !== dynamicTag.debug || debug === 0n) continue;
    return { debug, brk: codeAddr(memory.readU64(debug + rDebug.brk)) };
  }
  return undefined;
}

type Parts = {
  readonly pid: Pid;
  readonly loader: Loader;
  /** The arena's descriptor where threads wait; undefined where they do not. */
  readonly arenaFd: number | undefined;
  /** Is told of every change with the loader's state then; the thread goes on when it is done. */
  readonly onChange: (state: number) => Promise<void>;
};

export class LibraryWatch {
  readonly #parts: Parts;
  readonly #memory: ProcessMemory;
  readonly #mapped: MappedFile | undefined;
  readonly #words: Uint32Array;
  readonly #ended: Promise<void>;
  #isOver = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#memory = new ProcessMemory(parts.pid);
    const { arenaFd } = parts;
    this.#mapped = arenaFd === undefined ? undefined : new MappedFile(arenaFd, 0, pageBytes);
    this.#words = new Uint32Array(this.#mapped?.buffer ?? new ArrayBuffer(pageBytes));
    this.#ended = this.#run();
  }

  async #run(): Promise<void> {
    const background = new BackgroundWait();
    const { loaderEvents, loaderSeen } = control;
    let seen = Atomics.load(this.#words, loaderSeen / 4);
    while (!this.#isOver) {
      const events = Atomics.load(this.#words, loaderEvents / 4);
      if (events !== seen || this.#mapped === undefined) await this.#tell();
      if (this.#mapped === undefined) {
        await new Promise((resolve) => setTimeout(resolve, lookMs));
      } else if (events !== seen) {
        seen = events;
        Atomics.store(this.#words, loaderSeen / 4, seen);
        wake(this.#mapped.address + BigInt(loaderSeen));
      } else {
        await background.waitWhile(this.#mapped.address + BigInt(loaderEvents), seen, patienceMs);
      }
    }
  }

  async #tell(): Promise<void> {
    try {
      const at = this.#parts.loader.debug + rDebug.state;
      const state = new DataView(this.#memory.read(at, 4).buffer).getInt32(0, true);
      await this.#parts.onChange(state);
    } catch (error) {
      // The process is ending: whoever looks after it says so. What could not be changed is told
      // with the next change that somebody asks for.
      if (!(error instanceof PatchbayError)) throw error;
    }
  }

  /** Ends the watch; nothing is told any more. */
  async end(): Promise<void> {
    this.#isOver = true;
    if (this.#mapped !== undefined) wake(this.#mapped.address + BigInt(control.loaderEvents));
    await this.#ended;
    this.#mapped?.[Symbol.dispose]();
    this.#memory[Symbol.dispose]();
  }
}

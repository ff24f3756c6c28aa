/**
 * Libraries that were loaded into a traced process for their functions to be called there. One is
 * unloaded when every thread has been seen outside of it and of all thunks, after nothing leads
 * there any more.
 */
import { ensure } from "../base/assert.ts";
import { type CodeAddr, codeAddr, type Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { nap } from "../os/ptrace.ts";
import {
  type LibraryParts,
  type LoadedLibrary,
  type Loader,
  loadLibrary,
  unloadLibrary,
} from "./library.ts";
import type { HeldThreads, TargetProcess } from "./process.ts";
import { StackWalker, type WalkModule } from "./stack-walk.ts";
import type { TextRange } from "./unwinder-registration.ts";

export type LoadedLibrariesParts = {
  readonly process: TargetProcess;
  /** A page of memory that is ours while something is traced. */
  readonly scratch: bigint;
  readonly agentTid: () => Tid | undefined;
  /** Carries out what makes the loader tell of libraries, without waiting for whom it tells. */
  readonly unwatched: (work: () => void) => void;
  /** Whether `pc` is in generated code that may lead into a library. */
  readonly isOurCode: (pc: bigint) => boolean;
};

/** What is known of the process at present. */
export type Surroundings = {
  readonly loader: Loader;
  readonly modules: (process: TargetProcess) => readonly WalkModule[];
};

type Loaded = {
  readonly text: TextRange;
  readonly loader: Loader;
  /** As they were when it had been loaded. */
  readonly modules: readonly WalkModule[];
};

/** How often a thread that stays inside is looked at, and how long in between. */
const looksMax = 3000;
const lookEveryMs = 2;

/** A byte that traps when it is executed: any one in the C library's code serves. */
function findTrap({ memory, backEnd }: TargetProcess, { libraries }: Loader): CodeAddr {
  for (const { start, end } of libraries) {
    const code = Buffer.from(memory.read(start, Number(end - start)).buffer);
    const at = code.indexOf(backEnd.trapInstruction);
    if (at >= 0) return codeAddr(start + BigInt(at));
  }
  throw new PatchbayError({
    code: "unsupported",
    doing: "call a function of the C library",
    why: "there is no trap instruction for it to return to",
  });
}

export class LoadedLibraries {
  readonly #parts: LoadedLibrariesParts;
  readonly #loaded = new Map<bigint, Loaded>();

  constructor(parts: LoadedLibrariesParts) {
    this.#parts = parts;
  }

  #libraryParts(loader: Loader, modules: readonly WalkModule[]): LibraryParts {
    const { process, scratch, agentTid } = this.#parts;
    return {
      process,
      loader,
      walker: (maps) => new StackWalker(process.memory, modules, maps),
      scratch,
      returnTrap: findTrap(process, loader),
      agent: agentTid(),
    };
  }

  /** @param text link addresses of its code. */
  load({ loader, modules }: Surroundings, path: string, text: TextRange): LoadedLibrary {
    const { process } = this.#parts;
    const parts = this.#libraryParts(loader, modules(process));
    let made: LoadedLibrary | undefined;
    this.#parts.unwatched(() => {
      made = loadLibrary(parts, path);
    });
    const loaded = ensure(made, "a library that was loaded");
    const start = text.start + loaded.bias;
    this.#loaded.set(loaded.handle, {
      text: { start, end: text.end + loaded.bias },
      loader,
      modules: modules(process),
    });
    return loaded;
  }

  /** Unloads a library that no site leads to any more. */
  unload(handle: bigint): void {
    const library = this.#loaded.get(handle);
    if (library === undefined) return;
    const parts = this.#libraryParts(library.loader, library.modules);
    this.#awaitOutside(parts, library.text);
    this.#parts.unwatched(() => unloadLibrary(parts, handle));
    this.#loaded.delete(handle);
  }

  unloadAll(): void {
    for (const handle of [...this.#loaded.keys()]) this.unload(handle);
  }

  /** Whether a held thread is inside of a library: it will return into a thunk. */
  isInside(threads: HeldThreads): boolean {
    const { process } = this.#parts;
    return [...this.#loaded.values()].some(({ text, modules }) => {
      const walker = new StackWalker(process.memory, modules, process.maps());
      return threads.tids.some((tid) => {
        const { frames, guesses = [] } = walker.walk(threads.readRegisters(tid));
        return [...frames, ...guesses].some((pc) => pc >= text.start && pc < text.end);
      });
    });
  }

  /** A look at one thread after the other: who was outside once does not come in again. */
  #awaitOutside({ walker }: LibraryParts, text: TextRange): void {
    const { process, agentTid, isOurCode } = this.#parts;
    const isInside = (pc: bigint): boolean => (pc >= text.start && pc < text.end) || isOurCode(pc);
    let waiting = process.threads().filter((tid) => tid !== agentTid());
    for (let looks = 0; looks < looksMax; looks++) {
      waiting = waiting.filter((tid) => {
        using threads = process.hold(tid);
        if (threads === undefined) return false;
        const { frames, guesses = [] } = walker(process.maps()).walk(threads.readRegisters(tid));
        return [...frames, ...guesses].some(isInside);
      });
      if (waiting.length === 0) return;
      nap(lookEveryMs);
    }
    throw new PatchbayError({
      code: "system",
      doing: `unload a library from process ${process.pid}`,
      why: `thread ${waiting[0]} does not come out of it`,
    });
  }
}

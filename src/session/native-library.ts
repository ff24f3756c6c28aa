/**
 * A shared library that was loaded into a traced process, for its functions to be called at the
 * entries of others: direct calls.
 */
import { realpathSync, statSync } from "node:fs";
import { type CodeAddr, codeAddr, type Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { segmentFlag, segmentType } from "../elf/constants.ts";
import { findSymbols } from "../elf/named-symbols.ts";
import { procFolder } from "../os/proc.ts";
import type { LoadedLibrary } from "../target/library.ts";
import type { TextRange } from "../target/unwinder-registration.ts";
import { openProgramFile, type ProgramFile } from "./program-file.ts";

/** The path of a file as process `pid` sees it: the same, or the file can't be used there. */
export function pathInProcess(doing: string, pid: Pid, path: string): string {
  const program = openProgramFile(path);
  const real = realpathSync(program.path);
  try {
    const here = statSync(real);
    const there = statSync(`${procFolder(pid)}/root${real}`);
    if (here.dev === there.dev && here.ino === there.ino) return real;
  } catch {
    // It is not there for the process: said below.
  }
  throw new PatchbayError({
    code: "unsupported",
    doing,
    why: `the process does not see ${real}`,
    hint: "it has another root or mount namespace: put the file where both see it under one path",
  });
}

/** Link addresses of the code of a library. */
export function codeRange({ elf }: ProgramFile): TextRange {
  const parts = elf.segments.filter(
    ({ type, flags }) => type === segmentType.load && (flags & segmentFlag.execute) !== 0,
  );
  return {
    start: BigInt(Math.min(...parts.map(({ addr }) => addr))),
    end: BigInt(Math.max(...parts.map(({ addr, memSize }) => addr + memSize))),
  };
}

export class NativeLibrary implements AsyncDisposable {
  readonly path: string;
  readonly #program: ProgramFile;
  readonly #loaded: LoadedLibrary;
  readonly #unload: () => Promise<void>;
  #isLoaded = true;

  /** @internal use `Session.loadLibrary`. */
  constructor(program: ProgramFile, loaded: LoadedLibrary, unload: () => Promise<void>) {
    this.path = program.path;
    this.#program = program;
    this.#loaded = loaded;
    this.#unload = unload;
  }

  /** Address in the process of its function `name`. */
  address(name: string): CodeAddr {
    const found = findSymbols(this.#program.elf, (symbol) => symbol === name).get(name);
    const symbol = found?.find(({ kind }) => kind === "function");
    if (symbol !== undefined) return codeAddr(BigInt(symbol.addr) + this.#loaded.bias);
    throw new PatchbayError({
      code: "no-match",
      doing: `call ${name}`,
      why: `${this.path} has no function of that name`,
    });
  }

  /**
   * Takes it out of the process, once nobody is inside of it. No ops may call it any more. It goes
   * by itself with the last user of the process.
   */
  async unload(): Promise<void> {
    if (!this.#isLoaded) return;
    this.#isLoaded = false;
    await this.#unload();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unload();
  }
}

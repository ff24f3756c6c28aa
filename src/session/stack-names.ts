/**
 * Names for recorded stacks, looked up when a trace is read: in the files that were mapped, as far
 * as they are still what they were, and in the program's own map of code that it made.
 *
 * It is seen here, too, how far a stack can be believed. Frame pointers lead from a function to its
 * caller's caller only if the function's caller keeps one: its file's frame descriptions say so.
 * What lies behind one that does not is left out.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PatchbayError } from "../base/error.ts";
import { CallFrames } from "../elf/call-frames.ts";
import { findLoadBias } from "../elf/elf-file.ts";
import { indexContaining, type SymbolTable, symbolName } from "../symbols/symbol-table.ts";
import { type CodeMapping, parseCodeMap } from "../trace/code-map.ts";
import { shortName } from "../trace/functions.ts";
import { PerfMap } from "../trace/perf-map.ts";
import type { TracedModule } from "../trace/session.ts";
import type { NameStack, StackFrame } from "../trace/stack-frames.ts";
import { demangle } from "./demangle.ts";
import { guardFormat, openProgramFile } from "./program-file.ts";
import { traceFiles } from "./trace-files.ts";

/** A file that was mapped, as far as it can be read. */
type Code = {
  readonly symbols: SymbolTable;
  readonly frames: CallFrames;
  /** Added to a link address to get the address in the process. */
  readonly bias: bigint;
};

/** V8's own code in a program's file has no frame descriptions; all of it keeps frame pointers. */
const keepsByName = /^Builtins_/;

type Named = { readonly frame: StackFrame; readonly keepsFramePointer: boolean };

/** What names the stacks of the trace in `directory`. */
export function stackNames(directory: string, modules: readonly TracedModule[]): NameStack {
  let names: StackNames | undefined;
  return (addresses) => (names ??= new StackNames(directory, modules)).name(addresses);
}

const readIfThere = (path: string): string => (existsSync(path) ? readFileSync(path, "utf8") : "");

class StackNames {
  readonly #mappings: readonly CodeMapping[];
  readonly #made: PerfMap;
  readonly #buildIds: ReadonlyMap<string, string | undefined>;
  readonly #codes = new Map<CodeMapping, Code | undefined>();
  readonly #known = new Map<bigint, Named>();

  constructor(directory: string, modules: readonly TracedModule[]) {
    this.#mappings = parseCodeMap(readIfThere(join(directory, traceFiles.code)));
    this.#made = new PerfMap(readIfThere(join(directory, traceFiles.perfMap)));
    this.#buildIds = new Map(modules.map(({ path, buildId }) => [path, buildId]));
  }

  name(addresses: readonly bigint[]): readonly StackFrame[] {
    const frames: StackFrame[] = [];
    for (const address of addresses) {
      const { frame, keepsFramePointer } = this.#find(address);
      frames.push(frame);
      if (!keepsFramePointer) break;
    }
    return frames;
  }

  #find(address: bigint): Named {
    const known = this.#known.get(address);
    if (known !== undefined) return known;
    const found = this.#look(address);
    this.#known.set(address, found);
    return found;
  }

  #look(address: bigint): Named {
    // A call may be a function's last instruction: what counts is the call, not where it returns.
    const at = address - 1n;
    const mapping = this.#mappings.findLast(({ start, end }) => at >= start && at < end);
    if (mapping === undefined) {
      const name = this.#made.find(at);
      const frame = { address, name, module: undefined };
      return { frame, keepsFramePointer: name !== undefined };
    }
    const { path } = mapping;
    if (!this.#codes.has(mapping)) this.#codes.set(mapping, this.#open(mapping));
    const code = this.#codes.get(mapping);
    if (code === undefined) {
      return { frame: { address, name: undefined, module: path }, keepsFramePointer: false };
    }
    const link = Number(at - code.bias);
    const index = indexContaining(code.symbols, link);
    const symbol = index < 0 ? undefined : symbolName(code.symbols, index);
    const name = symbol === undefined ? undefined : shortName(demangle(symbol) ?? symbol);
    return {
      frame: { address, name, module: path },
      keepsFramePointer: code.frames.keepsFramePointer(link) ?? isTrusted(code, symbol),
    };
  }

  /** The file of a mapping; undefined where it is not there any more, or another one. */
  #open({ path, start, offset }: CodeMapping): Code | undefined {
    try {
      const program = openProgramFile(path);
      const bias = findLoadBias(program.elf, start, offset);
      const isSame = !this.#buildIds.has(path) || this.#buildIds.get(path) === program.buildId;
      if (bias === undefined || !isSame) return undefined;
      const frames = guardFormat(`read ${path}`, () => new CallFrames(program.elf));
      return { symbols: program.symbols(), frames, bias };
    } catch (error) {
      if (error instanceof PatchbayError) return undefined;
      throw error;
    }
  }
}

/** Of code without a description. */
const isTrusted = ({ frames }: Code, symbol: string | undefined): boolean =>
  frames.isEmpty || (symbol !== undefined && keepsByName.test(symbol));

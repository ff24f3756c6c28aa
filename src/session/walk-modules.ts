/** What is mapped in a process, for walking its threads' stacks. */
import { CallFrames } from "../elf/call-frames.ts";
import { parseElf } from "../elf/elf-file.ts";
import type { SymbolTable } from "../symbols/symbol-table.ts";
import { indexContaining, readSymbolTable, symbolName } from "../symbols/symbol-table.ts";
import type { TargetProcess } from "../target/process.ts";
import type { WalkModule } from "../target/stack-walk.ts";
import { demangle } from "./demangle.ts";
import { listModules } from "./process-modules.ts";
import { guardFormat } from "./program-file.ts";

/** `function` of a table at a link address. */
function nameIn(symbols: SymbolTable, link: number): string | undefined {
  const index = indexContaining(symbols, link);
  if (index < 0) return undefined;
  const name = symbolName(symbols, index);
  return demangle(name) ?? name;
}

/** The modules of `process` and its vdso, as they are mapped now. */
export function walkModules(process: TargetProcess): readonly WalkModule[] {
  const maps = process.maps();
  const found = listModules(process.pid).modules.map(({ path, program, bias }): WalkModule => {
    const code = maps.filter((one) => one.executable && one.path.startsWith(path));
    const starts = code.map(({ start }) => start);
    const ends = code.map(({ end }) => end);
    return {
      start: starts.reduce((a, b) => (a < b ? a : b), 1n << 64n),
      end: ends.reduce((a, b) => (a > b ? a : b), 0n),
      bias,
      path,
      frames: guardFormat(`read ${path}`, () => new CallFrames(program.elf)),
      nameOf: (address) => nameIn(program.symbols(), Number(address - bias)),
    };
  });
  return [...found, ...vdsoOf(process)];
}

function vdsoOf(process: TargetProcess): readonly WalkModule[] {
  const { memory } = process;
  const mapping = process.maps().find(({ path }) => path === "[vdso]");
  if (mapping === undefined) return [];
  const { start, end, path } = mapping;
  const elf = guardFormat("read the vdso", () => parseElf(memory.read(start, Number(end - start))));
  const symbols = readSymbolTable(elf);
  const frames = new CallFrames(elf);
  const nameOf = (address: bigint) => nameIn(symbols, Number(address - start));
  return [{ start, end, bias: start, path, frames, nameOf }];
}

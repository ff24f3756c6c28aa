/**
 * A fix: a shared library that says which functions of a program its own ones replace. It says it
 * in one of three ways, and needs no header of ours:
 *
 * - a function named `patchbay_fix_NAME` replaces NAME;
 * - a section `.patchbay.fix` holds lines `OLD=NEW`;
 * - whoever applies it says `OLD=NEW`.
 *
 * A section `.patchbay.target` names the build-id of the program that the fix was made for. What a
 * fix uses of the program without its loader knowing it (static variables and functions), it
 * declares as weak symbols, which are looked up in the program's symbol table. A section
 * `.patchbay.refs` may say more of them: lines `SYMBOL=NAME@FILE`, with the source file where
 * several have a static of that name.
 */
import { PatchbayError } from "../base/error.ts";
import { segmentFlag, segmentType } from "../elf/constants.ts";
import { findSection, sectionBytes } from "../elf/elf-file.ts";
import { findLooseEnds, findSymbols, type LooseEnd } from "../elf/named-symbols.ts";
import type { TextRange } from "../target/unwinder-registration.ts";
import { guardFormat, openProgramFile, type ProgramFile } from "./program-file.ts";

/** What the names of replacing functions begin with. */
export const fixPrefix = "patchbay_fix_";

export type Replacement = {
  /** The function of the program. */
  readonly name: string;
  /** The function of the fix: its symbol, link address and bytes. */
  readonly by: string;
  readonly addr: bigint;
  readonly size: number;
};

/** A static of the program that a symbol of the fix stands for. */
export type Reference = { readonly name: string; readonly source: string | undefined };

export type FixFile = {
  readonly path: string;
  readonly program: ProgramFile;
  readonly replacements: readonly Replacement[];
  /** Build-id of the program that it was made for. */
  readonly madeFor: string | undefined;
  readonly looseEnds: readonly LooseEnd[];
  readonly references: ReadonlyMap<string, Reference>;
  readonly text: TextRange;
  readonly data: readonly TextRange[];
  readonly mapped: TextRange;
};

const dataSections: readonly string[] = [".rodata", ".data", ".bss", ".data.rel.ro"];

/** Lines of a section that holds text; none when it is not there. */
function linesOf({ elf }: ProgramFile, name: string): readonly string[] {
  const section = findSection(elf, name);
  if (section === undefined) return [];
  const text = new TextDecoder().decode(sectionBytes(elf, section));
  return text
    .split(/[\n\0]/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

function parsePair(doing: string, line: string): readonly [string, string] {
  const [old, by, ...more] = line.split("=");
  if (old === undefined || by === undefined || more.length > 0 || old === "" || by === "") {
    throw new PatchbayError({
      code: "bad-usage",
      doing,
      why: `${line} is not OLD=NEW`,
      hint: "--map answer=better_answer",
    });
  }
  return [old, by];
}

function rangeOf(program: ProgramFile, isWanted: (flags: number) => boolean): TextRange {
  const parts = program.elf.segments.filter(
    ({ type, flags }) => type === segmentType.load && isWanted(flags),
  );
  const starts = parts.map(({ addr }) => addr);
  const ends = parts.map(({ addr, memSize }) => addr + memSize);
  return { start: BigInt(Math.min(...starts)), end: BigInt(Math.max(...ends)) };
}

/** Reads the fix at `path`. `map` has more pairs `OLD=NEW`. */
export function readFix(doing: string, path: string, map: readonly string[] = []): FixFile {
  const program = openProgramFile(path);
  const { elf } = program;
  const refuse = (why: string, hint?: string): PatchbayError =>
    new PatchbayError({ code: "unsupported", doing, why, ...(hint === undefined ? {} : { hint }) });
  if (elf.machine !== "x86-64") throw refuse(`${path} is for ${elf.machine}`);
  if (elf.kind !== "pie" || elf.segments.every(({ type }) => type !== segmentType.dynamic)) {
    throw refuse(`${path} is no shared library`, "link it with -shared -fPIC");
  }
  return guardFormat(doing, () => {
    const pairs = new Map<string, string>();
    for (const line of [...linesOf(program, ".patchbay.fix"), ...map]) {
      pairs.set(...parsePair(doing, line));
    }
    const news = new Set(pairs.values());
    const symbols = findSymbols(elf, (name) => name.startsWith(fixPrefix) || news.has(name));
    for (const name of symbols.keys()) {
      if (name.startsWith(fixPrefix) && !news.has(name)) {
        pairs.set(name.slice(fixPrefix.length), name);
      }
    }
    if (pairs.size === 0) {
      throw refuse(
        `${path} says of no function that it replaces one`,
        `name it ${fixPrefix}FUNCTION, or give --map FUNCTION=NAME`,
      );
    }
    const replacements = [...pairs].map(([name, by]): Replacement => {
      const found = symbols.get(by)?.find(({ kind }) => kind === "function");
      if (found === undefined) throw refuse(`${path} has no function ${by}, to replace ${name}`);
      return { name, by, addr: BigInt(found.addr), size: found.size };
    });
    const references = new Map(
      linesOf(program, ".patchbay.refs").map((line): [string, Reference] => {
        const [symbol, meant] = parsePair(doing, line);
        const [name = meant, source] = meant.split("@");
        return [symbol, { name, source }];
      }),
    );
    return {
      path,
      program,
      replacements,
      madeFor: linesOf(program, ".patchbay.target")[0],
      looseEnds: findLooseEnds(elf),
      references,
      text: rangeOf(program, (flags) => (flags & segmentFlag.execute) !== 0),
      data: dataSections.flatMap((name) => {
        const section = findSection(elf, name);
        if (section === undefined || section.size === 0) return [];
        return { start: BigInt(section.addr), end: BigInt(section.addr + section.size) };
      }),
      mapped: rangeOf(program, () => true),
    };
  });
}

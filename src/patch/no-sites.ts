/** Why a program has no patch site, as far as the file tells, and what would make it have some. */
import { segmentType } from "../elf/constants.ts";
import { type ElfFile, findSection, type Machine } from "../elf/elf-file.ts";
import { nameAt } from "../elf/string-table.ts";
import { symbolEntry, symbolSections } from "../elf/symbol-section.ts";

/** The compiler options that make sites, by machine: they count no-ops, not bytes. */
export const siteOptions: Readonly<Record<Machine, string>> = {
  "x86-64":
    "-fpatchable-function-entry=5 (gcc, clang) or -pg -mfentry -mrecord-mcount -mnop-mcount (gcc)",
  aarch64: "-fpatchable-function-entry=2 (gcc, clang)",
  riscv64: "-fpatchable-function-entry=4 (gcc, clang), or =2 without the C extension",
};

export type NoSites = {
  /** What the file has instead. */
  readonly why: string;
  /** What to do. */
  readonly hint: string;
};

const recompile = ({ machine }: ElfFile): string => `compile it with ${siteOptions[machine]}`;

type Instrumenter = { readonly why: string; readonly hint?: string };

/** Other ways of instrumenting leave functions that they call. */
const instrumenters: ReadonlyMap<string, Instrumenter> = new Map([
  [
    "__fentry__",
    {
      why: "it was compiled with -pg -mfentry, which keeps no list of its call sites",
      hint: "add -mrecord-mcount, and -mnop-mcount so that untraced calls cost nothing",
    },
  ],
  [
    "mcount",
    { why: "it was compiled with -pg, whose calls stand behind each function's prologue" },
  ],
  [
    "__cyg_profile_func_enter",
    { why: "it was compiled with -finstrument-functions, whose calls can't be switched off" },
  ],
]);

/**
 * The instrumentation that `elf` calls into: functions that it needs from elsewhere, or has in
 * itself when it is static. The C library itself has them all and uses none.
 */
function findInstrumenter(elf: ElfFile): NoSites | undefined {
  const isStatic = !elf.segments.some((segment) => segment.type === segmentType.interp);
  const isLibrary = elf.kind === "pie" && isStatic;
  for (const table of symbolSections(elf)) {
    for (let i = 1; i < table.count; i++) {
      const symbol = symbolEntry(table, i);
      const isNeeded = symbol.sectionIndex === 0 || (isStatic && !isLibrary);
      if (!isNeeded) continue;
      const name = nameAt(table.names, symbol.name);
      const plain = name.replace(/@.*$/, "").replace(/^_mcount$/, "mcount");
      const found = instrumenters.get(plain);
      if (found !== undefined) return { hint: recompile(elf), ...found };
    }
  }
  return undefined;
}

/** Explains a program in which `findSites` found none; refused entries are the caller's to tell. */
export function explainNoSites(elf: ElfFile): NoSites {
  if (elf.sections.length === 0) {
    return {
      why: "it has no section headers, so that nothing says where its sites are",
      hint: "use the file as the linker made it, or one stripped with strip(1)",
    };
  }
  if (findSection(elf, "xray_instr_map") !== undefined) {
    return {
      why: "it was compiled with -fxray-instrument, whose sleds Patchbay does not use yet",
      hint: recompile(elf),
    };
  }
  const none = { why: "it has no patchable functions", hint: recompile(elf) };
  return findInstrumenter(elf) ?? none;
}

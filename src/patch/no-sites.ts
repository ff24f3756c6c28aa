/** Why a program has no patch site, as far as the file tells, and what would make it have some. */
import { segmentType } from "../elf/constants.ts";
import { type ElfFile, findSection } from "../elf/elf-file.ts";
import { nameAt } from "../elf/string-table.ts";
import { symbolEntry, symbolSections } from "../elf/symbol-section.ts";

/** The compiler options that make sites. */
export const siteOptions =
  "-fpatchable-function-entry=5 (gcc, clang) or -pg -mfentry -mrecord-mcount -mnop-mcount (gcc)";

export type NoSites = {
  /** What the file has instead. */
  readonly why: string;
  /** What to do. */
  readonly hint: string;
};

/** Other ways of instrumenting leave functions that they call. */
const instrumenters: ReadonlyMap<string, NoSites> = new Map([
  [
    "__fentry__",
    {
      why: "it was compiled with -pg -mfentry, which keeps no list of its call sites",
      hint: "add -mrecord-mcount, and -mnop-mcount so that untraced calls cost nothing",
    },
  ],
  [
    "mcount",
    {
      why: "it was compiled with -pg, whose calls stand behind each function's prologue",
      hint: `compile it with ${siteOptions}`,
    },
  ],
  [
    "__cyg_profile_func_enter",
    {
      why: "it was compiled with -finstrument-functions, whose calls can't be switched off",
      hint: `compile it with ${siteOptions}`,
    },
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
      if (found !== undefined) return found;
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
      hint: `compile it with ${siteOptions}`,
    };
  }
  const none = {
    why: "it has no patchable functions",
    hint: `compile it with ${siteOptions}`,
  };
  return findInstrumenter(elf) ?? none;
}

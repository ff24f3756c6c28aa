/** Finding sites in x86-64 programs: no-ops of any length, calls of `__fentry__`, XRay's sleds. */
import { type ElfFile, sectionsNamed } from "../elf/elf-file.ts";
import { readAddressTable } from "../elf/pointers.ts";
import type { Layout } from "./layout.ts";
import type { RefusalReason } from "./site.ts";
import type { PlaceTable, SiteDialect } from "./site-search.ts";
import { type FentryTargets, fentryLayoutAt, findFentryTargets } from "./x86-64-fentry.ts";
import {
  branchSize,
  endbr64,
  isEndbr64,
  longNops,
  nop1x5,
  nopSizeAt,
  xraySled,
} from "./x86-64-layouts.ts";
import { entrySleds, isSled } from "./x86-64-xray.ts";

const nop = 0x90;

/** The layout whose window the no-ops at `bytes[at]` are. */
function layoutAt(bytes: Uint8Array, at: number): Layout | RefusalReason {
  if (bytes[at] === nop) {
    for (let i = 1; i < branchSize; i++) if (bytes[at + i] !== nop) return "too-short";
    return nop1x5;
  }
  const size = nopSizeAt(bytes, at);
  // Compilers put the longest no-op first: what follows a short one is not the site's.
  return size === 0 ? "not-nop" : (longNops.get(size) ?? "too-short");
}

/** The table of `-pg -mfentry -mrecord-mcount`. */
function mcountTable(elf: ElfFile): PlaceTable {
  let fentry: FentryTargets | undefined;
  const addrs = sectionsNamed(elf, "__mcount_loc").flatMap((section) => [
    ...readAddressTable(elf, section),
  ]);
  return {
    addrs,
    layoutAt: (addr, at) => {
      const size = nopSizeAt(elf.bytes, at);
      if (size > 0) return longNops.get(size) ?? "too-short";
      fentry ??= findFentryTargets(elf);
      return fentryLayoutAt(fentry, elf, at, addr);
    },
  };
}

/** The table of `-fxray-instrument`. */
const xrayTable = (elf: ElfFile): PlaceTable => ({
  addrs: entrySleds(elf),
  layoutAt: (_addr, at) => (isSled(elf.bytes, at) ? xraySled : "not-nop"),
});

export const x8664Dialect: SiteDialect = {
  padSizeAt: (bytes, at) => (isEndbr64(bytes, at) ? endbr64.length : 0),
  padSizeMax: endbr64.length,
  nopSizeAt,
  layoutAt,
  tables: (elf) => [mcountTable(elf), xrayTable(elf)],
};

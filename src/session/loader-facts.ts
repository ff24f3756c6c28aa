/** Where a process' C library has the functions that load libraries. */
import { basename } from "node:path";
import { codeAddr, type Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { findSymbols } from "../elf/named-symbols.ts";
import { readMaps } from "../os/proc.ts";
import { type Loader, loaderLockHolders } from "../target/library.ts";
import type { TextRange } from "../target/unwinder-registration.ts";
import { isDynamic } from "./fix-plan.ts";
import type { Module } from "./process-modules.ts";

/** C libraries, their parts, and dynamic loaders, by the names of their files. */
const libraryName = /^(ld[-.]|ld-musl|libc[-.]|libpthread[-.]|libdl[-.])/;
/** RTLD_NOW; and what glibc's own dlopen wants to be told (__RTLD_DLOPEN). */
const resolveNow = 2n;
const fromDlopen = 0x8000_0000n;
const loaderName = /^ld[-.]/;

const loading = ["dlopen", "dlclose", "dlerror", "__libc_dlopen_mode", "__libc_dlclose"] as const;
const known: ReadonlySet<string> = new Set([...loading, ...loaderLockHolders]);

/** The functions of a library that matter here, by name. */
type Known = ReadonlyMap<string, TextRange>;

const findKnown = ({ program, bias }: Module): Known =>
  new Map(
    [...findSymbols(program.elf, (name) => known.has(name))].flatMap(([name, [one]]) => {
      if (one === undefined) return [];
      const start = BigInt(one.addr) + bias;
      return [[name, { start, end: start + BigInt(Math.max(1, one.size)) }]];
    }),
  );

/** The addresses that `names` have in one library. */
function findAll(libraries: readonly Known[], ...names: readonly (typeof loading)[number][]) {
  for (const library of libraries) {
    const found = names.map((name) => library.get(name));
    if (found.every((one) => one !== undefined)) return found.map(({ start }) => codeAddr(start));
  }
  return undefined;
}

/** The loader of process `pid`. Fails for static programs, which have none. */
export function findLoader(doing: string, pid: Pid, modules: readonly Module[]): Loader {
  const [executable] = modules;
  const refuse = (why: string): PatchbayError =>
    new PatchbayError({ code: "unsupported", doing, why });
  if (executable !== undefined && !isDynamic(executable)) {
    throw refuse("it is a static program, which can't load a library");
  }
  const libraries = modules.filter(({ path }) => libraryName.test(basename(path))).map(findKnown);
  const common = findAll(libraries, "dlopen", "dlclose", "dlerror");
  // glibc before 2.34 has one in libc for itself, which needs no libdl and tells no reasons.
  const own = findAll(libraries, "__libc_dlopen_mode", "__libc_dlclose");
  const [open, close, error] = common ?? own ?? [];
  if (open === undefined || close === undefined) throw refuse("its C library has no dlopen");
  const rangesOf = (isWanted: (path: string) => boolean): TextRange[] =>
    readMaps(pid).filter(({ executable: isCode, path }) => isCode && isWanted(basename(path)));
  const locking = libraries.flatMap((one) =>
    loaderLockHolders.flatMap((name) => one.get(name) ?? []),
  );
  return {
    open,
    close,
    error,
    flags: common === undefined ? resolveNow | fromDlopen : resolveNow,
    libraries: rangesOf((name) => libraryName.test(name)),
    locking: [...locking, ...rangesOf((name) => loaderName.test(name))],
  };
}

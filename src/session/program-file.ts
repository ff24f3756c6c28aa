/**
 * A program or library on disk, with what is read from it on demand: sites, symbols, build-id,
 * source lines, and its separate debug file where there is one.
 */
import { readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { inflateSync } from "node:zlib";
import type { LinkAddr } from "../base/brand.ts";
import { FormatError } from "../base/cursor.ts";
import { type ErrorCode, PatchbayError } from "../base/error.ts";
import { crc32 } from "../elf/crc32.ts";
import { ElfError, type ElfFile, findSection, parseElf } from "../elf/elf-file.ts";
import { importsAny } from "../elf/named-symbols.ts";
import { findBuildId, findDebugLink } from "../elf/notes.ts";
import { findExecSites } from "../patch/exec-sites.ts";
import { findForkSites } from "../patch/fork-sites.ts";
import { findJumpSites, type JumpSites, jumpNames, noJumpSites } from "../patch/jump-sites.ts";
import { findPltSites } from "../patch/plt-sites.ts";
import { findProbeSites } from "../patch/probe-sites.ts";
import { readProgramCode } from "../patch/program-code.ts";
import { prologueDialect } from "../patch/prologue-dialect.ts";
import { findPrologueSites } from "../patch/prologue-sites.ts";
import { findSites, type SiteList } from "../patch/site.ts";
import { DebugInfo } from "../symbols/dwarf/debug-info.ts";
import { type Declarations, readDeclarations } from "../symbols/dwarf/declarations.ts";
import { type DebugNames, findInlining, type InliningFacts } from "../symbols/dwarf/inlining.ts";
import type { SourceLine } from "../symbols/dwarf/line-table.ts";
import { findSignatures, type Signatures } from "../symbols/dwarf/signatures.ts";
import { SourceLines } from "../symbols/source-lines.ts";
import { readSymbolTable, type SymbolTable } from "../symbols/symbol-table.ts";
import { readMiniDebugInfo } from "./mini-debug-info.ts";

export type ProgramFile = {
  /** As it was given, or `knownAs`. */
  readonly path: string;
  readonly elf: ElfFile;
  /** Lower-case hex digits. */
  readonly buildId: string | undefined;
  /** The separate debug file's path, when one was found that belongs to this file. */
  debugPath(): string | undefined;
  /** Its functions, the separate debug file's included. */
  symbols(): SymbolTable;
  /** Its patch sites; read once. */
  sites(): SiteList;
  /** Its functions without a site whose first instructions can be moved; looked for once. */
  prologues(): SiteList;
  /** Its calls of functions in libraries; looked for once. */
  libcalls(): SiteList;
  /** Its static probes; looked for once. */
  probes(): SiteList;
  /** Where threads come by that exec; looked for once. */
  execs(): SiteList;
  /** Where threads come by that fork; looked for once. */
  forks(): SiteList;
  /** A C library's functions that jump to where setjmp was called. */
  jumps(): JumpSites;
  /** Whether it calls such functions of another file; looked for once. */
  importsJumps(): boolean;
  /** Source line of the code at `addr`; undefined when nothing says it or what does is damaged. */
  sourceLine(addr: LinkAddr): SourceLine | undefined;
  /** The compiler of the code at `addr`, with gcc its options too; undefined when not known. */
  producer(addr: LinkAddr): string | undefined;
  /**
   * What debug information says of the functions that `isWanted` names; undefined when there is
   * none. Reads all of it: for one question, not for many.
   */
  inlining(isWanted: (names: DebugNames) => boolean): Inlining | undefined;
  /**
   * Parameters and results of the functions that begin at `addresses`, where debug information
   * has them; undefined when there is none.
   */
  signatures(addresses: ReadonlySet<number>): Signatures | undefined;
  /** Functions that `isWanted` names and all structures; undefined as above. Reads all of it. */
  declarations(isWanted: (name: string) => boolean): Declarations | undefined;
};

/** One place that a function was inlined at. */
export type InlinePlace = {
  readonly caller: DebugNames | undefined;
  readonly source: SourceLine | undefined;
};

export type Inlining = Omit<InliningFacts, "places"> & { readonly places: readonly InlinePlace[] };

export type ProgramFileOptions = {
  /**
   * The file's own path, where it is opened through another one (`/proc/PID/exe`): messages name
   * it, and debug files are looked for beside it.
   */
  readonly knownAs?: string;
  /** Where separate debug files are; `/usr/lib/debug` unless said otherwise. */
  readonly debugRoot?: string;
};

/** Where distributions put separate debug files (GDB manual, "Separate Debug Files"). */
const debugRootDefault = "/usr/lib/debug";

/** Runs `read` and turns what damaged files cause into Patchbay's errors. */
export function guardFormat<T>(doing: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const { code, why }: { code: ErrorCode; why: string } =
      error instanceof ElfError
        ? { code: error.code, why: error.problem }
        : { code: "bad-elf", why: error.message };
    throw new PatchbayError({ code, doing, why, cause: error });
  }
}

const errnoTexts: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  ENOTDIR: "no such file",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EISDIR: "it is a directory",
};

function errnoOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}

/** The bytes of the file at `path`, owned by the caller. */
function readBytes(path: string, doing: string): Uint8Array {
  try {
    // Devices and pipes have no end to read to.
    if (!statSync(path).isFile()) {
      throw new PatchbayError({ code: "not-elf", doing, why: "it is not a regular file" });
    }
    return readFileSync(path);
  } catch (error) {
    if (error instanceof PatchbayError) throw error;
    const errno = errnoOf(error);
    const code = errno === "EACCES" || errno === "EPERM" ? "no-permission" : "io";
    const why = errnoTexts[errno] ?? (error instanceof Error ? error.message : String(error));
    throw new PatchbayError({ code, doing, why, cause: error });
  }
}

type DebugFile = { readonly path: string; readonly elf: ElfFile };

/** The debug file at `path` if `belongs` says that it is the program's; damaged ones are passed. */
function tryDebugFile(
  path: string,
  belongs: (bytes: Uint8Array, elf: ElfFile) => boolean,
): DebugFile | undefined {
  try {
    const bytes = readFileSync(path);
    const elf = parseElf(bytes, { debugOnly: true });
    return belongs(bytes, elf) ? { path, elf } : undefined;
  } catch (error) {
    if (error instanceof FormatError || errnoOf(error) !== "") return undefined;
    throw error;
  }
}

function findDebugFile(
  path: string,
  elf: ElfFile,
  buildId: string | undefined,
  debugRoot: string,
): DebugFile | undefined {
  if (buildId !== undefined && buildId.length > 2) {
    const name = join(".build-id", buildId.slice(0, 2), `${buildId.slice(2)}.debug`);
    const found = tryDebugFile(join(debugRoot, name), (_, debug) => findBuildId(debug) === buildId);
    if (found !== undefined) return found;
  }
  const link = findDebugLink(elf);
  if (link === undefined) return undefined;
  const folder = dirname(resolve(path));
  // The link is a bare name; one with a path in it would lead anywhere.
  const name = basename(link.name);
  const places = [folder, join(folder, ".debug"), join(debugRoot, folder)];
  for (const place of places) {
    const found = tryDebugFile(join(place, name), (bytes) => crc32(bytes) === link.crc);
    if (found !== undefined) return found;
  }
  return undefined;
}

const noSites: SiteList = { sites: [], refused: [] };

/** `read`, run at the first call; its result is kept. */
function once<T>(read: () => T): () => T {
  let result: { readonly value: T } | undefined;
  return () => {
    result ??= { value: read() };
    return result.value;
  };
}

/** What `read` gives, or nothing where the debug information is damaged: it is an extra. */
function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

const inflate = (bytes: Uint8Array, size: number): Uint8Array =>
  inflateSync(bytes, { maxOutputLength: Math.max(1, size) });

const readSignatures = (info: DebugInfo, addresses: ReadonlySet<number>): Signatures | undefined =>
  info.units().length === 0 ? undefined : findSignatures(info, addresses);

/** The debug information in the file itself, else in its debug file. */
function debugInfoOf(elf: ElfFile, debug: ElfFile | undefined): DebugInfo {
  const own = findSection(elf, ".debug_info") !== undefined;
  return new DebugInfo(own || debug === undefined ? elf : debug, inflate);
}

function readInlining(
  info: DebugInfo,
  lines: SourceLines,
  isWanted: (names: DebugNames) => boolean,
): Inlining | undefined {
  if (info.units().length === 0) return undefined;
  const { places, ...facts } = findInlining(info, isWanted);
  const named = places.map(({ caller, unit, file, line }) => {
    const path = orUndefined(() => lines.filePath(unit.offset, file));
    return { caller, source: path === undefined ? undefined : { file: path, line } };
  });
  return { ...facts, places: named };
}

/**
 * Makes a program file of bytes that are at hand (borrowed for its life).
 * @param path where it came from, for messages and to find its debug file.
 * @throws PatchbayError not-elf, bad-elf, wrong-architecture, unsupported.
 */
export function programFileOf(
  path: string,
  bytes: Uint8Array,
  { debugRoot = debugRootDefault }: ProgramFileOptions = {},
): ProgramFile {
  const doing = `read ${path}`;
  const elf = guardFormat(doing, () => parseElf(bytes));
  const buildId = findBuildId(elf);
  const debug = once(() => findDebugFile(path, elf, buildId, debugRoot));
  const named = once(() => debug()?.elf ?? readMiniDebugInfo(elf));
  const symbols = once(() => guardFormat(doing, () => readSymbolTable(elf, named())));
  const info = once(() => debugInfoOf(elf, debug()?.elf));
  const lines = once(() => new SourceLines(info()));
  const sites = once(() => guardFormat(doing, () => findSites(elf, symbols())));
  const code = once(() => guardFormat(doing, () => readProgramCode(elf, symbols())));
  const moved = (isMovable: boolean, find: () => SiteList): (() => SiteList) =>
    once(() => (isMovable && !elf.debugOnly ? guardFormat(doing, find) : noSites));
  const isX86 = elf.machine === "x86-64";
  const hasPrologues = prologueDialect(elf.machine) !== undefined;
  return {
    path,
    elf,
    buildId,
    debugPath: () => debug()?.path,
    symbols,
    sites,
    prologues: moved(hasPrologues, () => findPrologueSites(code(), sites().sites)),
    libcalls: moved(isX86, () => findPltSites(elf)),
    probes: moved(isX86, () => findProbeSites(code())),
    execs: moved(isX86, () => findExecSites(elf)),
    forks: moved(isX86, () => findForkSites(elf)),
    jumps: once(() => {
      if (!isX86 || elf.debugOnly) return noJumpSites;
      return guardFormat(doing, () => findJumpSites(elf, symbols()));
    }),
    importsJumps: once(() => guardFormat(doing, () => importsAny(elf, jumpNames))),
    sourceLine: (addr) => orUndefined(() => lines().find(addr)),
    producer: (addr) => orUndefined(() => lines().findUnit(addr)?.producer),
    inlining: (isWanted) => orUndefined(() => readInlining(info(), lines(), isWanted)),
    signatures: (addresses) => orUndefined(() => readSignatures(info(), addresses)),
    declarations: (isWanted) =>
      orUndefined(() => {
        const isThere = info().units().length > 0;
        return isThere ? readDeclarations(info(), isWanted) : undefined;
      }),
  };
}

/**
 * Opens the program or library at `path`.
 * @throws PatchbayError io, no-permission, and as `programFileOf` does.
 */
export function openProgramFile(path: string, options: ProgramFileOptions = {}): ProgramFile {
  const name = options.knownAs ?? path;
  return programFileOf(name, readBytes(path, `read ${name}`), options);
}

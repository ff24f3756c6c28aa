/**
 * The executable and the libraries of a running process: which file each one is, and where it is
 * mapped. Files are opened through /proc/PID/root, so that containers and chroots are no obstacle.
 */
import { existsSync } from "node:fs";
import { type CodeAddr, codeAddr, type LinkAddr, type Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { segmentType } from "../elf/constants.ts";
import { findLoadBias } from "../elf/elf-file.ts";
import { buildIdInNotes } from "../elf/notes.ts";
import { executablePath, type Mapping, ProcessMemory, procFolder, readMaps } from "../os/proc.ts";
import { openProgramFile, type ProgramFile } from "./program-file.ts";

export type Module = {
  /** As the kernel names it, without " (deleted)". */
  readonly path: string;
  readonly program: ProgramFile;
  /** Added to a link address to get the address in the process. */
  readonly bias: bigint;
  readonly isExecutable: boolean;
};

/** A mapped file that could not be used, and why. */
export type SkippedModule = { readonly path: string; readonly why: string };

export type ModuleList = {
  readonly modules: Module[];
  readonly skipped: readonly SkippedModule[];
};

const deletedSuffix = " (deleted)";

/** Address in the process of something that the file has at `addr`. */
export const addressIn = (module: Pick<Module, "bias">, addr: LinkAddr): CodeAddr =>
  codeAddr(addr + module.bias);

/** Where the file of a mapping can be opened: also when it was deleted or lies in a container. */
function openablePath(pid: Pid, mapping: Mapping, isExecutable: boolean): string {
  if (isExecutable) return `${procFolder(pid)}/exe`;
  if (!mapping.path.endsWith(deletedSuffix)) {
    const path = `${procFolder(pid)}/root${mapping.path}`;
    if (existsSync(path)) return path;
  }
  return `/proc/${pid}/map_files/${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
}

/** The build-id of what is mapped, read from memory; undefined when there is none. */
function mappedBuildId(memory: ProcessMemory, program: ProgramFile, bias: bigint) {
  for (const segment of program.elf.segments) {
    if (segment.type !== segmentType.note || segment.memSize > 4096) continue;
    const bytes = memory.read(BigInt(segment.addr) + bias, segment.memSize);
    const id = buildIdInNotes(bytes);
    if (id !== undefined) return id;
  }
  return undefined;
}

/**
 * The module whose text `mapping` is, or why it can't be used.
 * @param known the file, where it has been read already.
 */
function openModule(
  pid: Pid,
  memory: ProcessMemory,
  mapping: Mapping,
  isExecutable: boolean,
  known?: ProgramFile,
): Module | SkippedModule {
  const path = mapping.path.replace(deletedSuffix, "");
  const program =
    known ?? openProgramFile(openablePath(pid, mapping, isExecutable), { knownAs: path });
  const bias = findLoadBias(program.elf, mapping.start, mapping.offset);
  if (bias === undefined) return { path, why: "the file on disk is not what is mapped" };
  const mapped = mappedBuildId(memory, program, bias);
  if (mapped !== program.buildId) {
    return { path, why: "the file on disk was replaced since it was mapped (other build-id)" };
  }
  return { path, program, bias, isExecutable };
}

/**
 * All modules of a process with executable mappings, the executable first. A library that can't be
 * read is skipped with its reason; an executable that can't be is an error.
 */
export function listModules(pid: Pid): ModuleList {
  const executable = executablePath(pid);
  using memory = new ProcessMemory(pid);
  const modules: Module[] = [];
  const skipped: SkippedModule[] = [];
  const seen = new Set<string>();
  for (const mapping of readMaps(pid)) {
    if (!mapping.executable || mapping.inode === 0 || seen.has(mapping.path)) continue;
    if (mapping.path.startsWith("/memfd:")) continue;
    seen.add(mapping.path);
    const isExecutable = mapping.path === executable;
    try {
      const found = openModule(pid, memory, mapping, isExecutable);
      if ("program" in found) modules.push(found);
      else skipped.push(found);
    } catch (error) {
      if (!(error instanceof PatchbayError) || isExecutable) throw error;
      skipped.push({ path: mapping.path, why: error.why });
    }
  }
  modules.sort((a, b) => Number(b.isExecutable) - Number(a.isExecutable));
  return { modules, skipped };
}

/** Libraries that have come and gone since somebody looked last. */
export type ModuleChange = { readonly came: readonly Module[]; readonly went: readonly Module[] };

/** Keeps a list of modules in step with what is mapped. */
export class ModuleWatch {
  readonly #pid: Pid;
  /** Of whoever made it; changed by every look. */
  readonly #modules: Module[];
  /** By the first mapping of their text. */
  readonly #known = new Map<string, Module | undefined>();
  /** Libraries that come again are not read again. */
  readonly #files = new Map<string, ProgramFile>();

  /** @param modules what is there now. */
  constructor(pid: Pid, modules: Module[]) {
    this.#pid = pid;
    this.#modules = modules;
    const byPath = new Map(modules.map((module) => [module.path, module]));
    for (const [key, { path }] of this.#mapped()) {
      this.#known.set(key, byPath.get(path.replace(deletedSuffix, "")));
    }
  }

  /** What has changed since the last look. A library that can't be read does not come. */
  look(): ModuleChange {
    const mapped = this.#mapped();
    const went: Module[] = [];
    for (const [key, module] of this.#known) {
      if (mapped.has(key)) continue;
      this.#known.delete(key);
      if (module === undefined) continue;
      went.push(module);
      this.#modules.splice(this.#modules.indexOf(module), 1);
    }
    const came: Module[] = [];
    for (const [key, mapping] of mapped) {
      if (this.#known.has(key)) continue;
      const module = this.#open(mapping);
      this.#known.set(key, module);
      if (module !== undefined) came.push(module);
    }
    this.#modules.push(...came);
    return { came, went };
  }

  #open(mapping: Mapping): Module | undefined {
    const file = `${mapping.inode}:${mapping.path}`;
    using memory = new ProcessMemory(this.#pid);
    try {
      const known = this.#files.get(file);
      let found = openModule(this.#pid, memory, mapping, false, known);
      // Another file in the same place.
      if (!("program" in found) && known !== undefined) {
        found = openModule(this.#pid, memory, mapping, false);
      }
      if (!("program" in found)) return undefined;
      this.#files.set(file, found.program);
      return found;
    } catch (error) {
      if (error instanceof PatchbayError) return undefined;
      throw error;
    }
  }

  /** The first executable mapping of each file. */
  #mapped(): ReadonlyMap<string, Mapping> {
    const mapped = new Map<string, Mapping>();
    const seen = new Set<string>();
    for (const mapping of readMaps(this.#pid)) {
      const { path, inode, start } = mapping;
      if (!mapping.executable || inode === 0 || seen.has(path)) continue;
      if (path.startsWith("/memfd:")) continue;
      seen.add(path);
      mapped.set(`${path}:${start.toString(16)}:${inode}`, mapping);
    }
    return mapped;
  }
}

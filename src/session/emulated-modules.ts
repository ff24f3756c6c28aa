/**
 * The executable and the libraries of a program that an emulator runs. The kernel's list of
 * mappings shows the emulator's files among them, so the program's own loader is asked: the list
 * of link maps that debuggers follow (glibc's and musl's <link.h>, `struct r_debug`).
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { dynamicTag, segmentType } from "../elf/constants.ts";
import { ProcessMemory } from "../os/proc.ts";
import type { Module, ModuleList, SkippedModule } from "./process-modules.ts";
import { openProgramFile, type ProgramFile } from "./program-file.ts";

/** What is known of a program under an emulator. */
export type EmulatedImage = {
  readonly pid: Pid;
  /** Path of the program's file on this machine. */
  readonly path: string;
  /** Where its entry point is, by its auxiliary vector. */
  readonly entry: bigint;
  /** Where the program's absolute paths begin on this machine, if elsewhere. */
  readonly sysroot: string | undefined;
};

/** More libraries than any program has; more than that is a circle. */
const linksMax = 10_000;
const nameBytesMax = 4096;
/** Offsets in `struct r_debug` and in `struct link_map` of 64-bit systems. */
const firstLink = 8;
const link = { bias: 0, name: 8, next: 24 } as const;

/** The value of DT_DEBUG, which the loader has set; 0 where there is no loader. */
function findDebug(memory: ProcessMemory, program: ProgramFile, bias: bigint): bigint {
  const dynamic = program.elf.segments.find(({ type }) => type === segmentType.dynamic);
  if (dynamic === undefined) return 0n;
  const bytes = memory.read(BigInt(dynamic.addr) + bias, dynamic.memSize);
  const words = new BigUint64Array(bytes.buffer, 0, bytes.length >> 3);
  for (let at = 0; at + 1 < words.length; at += 2) {
    if (words[at] === BigInt(dynamicTag.debug)) return words[at + 1] ?? 0n;
  }
  return 0n;
}

/** A string of the program's, up to its zero or the end of what can be read. */
function readName(memory: ProcessMemory, address: bigint): string {
  const bytes: number[] = [];
  // A page at a time: what comes behind may not be mapped.
  for (let at = address; bytes.length < nameBytesMax; ) {
    const left = 4096n - (at & 4095n);
    const part = memory.read(at, Number(left));
    const end = part.indexOf(0);
    bytes.push(...part.subarray(0, end < 0 ? part.length : end));
    if (end >= 0) break;
    at += left;
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

type LoadedFile = { readonly name: string; readonly bias: bigint };

/** What the loader has loaded, the program first and without a name. */
function* loadedFiles(memory: ProcessMemory, debug: bigint): Generator<LoadedFile> {
  if (debug === 0n) return;
  let at = memory.readU64(debug + BigInt(firstLink));
  for (let count = 0; at !== 0n && count < linksMax; count++) {
    const name = memory.readU64(at + BigInt(link.name));
    yield {
      bias: memory.readU64(at + BigInt(link.bias)),
      name: name === 0n ? "" : readName(memory, name),
    };
    at = memory.readU64(at + BigInt(link.next));
  }
}

/** Where a file that the program knows by `name` is on this machine. */
function openablePath(name: string, sysroot: string | undefined): string {
  const inside = sysroot === undefined ? name : join(sysroot, name);
  return existsSync(inside) ? inside : name;
}

function openLibrary(file: LoadedFile, sysroot: string | undefined): Module | SkippedModule {
  const path = openablePath(file.name, sysroot);
  try {
    const program = openProgramFile(path);
    return { path, program, bias: file.bias, isExecutable: false };
  } catch (error) {
    if (!(error instanceof PatchbayError)) throw error;
    return { path, why: error.why };
  }
}

/** All modules of the program, the executable first. */
export function listEmulatedModules({ pid, path, entry, sysroot }: EmulatedImage): ModuleList {
  const program = openProgramFile(path);
  const bias = entry - program.elf.entry;
  const modules: Module[] = [{ path, program, bias, isExecutable: true }];
  const skipped: SkippedModule[] = [];
  using memory = new ProcessMemory(pid);
  for (const file of loadedFiles(memory, findDebug(memory, program, bias))) {
    // The program itself, and a vdso that is no file.
    if (!file.name.includes("/")) continue;
    const found = openLibrary(file, sysroot);
    if ("program" in found) modules.push(found);
    else skipped.push(found);
  }
  return { modules, skipped };
}

/**
 * Patchbay's presence in one process: what it mapped there, what it patched, and how to take all
 * of it away again.
 *
 * One thread is held for a moment to map memory on its back. All threads are held only while
 * windows change. In between nothing is ptraced and the process runs free.
 */
import { closeSync, openSync } from "node:fs";
import { codeAddr, type DataAddr, dataAddr, type Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { ClaimPlan } from "../codegen/x86-64/claim.ts";
import {
  entryExitThunk,
  entryThunk,
  mirrorWindowBits,
  type RecordPlan,
  type ThunkTemplate,
} from "../codegen/x86-64/record.ts";
import { type Mapping, ProcessMemory, readMaps } from "../os/proc.ts";
import { nap, readRegisters, writeRegisters } from "../os/ptrace.ts";
import { nopBytes } from "../patch/x86-64-layouts.ts";
import { type ArenaShape, arenaBytes, threadTable, unlimitedRoom } from "../ring/arena.ts";
import { findMirror, findRoomNear, type Mirror } from "./address-space.ts";
import { writeControlPage } from "./arena-control.ts";
import { buildRegion, type CodeRegion, isInRegion, regionBytes } from "./code-region.ts";
import { repairStacks } from "./mirror-repair.ts";
import { findSyscallInstruction, RemoteThread, syscallNumber } from "./remote-call.ts";
import { findRestorers, findSignalFrames } from "./signal-frames.ts";
import { stepOut } from "./step-out.ts";
import { StoppedThreads } from "./stop.ts";
import { patchText, type Windows, windowAround, windowBytesMax } from "./text-patch.ts";

export type InjectOptions = {
  readonly shape: ArenaShape;
  /** Full rings overwrite their oldest events instead of dropping new ones. */
  readonly overwrite: boolean;
};

/** Sites to enable, ascending by address. */
export type SiteBatch = {
  readonly count: number;
  readonly at: Float64Array;
  /** Window sizes in bytes, 5 to 16. */
  readonly size: Uint8Array;
  /** What the compiler left there: 16 bytes a site. */
  readonly compiled: Uint8Array;
  readonly id: Uint32Array;
};

export type EnableResult = {
  /** Indices of the sites whose bytes were not what they should be. */
  readonly refused: readonly number[];
  /** How long all threads were held, in ms. */
  readonly pauseMs: number;
};

export type RemoveResult = {
  readonly pauseMs: number;
  /** Why some memory had to stay mapped; absent when all of it is gone. */
  readonly left?: string;
};

const prot = { none: 0, read: 1, write: 2, exec: 4 } as const;
const mapFlag = {
  shared: 1n,
  privateAnonymous: 0x22n,
  fixedNoReplace: 0x100000n,
  noReserve: 0x4000n,
} as const;
const advice = { dontDump: 16n, wipeOnFork: 18n } as const;
const prctlGetTidAddress = 40n;
const memfdCloseOnExec = 1n;
const munlock = 150;

/** Sites further apart than this get regions of their own, in bytes. */
const clusterSpan = 1 << 30;
/** How often removal waits for threads that are inside generated code. */
const removalTries = 200;

type Range = { readonly start: bigint; readonly bytes: bigint };

export class Injection {
  readonly pid: Pid;
  /** The arena's descriptor in this process; open until the injection is disposed of. */
  readonly arenaFd: number;
  readonly exits: boolean;
  /** Address of the thread table in the target. */
  readonly table: DataAddr;
  readonly #memory: ProcessMemory;
  readonly #claim: ClaimPlan;
  readonly #mirror: Mirror;
  readonly #template: ThunkTemplate;
  readonly #mapped: Range[];
  readonly #regions: CodeRegion[] = [];
  readonly #patched: Windows[] = [];

  private constructor(parts: {
    pid: Pid;
    memory: ProcessMemory;
    arenaFd: number;
    claim: ClaimPlan;
    mirror: Mirror;
    template: ThunkTemplate;
    exits: boolean;
    mapped: Range[];
  }) {
    this.pid = parts.pid;
    this.arenaFd = parts.arenaFd;
    this.exits = parts.exits;
    this.table = parts.claim.table;
    this.#memory = parts.memory;
    this.#claim = parts.claim;
    this.#mirror = parts.mirror;
    this.#template = parts.template;
    this.#mapped = parts.mapped;
  }

  /**
   * Maps what recording needs into process `pid`.
   * @param exits hook returns too; off when the process has no room for a mirror of its stacks.
   * @param held a thread that is stopped already (a program that was just launched).
   */
  static into(pid: Pid, options: InjectOptions, exits: boolean, held?: StoppedThreads): Injection {
    const memory = new ProcessMemory(pid);
    const mapped: Range[] = [];
    const maps = readMaps(pid);
    const syscallAt = findSyscallInstruction(memory, maps);
    const threads = held ?? StoppedThreads.one(pid);
    try {
      using remote = new RemoteThread(threads, threads.quietest, syscallAt);
      const mapper = new Mapper(remote, mapped);
      const mirror = exits ? mapMirror(mapper, maps) : undefined;
      const table = mapThreadTable(mapper);
      const arena = mapArena(mapper, pid, memory, table, options);
      const plan: RecordPlan = {
        table,
        tidOffset: findTidOffset(remote, memory, table),
        slotCount: options.shape.slotCount,
        mirrorDelta: mirror?.delta ?? 0n,
        mirrorWindow: mirror?.window ?? 0,
      };
      memory.write(table + BigInt(threadTable.armed), Uint8Array.of(1));
      return new Injection({
        pid,
        memory,
        arenaFd: arena.fd,
        claim: { table, arena: arena.at, shape: options.shape },
        mirror: mirror ?? { base: 0n, delta: 0n, window: -1 },
        template: mirror === undefined ? entryThunk(plan) : entryExitThunk(plan),
        exits: mirror !== undefined,
        mapped,
      });
    } catch (error) {
      memory[Symbol.dispose]();
      throw error;
    } finally {
      if (held === undefined) threads.letGo();
    }
  }

  /** Makes thunks for the sites and lets the sites jump to them. */
  enable(batch: SiteBatch, held?: StoppedThreads): EnableResult {
    const windows = this.#prepare(batch, held);
    const restorers = this.#restorersFor(batch);
    const start = performance.now();
    const threads = held ?? StoppedThreads.all(this.pid);
    try {
      this.#leaveWindows(threads, windows, restorers);
      const refused = patchText(this.#memory, windows, "on");
      this.#patched.push(windows);
      return { refused, pauseMs: performance.now() - start };
    } finally {
      if (held === undefined) threads.letGo();
    }
  }

  /** Maps and fills the regions of a batch; its windows in both states. */
  #prepare(batch: SiteBatch, held: StoppedThreads | undefined): Windows {
    const on = new Uint8Array(batch.count * windowBytesMax);
    const view = new DataView(on.buffer);
    for (let first = 0; first < batch.count; ) {
      const last = endOfCluster(batch, first);
      const region = this.#addRegion(batch, first, last, held);
      for (let index = first; index < last; index++) {
        const site = batch.at[index] ?? 0;
        const size = batch.size[index] ?? 0;
        const thunk = region.thunks + (index - first) * region.stride;
        const at = index * windowBytesMax;
        on[at] = 0xe9;
        view.setInt32(at + 1, thunk - (site + 5), true);
        on.set(nopBytes(size - 5), at + 5);
      }
      first = last;
    }
    return { count: batch.count, at: batch.at, size: batch.size, off: batch.compiled, on };
  }

  #addRegion(batch: SiteBatch, first: number, last: number, held?: StoppedThreads): CodeRegion {
    const count = last - first;
    const body = batch.at.slice(first, last);
    for (let i = 0; i < count; i++) body[i] = (body[i] ?? 0) + (batch.size[first + i] ?? 0);
    const bytes = regionBytes(this.#template, count);
    const maps = readMaps(this.pid);
    const at = (index: number): bigint => BigInt(batch.at[index] ?? 0);
    const start = findRoomNear(maps, bytes, at(first), at(last - 1));
    const threads = held ?? StoppedThreads.one(this.pid);
    try {
      using remote = this.#remote(threads, maps);
      const mapper = new Mapper(remote, this.#mapped);
      mapper.map("map code", start, BigInt(bytes), prot.read | prot.exec);
      const sites = { count, id: batch.id.subarray(first, last), body };
      const built = buildRegion(start, this.#template, sites, this.#claim, this.#mirror.delta);
      this.#memory.write(start, built.bytes);
      this.#regions.push(built.region);
      return built.region;
    } finally {
      if (held === undefined) threads.letGo();
    }
  }

  #remote(threads: StoppedThreads, maps: readonly Mapping[]): RemoteThread {
    return new RemoteThread(threads, threads.quietest, findSyscallInstruction(this.#memory, maps));
  }

  /** Only windows of several instructions can have an interrupted thread inside. */
  #restorersFor(batch: SiteBatch): ReadonlySet<bigint> {
    const several = batch.compiled.some(
      (byte, index) => index % windowBytesMax === 0 && byte === 0x90,
    );
    return several ? findRestorers(this.#memory, readMaps(this.pid)) : new Set();
  }

  /** Moves threads that stand between the no-ops of a window to its end. */
  #leaveWindows(threads: StoppedThreads, windows: Windows, restorers: ReadonlySet<bigint>): void {
    const endOf = (pc: bigint): bigint | undefined => {
      const index = windowAround(windows, Number(pc));
      if (index === undefined) return undefined;
      return BigInt(windows.at[index] ?? 0) + BigInt(windows.size[index] ?? 0);
    };
    const maps = restorers.size === 0 ? [] : readMaps(this.pid);
    for (const tid of threads.tids) {
      const registers = readRegisters(tid);
      const end = endOf(registers.get("rip"));
      if (end !== undefined) writeRegisters(tid, registers.copy().set("rip", end));
      for (const saved of findSignalFrames(this.#memory, maps, registers.get("rsp"), restorers)) {
        const savedEnd = endOf(saved.pc);
        if (savedEnd !== undefined) this.#memory.write(saved.at, word(savedEnd));
      }
    }
  }

  /** Takes everything away: text, return addresses, mappings. The process runs on. */
  remove(): RemoveResult {
    const restorers = findRestorers(this.#memory, readMaps(this.pid));
    let pauseMs = 0;
    for (let attempt = 0; attempt < removalTries; attempt++) {
      const start = performance.now();
      using threads = StoppedThreads.all(this.pid);
      for (const windows of this.#patched) patchText(this.#memory, windows, "off");
      const gone = this.#leaveThunks(threads, restorers);
      if (gone) this.#unmap(threads);
      threads.letGo();
      pauseMs = Math.max(pauseMs, performance.now() - start);
      if (gone) return { pauseMs };
      nap(2);
    }
    return {
      pauseMs,
      left: "a signal handler interrupted generated code and has not returned yet",
    };
  }

  /** Gets every thread and every stack out of the thunks; whether that worked out. */
  #leaveThunks(threads: StoppedThreads, restorers: ReadonlySet<bigint>): boolean {
    const inside = (pc: bigint): boolean => this.#regions.some((region) => isInRegion(region, pc));
    for (const tid of threads.tids) stepOut(threads, tid, inside);
    const maps = readMaps(this.pid);
    if (this.exits) repairStacks(this.pid, this.#memory, maps, this.#mirror, this.#regions);
    for (const tid of threads.tids) {
      const stack = readRegisters(tid).get("rsp");
      const frames = findSignalFrames(this.#memory, maps, stack, restorers);
      if (frames.some((frame) => inside(frame.pc))) return false;
    }
    return true;
  }

  #unmap(threads: StoppedThreads): void {
    using remote = this.#remote(threads, readMaps(this.pid));
    for (const { start, bytes } of this.#mapped) {
      remote.syscall("unmap", syscallNumber.munmap, start, bytes);
    }
    this.#mapped.length = 0;
  }

  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]();
    closeSync(this.arenaFd);
  }
}

const word = (value: bigint): Uint8Array => new Uint8Array(new BigUint64Array([value]).buffer);

function endOfCluster(batch: SiteBatch, first: number): number {
  const start = batch.at[first] ?? 0;
  let last = first + 1;
  while (last < batch.count && (batch.at[last] ?? 0) - start < clusterSpan) last++;
  return last;
}

/** Maps memory through a remote thread and remembers what has to be unmapped. */
class Mapper {
  readonly remote: RemoteThread;
  readonly #mapped: Range[];

  constructor(remote: RemoteThread, mapped: Range[]) {
    this.remote = remote;
    this.#mapped = mapped;
  }

  /** Private memory; anywhere when `at` is 0. */
  map(doing: string, at: bigint, bytes: bigint, protection: number, flags = 0n): bigint {
    const fixed = at === 0n ? 0n : mapFlag.fixedNoReplace;
    return this.mapFile(
      doing,
      at,
      bytes,
      protection,
      mapFlag.privateAnonymous | flags | fixed,
      -1n,
    );
  }

  mapFile(
    doing: string,
    at: bigint,
    bytes: bigint,
    protection: number,
    flags: bigint,
    fd: bigint,
  ): bigint {
    const { mmap } = syscallNumber;
    const start = this.remote.syscall(doing, mmap, at, bytes, BigInt(protection), flags, fd, 0n);
    this.#mapped.push({ start, bytes });
    return start;
  }
}

/** The mirror of the stacks' window; undefined when the process has no room for it. */
function mapMirror(mapper: Mapper, maps: readonly Mapping[]): Mirror | undefined {
  const { remote } = mapper;
  const mirror = findMirror(maps, remote.registers.get("rsp"));
  if (mirror === undefined) return undefined;
  const bytes = 1n << BigInt(mirrorWindowBits);
  try {
    mapper.map("map the mirror of the stacks", mirror.base, bytes, prot.none, mapFlag.noReserve);
  } catch (error) {
    if (error instanceof PatchbayError && error.code === "system") return undefined;
    throw error;
  }
  // A process that locks its memory (mlockall) must not be made to populate 2 TiB.
  remote.rawSyscall(munlock, [mirror.base, bytes]);
  const { madvise, mprotect } = syscallNumber;
  remote.syscall("keep the mirror out of core dumps", madvise, mirror.base, bytes, advice.dontDump);
  const protection = BigInt(prot.read | prot.write);
  remote.syscall("open the mirror", mprotect, mirror.base, bytes, protection);
  return mirror;
}

function mapThreadTable(mapper: Mapper): DataAddr {
  const bytes = BigInt(threadTable.bytes);
  const table = mapper.map("map the thread table", 0n, bytes, prot.read | prot.write);
  const { madvise } = syscallNumber;
  mapper.remote.syscall("keep children silent", madvise, table, bytes, advice.wipeOnFork);
  return dataAddr(table);
}

/** Makes the arena in the target, maps it there, and opens it here. */
function mapArena(
  mapper: Mapper,
  pid: Pid,
  memory: ProcessMemory,
  scratch: DataAddr,
  { shape, overwrite }: InjectOptions,
): { readonly at: DataAddr; readonly fd: number } {
  const { remote } = mapper;
  const size = BigInt(arenaBytes(shape));
  memory.write(scratch, new TextEncoder().encode("patchbay\0"));
  const { memfdCreate, ftruncate, close } = syscallNumber;
  const theirs = remote.syscall("make the rings", memfdCreate, scratch, memfdCloseOnExec);
  memory.write(scratch, new Uint8Array(16));
  remote.syscall("size the rings", ftruncate, theirs, size);
  const protection = prot.read | prot.write;
  const at = mapper.mapFile("map the rings", 0n, size, protection, mapFlag.shared, theirs);
  const { madvise } = syscallNumber;
  remote.syscall("keep the rings out of core dumps", madvise, at, size, advice.dontDump);
  const fd = openSync(`/proc/${pid}/fd/${theirs}`, "r+");
  remote.syscall("close the rings' descriptor", close, theirs);
  writeControlPage(fd, shape, overwrite ? unlimitedRoom : BigInt(shape.slotCount));
  return { at: dataAddr(at), fd };
}

/**
 * Distance from the thread pointer to the thread id that the C library keeps for each thread:
 * the kernel knows the place, since it clears it when the thread ends (set_tid_address).
 */
function findTidOffset(remote: RemoteThread, memory: ProcessMemory, scratch: DataAddr): number {
  const found = remote.rawSyscall(syscallNumber.prctl, [prctlGetTidAddress, scratch]);
  const address = memory.readU64(scratch);
  memory.write(scratch, new Uint8Array(8));
  const offset = Number(BigInt.asIntN(64, address - remote.registers.get("fs_base")));
  if (found === 0n && offset === (offset | 0) && address !== 0n) {
    const stored = memory.readU64(codeAddr(address)) & 0xffff_ffffn;
    if (stored === BigInt(remote.tid)) return offset;
  }
  throw new PatchbayError({
    code: "unsupported",
    doing: `tell the threads of process ${remote.tid} apart`,
    why: "its C library does not keep a thread id beside the thread pointer",
    hint: "programs that start threads without glibc or musl are not supported yet",
  });
}

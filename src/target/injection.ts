/**
 * Patchbay's presence in one process: what it mapped there, what it patched, and how to take all
 * of it away again.
 *
 * One thread is held for a moment to bring the agent in. From then on the agent maps memory and
 * changes text, by protocols that hold nobody; threads are held one at a time to be looked at, and
 * all together when the thunks are to be unmapped. Where a process can't have an agent, all
 * threads are held while text changes.
 */
import { closeSync } from "node:fs";
import { type CodeAddr, type DataAddr, dataAddr, type Pid, type Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { AgentProgram } from "../codegen/agent-program.ts";
import type { ClaimPlan } from "../codegen/x86-64/claim.ts";
import {
  entryExitThunk,
  entryThunk,
  type RecordPlan,
  type ThunkTemplate,
} from "../codegen/x86-64/record.ts";
import { listThreads, ProcessMemory, readMaps } from "../os/proc.ts";
import { nap, readRegisters } from "../os/ptrace.ts";
import { nopBytes } from "../patch/x86-64-layouts.ts";
import { threadTable } from "../ring/arena.ts";
import { findRoomNear, type Mirror } from "./address-space.ts";
import type { Agent } from "./agent.ts";
import {
  findTidOffset,
  type InjectOptions,
  Mapper,
  mapArena,
  mapFlag,
  mapMirror,
  mapThreadTable,
  prot,
  type Range,
  startAgent,
} from "./bootstrap.ts";
import { buildRegion, type CodeRegion, isInRegion, regionBytes } from "./code-region.ts";
import { drainThreads, leaveWindows } from "./drain.ts";
import { repairStacks } from "./mirror-repair.ts";
import { findSyscallInstruction, RemoteThread, syscallNumber } from "./remote-call.ts";
import { findRestorers, findSignalFrames } from "./signal-frames.ts";
import { stepOut } from "./step-out.ts";
import { StoppedThreads } from "./stop.ts";
import {
  noProtocols,
  type ProtocolCounts,
  planTextChange,
  type TextChange,
} from "./text-change.ts";
import { patchText, readState, type Windows, windowAround, windowBytesMax } from "./text-patch.ts";
import { ThunkRanges, thunkRangesBytes } from "./thunk-ranges.ts";
import {
  deregisterFrames,
  isAtSafePoint,
  type Registration,
  registerFrames,
  type TextRange,
  type Unwinder,
} from "./unwinder-registration.ts";

export type { InjectOptions } from "./bootstrap.ts";

/** What the process is like, as its files say. */
export type TargetFacts = {
  /** The copies of libgcc's unwinder in it. */
  readonly unwinders: readonly Unwinder[];
  /** Functions that a thread must not be in when it is made to call an unwinder. */
  readonly locking: readonly TextRange[];
};

/** Sites to enable, ascending by address. */
export type SiteBatch = {
  readonly count: number;
  readonly at: Float64Array;
  /** Window sizes in bytes, 5 to 16. */
  readonly size: Uint8Array;
  /** What the compiler left there: 16 bytes a site. */
  readonly compiled: Uint8Array;
  /** 1 where that is several instructions, so that a thread may stand between them. */
  readonly several: Uint8Array;
  readonly id: Uint32Array;
};

export type EnableResult = {
  /** Indices of the sites whose bytes were not what they should be. */
  readonly refused: readonly number[];
  /** Sites changed by each protocol; `stop`: while all threads were held. */
  readonly protocols: ProtocolCounts & { readonly stop: number };
  /** How long all threads were held, in ms; 0 when they were not. */
  readonly pauseMs: number;
  /** Why threads had to be held although an agent would not hold them. */
  readonly agentless?: string;
};

export type RemoveResult = {
  readonly pauseMs: number;
  /** Why some memory had to stay mapped; absent when all of it is gone. */
  readonly left?: string;
};

/** Sites further apart than this get regions of their own, in bytes. */
const clusterSpan = 1 << 30;
/** How often removal waits for threads that are inside generated code. */
const removalTries = 200;
/** How often a thread at a safe point is looked for. */
const safePointTries = 500;

type Parts = {
  readonly pid: Pid;
  readonly facts: TargetFacts;
  readonly memory: ProcessMemory;
  readonly arenaFd: number;
  readonly claim: ClaimPlan;
  readonly mirror: Mirror | undefined;
  readonly record: RecordPlan;
  readonly ranges: ThunkRanges;
  readonly template: ThunkTemplate;
  readonly mapped: Range[];
  readonly agent: Agent | undefined;
  readonly agentless: string | undefined;
};

/** Windows that were changed, with the states they may have to go back to. */
type Patched = { readonly windows: Windows; readonly indices: Uint32Array };

export class Injection {
  readonly pid: Pid;
  /** The arena's descriptor in this process; open until the injection is disposed of. */
  readonly arenaFd: number;
  /** Whether returns are hooked; not so when the process has no room for a mirror. */
  readonly exits: boolean;
  /** Address of the thread table in the target. */
  readonly table: DataAddr;
  readonly #parts: Parts;
  readonly #regions: CodeRegion[] = [];
  readonly #patched: Patched[] = [];
  readonly #registrations: Registration[] = [];
  #agent: Agent | undefined;
  #agentless: string | undefined;

  private constructor(parts: Parts) {
    this.pid = parts.pid;
    this.arenaFd = parts.arenaFd;
    this.exits = parts.mirror !== undefined;
    this.table = parts.claim.table;
    this.#parts = parts;
    this.#agent = parts.agent;
    this.#agentless = parts.agentless;
  }

  /**
   * Maps what recording needs into process `pid` and starts the agent there.
   * @param exits hook returns too; off when the process has no room for a mirror of its stacks.
   * @param held a thread that is stopped already (a program that was just launched).
   */
  static into(
    pid: Pid,
    facts: TargetFacts,
    options: InjectOptions,
    exits: boolean,
    held?: StoppedThreads,
  ): Injection {
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
      const { at, fd } = mapArena(mapper, pid, memory, table, options);
      const { shape } = options;
      const bytes = BigInt(thunkRangesBytes);
      const ranges = dataAddr(mapper.map("map the list of thunks", 0n, bytes, prot.read));
      const record: RecordPlan = {
        table,
        tidOffset: findTidOffset(remote, memory, table),
        slotCount: shape.slotCount,
        mirrorDelta: mirror?.delta ?? 0n,
        mirrorWindow: mirror?.window ?? 0,
        ranges,
      };
      const started = startAgent(mapper, pid, memory, table, { at, fd, shape });
      memory.write(table + BigInt(threadTable.armed), Uint8Array.of(1));
      return new Injection({
        pid,
        facts,
        memory,
        arenaFd: fd,
        claim: { table, arena: at, shape },
        mirror,
        record,
        ranges: new ThunkRanges(memory, ranges),
        template: mirror === undefined ? entryThunk(record) : entryExitThunk(record),
        mapped,
        agent: started.ok ? started.agent : undefined,
        agentless: started.ok ? undefined : started.why,
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
    const { memory } = this.#parts;
    const refused: number[] = [];
    const wanted = readState(memory, windows, "off", refused);
    this.#patched.push({ windows, indices: wanted });
    if (this.#agent === undefined) return this.#enableStopped(windows, wanted, refused, held);
    const change = this.#plan(windows, wanted, "on", batch.several);
    this.#writeJournal();
    try {
      for (const [index, program] of change.programs.entries()) {
        if (index > 0) this.#drain(windows, held);
        this.#agent.run("patch functions", program);
      }
    } catch (error) {
      // Text that the agent may not open: nothing was changed, and there is the other way.
      if (!(error instanceof PatchbayError) || error.code !== "system") throw error;
      this.#agentless = error.why;
      return this.#enableStopped(windows, wanted, refused, held);
    }
    refused.push(...change.left);
    return { refused, protocols: { ...change.counts, stop: 0 }, pauseMs: 0 };
  }

  #plan(windows: Windows, indices: Uint32Array, to: "on" | "off", several: Uint8Array): TextChange {
    const { memory } = this.#parts;
    return planTextChange(windows, indices, to, several, (address, length) =>
      memory.read(BigInt(address), length),
    );
  }

  /** The old way: all threads are held meanwhile. */
  #enableStopped(
    windows: Windows,
    wanted: Uint32Array,
    refused: readonly number[],
    held: StoppedThreads | undefined,
  ): EnableResult {
    const { memory } = this.#parts;
    const restorers = findRestorers(memory, readMaps(this.pid));
    const start = performance.now();
    const threads = held ?? StoppedThreads.all(this.pid, this.#agent?.tid);
    try {
      const maps = readMaps(this.pid);
      leaveWindows(threads, memory, maps, restorers, (pc) => endAround(windows, pc));
      patchText(memory, windows, "on");
      return {
        refused,
        protocols: { ...noProtocols, stop: wanted.length },
        pauseMs: performance.now() - start,
        ...(this.#agentless === undefined ? {} : { agentless: this.#agentless }),
      };
    } finally {
      if (held === undefined) threads.letGo();
    }
  }

  /** Gets every thread out of the no-ops of windows whose first byte leads past them by now. */
  #drain(windows: Windows, held: StoppedThreads | undefined): void {
    const { memory } = this.#parts;
    const maps = readMaps(this.pid);
    const restorers = findRestorers(memory, maps);
    const end = (pc: bigint): bigint | undefined => endAround(windows, pc);
    if (held !== undefined) leaveWindows(held, memory, maps, restorers, end);
    else drainThreads(this.pid, memory, restorers, end, this.#agent?.tid);
  }

  /** What the agent does when this tracer dies: every window gets its compiled bytes back. */
  #writeJournal(): void {
    const program = new AgentProgram();
    for (const { windows, indices } of this.#patched) {
      const none = new Uint8Array(windows.count);
      for (const part of this.#plan(windows, indices, "off", none).programs) program.append(part);
    }
    this.#agent?.setJournal(program);
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
        if (size > 5) on.set(nopBytes(size - 5), at + 5);
      }
      first = last;
    }
    return { count: batch.count, at: batch.at, size: batch.size, off: batch.compiled, on };
  }

  #addRegion(batch: SiteBatch, first: number, last: number, held?: StoppedThreads): CodeRegion {
    const { template, memory, claim, record, ranges, mapped } = this.#parts;
    const count = last - first;
    const body = batch.at.slice(first, last);
    for (let i = 0; i < count; i++) body[i] = (body[i] ?? 0) + (batch.size[first + i] ?? 0);
    const bytes = regionBytes(template, count);
    const at = (index: number): bigint => BigInt(batch.at[index] ?? 0);
    const start = findRoomNear(readMaps(this.pid), bytes, at(first), at(last - 1));
    this.#map(start, bytes, held);
    mapped.push({ start, bytes: BigInt(bytes) });
    const sites = { count, id: batch.id.subarray(first, last), body };
    const built = buildRegion(start, template, sites, claim, record);
    memory.write(start, built.bytes);
    ranges.add(start, start + BigInt(bytes));
    this.#regions.push(built.region);
    this.#register(built.region, held);
    return built.region;
  }

  #map(start: bigint, bytes: number, held: StoppedThreads | undefined): void {
    const { mmap } = syscallNumber;
    const flags = mapFlag.privateAnonymous | mapFlag.fixedNoReplace;
    const protection = BigInt(prot.read | prot.exec);
    const args = [start, BigInt(bytes), protection, flags, -1n, 0n];
    if (this.#agent !== undefined) {
      this.#agent.syscall("map code", mmap, ...args);
      return;
    }
    const threads = held ?? StoppedThreads.one(this.pid);
    try {
      using remote = this.#remote(threads, threads.quietest);
      remote.syscall("map code", mmap, ...args);
    } finally {
      if (held === undefined) threads.letGo();
    }
  }

  #remote(threads: StoppedThreads, tid: Tid): RemoteThread {
    const { memory } = this.#parts;
    return new RemoteThread(threads, tid, findSyscallInstruction(memory, readMaps(this.pid)));
  }

  /** Tells the unwinders of the process about a region's frames. */
  #register(region: CodeRegion, held: StoppedThreads | undefined): void {
    const { facts, memory, mirror } = this.#parts;
    const { frames } = region;
    if (frames === undefined || mirror === undefined || facts.unwinders.length === 0) return;
    const used = this.#registrations.length;
    const register = (threads: StoppedThreads, tid: Tid): void => {
      using remote = this.#remote(threads, tid);
      // The mirror's first page mirrors nothing: no stack lies that low.
      const objects = mirror.base + BigInt(used * 128);
      const made = registerFrames(
        remote,
        memory,
        facts.unwinders,
        frames,
        objects,
        region.returnTrap,
      );
      this.#registrations.push(...made);
    };
    if (held !== undefined) {
      register(held, held.quietest);
      return;
    }
    if (!this.#atSafePoint(register)) {
      throw new PatchbayError({
        code: "system",
        doing: `tell the unwinder of process ${this.pid} about generated code`,
        why: "no thread came to a point where it holds no lock of the C library",
        hint: "try again, or record entries alone (--no-exits)",
      });
    }
  }

  #isSafe(tid: Tid): boolean {
    const { memory, facts } = this.#parts;
    return isAtSafePoint(tid, memory, readMaps(this.pid), facts.locking);
  }

  /** Runs `work` on the first thread that is found at a safe point; whether there was one. */
  #atSafePoint(work: (threads: StoppedThreads, tid: Tid) => void): boolean {
    for (let tries = 0; tries < safePointTries; tries++) {
      for (const tid of listThreads(this.pid)) {
        if (tid === this.#agent?.tid) continue;
        using threads = StoppedThreads.oneIfThere(this.pid, tid);
        if (threads === undefined || !this.#isSafe(tid)) continue;
        work(threads, tid);
        return true;
      }
      nap(1);
    }
    return false;
  }

  /** Takes everything away: text, return addresses, mappings. The process runs on. */
  remove(): RemoveResult {
    const { memory } = this.#parts;
    this.#restoreText();
    const restorers = findRestorers(memory, readMaps(this.pid));
    let pauseMs = 0;
    for (let attempt = 0; attempt < removalTries; attempt++) {
      const start = performance.now();
      using threads = StoppedThreads.all(this.pid);
      for (const { windows } of this.#patched) patchText(memory, windows, "off");
      const gone = this.#leaveThunks(threads, restorers);
      const caller =
        this.#registrations.length === 0
          ? threads.quietest
          : threads.tids.find((tid) => this.#isSafe(tid));
      if (gone && caller !== undefined) this.#unmap(threads, caller);
      threads.letGo();
      pauseMs = Math.max(pauseMs, performance.now() - start);
      if (gone && caller !== undefined) return { pauseMs };
      nap(2);
    }
    return { pauseMs, left: "a thread did not come out of generated code or of the C library" };
  }

  /** Puts the compiled bytes back while everybody runs, and ends the agent. */
  #restoreText(): void {
    const agent = this.#agent;
    if (agent === undefined) return;
    if (this.#agentless === undefined) {
      for (const { windows, indices } of this.#patched) {
        const change = this.#plan(windows, indices, "off", new Uint8Array(windows.count));
        for (const program of change.programs) agent.run("restore functions", program);
      }
    }
    agent.setJournal(new AgentProgram(1));
    agent.quit();
  }

  /** Gets every thread and every stack out of the thunks; whether that worked out. */
  #leaveThunks(threads: StoppedThreads, restorers: ReadonlySet<bigint>): boolean {
    const { memory, mirror } = this.#parts;
    const inside = (pc: bigint): boolean => this.#regions.some((region) => isInRegion(region, pc));
    for (const tid of threads.tids) stepOut(threads, tid, inside);
    const maps = readMaps(this.pid);
    if (mirror !== undefined) repairStacks(this.pid, memory, maps, mirror, this.#regions);
    for (const tid of threads.tids) {
      const stack = readRegisters(tid).get("rsp");
      const frames = findSignalFrames(memory, maps, stack, restorers);
      if (frames.some((frame) => inside(frame.pc))) return false;
    }
    return true;
  }

  #unmap(threads: StoppedThreads, caller: Tid): void {
    const { memory, mapped } = this.#parts;
    using remote = this.#remote(threads, caller);
    const trap: CodeAddr | undefined = this.#regions[0]?.returnTrap;
    if (trap !== undefined) deregisterFrames(remote, memory, this.#registrations, trap);
    for (const { start, bytes } of mapped) {
      remote.syscall("unmap", syscallNumber.munmap, start, bytes);
    }
    mapped.length = 0;
  }

  [Symbol.dispose](): void {
    this.#agent?.[Symbol.dispose]();
    this.#parts.memory[Symbol.dispose]();
    closeSync(this.arenaFd);
  }
}

function endAround(windows: Windows, pc: bigint): bigint | undefined {
  const index = windowAround(windows, Number(pc));
  if (index === undefined) return undefined;
  return BigInt(windows.at[index] ?? 0) + BigInt(windows.size[index] ?? 0);
}

function endOfCluster(batch: SiteBatch, first: number): number {
  const start = batch.at[first] ?? 0;
  let last = first + 1;
  while (last < batch.count && (batch.at[last] ?? 0) - start < clusterSpan) last++;
  return last;
}

/**
 * The first hold of Patchbay on a process: on the back of one held thread, as little memory as
 * possible is mapped and the agent is started. Everything after that is the agent's work.
 */
import { openSync } from "node:fs";
import { codeAddr, type DataAddr, dataAddr } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { AgentCode, SyscallName } from "../codegen/back-end.ts";
import type { SiteDesign } from "../ftrace/dispatch.ts";
import { type Mapping, procFolder } from "../os/proc.ts";
import type { VendorRules } from "../patch/protocols/x86-64-live.ts";
import { type ArenaShape, arenaBytes, threadTable, unlimitedRoom } from "../ring/arena.ts";
import { findMirror, type Mirror } from "./address-space.ts";
import { Agent } from "./agent.ts";
import { writeControlPage } from "./arena-control.ts";
import type { TargetProcess } from "./process.ts";
import type { RemoteThread } from "./remote-call.ts";
import { membarrierCommand } from "./text-change.ts";

export type InjectOptions = {
  /** Bytes of each program area, a multiple of the page size. */
  readonly programBytes: number;
  /** Ticks of the target's clock in a nanosecond. */
  readonly ticksPerNs: number;
  /** Whose manual the choice of patching protocols relies on. */
  readonly rules: VendorRules;
  /** How the calls of sites get to their trampoline. */
  readonly design: SiteDesign;
  /** Threads are to note that they fork: `codegen/x86-64/fork-gate.ts`. */
  readonly forks?: boolean;
};

/** Part of the target's address space that Patchbay mapped. */
export type Range = { readonly start: bigint; readonly bytes: bigint };

export const prot = { none: 0, read: 1, write: 2, exec: 4 } as const;
export const mapFlag = {
  shared: 1n,
  privateAnonymous: 0x22n,
  fixedNoReplace: 0x100000n,
  noReserve: 0x4000n,
} as const;
const advice = { dontDump: 16n, wipeOnFork: 18n } as const;
const prctlGetTidAddress = 40n;
const memfdCloseOnExec = 1n;
const pageBytes = 4096n;

/** Whoever makes system calls in the target that have to succeed: a held thread, or the agent. */
export type SystemCaller = {
  syscall(doing: string, name: SyscallName, ...args: readonly bigint[]): bigint;
};

/** Maps memory in the target and remembers what has to be unmapped. */
export class Mapper {
  readonly caller: SystemCaller;
  readonly #mapped: Range[];

  constructor(caller: SystemCaller, mapped: Range[]) {
    this.caller = caller;
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
    const start = this.caller.syscall(doing, "mmap", at, bytes, BigInt(protection), flags, fd, 0n);
    this.#mapped.push({ start, bytes });
    return start;
  }
}

/**
 * The mirror of the window that `stack` lies in; undefined when the process has no room for it.
 * @param mapped is told what was mapped.
 */
export function mapMirror(
  caller: SystemCaller,
  { mirrorWindowBits }: TargetProcess,
  maps: readonly Mapping[],
  stack: bigint,
  mapped: Range[],
): Mirror | undefined {
  const mirror = findMirror(maps, stack, mirrorWindowBits);
  if (mirror === undefined) return undefined;
  return mapSparse(caller, "the mirror of the stacks", mirror, mapped) ? mirror : undefined;
}

/** Maps terabytes of which little is used; false when the system does not let it. */
export function mapSparse(
  caller: SystemCaller,
  what: string,
  { base, bytes }: { readonly base: bigint; readonly bytes: bigint },
  mapped: Range[],
): boolean {
  const { privateAnonymous, noReserve, fixedNoReplace } = mapFlag;
  const flags = privateAnonymous | noReserve | fixedNoReplace;
  const isMapped = tryCall(() =>
    caller.syscall(`map ${what}`, "mmap", base, bytes, BigInt(prot.none), flags, -1n, 0n),
  );
  if (!isMapped) return false;
  mapped.push({ start: base, bytes });
  // A process that locks its memory (mlockall) must not be made to populate all of it.
  tryCall(() => caller.syscall(`let ${what} be sparse`, "munlock", base, bytes));
  caller.syscall(`keep ${what} out of core dumps`, "madvise", base, bytes, advice.dontDump);
  caller.syscall(`open ${what}`, "mprotect", base, bytes, BigInt(prot.read | prot.write));
  return true;
}

/** Whether the system did not object. */
function tryCall(call: () => void): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (error instanceof PatchbayError && error.code === "system") return false;
    throw error;
  }
}

/** Maps a thread table, of no use yet: `armed` is 0. Forked children find it empty. */
export function mapThreadTable(mapper: Mapper): DataAddr {
  const bytes = BigInt(threadTable.bytes);
  const at = mapper.map("map the thread table", 0n, bytes, prot.read | prot.write);
  mapper.caller.syscall("keep children silent", "madvise", at, bytes, advice.wipeOnFork);
  return dataAddr(at);
}

/** Maps the page where threads note their forks, `forkStamp`; children find it as it was. */
export const mapForkStamp = (mapper: Mapper): DataAddr =>
  dataAddr(mapper.map("map the note of forks", 0n, pageBytes, prot.read | prot.write));

/** An arena: where it is in the target, our descriptor of it, and the target's own. */
export type Arena = {
  readonly at: DataAddr;
  readonly fd: number;
  readonly theirFd: bigint;
  readonly shape: ArenaShape;
};

/**
 * Makes an arena in the target, maps it there, and opens it here; `closeArena` has to follow.
 * @param scratch 16 bytes of the target's that are zero.
 * @param place where it had best be; 0: where the kernel likes.
 */
export function mapArena(
  mapper: Mapper,
  process: TargetProcess,
  scratch: DataAddr,
  { shape, overwrite }: { readonly shape: ArenaShape; readonly overwrite: boolean },
  place = 0n,
): Arena {
  const { caller } = mapper;
  const { pid, memory } = process;
  const size = BigInt(arenaBytes(shape));
  memory.write(scratch, new TextEncoder().encode("patchbay\0"));
  const theirs = caller.syscall("make the rings", "memfdCreate", scratch, memfdCloseOnExec);
  memory.write(scratch, new Uint8Array(16));
  caller.syscall("size the rings", "ftruncate", theirs, size);
  const protection = prot.read | prot.write;
  const near = place === 0n ? process.roomForRings(size) : place;
  const at = mapper.mapFile("map the rings", near, size, protection, mapFlag.shared, theirs);
  const fd = openSync(`${procFolder(pid)}/fd/${theirs}`, "r+");
  writeControlPage(fd, shape, overwrite ? unlimitedRoom : BigInt(shape.slotCount));
  return { at: dataAddr(at), fd, theirFd: theirs, shape };
}

/** What can wait until nobody is held any more. */
export function closeArena(caller: SystemCaller, { at, theirFd, shape }: Arena): void {
  const bytes = BigInt(arenaBytes(shape));
  caller.syscall("keep the rings out of core dumps", "madvise", at, bytes, advice.dontDump);
  caller.syscall("close the rings' descriptor", "close", theirFd);
}

/**
 * Distance from the thread pointer to the thread id that the C library keeps for each thread.
 * Where it is glibc the kernel knows the place, since it clears it when the thread ends
 * (set_tid_address). musl lets it clear a lock instead, and emulators do not tell: there the id is
 * looked for near the thread pointer.
 */
export function findTidOffset(
  remote: RemoteThread,
  process: TargetProcess,
  scratch: DataAddr,
): number {
  const { memory, backEnd } = process;
  const thread = remote.threadPointer();
  const found = remote.rawSyscall("prctl", [prctlGetTidAddress, scratch]);
  const address = memory.readU64(scratch);
  memory.write(scratch, new Uint8Array(8));
  const offset = Number(BigInt.asIntN(64, address - thread));
  if (found === 0n && offset === (offset | 0) && address !== 0n) {
    const stored = memory.readU64(codeAddr(address)) & 0xffff_ffffn;
    if (stored === BigInt(remote.tid)) return offset;
  }
  const [from, to] = backEnd.tidWithin;
  const mapping = process.maps().find(({ start, end }) => start <= thread && thread < end);
  const room = Math.min(to, Number((mapping?.end ?? thread) - thread)) - from;
  const words = new Uint32Array(memory.read(thread + BigInt(from), room & ~3).buffer);
  const index = words.indexOf(remote.tid);
  if (index >= 0 && words.lastIndexOf(remote.tid) === index) return from + index * 4;
  throw new PatchbayError({
    code: "unsupported",
    doing: `tell the threads of process ${process.pid} apart`,
    why: "its C library does not keep a thread id beside the thread pointer",
    hint: "programs that start threads without glibc or musl are not supported yet",
  });
}

/** The agent, or why the process can't have one. */
export type AgentStart =
  | { readonly ok: true; readonly agent: Agent }
  | { readonly ok: false; readonly why: string };

/** The agent's stack; its beginning is free for words that are handed to system calls. */
export const mapAgentStack = (mapper: Mapper): DataAddr =>
  dataAddr(mapper.map("map the agent's stack", 0n, pageBytes, prot.read | prot.write));

/**
 * Starts the agent; `enableSync` says whether it is of use.
 * @param remote the held thread that `mapper` maps by.
 */
export function startAgent(
  remote: RemoteThread,
  mapper: Mapper,
  process: TargetProcess,
  stack: DataAddr,
  arena: Arena,
  agentCode: AgentCode,
): AgentStart {
  const code = mapper.map("map the agent", 0n, pageBytes, prot.read | prot.exec);
  try {
    const stackTop = stack + pageBytes;
    const agent = Agent.start(remote, process, arena, agentCode, codeAddr(code), stackTop);
    return { ok: true, agent };
  } catch (error) {
    if (error instanceof PatchbayError && error.code === "system") {
      return { ok: false, why: error.why };
    }
    throw error;
  }
}

/**
 * Registers the process for membarrier(SYNC_CORE), without which an agent can't change text. The
 * kernel takes its time for that (a grace period): nobody is held meanwhile.
 */
export function enableSync(started: AgentStart): AgentStart {
  if (!started.ok) return started;
  const { agent } = started;
  const register = (): void => {
    agent.syscall("prepare syncs", "membarrier", membarrierCommand.registerSyncCore, 0n, 0n);
  };
  if (tryCall(register)) return started;
  agent.quit();
  return { ok: false, why: "membarrier(SYNC_CORE) is not available to it" };
}

/**
 * The arena: one shared memory object (a memfd made in the target) that holds a control page, the
 * journal of what was changed in the target, and the rings of all its threads. The target maps it
 * once; the tracer maps it through /proc/PID/fd, so that it outlives the target.
 *
 *     0                  control page
 *     4096               programs: three areas of steps for the agent (`codegen/agent-program.ts`)
 *     programs' end      counters: a u64 for each site
 *     counters' end      ring 0, ring 1, ...: header page and slots each
 *
 * The file is sparse: a ring that no thread has claimed, a program that is short take no memory.
 */
import { eventBytes, ringHeaderBytes } from "./layout.ts";

export const pageBytes = 4096;

/** Byte offsets in the control page. */
export const control = {
  /** "patchbay" in ASCII. */
  magic: 0,
  /** u32, `arenaVersion`. */
  version: 8,
  /** u32, process id of the tracer that made the arena. */
  tracerPid: 12,
  /** u64, when that process started, in clock ticks since boot: to tell it from a namesake. */
  tracerStart: 16,
  /** u32, number of rings. */
  ringCount: 24,
  /** u32, slots in each ring; a power of two. */
  slotCount: 28,
  /** u64, bytes of all program areas. */
  programBytes: 32,
  /** u64, bytes of the whole arena. */
  arenaBytes: 40,
  /** u64, what `limit - head` is when a thread claims a ring: see `ring/layout.ts`. */
  room: 48,
  /** u32, where claims look first for a ring; `noRingLeft` when there was none. */
  nextRing: 56,
  /** u64, entries and exits of threads that found no ring; written by the target. */
  ringlessEntries: 64,
  ringlessExits: 72,
  /** u32, futex: what the agent is to do, one of `agentCommand`; the agent puts back `idle`. */
  command: 128,
  /** u32: thread id of the tracer's owner thread; the kernel sets bit 30 when that thread dies. */
  owner: 132,
  /** u32: thread id of the agent while it lives; the kernel clears it (CLONE_CHILD_CLEARTID). */
  agentTid: 136,
  /** u32: area (1 or 2) of the program that puts everything back; 0: nothing to put back. */
  journal: 140,
  /** u64: result of the system call that ended the last program, 0 when it ran to its end. */
  failure: 144,
  /** u64: result of the last system call that a program made. */
  result: 160,
  /** u64: times that the agent ran a journal because its tracer was gone. */
  rescues: 152,
  /** u32, futex: times that the loader has told of libraries that come or go; by the target. */
  loaderEvents: 168,
  /** u32, futex: how many of them the tracer has seen; a thread waits for its own to be. */
  loaderSeen: 172,
  /** u32: 1 while the tracer wants threads to wait. */
  loaderArmed: 176,
  /** u32: 1 while a recording that has triggers is switched off; written by the target, too. */
  tracingOff: 180,
  /** u32: times that a trigger has asked for the rings to be written out; by the target. */
  snapshotsWanted: 188,
  /** u32: 1 where forked children record, too; they share the arena. */
  followForks: 184,
  /**
   * u64: CLOCK_MONOTONIC a moment ago, in ns, kept fresh by the tracer for those who record with
   * the coarse clock. On a line of its own, which it shares with what nobody else looks at.
   */
  coarseNs: 256,
  /** u64: the same as events have it, an entry of site 0; set after that. */
  coarseEvent: 264,
  /** u64: how often the tracer has set them, and the longest time between two times, in ns. */
  coarseSteps: 272,
  coarseLongest: 280,
  /** u32: 1 while threads that are about to exec wait for the tracer. */
  execArmed: 192,
  /** u32: the only process that does so, by its id; 0: forked children, too. */
  execPid: 196,
  /** u32, futex: times that a thread has begun to wait; written by the target. */
  execEvents: 200,
  /** u32: threads that went on, because they found no place to wait in or waited for too long. */
  execMissed: 204,
  /** Places of threads that wait: `execPlaces` of `execPlace.bytes` each. */
  execPlaces: 3072,
} as const;

/** Threads that can wait at the same time to exec, in all processes that share the arena. */
export const execPlaces = 32;

/** A place of a thread that is about to exec. */
export const execPlace = {
  /** u32, futex: one of `execState`. */
  state: 0,
  /** u32 each: whose place it is. */
  pid: 4,
  tid: 8,
  /** u32: which thread has forked or vforked the process, and at what time (u64); 0: not known. */
  forkThread: 12,
  forkTime: 16,
  bytes: 24,
} as const;

/** What a place is: a thread takes it, waits, and gives it back when the tracer says so. */
export const execState = { free: 0, taken: 1, waiting: 2, passed: 3 } as const;

/** Triggers that a recording can have. */
export const triggersMax = 512;
/** Offset of a trigger's word in the control page: how often it acts yet, an i32; -1: always. */
export const triggerWord = (index: number): number => 1024 + 4 * index;

/** In `control.nextRing`: every ring has an owner, until the drain says otherwise. */
export const noRingLeft = -1;

/** What the agent is told to do. */
export const agentCommand = { idle: 0, run: 1, quit: 2 } as const;

/** Set by the kernel in `control.owner` (FUTEX_OWNER_DIED, include/uapi/linux/futex.h). */
export const ownerDied = 0x4000_0000;

/** Program areas: the one that `run` executes, and two for the journal, written in turn. */
export const programAreas = 3;

export const arenaVersion = 1;
export const arenaMagic: bigint = 0x7961_6268_6374_6170n; // "patchbay", little-endian

/** Room in a ring that overwrites its oldest events: the producer never reaches the limit. */
export const unlimitedRoom: bigint = 2n ** 62n;

export type ArenaShape = {
  readonly ringCount: number;
  /** A power of two. */
  readonly slotCount: number;
  /** Bytes of each program area, a multiple of the page size. */
  readonly programBytes: number;
  /** Bytes of the counters, a multiple of the page size. */
  readonly counterBytes: number;
};

/** Distance in bytes from one ring to the next. */
export const ringStride = (shape: ArenaShape): number =>
  ringHeaderBytes + shape.slotCount * eventBytes;

/** Offset of program area `index` in the arena. */
export const programOffset = (shape: ArenaShape, index: number): number =>
  pageBytes + index * shape.programBytes;

/** Offset of the sites' counters in the arena. */
export const counterOffset = (shape: ArenaShape): number => programOffset(shape, programAreas);

/** Bits of a thread filter: as many as there are thread ids (PID_MAX_LIMIT), in bytes. */
export const threadBitsBytes: number = 2 ** 22 / 8;

/**
 * Offset of the thread filter in the arena: a bit for each thread id, at the end of the counters of
 * those users that asked for one.
 */
export const threadBitsOffset = (shape: ArenaShape): number =>
  counterOffset(shape) + shape.counterBytes - threadBitsBytes;

/** Offset of ring `index` in the arena. */
export const ringOffset = (shape: ArenaShape, index: number): number =>
  counterOffset(shape) + shape.counterBytes + index * ringStride(shape);

export const arenaBytes = (shape: ArenaShape): number => ringOffset(shape, shape.ringCount);

/**
 * The thread table: private memory of the target that finds a thread's ring by its thread id.
 * Entry `tid & (threadTableEntries - 1)` or one of the following `threadTableProbes - 1` belongs
 * to the thread. The kernel wipes it in a forked child (MADV_WIPEONFORK), `armed` with it, so that
 * a child never writes into its parent's rings. Where children are to be followed, the first one
 * of its threads that claims a ring arms the child's own table.
 */
export const threadTable = {
  entries: 4096,
  entryBytes: 16,
  probes: 16,
  /** In an entry: u64 address of the ring in the target. */
  ring: 0,
  /** In an entry: u32 thread id, with bit 31 set (`entryBusy`) while it is filled in; 0 free. */
  tid: 8,
  /** After the last entry that a probe can reach, (4096 + 16) * 16: u32, 1 while recording. */
  armed: 65_792,
  /** u32: in a forked child that is followed its process id, otherwise 0. */
  process: 65_796,
  bytes: 69_632,
} as const;

/**
 * What a thread notes when it is about to fork, in private memory that a child inherits as it was:
 * there the child's first claim finds who has made it, and when. All are u64.
 */
export const forkStamp = {
  /** The thread pointer, which the child's only thread has, too. */
  threadPointer: 0,
  /** The time stamp counter. */
  time: 8,
  /** The thread's id. */
  tid: 16,
  /** The sum of the three: they are one thread's then. */
  sum: 24,
} as const;

/** Added to the thread id in an entry of the thread table that a thread is filling in. */
export const entryBusy: number = -(2 ** 31);

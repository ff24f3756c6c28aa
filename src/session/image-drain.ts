/**
 * The rings of one program image: found as threads claim them, drained, given back.
 *
 * Rings that overwrite (`--flight-recorder`) are read at the end, and from a copy when somebody
 * asks for what they hold; otherwise only their positions are marked now and then, because an event
 * carries no more than 38 bits of its time.
 */
import { fstatSync } from "node:fs";
import { type Pid, type Tid, pid as toPid, tid as toTid } from "../base/brand.ts";
import { MappedFile } from "../os/mapped-file.ts";
import {
  isAlive,
  isThread,
  listProcesses,
  mapsFile,
  ProcessMemory,
  threadName,
} from "../os/proc.ts";
import { type ClockName, clockNow } from "../os/tsc.ts";
import { type ArenaShape, control, pageBytes, ringOffset, ringStride } from "../ring/arena.ts";
import { eventBytes, ringHeader, ringHeaderBytes } from "../ring/layout.ts";
import { RingConsumer } from "../ring/ring-consumer.ts";
import { forgetThread } from "../target/thread-table.ts";
import { coarseWord, coarseWords } from "./coarse-clock.ts";
import { CodeWatch } from "./code-watch.ts";
import { ForkNotes } from "./fork-notes.ts";
import type { ThreadStream, TraceDirectory } from "./trace-directory.ts";

/** Where an image's rings are, and what they are like. */
export type ImageStart = {
  readonly pid: number;
  readonly arenaFd: number;
  readonly shape: ArenaShape;
  readonly overwrite: boolean;
  /** Events can bring values. */
  readonly hasLong: boolean;
  /** They can bring stacks. */
  readonly hasStacks: boolean;
  /** What events are stamped with; `coarse`: the arena's word. */
  readonly clock: ClockName | "coarse";
  /** Address of the thread table in the target. */
  readonly table: bigint;
};

/** What came out of an image's rings so far. */
export type ImageTotals = {
  readonly events: number;
  readonly lost: number;
  readonly threads: number;
  /** Of `lost`, those of threads that found no ring. */
  readonly ringlessEntries: number;
  readonly ringlessExits: number;
};

/** Events wait this long at the most before they are on disk, in ms. */
const delayMsMax = 100;
/** A ring is drained at once when this part of it is full. */
const hurryShare = 1 / 8;
/** How often rings that overwrite are marked, in ms; 38 bits of time last for a minute or so. */
const markMs = 5_000;

type RingState = {
  /** The ring's header and slots, shared with the target. */
  readonly mapped: MappedFile;
  /** The header's 32-bit words: a look at these alone says whether anything has come. */
  readonly words: Uint32Array;
  readonly consumer: RingConsumer;
  /** Belongs to a thread when set. */
  owner: Owner | undefined;
  /** Position up to which events were taken. */
  tail: number;
  lastTakenMs: number;
  /** Losses of earlier owners, not to be counted again. */
  baseline: Losses;
  /** Losses so far, the baseline's among them. */
  losses: Losses;
};

type Owner = {
  readonly tid: Tid;
  readonly stream: ThreadStream;
  name: string;
  /** Events of it have come. */
  isKnown: boolean;
};

type Losses = { readonly all: number; readonly entries: number; readonly exits: number };
const noLosses: Losses = { all: 0, entries: 0, exits: 0 };

/** A u64 of a mapped page, as a number; counts stay below 2^53. */
const loadU64 = (buffer: ArrayBuffer, offset: number): number =>
  Number(Atomics.load(new BigUint64Array(buffer, offset, 1), 0));
const loadU32 = (buffer: ArrayBuffer, offset: number): number =>
  Atomics.load(new Uint32Array(buffer, offset, 1), 0);
const tidOf = (words: Uint32Array): number => Atomics.load(words, ringHeader.tid / 4);
/** The forked child that a ring's thread belongs to; 0 for the target itself. */
const childOf = (words: Uint32Array): number => Atomics.load(words, ringHeader.process / 4);
const headerWords = ({ buffer }: MappedFile): Uint32Array =>
  new Uint32Array(buffer, 0, ringHeaderBytes / 4);

export class ImageDrain {
  readonly #start: ImageStart;
  readonly #image: number;
  readonly #now: () => bigint;
  readonly #trace: TraceDirectory;
  readonly #rings: RingState[] = [];
  /** The ring that is claimed next; mapped, to see when it is. */
  #next: MappedFile | undefined;
  readonly #control: MappedFile;
  readonly #memory: ProcessMemory;
  /** Forked children that were there at the last look. */
  #children: readonly Pid[] = [];
  readonly #forks: ForkNotes;
  readonly #code: CodeWatch | undefined;
  /** Snapshots that triggers had asked for at the last look. */
  #snapshots = 0;
  #events = 0;
  /** Events that rings lost under owners that have ended. */
  #lostBefore = 0;
  #threads = 0;
  #isSettled = false;

  /**
   * @param image its number in the trace.
   */
  constructor(start: ImageStart, image: number, trace: TraceDirectory) {
    this.#start = start;
    this.#image = image;
    this.#trace = trace;
    this.#memory = new ProcessMemory(toPid(start.pid));
    this.#control = new MappedFile(start.arenaFd, 0, pageBytes);
    const words = coarseWords(this.#control);
    this.#now =
      start.clock === "coarse" ? () => Atomics.load(words, coarseWord.ns) : clockNow(start.clock);
    this.#forks = new ForkNotes({
      pid: toPid(start.pid),
      isCoarse: start.clock === "coarse",
      tell: (fork) => trace.addFork(image === 0 ? fork : { ...fork, image }),
    });
    this.#code = start.hasStacks ? new CodeWatch(toPid(start.pid)) : undefined;
    this.#lookForCode();
  }

  /** Notes code that has come to the process, where stacks are recorded. */
  #lookForCode(): void {
    const came = this.#code?.look() ?? [];
    if (came.length > 0) this.#trace.addCode(came);
  }

  get totals(): ImageTotals {
    const { entries, exits } = this.#ringless();
    let lost = entries + exits + this.#lostBefore;
    for (const { losses, baseline } of this.#rings) lost += losses.all - baseline.all;
    return {
      events: this.#events,
      lost,
      threads: this.#threads,
      ringlessEntries: entries,
      ringlessExits: exits,
    };
  }

  /** Events of threads that found no ring; counted by the target, in the control page. */
  #ringless(): { readonly entries: number; readonly exits: number } {
    const { buffer } = this.#control;
    return {
      entries: loadU64(buffer, control.ringlessEntries),
      exits: loadU64(buffer, control.ringlessExits),
    };
  }

  /** Looks at every ring once and drains those that are due; whether one was rather full. */
  poll(): boolean {
    const now = performance.now();
    const { overwrite, shape } = this.#start;
    this.#findRings();
    const wanted = loadU32(this.#control.buffer, control.snapshotsWanted);
    if (wanted !== this.#snapshots) this.snapshot();
    this.#snapshots = wanted;
    let hurry = false;
    for (const ring of this.#rings) {
      if (!this.#adopt(ring)) continue;
      const waited = now - ring.lastTakenMs;
      if (overwrite) {
        if (waited < markMs) continue;
        ring.consumer.mark(this.#now);
        ring.lastTakenMs = now;
        continue;
      }
      // Less than a ring's worth, and so less than 2^32: the low words tell.
      const pending = (Atomics.load(ring.words, ringHeader.head / 4) - ring.tail) >>> 0;
      const full = pending >= shape.slotCount * hurryShare;
      if (full || (pending > 0 && waited > delayMsMax)) {
        this.#drainRing(ring);
        ring.lastTakenMs = now;
      }
      hurry ||= full;
    }
    return hurry;
  }

  /** Rings are claimed in order, so only the first unknown one can be new. */
  #findRings(): void {
    const { shape, arenaFd, overwrite, hasLong } = this.#start;
    while (this.#rings.length < shape.ringCount) {
      const offset = ringOffset(shape, this.#rings.length);
      const mapped = (this.#next ??= new MappedFile(arenaFd, offset, ringStride(shape)));
      const words = headerWords(mapped);
      if (tidOf(words) === 0) return;
      this.#next = undefined;
      const options = { hasLong, overwrites: overwrite };
      this.#rings.push({
        mapped,
        words,
        consumer: new RingConsumer(new Uint8Array(mapped.buffer), options),
        owner: undefined,
        tail: 0,
        lastTakenMs: 0,
        baseline: noLosses,
        losses: noLosses,
      });
    }
  }

  /** Opens a stream for a ring that a thread has claimed; whether the ring is anybody's. */
  #adopt(ring: RingState): boolean {
    if (ring.owner !== undefined) return true;
    const tid = tidOf(ring.words);
    if (tid === 0) return false;
    const name = this.#threadName(ring.words, tid) ?? "";
    ring.owner = { tid: toTid(tid), stream: this.#trace.stream(tid), name, isKnown: false };
    ring.consumer.mark(this.#now);
    this.#threads++;
    return true;
  }

  /** The process that a ring's thread belongs to. */
  #processOf(words: Uint32Array): Pid {
    return toPid(childOf(words) || this.#start.pid);
  }

  #threadName(words: Uint32Array, tid: number): string | undefined {
    return threadName(this.#processOf(words), toTid(tid));
  }

  /** Whether a forked child is there that would record, though it may not have called yet. */
  get isFollowing(): boolean {
    this.#children = this.#children.filter((child) => isAlive(child));
    if (this.#children.length > 0) return true;
    // Children have the arena from the target; this process maps it for the drain.
    const { ino } = fstatSync(this.#start.arenaFd);
    const self = toPid(process.pid);
    const isChild = (child: Pid): boolean => child !== self && mapsFile(child, ino);
    this.#children = listProcesses().filter(isChild);
    return this.#children.length > 0;
  }

  /** Writes all that a ring holds. */
  #drainRing(ring: RingState): void {
    const { owner, consumer, baseline } = ring;
    if (owner === undefined) return;
    for (let taken = consumer.take(this.#now); taken; taken = consumer.take(this.#now)) {
      const { chunks, events, lost, lostEntries, lostExits, begin, end, lossPlace } = taken;
      const pid = this.#processOf(ring.words);
      if (!owner.isKnown) {
        owner.isKnown = true;
        this.#forks.thread(ring.words, owner.tid, pid, childOf(ring.words) !== 0);
      }
      owner.stream.append(
        {
          begin,
          end,
          lost: lost - baseline.all,
          lostEntries: lostEntries - baseline.entries,
          lostExits: lostExits - baseline.exits,
          lossPlace,
          tid: owner.tid,
          pid,
          image: this.#image,
          threadName: owner.name,
        },
        chunks,
      );
      consumer.release();
      this.#events += events;
      ring.tail += chunks.reduce((sum, chunk) => sum + chunk.length, 0) / eventBytes;
      ring.losses = { all: lost, entries: lostEntries, exits: lostExits };
    }
  }

  /** From now on the target's memory is left alone: what is mapped there may go away. */
  settle(): void {
    this.#isSettled = true;
  }

  /** Whether free rings run short. */
  get isCrowded(): boolean {
    const owned = this.#rings.filter(({ owner }) => owner !== undefined).length;
    return owned > this.#start.shape.ringCount / 2;
  }

  /** Writes what the rings hold at this moment; recording goes on. */
  snapshot(): void {
    this.#findRings();
    for (const ring of this.#rings) {
      if (!this.#adopt(ring)) continue;
      if (this.#start.overwrite) ring.consumer.freeze(this.#now);
      this.#drainRing(ring);
      ring.consumer.thaw();
    }
  }

  /** Gives the rings of threads that have ended back, once they are empty. */
  reapThreads(): void {
    if (this.#isSettled) return;
    this.#lookForCode();
    if (this.#start.overwrite) return;
    for (const ring of this.#rings) {
      const { owner, words } = ring;
      if (owner === undefined) continue;
      if (isThread(this.#processOf(words), owner.tid)) {
        owner.name = this.#threadName(words, owner.tid) ?? owner.name;
        continue;
      }
      this.#drainRing(ring);
      forgetThread(this.#memory, this.#start.table, owner.tid);
      this.#forks.forget(owner.tid, this.#processOf(words));
      owner.stream.close();
      this.#lostBefore += ring.losses.all - ring.baseline.all;
      ring.baseline = ring.losses;
      ring.owner = undefined;
      Atomics.store(ring.words, ringHeader.process / 4, 0);
      Atomics.store(ring.words, ringHeader.tid / 4, 0);
    }
    this.#offerRing();
  }

  /** Tells claims where the first ring is that belongs to nobody, if there is one. */
  #offerRing(): void {
    const given = this.#rings.findIndex(({ owner }) => owner === undefined);
    const first = given >= 0 ? given : this.#rings.length;
    if (first >= this.#start.shape.ringCount) return;
    Atomics.store(new Int32Array(this.#control.buffer, control.nextRing, 1), 0, first);
  }

  /** Writes what is left. The producers have stopped, or will be cut off. */
  finish(): void {
    this.#findRings();
    for (const ring of this.#rings) {
      if (!this.#adopt(ring)) continue;
      this.#drainRing(ring);
      ring.owner?.stream.close();
    }
    this.#lookForCode();
    const made = this.#code?.perfMap();
    if (made !== undefined) this.#trace.keepPerfMap(made);
  }

  [Symbol.dispose](): void {
    for (const { mapped } of this.#rings) mapped[Symbol.dispose]();
    this.#next?.[Symbol.dispose]();
    this.#control[Symbol.dispose]();
    this.#memory[Symbol.dispose]();
    this.#code?.[Symbol.dispose]();
  }
}

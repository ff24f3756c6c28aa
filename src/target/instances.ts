/**
 * Instances: the rings and counters of one user of a process. Each is an arena that the user maps,
 * too, and a thread table; thunks name the instance that they write.
 *
 * A function that was entered through a user's thunk returns through it, however long after the
 * user has gone. So an instance is silenced and its memory given back, but its addresses stay
 * taken until Patchbay leaves the process.
 */
import { closeSync } from "node:fs";
import { ensure } from "../base/assert.ts";
import type { DataAddr } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { InstancePlan } from "../codegen/x86-64/record.ts";
import { freePages, MappedFile } from "../os/mapped-file.ts";
import { isAlive } from "../os/proc.ts";
import {
  type ArenaShape,
  arenaBytes,
  control,
  counterOffset,
  pageBytes,
  threadTable,
} from "../ring/arena.ts";
import { findArenaRoom, findFrameWords, type Mirror } from "./address-space.ts";
import {
  closeArena,
  Mapper,
  mapArena,
  mapSparse,
  mapThreadTable,
  type Range,
  type SystemCaller,
} from "./bootstrap.ts";
import type { TargetProcess } from "./process.ts";
import { findRestorers } from "./signal-frames.ts";

/** An instance as its user needs to know it. */
export type Instance = {
  readonly instance: number;
  /** The arena, open in this process until the instance is released. */
  readonly arenaFd: number;
  /** Address of the thread table in the target. */
  readonly table: DataAddr;
  /** Whether frames have words for it: see `InstanceRequest`. */
  readonly hasFrameWords: boolean;
};

/** What an instance is to be like. */
export type InstanceRequest = {
  readonly shape: ArenaShape;
  readonly overwrite: boolean;
  /** Whether forked children record, too. */
  readonly followForks: boolean;
  /** Words that frames are to have for it beside their return address, if there is room. */
  readonly frameWords: number;
  /** Events are stamped by the coarse clock, which the user keeps fresh. */
  readonly coarse: boolean;
  /** Entries say so where they are a signal's. */
  readonly signals: boolean;
};

/** Users that can come and go while Patchbay is in a process: each takes address space. */
const instancesMax = 256;

/** Runs `work` with what can make system calls in the target. */
export type SystemWork = <T>(work: (caller: SystemCaller) => T) => T;

type Parts = {
  readonly process: TargetProcess;
  readonly call: SystemWork;
  /** Is told what is mapped. */
  readonly mapped: Range[];
  /** Absent when returns can't be hooked. */
  readonly mirror: Mirror | undefined;
};

export class Instances {
  /** By number; what thunks are made from. */
  readonly plans: InstancePlan[] = [];
  readonly #parts: Parts;
  /** Of each instance, -1 once it is released. */
  readonly #fds: number[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Makes one; threads record into it as soon as a thunk names it. */
  add({ shape, overwrite, frameWords, followForks, ...more }: InstanceRequest): Instance {
    const { process, mapped, call, mirror } = this.#parts;
    if (this.plans.length === instancesMax) {
      throw new PatchbayError({
        code: "unsupported",
        doing: `trace process ${process.pid} once more`,
        why: `${instancesMax} recordings have come and gone since Patchbay is in it`,
        hint: "end all of them, and begin again",
      });
    }
    const { table, arena, frameDeltas } = call((caller) => {
      const mapper = new Mapper(caller, mapped);
      const table = mapThreadTable(mapper);
      const place = findArenaRoom(process.maps(), mirror, BigInt(arenaBytes(shape)));
      const arena = mapArena(mapper, process, table, { shape, overwrite }, place);
      closeArena(caller, arena);
      return { table, arena, frameDeltas: this.#mapFrameWords(caller, frameWords) };
    });
    this.#follow(arena.fd, followForks);
    process.memory.write(table + BigInt(threadTable.armed), Uint8Array.of(1));
    const restorers = more.signals ? this.#restorers() : undefined;
    const { coarse } = more;
    const plan = { table, arena: arena.at, shape, overwrite, coarse, frameDeltas, restorers };
    const instance = this.plans.push(plan) - 1;
    this.#fds.push(arena.fd);
    return { instance, arenaFd: arena.fd, table, hasFrameWords: frameDeltas.length > 0 };
  }

  /** Where signal handlers return to. */
  #restorers(): readonly bigint[] {
    const { process } = this.#parts;
    return [...findRestorers(process.memory, process.maps())];
  }

  /** Words of frames for one instance; none where the process has no room for them. */
  #mapFrameWords(caller: SystemCaller, count: number): readonly bigint[] {
    const { process, mirror, mapped } = this.#parts;
    if (count === 0 || mirror === undefined) return [];
    const words = findFrameWords(process.maps(), mirror, count);
    if (words === undefined) return [];
    return mapSparse(caller, "words for frames", words, mapped) ? words.deltas : [];
  }

  /** Lets forked children record, too, or no more. */
  #follow(arenaFd: number, follow: boolean): void {
    using page = new MappedFile(arenaFd, 0, pageBytes);
    Atomics.store(new Uint32Array(page.buffer), control.followForks / 4, follow ? 1 : 0);
  }

  /**
   * From now on no thread finds its ring; events that are under way may still come. Children that
   * have claimed rings keep them, for nobody.
   */
  silence(instance: number): void {
    const { table } = this.#plan(instance);
    const fd = this.#fds[instance] ?? -1;
    if (fd >= 0) this.#follow(fd, false);
    const { memory } = this.#parts.process;
    memory.write(table + BigInt(threadTable.armed), Uint8Array.of(0));
    memory.write(table, new Uint8Array(threadTable.entries * threadTable.entryBytes));
  }

  /** Gives its memory back; the user has read what he wants. Idempotent. */
  release(instance: number): void {
    const { shape } = this.#plan(instance);
    const fd = this.#fds[instance] ?? -1;
    if (fd < 0) return;
    this.#fds[instance] = -1;
    // Where the target has ended, a user in another process may still be reading what it left.
    if (isAlive(this.#parts.process.pid)) freePages(fd, pageBytes, arenaBytes(shape) - pageBytes);
    closeSync(fd);
  }

  /** Whether frames have words for an instance. */
  hasFrameWords(instance: number): boolean {
    return (this.plans[instance]?.frameDeltas.length ?? 0) > 0;
  }

  /** Whether nobody reads any of them any more. */
  get areReleased(): boolean {
    return this.#fds.every((fd) => fd < 0);
  }

  /** Calls counted so far, by site. */
  counters(instance: number, sites: number): Float64Array {
    const { shape } = this.#plan(instance);
    const fd = this.#fds[instance] ?? -1;
    using mapped = new MappedFile(fd, counterOffset(shape), shape.counterBytes);
    const words = new BigUint64Array(mapped.buffer);
    return Float64Array.from({ length: sites }, (_, site) => Number(words[site] ?? 0n));
  }

  #plan(instance: number): InstancePlan {
    return ensure(this.plans[instance], `instance ${instance}`);
  }

  [Symbol.dispose](): void {
    for (const instance of this.plans.keys()) this.release(instance);
  }
}

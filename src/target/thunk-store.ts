/**
 * The thunks of a session in the target. A thunk is made when its site first wants its kind of
 * work and stays, so that switching a function off and on again makes no new code and needs no
 * grace period. Works that nobody wants any more and that hook no returns are freed once there are
 * many (`collect.ts`); all others go together, when the session ends: stacks may lead to them.
 */
import { pick } from "../base/columns.ts";
import { type Work, WorkList } from "../codegen/work.ts";
import type { ThunkPlan } from "../codegen/x86-64/record.ts";
import type { Mapping } from "../os/proc.ts";
import { findRoomWithin } from "./address-space.ts";
import type { Range } from "./bootstrap.ts";
import {
  buildRegion,
  type CodeRegion,
  copiesOffset,
  makeRegionCode,
  type RegionCode,
  regionBytes,
} from "./code-region.ts";
import { CodeRoom, type Ends } from "./code-room.ts";
import type { TargetProcess } from "./process.ts";
import { copiesRoom, copyPrologues, findInCopy } from "./prologue-copies.ts";
import type { SiteTable } from "./sites.ts";
import { ThunkRanges } from "./thunk-ranges.ts";

export type ThunkParts = {
  readonly process: TargetProcess;
  readonly plan: ThunkPlan;
  readonly sites: SiteTable;
  /** Maps `bytes` at `start` in the target, readable and executable. */
  readonly map: (start: bigint, bytes: number) => void;
  /** Tells the target's unwinders about a region. */
  readonly register: (region: CodeRegion) => void;
};

/** Works that are known before it is worth to look for those that nobody has any more. */
const worksKept = 1024;

export class ThunkStore {
  readonly regions: CodeRegion[] = [];
  /** What was mapped for them. */
  readonly ranges: Range[] = [];
  readonly #parts: ThunkParts;
  /** Where thunks with hooked returns go. */
  readonly #room: CodeRoom;
  readonly #works = new WorkList();
  /** By the number of the work. */
  readonly #codes = new Map<number, RegionCode>();
  /** Address of each site's thunk by the number of its work; 0: not made yet. */
  readonly #thunks = new Map<number, Float64Array>();
  /** Regions without hooked returns or moved instructions, by the number of their work. */
  readonly #freeable = new Map<number, readonly CodeRegion[]>();
  /** What is mapped in the process, where that is known to be so. */
  #maps: readonly Mapping[] | undefined;
  /** Address of a copy of each moved prologue; 0: none yet. Any of them serves. */
  readonly #copies: Float64Array;

  constructor(parts: ThunkParts) {
    this.#parts = parts;
    this.#copies = new Float64Array(parts.sites.count);
    const ranges = new ThunkRanges(parts.process.memory, parts.plan.ranges);
    this.#room = new CodeRoom({
      reach: parts.process.backEnd.branchReach,
      map: (piece) => {
        this.#map(piece);
        ranges.add(piece.start, piece.start + piece.bytes);
      },
    });
  }

  /** The number of `work`, by which the other methods know it; 0 is to do nothing. */
  intern(work: Work): number {
    return this.#works.intern(work);
  }

  /** What `intern` gave that number. */
  workOf(number: number): Work {
    return this.#works.get(number);
  }

  /**
   * Makes the thunks for `work` that `sites` (ascending) lack; the sites that have no free memory
   * in a branch's reach.
   */
  prepare(work: number, sites: Uint32Array): readonly number[] {
    const thunks = this.#of(work);
    const missing = pick(sites, (site) => thunks[site] === 0);
    const far: number[] = [];
    /** Adds the region of `those`; where there is no room for it, those of its halves. */
    const add = (those: Uint32Array): void => {
      const count = those.length;
      if (this.#addRegion(work, those, thunks)) return;
      if (count === 1) far.push(...those);
      else [those.subarray(0, count >> 1), those.subarray(count >> 1)].forEach(add);
    };
    // The process may have mapped something since.
    this.#maps = undefined;
    const { at } = this.#parts.sites;
    // Sites that lie further apart get regions of their own: all of one have to reach all of it.
    const span = Number(this.#parts.process.backEnd.branchReach) / 2;
    for (let first = 0; first < missing.length; ) {
      const start = at[missing[first] ?? 0] ?? 0;
      let last = first + 1;
      while (last < missing.length && (at[missing[last] ?? 0] ?? 0) - start < span) last++;
      add(missing.subarray(first, last));
      first = last;
    }
    return far;
  }

  /** Address of a site's thunk; it was prepared. */
  address(work: number, site: number): number {
    return this.#of(work)[site] ?? 0;
  }

  /** The code of `sites` has moved: their thunks lead to where it was. */
  forget(sites: Uint32Array): void {
    for (const site of sites) {
      this.#copies[site] = 0;
      for (const thunks of this.#thunks.values()) thunks[site] = 0;
    }
  }

  /** Works that no site has any more and whose regions can be freed. @param inUse their numbers. */
  idle(inUse: ReadonlySet<number>): readonly number[] {
    this.#forgetWorks(inUse);
    return [...this.#freeable.keys()].filter((work) => !inUse.has(work));
  }

  /** Gives up the regions of `works`, after a grace period; to be unmapped by the caller. */
  free(works: readonly number[]): readonly Range[] {
    const gone = new Set(works.flatMap((work) => this.#freeable.get(work) ?? []));
    for (const work of works) {
      this.#freeable.delete(work);
      this.#thunks.delete(work);
      this.#codes.delete(work);
      this.#works.forget(work);
    }
    const starts = new Set([...gone].map(({ start }) => start));
    const isGone = ({ start }: { readonly start: bigint }): boolean => starts.has(start);
    const freed = this.ranges.filter(isGone);
    this.ranges.splice(0, this.ranges.length, ...this.ranges.filter((one) => !isGone(one)));
    this.regions.splice(0, this.regions.length, ...this.regions.filter((one) => !isGone(one)));
    return freed;
  }

  /** Lets go of works that nobody has and that have no thunks, once there are many. */
  #forgetWorks(inUse: ReadonlySet<number>): void {
    const { numbers } = this.#works;
    if (numbers.length < worksKept) return;
    for (const number of numbers) {
      if (number !== 0 && !inUse.has(number) && !this.#thunks.has(number)) {
        this.#works.forget(number);
      }
    }
  }

  #noteFreeable(work: number, region: CodeRegion): void {
    const regions = this.#freeable.get(work) ?? [];
    this.#freeable.set(work, [...regions, region]);
  }

  /** Where the instruction at `pc`, in the window of `site`, was copied to. */
  findCopy(site: number, pc: bigint): bigint | undefined {
    const copy = this.#copies[site] ?? 0;
    const { process, sites } = this.#parts;
    return copy === 0 ? undefined : findInCopy(process.backEnd, sites, site, copy, pc);
  }

  #of(work: number): Float64Array {
    let thunks = this.#thunks.get(work);
    if (thunks === undefined) {
      thunks = new Float64Array(this.#parts.sites.count);
      this.#thunks.set(work, thunks);
    }
    return thunks;
  }

  #code(work: number): RegionCode {
    let code = this.#codes.get(work);
    if (code === undefined) {
      const { process, plan } = this.#parts;
      code = makeRegionCode(process.backEnd, this.#works.get(work), plan);
      this.#codes.set(work, code);
    }
    return code;
  }

  #mappings(): readonly Mapping[] {
    return (this.#maps ??= this.#parts.process.maps());
  }

  #map(range: Range): void {
    this.#parts.map(range.start, Number(range.bytes));
    this.ranges.push(range);
    this.#maps = undefined;
  }

  /** A place of its own, which can be given up. */
  #takeAlone(bytes: number, ends: Ends): bigint | undefined {
    const { branchReach } = this.#parts.process.backEnd;
    const start = findRoomWithin(this.#mappings(), bytes, ...ends, branchReach);
    if (start !== undefined) this.#map({ start, bytes: BigInt(bytes) });
    return start;
  }

  /** False: there is no room that all of `sites` reach. */
  #addRegion(work: number, sites: Uint32Array, thunks: Float64Array): boolean {
    const { process, sites: table, register } = this.#parts;
    const code = this.#code(work);
    const count = sites.length;
    const bytes = regionBytes(code, count, copiesRoom(table, sites));
    const addressOf = (site = 0): bigint => BigInt(table.at[site] ?? 0);
    const ends: Ends = [addressOf(sites[0]), addressOf(sites[count - 1])];
    const stays = code.thunk.returnPoint !== undefined;
    const start = stays
      ? this.#room.take(() => this.#mappings(), bytes, ends)
      : this.#takeAlone(bytes, ends);
    if (start === undefined) return false;
    const copiesAt = start + BigInt(copiesOffset(code, count));
    const copies = copyPrologues(process.backEnd, table, sites, copiesAt);
    const body = new Float64Array(count);
    for (let index = 0; index < count; index++) {
      const site = sites[index] ?? 0;
      const copy = copies.at[index] ?? 0;
      if (copy !== 0) this.#copies[site] = copy;
      body[index] = copy === 0 ? (table.at[site] ?? 0) + (table.size[site] ?? 0) : copy;
    }
    const filled = { count, id: sites, body };
    const built = buildRegion(start, code, filled, copies.bytes);
    process.memory.write(start, built.bytes);
    if (!stays && copies.bytes.length === 0) this.#noteFreeable(work, built.region);
    this.regions.push(built.region);
    register(built.region);
    for (let index = 0; index < count; index++) {
      thunks[sites[index] ?? 0] = built.region.thunks + index * built.region.stride;
    }
    return true;
  }
}

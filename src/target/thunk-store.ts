/**
 * The thunks of a session in the target. A thunk is made when its site first wants its kind of
 * work and stays for the session's life, so that switching a function off and on again makes no
 * new code and needs no grace period; all thunks go together, when the session ends.
 */
import { type Work, WorkList } from "../codegen/work.ts";
import type { ThunkPlan } from "../codegen/x86-64/record.ts";
import { findRoomNear } from "./address-space.ts";
import type { Range } from "./bootstrap.ts";
import {
  buildRegion,
  type CodeRegion,
  copiesOffset,
  makeRegionCode,
  type RegionCode,
  regionBytes,
} from "./code-region.ts";
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

export class ThunkStore {
  readonly regions: CodeRegion[] = [];
  /** What was mapped for them. */
  readonly ranges: Range[] = [];
  readonly #parts: ThunkParts;
  readonly #ranges: ThunkRanges;
  readonly #works = new WorkList();
  /** By the number of the work. */
  readonly #codes = new Map<number, RegionCode>();
  /** Address of each site's thunk by the number of its work; 0: not made yet. */
  readonly #thunks = new Map<number, Float64Array>();
  /** Address of a copy of each moved prologue; 0: none yet. Any of them serves. */
  readonly #copies: Float64Array;

  constructor(parts: ThunkParts) {
    this.#parts = parts;
    this.#copies = new Float64Array(parts.sites.count);
    this.#ranges = new ThunkRanges(parts.process.memory, parts.plan.ranges);
  }

  /** The number of `work`, by which the other methods know it; 0 is to do nothing. */
  intern(work: Work): number {
    return this.#works.intern(work);
  }

  /** What `intern` gave that number. */
  workOf(number: number): Work {
    return this.#works.get(number);
  }

  /** Makes the thunks for `work` that `sites` (ascending) lack. */
  prepare(work: number, sites: Uint32Array): void {
    const thunks = this.#of(work);
    const missing = sites.filter((site) => thunks[site] === 0);
    const { at } = this.#parts.sites;
    // Sites that lie further apart get regions of their own: all of one have to reach all of it.
    const span = Number(this.#parts.process.backEnd.branchReach) / 2;
    for (let first = 0; first < missing.length; ) {
      const start = at[missing[first] ?? 0] ?? 0;
      let last = first + 1;
      while (last < missing.length && (at[missing[last] ?? 0] ?? 0) - start < span) last++;
      this.#addRegion(work, missing.subarray(first, last), thunks);
      first = last;
    }
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

  /** Where the instruction at `pc`, in the window of `site`, was copied to. */
  findCopy(site: number, pc: bigint): bigint | undefined {
    const copy = this.#copies[site] ?? 0;
    return copy === 0 ? undefined : findInCopy(this.#parts.sites, site, copy, pc);
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

  #addRegion(work: number, sites: Uint32Array, thunks: Float64Array): void {
    const { process, sites: table, map, register } = this.#parts;
    const { backEnd, memory } = process;
    const code = this.#code(work);
    const count = sites.length;
    const bytes = regionBytes(code, count, copiesRoom(table, sites));
    const ends = [sites[0], sites[count - 1]].map((site) => BigInt(table.at[site ?? 0] ?? 0));
    const [first = 0n, last = 0n] = ends;
    const start = findRoomNear(process.maps(), bytes, first, last, backEnd.branchReach);
    map(start, bytes);
    this.ranges.push({ start, bytes: BigInt(bytes) });
    const copiesAt = start + BigInt(copiesOffset(code, count));
    const copies = copyPrologues(table, sites, copiesAt);
    const body = Float64Array.from(sites, (site, index) => {
      const copy = copies.at[index] ?? 0;
      if (copy !== 0) this.#copies[site] = copy;
      return copy === 0 ? (table.at[site] ?? 0) + (table.size[site] ?? 0) : copy;
    });
    const filled = { count, id: sites, body };
    const built = buildRegion(start, code, filled, copies.bytes);
    memory.write(start, built.bytes);
    this.#ranges.add(start, start + BigInt(bytes));
    this.regions.push(built.region);
    register(built.region);
    sites.forEach((site, index) => {
      thunks[site] = built.region.thunks + index * built.region.stride;
    });
  }
}

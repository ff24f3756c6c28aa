/**
 * Reads the statistics that a target's threads keep (`ring/statistics.ts`): all threads' tables
 * added up. Tables of threads that have ended go to the next ones, with what is in them.
 */
import { type Tid, tid as toTid } from "../base/brand.ts";
import { MappedFile } from "../os/mapped-file.ts";
import { type ArenaShape, control, pageBytes, ringOffset, ringStride } from "../ring/arena.ts";
import { bucketCount, quantile } from "../ring/histogram.ts";
import { ringHeader } from "../ring/layout.ts";
import { callsOffset, rowsOffset, siteCapacity, statisticsRow } from "../ring/statistics.ts";
import type { TargetMemory } from "./process.ts";
import { forgetThread } from "./thread-table.ts";

/** Columns, one element for each function that was called. Times are in ticks. */
export type StatisticsSnapshot = {
  readonly sites: Uint32Array;
  readonly calls: Float64Array;
  /** Calls that have returned; the times are theirs. */
  readonly returned: Float64Array;
  readonly total: Float64Array;
  readonly self: Float64Array;
  readonly shortest: Float64Array;
  readonly longest: Float64Array;
  readonly p50: Float64Array;
  readonly p99: Float64Array;
  /** Calls of threads for which there was no table: of which functions isn't known. */
  readonly missed: number;
};

/** One thread's tables, shared with the target. */
type Table = { readonly mapped: MappedFile; readonly words: BigUint64Array };

const tidOf = ({ mapped }: Table): number =>
  Atomics.load(new Uint32Array(mapped.buffer, ringHeader.tid, 1), 0);

/** Where the statistics of one user are. */
export type StatisticsPlace = {
  /** The arena; borrowed. */
  readonly arenaFd: number;
  readonly shape: ArenaShape;
  /** Address of the thread table in the target. */
  readonly table: bigint;
};

export class StatisticsReader {
  readonly #place: StatisticsPlace;
  readonly #siteCount: number;
  readonly #tables: Table[] = [];
  readonly #control: MappedFile;

  constructor(place: StatisticsPlace) {
    this.#place = place;
    this.#siteCount = siteCapacity(place.shape);
    this.#control = new MappedFile(place.arenaFd, 0, pageBytes);
  }

  /** What was counted so far. */
  read(): StatisticsSnapshot {
    this.#findTables();
    const calls = new Float64Array(this.#siteCount);
    for (const { words } of this.#tables) {
      for (let site = 0; site < calls.length; site++) {
        calls[site] = (calls[site] ?? 0) + Number(words[callsOffset / 8 + site]);
      }
    }
    const sites = Uint32Array.from([...calls.keys()].filter((site) => calls[site] !== 0));
    const column = (): Float64Array => new Float64Array(sites.length);
    const snapshot = {
      sites,
      calls: Float64Array.from(sites, (site) => calls[site] ?? 0),
      returned: column(),
      total: column(),
      self: column(),
      shortest: column(),
      longest: column(),
      p50: column(),
      p99: column(),
      missed: this.#missed(),
    };
    sites.forEach((site, index) => {
      const row = this.#row(site);
      snapshot.returned[index] = row.buckets.reduce((sum, count) => sum + count, 0);
      snapshot.total[index] = row.total;
      snapshot.self[index] = row.self;
      snapshot.shortest[index] = row.shortest;
      snapshot.longest[index] = row.longest;
      // A bucket's bounds may lie outside of what was seen.
      const within = (ticks: number): number =>
        Math.max(row.shortest, Math.min(row.longest, ticks));
      snapshot.p50[index] = within(quantile(row.buckets, 0.5));
      snapshot.p99[index] = within(quantile(row.buckets, 0.99));
    });
    return snapshot;
  }

  /** How many calls of a function have taken how long: a number for each bucket. */
  histogram(site: number): Float64Array {
    this.#findTables();
    return site < this.#siteCount ? this.#row(site).buckets : new Float64Array(bucketCount);
  }

  /** Gives tables of threads that have ended to others. */
  reap(memory: Pick<TargetMemory, "read" | "write">, isAlive: (tid: Tid) => boolean): void {
    this.#findTables();
    for (const table of this.#tables) {
      const tid = tidOf(table);
      if (tid === 0 || isAlive(toTid(tid))) continue;
      forgetThread(memory, this.#place.table, toTid(tid));
      Atomics.store(new Uint32Array(table.mapped.buffer, ringHeader.tid, 1), 0, 0);
    }
    const given = this.#tables.findIndex((table) => tidOf(table) === 0);
    if (given < 0) return;
    Atomics.store(new Int32Array(this.#control.buffer, control.nextRing, 1), 0, given);
  }

  /** Tables are claimed in order, so only the first unknown one can be new. */
  #findTables(): void {
    const { shape, arenaFd } = this.#place;
    while (this.#tables.length < shape.ringCount) {
      const offset = ringOffset(shape, this.#tables.length);
      {
        using header = new MappedFile(arenaFd, offset, pageBytes);
        if (new BigUint64Array(header.buffer, ringHeader.limit, 1)[0] === 0n) return;
      }
      const mapped = new MappedFile(arenaFd, offset, ringStride(shape));
      this.#tables.push({ mapped, words: new BigUint64Array(mapped.buffer) });
    }
  }

  #missed(): number {
    return Number(new BigUint64Array(this.#control.buffer, control.ringlessEntries, 1)[0] ?? 0n);
  }

  /** One function's row, of all threads that called it. */
  #row(site: number) {
    const row = {
      total: 0,
      self: 0,
      shortest: Number.POSITIVE_INFINITY,
      longest: 0,
      buckets: new Float64Array(bucketCount),
    };
    const at = rowsOffset(this.#place.shape) + site * statisticsRow.bytes;
    for (const { words } of this.#tables) {
      if (words[callsOffset / 8 + site] === 0n) continue;
      const field = (offset: number): bigint => words[(at + offset) / 8] ?? 0n;
      row.total += Number(field(statisticsRow.total));
      row.self += Number(field(statisticsRow.self));
      row.longest = Math.max(row.longest, Number(field(statisticsRow.longest)));
      const inverted = field(statisticsRow.shortestInverted);
      if (inverted !== 0n) {
        row.shortest = Math.min(row.shortest, Number(BigInt.asUintN(64, ~inverted)));
      }
      for (let bucket = 0; bucket < bucketCount; bucket++) {
        const count = Number(words[(at + statisticsRow.buckets) / 8 + bucket] ?? 0n);
        row.buckets[bucket] = (row.buckets[bucket] ?? 0) + count;
      }
    }
    if (row.shortest === Number.POSITIVE_INFINITY) row.shortest = 0;
    return row;
  }

  [Symbol.dispose](): void {
    for (const { mapped } of this.#tables) mapped[Symbol.dispose]();
    this.#control[Symbol.dispose]();
  }
}

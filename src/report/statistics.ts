/**
 * Numbers per function, added up while a trace is read. `total` counts the time in which at least
 * one call of the function was open, so recursion is not counted twice; durations of single calls
 * (mean, least, greatest, quantiles) are those of complete calls only, while `total` and `self`
 * take in what is known of the others too.
 */
import { CallBatch } from "../trace/call-batch.ts";
import { type CallEnd, type CallVisitor, callEnd } from "../trace/call-stack.ts";
import { Histograms, placeOf } from "./histograms.ts";

/** One function's numbers; times in ticks. */
export type Tally = {
  readonly site: number;
  /** Entries that were seen. */
  readonly calls: number;
  /** Calls whose entry and exit were both seen; the durations below are theirs. */
  readonly complete: number;
  readonly total: number;
  readonly self: number;
  /** Sum of the durations, recursion counted each time. */
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly p50: number;
  readonly p99: number;
};

/** A row is one cache line. What most calls would have to add to is derived from the others. */
const rowLength = 8;
/** Calls that are not complete. */
const partial = 0;
const complete = 1;
/** Durations of all calls, and of those within calls of the same function. */
const all = 2;
const nested = 3;
const self = 4;
/** Durations of calls that are not complete. */
const unsure = 5;
const min = 6;
const max = 7;

const rowsFirst = 64;

/** Told of one thread after the other: it does not tell threads apart. */
export class Statistics implements CallVisitor {
  readonly batch: CallBatch;
  /** Exits of calls that began before the trace, or whose entries were lost. */
  orphans = 0;
  /** Sites of the calls that are open at the end of the present thread, innermost first. */
  #openAtEnd: number[] = [];
  /** Each function's row, -1 for none yet: only functions that are called take memory. */
  #rowOf: Int32Array;
  readonly #sites: number[] = [];
  #rows: Float64Array = new Float64Array(rowsFirst * rowLength);
  readonly #histograms: Histograms = new Histograms(rowsFirst);

  /** @param siteEnd one more than the highest site to expect; others may come. */
  constructor(siteEnd: number) {
    this.batch = new CallBatch(siteEnd, (calls) => this.#take(calls));
    this.#rowOf = new Int32Array(Math.max(16, siteEnd)).fill(-1);
  }

  enter(site: number): void {
    this.batch.enter(site);
  }

  leave(site: number, start: number, end: number, own: number, _index: number, how: CallEnd): void {
    const duration = end - start;
    const around = this.batch.leave(site);
    if (how <= callEnd.unwound) {
      this.batch.add(site, duration, own, around);
      return;
    }
    const at = this.#row(site) * rowLength;
    this.#add(at + partial, 1);
    this.#add(at + all, duration);
    this.#add(at + unsure, duration);
    this.#add(at + self, own);
    if (around > 0) this.#add(at + nested, duration);
    if (how === callEnd.open) this.#openAtEnd.push(site);
  }

  point(site: number): void {
    this.#add(this.#row(site) * rowLength + partial, 1);
  }

  orphan(): void {
    this.orphans++;
  }

  gap(): void {
    // How much was lost is in the reader's totals.
  }

  /** Where the thread that was told of was at its end: sites, outermost first. */
  takeOpen(): readonly number[] {
    const sites = this.#openAtEnd.reverse();
    this.#openAtEnd = [];
    return sites;
  }

  /** The functions that were called, by site. */
  tallies(): Tally[] {
    this.batch.flush();
    return this.#sites.map((site, row) => this.#tally(site, row)).sort((a, b) => a.site - b.site);
  }

  #tally(site: number, row: number): Tally {
    const number = (column: number): number => this.#rows[row * rowLength + column] ?? 0;
    const quantile = (share: number): number =>
      Math.min(number(max), Math.max(number(min), this.#histograms.quantile(row, share)));
    return {
      site,
      calls: number(complete) + number(partial),
      complete: number(complete),
      total: number(all) - number(nested),
      self: number(self),
      sum: number(all) - number(unsure),
      min: number(complete) === 0 ? 0 : number(min),
      max: number(max),
      p50: quantile(0.5),
      p99: quantile(0.99),
    };
  }

  #add(place: number, value: number): void {
    this.#rows[place] = (this.#rows[place] ?? 0) + value;
  }

  /** Adds complete calls. */
  #take(calls: CallBatch): void {
    for (let done = 0; done < calls.count; ) {
      done = this.#takeKnown(calls, done);
      if (done < calls.count) this.#newRow(calls.sites[done] ?? 0);
    }
  }

  /** Adds calls from the one at `from` on, up to one whose function has no row yet. */
  #takeKnown({ count, sites, durations, selfs, around }: CallBatch, from: number): number {
    const rowOf = this.#rowOf;
    const rows = this.#rows;
    const histograms = this.#histograms;
    const { low } = histograms;
    for (let call = from; call < count; call++) {
      const row = rowOf[sites[call] ?? 0] ?? -1;
      if (row < 0) return call;
      const at = row * rowLength;
      const duration = durations[call] ?? 0;
      rows[at + complete] = (rows[at + complete] ?? 0) + 1;
      rows[at + all] = (rows[at + all] ?? 0) + duration;
      rows[at + self] = (rows[at + self] ?? 0) + (selfs[call] ?? 0);
      if ((around[call] ?? 0) > 0) rows[at + nested] = (rows[at + nested] ?? 0) + duration;
      if (duration < (rows[at + min] ?? 0)) rows[at + min] = duration;
      if (duration > (rows[at + max] ?? 0)) rows[at + max] = duration;
      const place = placeOf(row, duration);
      const same = ((low[place] ?? 0) + 1) & 0xffff;
      low[place] = same;
      if (same === 0) histograms.carry(place);
    }
    return count;
  }

  #row(site: number): number {
    const row = this.#rowOf[site] ?? -1;
    return row >= 0 ? row : this.#newRow(site);
  }

  #newRow(site: number): number {
    if (site >= this.#rowOf.length) {
      const rowOf = new Int32Array(Math.max(site + 1, this.#rowOf.length * 2)).fill(-1);
      rowOf.set(this.#rowOf);
      this.#rowOf = rowOf;
    }
    const row = this.#sites.length;
    this.#sites.push(site);
    this.#rowOf[site] = row;
    if ((row + 1) * rowLength > this.#rows.length) {
      const longer = new Float64Array(this.#rows.length * 2);
      longer.set(this.#rows);
      this.#rows = longer;
      this.#histograms.grow(longer.length / rowLength);
    }
    this.#rows[row * rowLength + min] = Infinity;
    return row;
  }
}

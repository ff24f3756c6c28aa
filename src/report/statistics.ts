/**
 * Numbers per function, added up while a trace is read. `total` counts the time in which at least
 * one call of the function was open, so recursion is not counted twice; durations of single calls
 * (mean, least, greatest, quantiles) are those of complete calls only, while `total` and `self`
 * take in what is known of the others too.
 */
import { type CallEnd, type CallVisitor, callEnd } from "../trace/call-stack.ts";
import { Histograms } from "./histograms.ts";

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
  /** Exits of calls that began before the trace, or whose entries were lost. */
  orphans = 0;
  /** Sites of the calls that are open at the end of the present thread, innermost first. */
  #openAtEnd: number[] = [];
  /** Each function's row, -1 for none yet: only functions that are called take memory. */
  #rowOf: Int32Array;
  /** How many calls of each function are open. Apart from the rows, so that it stays in a cache. */
  #open: Int32Array;
  readonly #sites: number[] = [];
  #rows: Float64Array = new Float64Array(rowsFirst * rowLength);
  readonly #histograms: Histograms = new Histograms(rowsFirst);

  /** @param siteEnd one more than the highest site to expect; others may come. */
  constructor(siteEnd: number) {
    this.#rowOf = new Int32Array(Math.max(16, siteEnd)).fill(-1);
    this.#open = new Int32Array(this.#rowOf.length);
  }

  enter(site: number): void {
    if (site >= this.#open.length) this.#grow(site);
    this.#open[site] = (this.#open[site] ?? 0) + 1;
  }

  /** Small enough for the reader's loop to take it in: calls with doubles in them are slow. */
  leave(site: number, start: number, end: number, own: number, _index: number, how: CallEnd): void {
    const row = this.#row(site);
    const at = row * rowLength;
    const rows = this.#rows;
    const duration = end - start;
    const open = (this.#open[site] ?? 0) - 1;
    this.#open[site] = open;
    rows[at + all] = (rows[at + all] ?? 0) + duration;
    if (open > 0) rows[at + nested] = (rows[at + nested] ?? 0) + duration;
    rows[at + self] = (rows[at + self] ?? 0) + own;
    if (how > callEnd.unwound) {
      this.#addPartial(site, at, duration, how);
      return;
    }
    const count = rows[at + complete] ?? 0;
    rows[at + complete] = count + 1;
    if (count === 0 || duration < (rows[at + min] ?? 0)) rows[at + min] = duration;
    if (duration > (rows[at + max] ?? 0)) rows[at + max] = duration;
    this.#histograms.add(row, duration);
  }

  #addPartial(site: number, at: number, duration: number, how: CallEnd): void {
    const rows = this.#rows;
    rows[at + partial] = (rows[at + partial] ?? 0) + 1;
    rows[at + unsure] = (rows[at + unsure] ?? 0) + duration;
    if (how === callEnd.open) this.#openAtEnd.push(site);
  }

  point(site: number): void {
    if (site >= this.#open.length) this.#grow(site);
    const at = this.#row(site) * rowLength;
    this.#rows[at + partial] = (this.#rows[at + partial] ?? 0) + 1;
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
      min: number(min),
      max: number(max),
      p50: quantile(0.5),
      p99: quantile(0.99),
    };
  }

  #row(site: number): number {
    const row = this.#rowOf[site] ?? -1;
    return row >= 0 ? row : this.#newRow(site);
  }

  /** Makes room for `site`, which the trace's functions do not name. */
  #grow(site: number): void {
    const length = Math.max(site + 1, this.#rowOf.length * 2);
    const rowOf = new Int32Array(length).fill(-1);
    const open = new Int32Array(length);
    rowOf.set(this.#rowOf);
    open.set(this.#open);
    this.#rowOf = rowOf;
    this.#open = open;
  }

  #newRow(site: number): number {
    const row = this.#sites.length;
    this.#sites.push(site);
    this.#rowOf[site] = row;
    if ((row + 1) * rowLength > this.#rows.length) {
      const longer = new Float64Array(this.#rows.length * 2);
      longer.set(this.#rows);
      this.#rows = longer;
      this.#histograms.grow(longer.length / rowLength);
    }
    return row;
  }
}

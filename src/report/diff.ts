/**
 * `diff`: which functions take longer in one trace than in another, beyond their own noise. The
 * calls of one trace are not independent of each other (a cache is cold for a while, a neighbour is
 * loud for a while), so each trace is cut into slices of time, and the means of the slices are
 * compared: the method of batch means, with Welch's test on top, and Benjamini and Hochberg's rule
 * for the number of functions that are looked at.
 */
import type { CallEnd, CallVisitor } from "../trace/call-stack.ts";
import { isComplete } from "../trace/call-stack.ts";
import type { Trace } from "../trace/trace.ts";
import { TraceReader } from "../trace/trace-reader.ts";
import { readInfo } from "./info.ts";
import { matchSites, type Selection, wantsThread } from "./selection.ts";
import { tailProbability } from "./student.ts";
import { tickNs } from "./summary.ts";
import { type Column, formatTable, type Paint } from "./table.ts";
import { formatCount, formatDuration, plural } from "./units.ts";

/** Slices that a trace is cut into. */
const slices = 32;
/** A function has to have calls in so many of them, or nothing is said of its noise. */
const slicesMin = 6;
/** Of the changes that are shown as such, so many are chance, on average. */
const falseShare = 0.01;

export type DiffVerdict = "slower" | "faster" | "same" | "too few" | "only in a" | "only in b";

/** Part of the `--json` contract; times are of one call, without what it calls. */
export type FunctionDiff = {
  readonly name: string;
  readonly callsA: number;
  readonly callsB: number;
  readonly meanSelfNsA: number | undefined;
  readonly meanSelfNsB: number | undefined;
  /** Mean of b over mean of a. */
  readonly ratio: number | undefined;
  /** Probability of such a difference by chance, before the number of functions is allowed for. */
  readonly chance: number | undefined;
  readonly verdict: DiffVerdict;
};

/** Compares `b` with `a`; functions go by their names. Those whose time changed most come first. */
export function diffTraces(a: Trace, b: Trace, selection: Selection = {}): readonly FunctionDiff[] {
  const [before, after] = [readMeans(a, selection), readMeans(b, selection)];
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const compared = names.map((name) => compare(name, before.get(name), after.get(name)));
  const limit = chanceLimit(compared);
  const judged = compared.map((row): FunctionDiff => {
    if (row.verdict !== "same" || row.chance === undefined || row.chance > limit) return row;
    return { ...row, verdict: (row.ratio ?? 1) > 1 ? "slower" : "faster" };
  });
  return judged.sort((x, y) => weight(y) - weight(x) || (x.name < y.name ? -1 : 1));
}

/** How much time the difference makes, over all calls of the trace that has more of them. */
const weight = (row: FunctionDiff): number =>
  Math.abs(row.callsB * (row.meanSelfNsB ?? 0) - row.callsA * (row.meanSelfNsA ?? 0));

/** A function's calls, slice by slice. */
type Means = { readonly counts: Float64Array; readonly sums: Float64Array };

function readMeans(trace: Trace, selection: Selection): ReadonlyMap<string, Means> {
  const ns = tickNs(trace);
  const spanTicks = readInfo(trace).summary.spanNs / ns;
  const shows = matchSites(trace.functions, selection.include ?? ["*"]);
  const hides = matchSites(trace.functions, selection.exclude ?? []);
  const bySite = new Map<number, Means>();
  const visitor = new SliceVisitor(bySite, ns, (spanTicks + 1) / slices);
  new TraceReader(trace, () => visitor, { wants: wantsThread(selection) }).readAll();
  const byName = new Map<string, Means>();
  for (const [site, means] of bySite) {
    if (!shows(site) || hides(site)) continue;
    const name = trace.functions.name(site);
    const known = byName.get(name);
    byName.set(name, known === undefined ? means : add(known, means));
  }
  return byName;
}

const add = (a: Means, b: Means): Means => ({
  counts: a.counts.map((count, i) => count + (b.counts[i] ?? 0)),
  sums: a.sums.map((sum, i) => sum + (b.sums[i] ?? 0)),
});

class SliceVisitor implements CallVisitor {
  readonly #bySite: Map<number, Means>;
  readonly #ns: number;
  readonly #sliceTicks: number;

  constructor(bySite: Map<number, Means>, ns: number, sliceTicks: number) {
    this.#bySite = bySite;
    this.#ns = ns;
    this.#sliceTicks = sliceTicks;
  }

  enter(): void {
    // A call counts where it ends.
  }

  leave(
    site: number,
    _start: number,
    end: number,
    self: number,
    _index: number,
    how: CallEnd,
  ): void {
    if (!isComplete(how)) return;
    let means = this.#bySite.get(site);
    if (means === undefined) {
      means = { counts: new Float64Array(slices), sums: new Float64Array(slices) };
      this.#bySite.set(site, means);
    }
    const slice = Math.min(slices - 1, Math.floor(end / this.#sliceTicks));
    means.counts[slice] = (means.counts[slice] ?? 0) + 1;
    means.sums[slice] = (means.sums[slice] ?? 0) + self * this.#ns;
  }

  point(): void {
    // No duration.
  }

  orphan(): void {
    // No duration.
  }

  gap(): void {
    // Calls that it could have changed are not complete.
  }
}

/** Mean and its standard error, from the slices' means. */
type Estimate = {
  readonly calls: number;
  readonly mean: number;
  readonly slices: number;
  /** Variance of the mean. */
  readonly variance: number;
};

function estimate({ counts, sums }: Means): Estimate {
  const calls = counts.reduce((sum, count) => sum + count, 0);
  const mean = sums.reduce((sum, part) => sum + part, 0) / calls;
  const used = [...counts.keys()].filter((i) => (counts[i] ?? 0) > 0);
  // Slices count by their calls: a ratio estimate, whose deviations are those of the sums.
  const squares = used.reduce((sum, i) => sum + ((sums[i] ?? 0) - mean * (counts[i] ?? 0)) ** 2, 0);
  const n = used.length;
  return { calls, mean, slices: n, variance: ((n / (n - 1)) * squares) / calls ** 2 };
}

function compare(name: string, a: Means | undefined, b: Means | undefined): FunctionDiff {
  const [x, y] = [a && estimate(a), b && estimate(b)];
  const row = {
    name,
    callsA: x?.calls ?? 0,
    callsB: y?.calls ?? 0,
    meanSelfNsA: x?.mean,
    meanSelfNsB: y?.mean,
    ratio: undefined,
    chance: undefined,
  };
  if (x === undefined || y === undefined) {
    return { ...row, verdict: x === undefined ? "only in b" : "only in a" };
  }
  const ratio = x.mean > 0 ? y.mean / x.mean : undefined;
  if (Math.min(x.slices, y.slices) < slicesMin) return { ...row, ratio, verdict: "too few" };
  return { ...row, ratio, chance: welch(x, y), verdict: "same" };
}

/** Welch's test, with the degrees of freedom of Welch and Satterthwaite. */
function welch(x: Estimate, y: Estimate): number {
  const variance = x.variance + y.variance;
  if (variance === 0) return x.mean === y.mean ? 1 : 0;
  const freedom =
    variance ** 2 / (x.variance ** 2 / (x.slices - 1) + y.variance ** 2 / (y.slices - 1));
  return tailProbability((y.mean - x.mean) / Math.sqrt(variance), freedom);
}

/** Benjamini and Hochberg 1995: up to this probability a difference is taken to be one. */
function chanceLimit(rows: readonly FunctionDiff[]): number {
  const chances = rows
    .map((row) => row.chance)
    .filter((chance) => chance !== undefined)
    .sort((a, b) => a - b);
  const last = chances.findLastIndex((p, i) => p <= ((i + 1) / chances.length) * falseShare);
  return chances[last] ?? -1;
}

const columns: readonly Column[] = [
  { title: "verdict", align: "left", ink: "strong" },
  { title: "change", align: "right" },
  { title: "self a", align: "right" },
  { title: "self b", align: "right" },
  { title: "calls a", align: "right", ink: "dim" },
  { title: "calls b", align: "right", ink: "dim" },
  { title: "function", align: "left", ink: "name" },
];

/** The comparison for a person; without `all`, only functions that changed. */
export function formatDiff(
  rows: readonly FunctionDiff[],
  all: boolean,
  paint: Paint,
): readonly string[] {
  const same = rows.filter((row) => row.verdict === "same");
  const few = rows.filter((row) => row.verdict === "too few");
  const shown = all ? rows : rows.filter((row) => !same.includes(row) && !few.includes(row));
  const duration = (ns: number | undefined): string =>
    ns === undefined ? "-" : formatDuration(ns);
  const cells = shown.map((row) => [
    row.verdict,
    row.ratio === undefined
      ? "-"
      : `${row.ratio < 1 ? "" : "+"}${(100 * (row.ratio - 1)).toFixed(1)}%`,
    duration(row.meanSelfNsA),
    duration(row.meanSelfNsB),
    formatCount(row.callsA),
    formatCount(row.callsB),
    row.name,
  ]);
  return [
    ...(cells.length === 0 ? [] : [...formatTable(columns, cells, paint), ""]),
    `${plural(same.length, "function")} took as long in both traces, ` +
      "as far as their noise lets see",
    ...(few.length === 0
      ? []
      : [`${plural(few.length, "function")} had calls in too few parts of a trace to tell`]),
    paint("dim", "self: mean time of a call without what it calls"),
  ];
}

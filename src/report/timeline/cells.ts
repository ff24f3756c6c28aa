/**
 * A thread's calls drawn into a grid: one row for each depth of the stack, one column for each span
 * of time. A cell says which call fills most of it, and how much of it is filled by calls of that
 * depth: what a picture of millions of calls can show.
 */

/** Columns are `2 ** level` ticks wide; the first begins at `firstColumn * 2 ** level`. */
export type Grid = {
  readonly level: number;
  readonly firstColumn: number;
  readonly columns: number;
};

/** Calls deeper than that are counted and not drawn. */
export const depthMax = 256;

/** The part of a cell that calls fill, in 255ths; it is never 0 in a cell with a call. */
const coverShift = 24;
const siteMask = 2 ** coverShift - 1;

/** A cell; 0 is one without a call. */
export const makeCell = (site: number, cover: number): number =>
  ((Math.max(1, Math.min(255, Math.round(cover * 255))) << coverShift) | (site + 1)) >>> 0;
/** The site in a cell, -1 where there is no call. */
export const cellSite = (cell: number): number => (cell & siteMask) - 1;
/** 0 to 255. */
export const cellCover = (cell: number): number => cell >>> coverShift;

/** A cell that stands for two neighbours: the fuller one's site, the mean of what is filled. */
export function mergeCells(a: number, b: number): number {
  if (a === 0 && b === 0) return 0;
  const [coverA, coverB] = [cellCover(a), cellCover(b)];
  const cover = Math.max(1, (coverA + coverB) >> 1);
  return ((cover << coverShift) | ((coverA >= coverB ? a : b) & siteMask)) >>> 0;
}

/** Rows of half as many columns. Column `first` becomes `first >> 1`. */
export function halveRows(
  rows: readonly Uint32Array[],
  { firstColumn, columns }: Grid,
): Grid & {
  readonly rows: readonly Uint32Array[];
} {
  const first = Math.floor(firstColumn / 2);
  const count = Math.floor((firstColumn + columns - 1) / 2) - first + 1;
  const offset = first * 2 - firstColumn;
  const halved = rows.map((row) => {
    const half = new Uint32Array(count);
    for (let at = 0; at < count; at++) {
      const from = offset + at * 2;
      half[at] = mergeCells(row[from] ?? 0, row[from + 1] ?? 0);
    }
    return half;
  });
  return { level: 0, firstColumn: first, columns: count, rows: halved };
}

/** Draws calls; those of one depth have to come in the order of their time. */
export class CellPainter {
  /** One for each depth that there was so far; the last column of each may be missing yet. */
  readonly rows: Uint32Array[] = [];
  /** Calls that were too deep. */
  hidden = 0;
  readonly #grid: Grid;
  readonly #perTick: number;
  readonly #width: number;
  /** Of each depth: the column being filled, ticks filled in it, its longest call. */
  readonly #column: Int32Array = new Int32Array(depthMax).fill(-1);
  readonly #filled: Float64Array = new Float64Array(depthMax);
  readonly #longest: Float64Array = new Float64Array(depthMax);
  readonly #site: Int32Array = new Int32Array(depthMax);
  readonly #makeRow: (columns: number) => Uint32Array;

  /** @param makeRow gives zeroes; the painter shares them with whoever made them. */
  constructor(
    grid: Grid,
    makeRow: (columns: number) => Uint32Array = (columns) => new Uint32Array(columns),
  ) {
    this.#grid = grid;
    this.#width = 2 ** grid.level;
    this.#perTick = 1 / this.#width;
    this.#makeRow = makeRow;
  }

  /** The column that a time lies in, which may be outside of the grid. */
  columnOf(time: number): number {
    return Math.floor(time * this.#perTick) - this.#grid.firstColumn;
  }

  /** A call of `site` from `start` to `end` (ticks) at a depth. */
  add(site: number, start: number, end: number, depth: number): void {
    if (depth >= depthMax) {
      this.hidden++;
      return;
    }
    const from = this.columnOf(start);
    if (this.columnOf(end) !== from || from !== this.#column[depth]) {
      this.#addFar(site, start, end, depth);
      return;
    }
    const ticks = end - start;
    this.#filled[depth] = (this.#filled[depth] ?? 0) + ticks;
    if (ticks > (this.#longest[depth] ?? 0)) {
      this.#longest[depth] = ticks;
      this.#site[depth] = site;
    }
  }

  /** A call that begins or ends in another column than the one before it. */
  #addFar(site: number, start: number, end: number, depth: number): void {
    const { firstColumn, columns } = this.#grid;
    const open = this.#column[depth] ?? -1;
    const from = Math.max(this.columnOf(start), open, 0);
    const to = Math.min(this.columnOf(end), columns - 1);
    if (to < 0 || from >= columns) return;
    const edge = (column: number): number => (firstColumn + column) * this.#width;
    if (from !== open) this.#begin(depth, from);
    this.#fill(site, Math.min(end, edge(from + 1)) - Math.max(start, edge(from)), depth);
    if (to <= from) return;
    const row = this.#row(depth);
    row.fill(makeCell(site, 1), from + 1, to);
    this.#begin(depth, to);
    this.#fill(site, Math.min(end - edge(to), this.#width), depth);
  }

  #fill(site: number, ticks: number, depth: number): void {
    this.#filled[depth] = (this.#filled[depth] ?? 0) + Math.max(0, ticks);
    if (ticks > (this.#longest[depth] ?? 0)) {
      this.#longest[depth] = ticks;
      this.#site[depth] = site;
    }
  }

  /** Finishes the column of a depth and begins another one. */
  #begin(depth: number, column: number): void {
    this.#finish(depth);
    this.#column[depth] = column;
    this.#filled[depth] = 0;
    this.#longest[depth] = -1;
    this.#site[depth] = -1;
  }

  #finish(depth: number): void {
    const column = this.#column[depth] ?? -1;
    if (column < 0) return;
    const cover = (this.#filled[depth] ?? 0) * this.#perTick;
    this.#row(depth)[column] = makeCell(this.#site[depth] ?? 0, cover);
  }

  #row(depth: number): Uint32Array {
    while (this.rows.length <= depth) this.rows.push(this.#makeRow(this.#grid.columns));
    return this.rows[depth] ?? this.#makeRow(0);
  }

  /** Draws what is not finished; more may come after it. */
  flush(): void {
    for (let depth = 0; depth < depthMax; depth++) this.#finish(depth);
  }
}

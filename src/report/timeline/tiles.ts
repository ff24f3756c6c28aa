/**
 * Pictures of a thread's calls at any zoom, in tiles of `tileColumns` columns. Where a tile has few
 * calls it has them one by one, where it has many it has cells; coarse tiles come from the index,
 * fine ones from the events themselves.
 */
import type { Trace } from "../../trace/trace.ts";
import { CellPainter, type Grid, halveRows } from "./cells.ts";
import type { ThreadIndex } from "./thread-index.ts";
import { readWindow, type Span, slotsBetween } from "./window.ts";

/** Columns of a tile. Tile `i` of level `l` begins at tick `i * tileColumns * 2 ** l`. */
export const tileColumns = 512;
/** A tile with more calls has cells in place of them. */
const spansMax = 1024;

export type Tile = { readonly tile: number } & (
  | { readonly kind: "spans"; readonly spans: readonly Span[] }
  /** `tileColumns` cells for each depth, the outermost first. */
  | { readonly kind: "cells"; readonly depths: number; readonly cells: Uint32Array }
);

type Level = { readonly grid: Grid; readonly rows: readonly Uint32Array[] };

/** Makes one thread's tiles. Coarser grids are made when they are asked for and kept. */
export class TileMaker {
  readonly #trace: Trace;
  readonly #origin: bigint;
  readonly #index: ThreadIndex;
  readonly #levels: Level[];

  constructor(trace: Trace, origin: bigint, index: ThreadIndex) {
    this.#trace = trace;
    this.#origin = origin;
    this.#index = index;
    this.#levels = [{ grid: index.plan.grid, rows: index.rows }];
  }

  /** `count` tiles of a level from `first` on. */
  tiles(level: number, first: number, count: number): readonly Tile[] {
    const base = this.#index.plan.grid.level;
    if (level >= base || !this.#index.isWhole) {
      return range(first, count).map((tile) => this.#coarse(level, tile));
    }
    return this.#fine(level, first, count);
  }

  #coarse(level: number, tile: number): Tile {
    const { grid, rows } = this.#level(Math.max(level, this.#index.plan.grid.level));
    const cells = new Uint32Array(rows.length * tileColumns);
    // Finer than the grid, while there is nothing better: each cell stands for several columns.
    const zoom = 2 ** (grid.level - level);
    for (const [depth, row] of rows.entries()) {
      const at = depth * tileColumns;
      if (zoom === 1) {
        const from = tile * tileColumns - grid.firstColumn;
        const part = row.subarray(Math.max(0, from), Math.max(0, from + tileColumns));
        if (part.length > 0) cells.set(part, at + Math.max(0, -from));
        continue;
      }
      for (let column = 0; column < tileColumns; column++) {
        const from = Math.floor((tile * tileColumns + column) / zoom) - grid.firstColumn;
        cells[at + column] = row[from] ?? 0;
      }
    }
    return { tile, kind: "cells", depths: rows.length, cells };
  }

  #level(level: number): Level {
    for (let last = this.#levels.at(-1); last !== undefined; last = this.#levels.at(-1)) {
      const found = this.#levels[level - (this.#levels[0]?.grid.level ?? 0)];
      if (found !== undefined) return found;
      const { rows, ...grid } = halveRows(last.rows, last.grid);
      this.#levels.push({ grid: { ...grid, level: last.grid.level + 1 }, rows });
    }
    throw new RangeError(`level ${level}`);
  }

  #fine(level: number, first: number, count: number): readonly Tile[] {
    const width = tileColumns * 2 ** level;
    const [from, to] = [first * width, (first + count) * width];
    const likely = slotsBetween(this.#index, from, to) / 2;
    if (likely < 2 * spansMax * count) {
      const spans = this.#spans(from, to, spansMax * count);
      if (spans !== undefined) return cutSpans(spans, first, count, width);
    }
    return this.#cells(level, first, count);
  }

  /** The calls of a stretch; undefined where there are too many. */
  #spans(from: number, to: number, spansMax: number): readonly Span[] | undefined {
    const spans: Span[] = [];
    let total = 0;
    readWindow(this.#trace, this.#origin, this.#index, from, to, {
      span: (site, start, end, depth, how, goesOn) => {
        if (total++ < spansMax) spans.push({ site, start, end, depth, how, goesOn });
      },
    });
    return total <= spansMax ? spans : undefined;
  }

  #cells(level: number, first: number, count: number): readonly Tile[] {
    const columns = count * tileColumns;
    const painter = new CellPainter({ level, firstColumn: first * tileColumns, columns });
    const width = 2 ** level;
    const [from, to] = [first * tileColumns * width, (first + count) * tileColumns * width];
    readWindow(this.#trace, this.#origin, this.#index, from, to, {
      span: (site, start, end, depth) => painter.add(site, start, end, depth),
    });
    painter.flush();
    const { rows } = painter;
    return range(first, count).map((tile) => {
      const cells = new Uint32Array(rows.length * tileColumns);
      const at = (tile - first) * tileColumns;
      for (const [depth, row] of rows.entries()) {
        cells.set(row.subarray(at, at + tileColumns), depth * tileColumns);
      }
      return { tile, kind: "cells", depths: rows.length, cells };
    });
  }
}

const range = (first: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, at) => first + at);

/** Spans of several tiles, tile by tile; one that lies in several is in each. */
function cutSpans(
  spans: readonly Span[],
  first: number,
  count: number,
  width: number,
): readonly Tile[] {
  const parts: Span[][] = range(first, count).map(() => []);
  for (const span of spans) {
    const from = Math.max(0, Math.floor(span.start / width) - first);
    const to = Math.min(count - 1, Math.floor(span.end / width) - first);
    for (let at = from; at <= to; at++) parts[at]?.push(span);
  }
  return parts.map((part, at) => ({ tile: first + at, kind: "spans", spans: part }));
}

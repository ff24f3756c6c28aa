/**
 * Tiles that the page has, and those that it asks for: a few requests at a time, neighbours in one,
 * what is on the screen first. What has been seen longest ago is dropped.
 */
import { getBytes, query } from "../server.ts";
import type { Palette } from "./palette.ts";
import { cellCover, cellSite, decodeTiles, type Tile, tileColumns } from "./tile-bytes.ts";

/** Part of a row that is one function's: wide enough to be written on. */
export type Run = {
  readonly depth: number;
  readonly from: number;
  readonly to: number;
  readonly site: number;
};

export type Entry = {
  readonly level: number;
  readonly tile: Tile;
  /** How much of the thread had been read when it was made. */
  readonly read: number;
  /** Of cells: the picture, one pixel for each, and the colours that it was made with. */
  picture: OffscreenCanvas | undefined;
  palette: Palette | undefined;
  runs: readonly Run[];
  seen: number;
};

const entriesMax = 3000;
const requestsMax = 4;
/** Tiles that one request may ask for. */
const batchMax = 16;
/** Columns that a name needs at the least. */
const runColumns = 24;
const coverOfRun = 160;

export class TileStore {
  readonly #entries = new Map<string, Entry>();
  readonly #asked = new Set<string>();
  readonly #onChange: () => void;
  #wanted: { thread: number; level: number; tile: number }[] = [];
  #requests = 0;
  #frame = 0;
  /** Slots read, by thread: tiles that were made from less are asked for again. */
  readonly #read = new Map<number, number>();

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** A thread has been read so far. */
  progress(thread: number, read: number): void {
    this.#read.set(thread, read);
  }

  /** A tile, if it is here; it need not be the latest. */
  find(thread: number, level: number, tile: number): Entry | undefined {
    const entry = this.#entries.get(`${thread}/${level}/${tile}`);
    if (entry !== undefined) entry.seen = this.#frame;
    return entry;
  }

  /** Asks for a tile that is not here, or not the latest. */
  want(thread: number, level: number, tile: number): void {
    const key = `${thread}/${level}/${tile}`;
    const read = this.#entries.get(key)?.read ?? -1;
    if (read >= (this.#read.get(thread) ?? 0) || this.#asked.has(key)) return;
    this.#wanted.push({ thread, level, tile });
  }

  /** A frame has been drawn: asks for what it lacked. */
  flush(): void {
    this.#frame++;
    const wanted = this.#wanted;
    this.#wanted = [];
    for (const [first, ...rest] of batches(wanted)) {
      if (this.#requests >= requestsMax) break;
      if (first !== undefined) void this.#request(first, 1 + rest.length);
    }
    if (this.#entries.size > entriesMax) this.#drop();
  }

  async #request(
    { thread, level, tile }: { thread: number; level: number; tile: number },
    count: number,
  ): Promise<void> {
    const keys = Array.from({ length: count }, (_, at) => `${thread}/${level}/${tile + at}`);
    for (const key of keys) this.#asked.add(key);
    this.#requests++;
    const read = this.#read.get(thread) ?? 0;
    try {
      const path = `/api/trace/tiles?${query({ thread, level, first: tile, count })}`;
      for (const one of decodeTiles(await getBytes(path))) {
        this.#entries.set(`${thread}/${level}/${one.tile}`, {
          level,
          tile: one,
          read,
          picture: undefined,
          palette: undefined,
          runs: [],
          seen: this.#frame,
        });
      }
    } catch {
      // The page says that the server is gone; what is here stays on the screen.
      await new Promise((resolve) => setTimeout(resolve, 500));
    } finally {
      for (const key of keys) this.#asked.delete(key);
      this.#requests--;
      this.#onChange();
    }
  }

  #drop(): void {
    const oldest = [...this.#entries].sort(([, a], [, b]) => a.seen - b.seen);
    for (const [key] of oldest.slice(0, entriesMax / 4)) this.#entries.delete(key);
  }
}

type Wanted = { readonly thread: number; readonly level: number; readonly tile: number };

/** Neighbours together. */
function batches(wanted: readonly Wanted[]): readonly Wanted[][] {
  const found: Wanted[][] = [];
  for (const one of wanted) {
    const batch = found.at(-1);
    const last = batch?.at(-1);
    const isNext =
      last?.thread === one.thread && last.level === one.level && last.tile + 1 === one.tile;
    if (batch !== undefined && isNext && batch.length < batchMax) batch.push(one);
    else found.push([one]);
  }
  return found;
}

/** The picture of a tile of cells, made once for each palette. */
export function pictureOf(entry: Entry, palette: Palette): OffscreenCanvas | undefined {
  const { tile } = entry;
  if (tile.kind !== "cells" || tile.depths === 0) return undefined;
  if (entry.palette === palette && entry.picture !== undefined) return entry.picture;
  const picture = entry.picture ?? new OffscreenCanvas(tileColumns, tile.depths);
  const context = picture.getContext("2d");
  if (context === null) return undefined;
  const image = context.createImageData(tileColumns, tile.depths);
  const { data } = image;
  for (const [at, cell] of tile.cells.entries()) {
    if (cell === 0) continue;
    const [red, green, blue] = palette.rgb(cellSite(cell));
    data[at * 4] = red;
    data[at * 4 + 1] = green;
    data[at * 4 + 2] = blue;
    // What is hardly filled is still seen.
    data[at * 4 + 3] = 70 + Math.round((cellCover(cell) * 185) / 255);
  }
  context.putImageData(image, 0, 0);
  if (entry.picture === undefined) entry.runs = runsOf(tile.cells, tile.depths);
  entry.picture = picture;
  entry.palette = palette;
  return picture;
}

function runsOf(cells: Uint32Array, depths: number): readonly Run[] {
  const runs: Run[] = [];
  for (let depth = 0; depth < depths; depth++) {
    const at = depth * tileColumns;
    for (let from = 0; from < tileColumns; ) {
      const cell = cells[at + from] ?? 0;
      const site = cellSite(cell);
      let to = from + 1;
      const goesOn = (next: number): boolean =>
        cellSite(next) === site && cellCover(next) >= coverOfRun;
      if (site >= 0 && cellCover(cell) >= coverOfRun) {
        while (to < tileColumns && goesOn(cells[at + to] ?? 0)) to++;
        // At a tile's edge it may go on in the next one.
        const isAtEdge = from === 0 || to === tileColumns;
        if (to - from >= runColumns || isAtEdge) runs.push({ depth, from, to, site });
      }
      from = to;
    }
  }
  return runs;
}

/** What is under the pointer, from the tiles that are here. */
import { cellCover, cellSite, spanDepth, spanHow, tileColumns } from "./tile-bytes.ts";
import type { TileStore } from "./tile-store.ts";
import type { Viewport } from "./viewport.ts";

export type Hovered = {
  readonly site: number;
  /** A single call, in ticks; undefined for many. */
  readonly call: { readonly start: number; readonly end: number; readonly how: number } | undefined;
  /** Of a place of many calls: how much of it is filled, 0 to 1. */
  readonly cover: number;
};

export function hoveredAt(
  store: TileStore,
  view: Viewport,
  thread: number,
  time: number,
  depth: number,
): Hovered | undefined {
  const level = Math.max(0, Math.ceil(Math.log2(view.ticksPerPixel)));
  for (let up = 0; up < 8; up++) {
    const column = 2 ** (level + up);
    const entry = store.find(thread, level + up, Math.floor(time / (tileColumns * column)));
    if (entry === undefined) continue;
    const { tile } = entry;
    if (tile.kind === "cells") {
      const at = Math.floor(time / column) - tile.tile * tileColumns;
      const cell = depth < tile.depths ? (tile.cells[depth * tileColumns + at] ?? 0) : 0;
      if (cell === 0) return undefined;
      return { site: cellSite(cell), call: undefined, cover: cellCover(cell) / 255 };
    }
    for (let at = 0; at < tile.starts.length; at++) {
      const start = tile.starts[at] ?? 0;
      const end = tile.ends[at] ?? 0;
      const slack = view.ticksPerPixel / 2;
      if (spanDepth(tile.rest[at] ?? 0) !== depth) continue;
      if (time < start - slack || time > end + slack) continue;
      const call = { start, end, how: spanHow(tile.rest[at] ?? 0) };
      return { site: tile.sites[at] ?? 0, call, cover: 1 };
    }
    return undefined;
  }
  return undefined;
}

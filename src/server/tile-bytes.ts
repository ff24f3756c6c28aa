/**
 * Tiles on their way to the page: a head of five u32 for each (tile, kind, depths, count, 0), then
 * either `depths * tileColumns` cells of u32, or `count` calls in columns: starts f64, ends f64,
 * sites i32, and depth (16 bits) and flags of u32. `ui/trace/tile-bytes.ts` reads them.
 */
import type { Tile } from "../report/timeline/tiles.ts";

/** Bytes of a tile's head, a multiple of 8 as everything behind it. */
const headBytes = 24;
const kindCells = 0;
const kindSpans = 1;
/** Above the depth: how a call ended, and that it goes on behind what was read. */
const howShift = 16;
const goesOnBit = 1 << 24;

const sizeOf = (tile: Tile): number =>
  headBytes +
  (tile.kind === "cells"
    ? tile.cells.byteLength + (tile.cells.byteLength % 8)
    : tile.spans.length * 24);

/** The tiles one after the other; the caller owns the bytes. */
export function encodeTiles(tiles: readonly Tile[]): Uint8Array {
  const bytes = new Uint8Array(tiles.reduce((sum, tile) => sum + sizeOf(tile), 0));
  let at = 0;
  for (const tile of tiles) {
    encodeTile(tile, bytes.buffer, at);
    at += sizeOf(tile);
  }
  return bytes;
}

function encodeTile(tile: Tile, buffer: ArrayBuffer, at: number): void {
  const head = new Uint32Array(buffer, at, headBytes / 4);
  head[0] = tile.tile;
  if (tile.kind === "cells") {
    head[1] = kindCells;
    head[2] = tile.depths;
    new Uint32Array(buffer, at + headBytes, tile.cells.length).set(tile.cells);
    return;
  }
  const count = tile.spans.length;
  head[1] = kindSpans;
  head[3] = count;
  const starts = new Float64Array(buffer, at + headBytes, count);
  const ends = new Float64Array(buffer, at + headBytes + count * 8, count);
  const sites = new Int32Array(buffer, at + headBytes + count * 16, count);
  const rest = new Uint32Array(buffer, at + headBytes + count * 20, count);
  for (const [i, span] of tile.spans.entries()) {
    starts[i] = span.start;
    ends[i] = span.end;
    sites[i] = span.site;
    const flags = (span.how << howShift) | (span.goesOn ? goesOnBit : 0);
    rest[i] = Math.min(span.depth, 0xffff) | flags;
  }
}

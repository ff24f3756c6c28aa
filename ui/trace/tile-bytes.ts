/** Reads the tiles that `src/server/tile-bytes.ts` writes; that file says how they look. */

export type Tile = CellTile | SpanTile;

/** Many calls: a cell for each depth and column. */
export type CellTile = {
  readonly kind: "cells";
  readonly tile: number;
  readonly depths: number;
  readonly cells: Uint32Array;
};

/** Few calls, in columns; times in ticks. */
export type SpanTile = {
  readonly kind: "spans";
  readonly tile: number;
  readonly depths: number;
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  readonly sites: Int32Array;
  /** Depth in the low half, how it ended above. */
  readonly rest: Uint32Array;
};

export const tileColumns = 512;
const headBytes = 24;

export const spanDepth = (rest: number): number => rest & 0xffff;
/** How a call ended: 0 returned, 1 unwound, 2 left, 3 lost, 4 open. */
export const spanHow = (rest: number): number => (rest >>> 16) & 0xff;
export const cellSite = (cell: number): number => (cell & 0xff_ffff) - 1;
export const cellCover = (cell: number): number => cell >>> 24;

export function decodeTiles(buffer: ArrayBuffer): readonly Tile[] {
  const tiles: Tile[] = [];
  for (let at = 0; at < buffer.byteLength; ) {
    const [tile = 0, kind = 0, depths = 0, count = 0] = new Uint32Array(buffer, at, 4);
    at += headBytes;
    if (kind === 0) {
      const cells = new Uint32Array(buffer, at, depths * tileColumns);
      tiles.push({ kind: "cells", tile, depths, cells });
      at += cells.byteLength;
      continue;
    }
    const rest = new Uint32Array(buffer, at + count * 20, count);
    tiles.push({
      kind: "spans",
      tile,
      depths: rest.reduce((most, one) => Math.max(most, spanDepth(one) + 1), 0),
      starts: new Float64Array(buffer, at, count),
      ends: new Float64Array(buffer, at + count * 8, count),
      sites: new Int32Array(buffer, at + count * 16, count),
      rest,
    });
    at += count * 24;
  }
  return tiles;
}

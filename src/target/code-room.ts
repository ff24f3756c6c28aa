/**
 * Room in the target for generated code that stays until the session ends. It is mapped in large
 * pieces and given out page by page: thunks come a few at a time, for as long as functions are
 * switched, and whoever looks through the places (`thunk-ranges.ts`) has few of them.
 */
import type { Mapping } from "../os/proc.ts";
import { findRoomWithin } from "./address-space.ts";
import type { Range } from "./bootstrap.ts";

/** Bytes that are mapped at once, where there is so much room. */
const pieceBytes = 1 << 20;

/** The first and the last address that have to reach a place by a branch. */
export type Ends = readonly [first: bigint, last: bigint];

type Parts = {
  /** How far a branch gets, in bytes. */
  readonly reach: bigint;
  /** Maps a piece. */
  readonly map: (piece: Range) => void;
};

export class CodeRoom {
  readonly #parts: Parts;
  readonly #pieces: (Range & { used: bigint })[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Room for `bytes`, whole pages; undefined where there is none in reach of all of `ends`.
   * @param maps what is mapped now; asked for where a piece has to be added.
   */
  take(maps: () => readonly Mapping[], bytes: number, ends: Ends): bigint | undefined {
    const size = BigInt(bytes);
    const low = ends[1] - this.#parts.reach;
    const high = ends[0] + this.#parts.reach;
    const piece =
      this.#pieces.find(({ start, bytes: whole, used }) => {
        const at = start + used;
        return used + size <= whole && at >= low && at + size <= high;
      }) ??
      this.#add(maps, Math.max(bytes, pieceBytes), ends) ??
      this.#add(maps, bytes, ends);
    if (piece === undefined) return undefined;
    const at = piece.start + piece.used;
    piece.used += size;
    return at;
  }

  #add(maps: () => readonly Mapping[], bytes: number, ends: Ends) {
    const { reach, map } = this.#parts;
    const start = findRoomWithin(maps(), bytes, ...ends, reach);
    if (start === undefined) return undefined;
    const piece = { start, bytes: BigInt(bytes), used: 0n };
    map(piece);
    this.#pieces.push(piece);
    return piece;
  }
}

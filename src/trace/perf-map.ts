/**
 * Perf maps: what a program says of the code that it makes as it runs, a line for each piece:
 * START SIZE NAME, the numbers in hex (Linux, tools/perf/Documentation/jit-interface.txt).
 */

/** Code by its addresses; of pieces that overlap, the one that was written last counts. */
export class PerfMap {
  /** Ascending by start; overlaps have been cut out. */
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #names: readonly string[];

  constructor(text: string) {
    const lines = [...text.matchAll(/^(?:0x)?([0-9a-f]+) (?:0x)?([0-9a-f]+) (.+)$/gim)];
    const pieces = lines.map(([, start = "", size = "", name = ""]): Piece => {
      const at = Number.parseInt(start, 16);
      return { start: at, end: at + Number.parseInt(size, 16), name };
    });
    const isCode = ({ start, end }: Piece): boolean => end > start && end - start < pieceBytesMax;
    const kept = lastOfEach(pieces.filter(isCode));
    this.#starts = Float64Array.from(kept, ({ start }) => start);
    this.#ends = Float64Array.from(kept, ({ end }) => end);
    this.#names = kept.map(({ name }) => name);
  }

  /** The name of the code at `address`. */
  find(address: bigint): string | undefined {
    const wanted = Number(address);
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle] ?? 0) <= wanted) low = middle + 1;
      else high = middle;
    }
    return wanted < (this.#ends[low - 1] ?? 0) ? this.#names[low - 1] : undefined;
  }
}

type Piece = { readonly start: number; readonly end: number; readonly name: string };

/** What a piece overlaps is looked for by pages of so many bytes; larger ones are no code. */
const pageBytes = 1 << 14;
const pieceBytesMax = 1 << 28;

/** The pieces that no later one overlaps, ascending. */
function lastOfEach(pieces: readonly Piece[]): readonly Piece[] {
  const byPage = new Map<number, Set<Piece>>();
  const kept = new Set<Piece>();
  for (const piece of pieces) {
    const { start, end } = piece;
    for (let page = Math.floor(start / pageBytes); page * pageBytes < end; page++) {
      const there = byPage.get(page) ?? new Set();
      byPage.set(page, there);
      for (const other of there) {
        if (other.start >= end || other.end <= start) continue;
        there.delete(other);
        kept.delete(other);
      }
      there.add(piece);
    }
    kept.add(piece);
  }
  return [...kept].sort((a, b) => a.start - b.start);
}

/**
 * A relation over few events (up to some hundred), kept transitively closed as pairs are added, as
 * rows of bits. Adding a pair that would close a cycle is refused: that is the whole of the
 * "acyclic" axioms. Copies are cheap, so a search can step back.
 */

/** Pairs of event numbers, flat: from, to, from, to... */
export type Pairs = readonly number[];

export class Reach {
  readonly size: number;
  readonly #words: number;
  readonly #bits: Uint32Array;

  /** @param size number of events; they are called 0 to size - 1. */
  constructor(size: number, bits?: Uint32Array) {
    this.size = size;
    this.#words = (size + 31) >>> 5;
    this.#bits = bits ?? new Uint32Array(size * this.#words);
  }

  copy(): Reach {
    return new Reach(this.size, this.#bits.slice());
  }

  has(from: number, to: number): boolean {
    const word = this.#bits[from * this.#words + (to >>> 5)] ?? 0;
    return ((word >>> (to & 31)) & 1) === 1;
  }

  /** Adds from → to and what follows from it; `false`, and nothing added, if that is a cycle. */
  add(from: number, to: number): boolean {
    if (from === to || this.has(to, from)) return false;
    if (this.has(from, to)) return true;
    const words = this.#words;
    const bits = this.#bits;
    for (let source = 0; source < this.size; source++) {
      if (source !== from && !this.has(source, from)) continue;
      const at = source * words;
      for (let w = 0; w < words; w++) {
        bits[at + w] = (bits[at + w] ?? 0) | (bits[to * words + w] ?? 0);
      }
      const word = at + (to >>> 5);
      bits[word] = (bits[word] ?? 0) | (1 << (to & 31));
    }
    return true;
  }

  /** Adds all pairs; `false` at the first that closes a cycle (those before it stay). */
  addAll(pairs: Pairs): boolean {
    for (let i = 0; i < pairs.length; i += 2) {
      if (!this.add(pairs[i] ?? 0, pairs[i + 1] ?? 0)) return false;
    }
    return true;
  }

  /** Every event once, in an order that agrees with the relation; ties by number. */
  order(): readonly number[] {
    const before = (event: number): number => {
      let count = 0;
      for (let other = 0; other < this.size; other++) if (this.has(other, event)) count++;
      return count;
    };
    const counts = Array.from({ length: this.size }, (_, event) => before(event));
    return counts
      .map((_, event) => event)
      .toSorted((a, b) => (counts[a] ?? 0) - (counts[b] ?? 0) || a - b);
  }
}

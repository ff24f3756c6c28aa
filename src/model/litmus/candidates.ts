/**
 * Which values a read or fetch may return at all: those of memory before the test, and those that
 * some thread stores to the same bytes in some execution. The set is found as a fixed point: run
 * the threads with what is known, collect what they store, repeat until nothing new is stored.
 */

import { bytesOfValue, type Image, valueOfBytes } from "./image.ts";

/** A store that some execution of `thread` makes. */
export type Stored = {
  readonly thread: number;
  readonly address: bigint;
  readonly bytes: number;
  readonly value: bigint;
};

/** A value that an access may return, and who stores it (-1: nobody, it is the initial one). */
export type Candidate = { readonly value: bigint; readonly threads: ReadonlySet<number> };

/** More values than this of one access: refused, not searched. */
const valuesMax = 256;

export class Candidates {
  readonly #image: Image;
  readonly #stored = new Map<string, Stored>();
  readonly #cache = new Map<string, readonly Candidate[] | undefined>();

  constructor(image: Image) {
    this.#image = image;
  }

  get count(): number {
    return this.#stored.size;
  }

  /** Adds a store. */
  add(stored: Stored): void {
    const { thread, address, bytes, value } = stored;
    const key = `${thread} ${address} ${bytes} ${value}`;
    if (this.#stored.has(key)) return;
    this.#stored.set(key, stored);
    this.#cache.clear();
  }

  /** Whether anything is stored to one of these bytes. */
  isStoredTo(address: bigint, bytes: number): boolean {
    const end = address + BigInt(bytes);
    for (const s of this.#stored.values()) {
      if (s.address < end && address < s.address + BigInt(s.bytes)) return true;
    }
    return false;
  }

  /**
   * Values that an access to `bytes` bytes may return; `undefined` where there is no such memory,
   * `[]` where there are too many to search.
   */
  values(address: bigint, bytes: number): readonly Candidate[] | undefined {
    const key = `${address} ${bytes}`;
    if (this.#cache.has(key)) return this.#cache.get(key);
    const found = this.#find(address, bytes);
    this.#cache.set(key, found);
    return found;
  }

  #find(address: bigint, bytes: number): readonly Candidate[] | undefined {
    const initial = this.#image.bytesAt(address, bytes);
    if (initial === undefined) return undefined;
    const overlapping = [...this.#stored.values()].filter(
      (s) => s.address < address + BigInt(bytes) && address < s.address + BigInt(s.bytes),
    );
    const cuts = new Set([0, bytes]);
    for (const s of overlapping) {
      for (const cut of [s.address - address, s.address + BigInt(s.bytes) - address]) {
        if (cut > 0n && cut < BigInt(bytes)) cuts.add(Number(cut));
      }
    }
    const edges = [...cuts].toSorted((a, b) => a - b);
    let values: Candidate[] = [{ value: 0n, threads: new Set() }];
    for (const [index, from] of edges.slice(0, -1).entries()) {
      const to = edges[index + 1] ?? bytes;
      const pieces = this.#pieces(overlapping, address + BigInt(from), initial.slice(from, to));
      values = values.flatMap((low) =>
        pieces.map((piece) => ({
          value: low.value | (piece.value << BigInt(8 * from)),
          threads: new Set([...low.threads, ...piece.threads]),
        })),
      );
      if (values.length > valuesMax) return [];
    }
    return values;
  }

  /** Values of bytes that every overlapping store covers wholly or not at all. */
  #pieces(stored: readonly Stored[], address: bigint, initial: Uint8Array): Candidate[] {
    const bytes = initial.length;
    const threads = new Map<bigint, Set<number>>([[valueOfBytes(initial), new Set([-1])]]);
    for (const s of stored) {
      const skip = address - s.address;
      if (skip < 0n || skip >= BigInt(s.bytes)) continue;
      const content = bytesOfValue(s.value >> (8n * skip), bytes);
      const value = valueOfBytes(content);
      threads.set(value, (threads.get(value) ?? new Set()).add(s.thread));
    }
    return [...threads].map(([value, set]) => ({ value, threads: set }));
  }
}

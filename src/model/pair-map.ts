/**
 * A map from pairs of 32-bit integers to small integers, on typed arrays: the memo of hot paths.
 */
export class PairMap {
  #keys: Int32Array = new Int32Array(2 * 1024);
  #values: Int32Array = new Int32Array(1024).fill(-1);
  #mask = 1023;
  #count = 0;

  #slot(a: number, b: number): number {
    let hash = Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b);
    hash ^= hash >>> 15;
    let slot = hash & this.#mask;
    while (
      (this.#values[slot] ?? -1) >= 0 &&
      (this.#keys[2 * slot] !== a || this.#keys[2 * slot + 1] !== b)
    ) {
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }

  /** The value of a pair, or -1. */
  get(a: number, b: number): number {
    return this.#values[this.#slot(a, b)] ?? -1;
  }

  /** Adds a pair that is not there; `value` is 0 or more. */
  add(a: number, b: number, value: number): void {
    if (2 * (this.#count + 1) > this.#values.length) this.#grow();
    const slot = this.#slot(a, b);
    this.#keys[2 * slot] = a;
    this.#keys[2 * slot + 1] = b;
    this.#values[slot] = value;
    this.#count++;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Int32Array(2 * keys.length);
    this.#values = new Int32Array(2 * values.length).fill(-1);
    this.#mask = this.#values.length - 1;
    for (const [slot, value] of values.entries()) {
      if (value < 0) continue;
      const a = keys[2 * slot] ?? 0;
      const b = keys[2 * slot + 1] ?? 0;
      const to = this.#slot(a, b);
      this.#keys[2 * to] = a;
      this.#keys[2 * to + 1] = b;
      this.#values[to] = value;
    }
  }
}

/** Growth per second of numbers that only grow, between two looks at them. */
export class PerSecond<Key = number | string> {
  #before: ReadonlyMap<Key, number> | undefined;
  #atMs = 0;

  /** @param now in ms. The first look has no rates. */
  rates(now: number, values: ReadonlyMap<Key, number>): ReadonlyMap<Key, number> {
    const seconds = (now - this.#atMs) / 1000;
    const before = this.#before;
    const rates = new Map<Key, number>();
    for (const [key, value] of before === undefined ? [] : values) {
      rates.set(key, Math.max(0, value - (before?.get(key) ?? 0)) / seconds);
    }
    this.#before = values;
    this.#atMs = now;
    return rates;
  }
}

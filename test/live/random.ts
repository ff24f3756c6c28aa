/** Random choices that can be made again: a test prints its seed, and PATCHBAY_SEED sets it. */

/** A stream of choices. */
export type Random = {
  /** In [0, 1). */
  readonly next: () => number;
  /** A whole number in [0, `limit`). */
  readonly below: (limit: number) => number;
  readonly of: <T>(values: readonly T[]) => T;
};

/** A new seed, or the one that is asked for; printed. */
export function newSeed(): number {
  const asked = process.env["PATCHBAY_SEED"];
  const seed = asked === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(asked);
  process.stdout.write(`PATCHBAY_SEED=${seed}\n`);
  return seed;
}

/** Choices by `seed`: a linear congruential generator modulo 2^32 of which the upper bits count. */
export function makeRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    next,
    below,
    of: (values) => {
      const value = values[below(values.length)];
      if (value === undefined) throw new Error("nothing to choose from");
      return value;
    },
  };
}

/**
 * Random operands for the tables' forms, from a seed that is printed when a test fails.
 * `PATCHBAY_SEED=n` repeats a run.
 */
import { ensure } from "../../src/base/assert.ts";
import type { Field, Fields, Form } from "../../src/isa/table.ts";

/** A small generator (xorshift32): the same numbers for the same seed, everywhere. */
export type Random = {
  readonly seed: number;
  /** A whole number from 0 to `below` - 1; `below` is at most 2^32. */
  readonly below: (below: number) => number;
  /** 64 random bits, often with few ones or few zeros. */
  readonly bits64: () => bigint;
  readonly pick: <T>(items: readonly T[]) => T;
};

export const makeRandom = (wanted?: number): Random => {
  const given = wanted ?? Number(process.env["PATCHBAY_SEED"] ?? 0);
  const seed = given !== 0 ? given : 1 + Math.floor(Math.random() * 0x7ffffffe);
  let state = seed;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const below = (limit: number): number => Math.floor((next() / 2 ** 32) * limit);
  const edges = [0n, 1n, 0x7fn, 0x80n, 0xffffn, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n];
  const pick = <T>(items: readonly T[]): T => ensure(items[below(items.length)], "an item");
  return {
    seed,
    below,
    pick,
    bits64: () => {
      const bits = (BigInt(next()) << 32n) | BigInt(next());
      const kind = below(8);
      if (kind === 0) return pick(edges);
      if (kind === 1) return BigInt.asUintN(64, -1n - pick(edges));
      if (kind === 2) return BigInt.asUintN(64, BigInt.asIntN(64, bits) >> BigInt(below(64)));
      return bits;
    },
  };
};

/** A value of the field: an edge in one case of eight. */
const randomValue = (field: Field, random: Random): number => {
  const count = (field.max - field.min) / field.unit + 1;
  const choice = random.below(16);
  if (choice === 0) return field.min;
  if (choice === 1) return field.max;
  return field.min + random.below(count) * field.unit;
};

/** Fields of an encodable instruction whose result the manual fixes. */
export const randomFields = <Arg>(form: Form<Arg>, random: Random): Fields => {
  for (let tries = 0; tries < 1000; tries++) {
    const values = form.pattern.fields.map((field) => [field.name, randomValue(field, random)]);
    const fields: Fields = Object.fromEntries(values);
    const fits = form.valid?.(fields) !== false && form.unpredictable?.(fields) !== true;
    if (fits) return fields;
  }
  throw new Error(`no fields found for ${form.name}`);
};

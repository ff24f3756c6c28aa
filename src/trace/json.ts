/**
 * Reading JSON that may hold anything: each function gives the value if it is of the kind that was
 * asked for, and `undefined` otherwise.
 */

/** A value as JSON has it. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

/** The value in `text`, or `undefined` where it is no JSON. */
export function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

const isArray = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);

export const asObject = (value: Json | undefined): JsonObject | undefined =>
  typeof value === "object" && value !== null && !isArray(value) ? value : undefined;

export const asArray = (value: Json | undefined): readonly Json[] | undefined =>
  isArray(value) ? value : undefined;

export const asString = (value: Json | undefined): string | undefined =>
  typeof value === "string" ? value : undefined;

/** A finite number that is not negative. */
export const asCount = (value: Json | undefined): number | undefined =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;

export const asBoolean = (value: Json | undefined): boolean | undefined =>
  typeof value === "boolean" ? value : undefined;

/** A whole number that stands in a string, because it may exceed 2^53: decimal, or hex after 0x. */
export function asBigint(value: Json | undefined): bigint | undefined {
  if (typeof value !== "string" || !/^(-?\d{1,30}|0x[0-9a-f]{1,16})$/i.test(value)) {
    return undefined;
  }
  return BigInt(value);
}

/** Those members of `array` that are strings. */
export const asStrings = (value: Json | undefined): readonly string[] | undefined =>
  asArray(value)?.filter((item): item is string => typeof item === "string");

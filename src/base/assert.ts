/** Programmer errors: always on, always thrown. What the world can cause is a `PatchbayError`. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** `value`, known to be there. */
export function ensure<T>(value: T | null | undefined, message: string): T {
  assert(value !== undefined && value !== null, message);
  return value;
}

/** The end of an exhaustive switch: `default: return unreachable(x)`. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}

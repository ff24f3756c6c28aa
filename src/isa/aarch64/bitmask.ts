/**
 * Immediates of AND, ORR, EOR and ANDS: a run of ones, rotated, repeated every 2, 4, 8, 16, 32 or
 * 64 bits; encoded in the 13 bits N:immr:imms (Arm ARM, shared pseudocode DecodeBitMasks).
 */

export type Bitmask = { readonly n: number; readonly immr: number; readonly imms: number };

const rotateRight = (value: bigint, by: number, bits: number): bigint => {
  const rest = BigInt(by);
  return BigInt.asUintN(bits, (value >> rest) | (value << (BigInt(bits) - rest)));
};

/** The value that the fields stand for in a register of `bits` bits; `undefined`: reserved. */
export function decodeBitmask({ n, immr, imms }: Bitmask, bits: 32 | 64): bigint | undefined {
  // The element's size is the highest bit of N:NOT(imms).
  const selector = (n << 6) | (~imms & 0x3f);
  const log = 31 - Math.clz32(selector);
  if (log < 1 || (bits === 32 && n === 1)) return undefined;
  const size = 2 ** log;
  const ones = (imms & (size - 1)) + 1;
  if (ones === size) return undefined;
  const element = rotateRight((1n << BigInt(ones)) - 1n, immr & (size - 1), size);
  let value = 0n;
  for (let at = 0; at < bits; at += size) value |= element << BigInt(at);
  return value;
}

/** The fields for a value of `bits` bits; `undefined` where it has no such form. */
export function encodeBitmask(value: bigint, bits: 32 | 64): Bitmask | undefined {
  const wanted = BigInt.asUintN(bits, value);
  for (let size = 2; size <= bits; size *= 2) {
    const element = BigInt.asUintN(size, wanted);
    const ones = element.toString(2).replaceAll("0", "").length;
    if (ones === 0 || ones === size) continue;
    const run = (1n << BigInt(ones)) - 1n;
    for (let immr = 0; immr < size; immr++) {
      if (rotateRight(run, immr, size) !== element) continue;
      const imms = (~(2 * size - 1) & 0x3f) | (ones - 1);
      const fields = { n: size === 64 ? 1 : 0, immr, imms };
      if (decodeBitmask(fields, bits) === wanted) return fields;
    }
  }
  return undefined;
}

/** Whether one MOVZ or MOVN loads the value: then those are the usual way to write `mov`. */
export function isWide(value: bigint, bits: 32 | 64): boolean {
  const fits = (wanted: bigint): boolean =>
    [0n, 16n, 32n, 48n].some((shift) => (wanted & (0xffffn << shift)) === wanted);
  return fits(value) || fits(BigInt.asUintN(bits, ~value));
}

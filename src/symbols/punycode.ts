/** Punycode (RFC 3492), as Rust's names use it for letters beyond ASCII. */

const base = 36;
const thresholdMin = 1;
const thresholdMax = 26;
const skew = 38;
const damp = 700;
const initialBias = 72;
const initialPoint = 128;

const digitOf = (char: string): number => {
  if (char >= "a" && char <= "z") return char.charCodeAt(0) - 97;
  if (char >= "0" && char <= "9") return char.charCodeAt(0) - 22;
  return Number.NaN;
};

function adapt(delta: number, count: number, first: boolean): number {
  let rest = Math.floor(delta / (first ? damp : 2));
  rest += Math.floor(rest / count);
  let k = 0;
  for (; rest > ((base - thresholdMin) * thresholdMax) / 2; k += base) {
    rest = Math.floor(rest / (base - thresholdMin));
  }
  return k + Math.floor(((base - thresholdMin + 1) * rest) / (rest + skew));
}

/** The text that `ascii` (the basic characters) and `code` (the rest) stand for. */
export function decodePunycode(ascii: string, code: string): string | undefined {
  const points = Array.from(ascii, (char) => char.codePointAt(0) ?? 0);
  let point = initialPoint;
  let bias = initialBias;
  let index = 0;
  for (let at = 0; at < code.length; ) {
    const before = index;
    let weight = 1;
    for (let k = base; ; k += base) {
      const digit = digitOf(code[at++] ?? "");
      if (Number.isNaN(digit)) return undefined;
      index += digit * weight;
      const threshold = Math.min(Math.max(k - bias, thresholdMin), thresholdMax);
      if (digit < threshold) break;
      weight *= base - threshold;
    }
    const count = points.length + 1;
    bias = adapt(index - before, count, before === 0);
    point += Math.floor(index / count);
    index %= count;
    if (point > 0x10ffff) return undefined;
    points.splice(index++, 0, point);
  }
  return String.fromCodePoint(...points);
}

/**
 * Where the values of a static probe are, as its note says in the assembler's words: `-4@%edi`,
 * `8@-16(%rbp)`, `-4@$5`; the number before the @ is the value's size in bytes, negative where it
 * has a sign, with an f where it is a float.
 *
 * Source: SystemTap, "User Space Probe Implementation"; <sys/sdt.h>. Operands are AT&T's.
 */

/** Registers by the numbers that x86-64's instructions have for them. */
export type SdtPlace =
  /** A whole number, in decimal. */
  | { readonly kind: "constant"; readonly value: string }
  | { readonly kind: "register"; readonly number: number; readonly isHighByte: boolean }
  | { readonly kind: "vector"; readonly number: number }
  | {
      readonly kind: "memory";
      readonly base: number | undefined;
      readonly index: number | undefined;
      readonly scale: 1 | 2 | 4 | 8;
      readonly disp: number;
    }
  /** What the note alone does not tell: a variable by its name, memory of a segment. */
  | { readonly kind: "unknown" };

export type SdtOperand = {
  readonly bytes: 1 | 2 | 4 | 8;
  readonly type: "signed" | "unsigned" | "float";
  readonly place: SdtPlace;
};

/** The first eight by their order: names of 8, 16, 32 and 64 bits; then r8 to r15. */
const names: readonly (readonly string[])[] = [
  ["al", "ax", "eax", "rax"],
  ["cl", "cx", "ecx", "rcx"],
  ["dl", "dx", "edx", "rdx"],
  ["bl", "bx", "ebx", "rbx"],
  ["spl", "sp", "esp", "rsp"],
  ["bpl", "bp", "ebp", "rbp"],
  ["sil", "si", "esi", "rsi"],
  ["dil", "di", "edi", "rdi"],
  ...Array.from({ length: 8 }, (_, i) => ["b", "w", "d", ""].map((end) => `r${i + 8}${end}`)),
];
const highBytes = ["ah", "ch", "dh", "bh"];

/** The number of a register and its size in bytes; undefined where that is no general register. */
function registerNamed(
  name: string,
): { readonly number: number; readonly bytes: number } | undefined {
  const number = names.findIndex((sizes) => sizes.includes(name));
  if (number < 0) return undefined;
  return { number, bytes: 2 ** (names[number]?.indexOf(name) ?? 0) };
}

const addressRegister = (name: string | undefined): number | undefined => {
  const found = registerNamed(name ?? "");
  return found?.bytes === 8 ? found.number : undefined;
};

/** The operands of a probe, in order. */
export const parseSdtOperands = (text: string): readonly SdtOperand[] =>
  text
    .split(/\s+/)
    .filter((word) => word !== "")
    .map(parseOperand);

function parseOperand(word: string): SdtOperand {
  const [, sign = "", digits, float, rest = word] = /^(-?)([1248])(f?)@(.*)$/.exec(word) ?? [];
  const place = parsePlace(rest);
  const bytes = sizeOf(digits ?? "8");
  const isFloat = float === "f" && bytes >= 4;
  return { bytes, type: isFloat ? "float" : sign === "" ? "unsigned" : "signed", place };
}

const sizes = [1, 2, 4, 8] as const;
const sizeOf = (digits: string): SdtOperand["bytes"] =>
  sizes.find((size) => size === Number(digits)) ?? 8;

const unknown: SdtPlace = { kind: "unknown" };

function parsePlace(text: string): SdtPlace {
  if (/^\$-?(\d+|0x[0-9a-f]+)$/i.test(text)) {
    const negative = text.startsWith("$-");
    const value = BigInt(text.slice(negative ? 2 : 1));
    return { kind: "constant", value: String(negative ? -value : value) };
  }
  const vector = /^%[xyz]mm(\d|1[0-5])$/.exec(text)?.[1];
  if (vector !== undefined) return { kind: "vector", number: Number(vector) };
  if (text.startsWith("%") && !text.includes(":")) {
    const high = highBytes.indexOf(text.slice(1));
    const number = high < 0 ? registerNamed(text.slice(1))?.number : high;
    return number === undefined ? unknown : { kind: "register", number, isHighByte: high >= 0 };
  }
  return parseMemory(text);
}

/** `disp(base,index,scale)`, of which all but one of base and index can be missing. */
function parseMemory(text: string): SdtPlace {
  const shape = /^(-?(?:\d+|0x[0-9a-f]+))?\((%\w+)?(?:,(%\w+)(?:,([1248]))?)?\)$/i.exec(text);
  if (shape === null) return unknown;
  const [, disp = "0", baseName, indexName, scale = "1"] = shape;
  const base = addressRegister(baseName?.slice(1));
  const index = addressRegister(indexName?.slice(1));
  if ((baseName !== undefined && base === undefined) || (base ?? index) === undefined)
    return unknown;
  if (indexName !== undefined && index === undefined) return unknown;
  const offset = disp.startsWith("-") ? -Number(disp.slice(1)) : Number(disp);
  if ((offset | 0) !== offset) return unknown;
  return { kind: "memory", base, index, scale: sizeOf(scale), disp: offset };
}

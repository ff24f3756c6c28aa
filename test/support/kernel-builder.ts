/**
 * Linux kernel images made by hand for tests: a boot header, code, the table of functions, and the
 * kernel's own symbols. Written from scripts/kallsyms.c, not from the reader under test.
 */

export type BuiltKernel = {
  readonly machine: "aarch64" | "riscv64";
  readonly base: bigint;
  /** Code by its offset in the image. */
  readonly code: ReadonlyMap<number, Uint8Array>;
  /** Symbols, ascending: nm's letter and name. */
  readonly symbols: readonly { readonly offset: number; readonly text: string }[];
  /** Offsets that the table of functions holds; it has symbols of its own. */
  readonly table?: readonly number[];
  /** Offsets come in front of the names, as before v6.4. */
  readonly old?: boolean;
};

const tableAt = 0x14000;
const symbolsAt = 0x20000;

const align8 = (parts: number[]): void => {
  while (parts.length % 8 !== 0) parts.push(0);
};

const little = (value: bigint, size: number): number[] =>
  Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));

/** Every character stands for itself. */
function tokenTables(): { readonly table: number[]; readonly index: number[] } {
  const table: number[] = [];
  const index: number[] = [];
  for (let token = 0; token < 256; token++) {
    index.push(...little(BigInt(table.length), 2));
    table.push(token > 32 && token < 127 ? token : 63, 0);
  }
  return { table, index };
}

function kallsyms({ symbols, base, old = false }: BuiltKernel): number[] {
  const names: number[] = [];
  const markers: number[] = [];
  symbols.forEach(({ text }, i) => {
    if (i % 256 === 0) markers.push(...little(BigInt(names.length), 4));
    const long = text.length > 127;
    names.push(...(long ? [(text.length & 127) | 128, text.length >> 7] : [text.length]));
    names.push(...Array.from(text, (char) => char.charCodeAt(0)));
  });
  const offsets = symbols.flatMap(({ offset }) => little(BigInt(offset), 4));
  const { table, index } = tokenTables();
  const count = little(BigInt(symbols.length), 4);
  const tail = [offsets, little(base, 8)];
  const order = old
    ? [...tail, count, names, markers, table, index]
    : [count, names, markers, table, index, ...tail];
  const out: number[] = [];
  for (const part of order) {
    out.push(...part);
    align8(out);
  }
  return out;
}

/** The image's bytes. */
export function buildKernel(recipe: BuiltKernel): Uint8Array {
  const { table = [], base } = recipe;
  const own =
    table.length === 0
      ? []
      : [
          { offset: tableAt, text: "D__start_mcount_loc" },
          { offset: tableAt + 8 * table.length, text: "D__stop_mcount_loc" },
        ];
  const symbols = [...recipe.symbols, ...own].sort((a, b) => a.offset - b.offset);
  const tables = kallsyms({ ...recipe, symbols });
  const bytes = new Uint8Array(symbolsAt + tables.length + 64);
  bytes.set([0x4d, 0x5a]);
  const magic = recipe.machine === "aarch64" ? "ARMd" : "RSC\u0005";
  bytes.set(
    Array.from(magic, (char) => char.charCodeAt(0)),
    0x38,
  );
  for (const [offset, code] of recipe.code) bytes.set(code, offset);
  const words = table.flatMap((offset) => little(offset === 0 ? 0n : base + BigInt(offset), 8));
  bytes.set(words, tableAt);
  bytes.set(tables, symbolsAt);
  return bytes;
}

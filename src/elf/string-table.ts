/**
 * String tables: names by offset. A table of a large program has a million names, so the table
 * is decoded once and names are slices of it.
 */

const utf8 = new TextDecoder();

/** The text at `offset` of `table`, up to a zero byte or the table's end; "" outside of it. */
export function readString(table: Uint8Array, offset: number): string {
  if (offset >= table.length) return "";
  const zero = table.indexOf(0, offset);
  return utf8.decode(table.subarray(offset, zero < 0 ? table.length : zero));
}

/** Reads names of one string table, fast when all of it is ASCII, as nearly all are. */
export type StringTable = {
  readonly bytes: Uint8Array;
  /** The whole table, one character a byte; undefined when it is not ASCII. */
  readonly text: string | undefined;
};

function isAscii(bytes: Uint8Array): boolean {
  let seen = 0;
  const misaligned = Math.min(bytes.length, (4 - (bytes.byteOffset % 4)) % 4);
  const wordCount = Math.floor((bytes.length - misaligned) / 4);
  for (let i = 0; i < misaligned; i++) seen |= bytes[i] ?? 0;
  for (let i = misaligned + wordCount * 4; i < bytes.length; i++) seen |= bytes[i] ?? 0;
  if (seen >= 0x80) return false;
  // Four bytes at once: symbol tables are megabytes long.
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + misaligned, wordCount);
  let high = 0;
  for (let i = 0; i < wordCount; i++) high |= words[i] ?? 0;
  return (high & 0x80808080) === 0;
}

/** Prepares `bytes` (borrowed) for reading many names. */
export const stringTable = (bytes: Uint8Array): StringTable => ({
  bytes,
  text: isAscii(bytes) ? new TextDecoder("latin1").decode(bytes) : undefined,
});

/** The name at `offset`; "" outside of the table. */
export function nameAt(table: StringTable, offset: number): string {
  if (table.text === undefined) return readString(table.bytes, offset);
  const zero = table.text.indexOf("\0", offset);
  return table.text.slice(offset, zero < 0 ? table.text.length : zero);
}

/** Whether the names at `a` of `tableA` and at `b` of `tableB` are the same; makes no string. */
export function sameName(tableA: StringTable, a: number, tableB: StringTable, b: number): boolean {
  const left = tableA.bytes;
  const right = tableB.bytes;
  for (let i = 0; ; i++) {
    const byte = left[a + i] ?? 0;
    if (byte !== (right[b + i] ?? 0)) return false;
    if (byte === 0) return true;
  }
}

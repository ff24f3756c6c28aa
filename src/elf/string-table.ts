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
  for (const byte of bytes) seen |= byte;
  return seen < 0x80;
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

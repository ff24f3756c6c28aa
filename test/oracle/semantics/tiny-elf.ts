/**
 * The smallest static ELF executable that does the job: load segments and an entry, no sections.
 */

export type Segment = {
  readonly address: bigint;
  /** Owned by the caller; the file gets a copy. */
  readonly bytes: Uint8Array;
  readonly writable: boolean;
  readonly executable: boolean;
};

/** e_machine values (System V ABI, and the supplements of each processor). */
export const machines = { "x86-64": 62, aarch64: 183, riscv64: 243, riscv32: 243 } as const;

const pageBytes = 0x1000;
const pageUp = (value: number): number => Math.ceil(value / pageBytes) * pageBytes;

/** The file's bytes. Segments begin at page boundaries and don't share pages. */
export const makeElf = (
  wordBytes: 4 | 8,
  machine: number,
  flags: number,
  entry: bigint,
  segments: readonly Segment[],
): Uint8Array => {
  const wide = wordBytes === 8;
  const headerBytes = wide ? 64 : 52;
  const entryBytes = wide ? 56 : 32;
  let end = pageUp(headerBytes + entryBytes * segments.length);
  const placed = segments.map((segment) => {
    const offset = end;
    end = pageUp(end + segment.bytes.length);
    return { ...segment, offset };
  });
  const file = new Uint8Array(end);
  const view = new DataView(file.buffer);
  let at = 0;
  const put = (size: 1 | 2 | 4 | 8, value: bigint | number): void => {
    if (size === 8) view.setBigUint64(at, BigInt(value), true);
    else if (size === 4) view.setUint32(at, Number(value), true);
    else if (size === 2) view.setUint16(at, Number(value), true);
    else view.setUint8(at, Number(value));
    at += size;
  };
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  at = 16;
  put(2, 2); // ET_EXEC
  put(2, machine);
  put(4, 1);
  put(wordBytes, entry);
  put(wordBytes, headerBytes);
  put(wordBytes, 0);
  put(4, flags);
  for (const value of [headerBytes, entryBytes, segments.length, 0, 0, 0]) put(2, value);
  for (const { address, bytes, writable, executable, offset } of placed) {
    const access = 4 | (writable ? 2 : 0) | (executable ? 1 : 0);
    put(4, 1); // PT_LOAD
    if (wide) put(4, access);
    put(wordBytes, offset);
    put(wordBytes, address);
    put(wordBytes, address);
    put(wordBytes, bytes.length);
    put(wordBytes, bytes.length);
    if (!wide) put(4, access);
    put(wordBytes, pageBytes);
    file.set(bytes, offset);
  }
  return file;
};

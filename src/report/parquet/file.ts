/**
 * Apache Parquet files (github.com/apache/parquet-format), written as a stream: groups of rows, in
 * each a chunk of every column, and at the end the directory of them. Not compressed: what is
 * written is what was in memory, at the speed of the disk.
 */
import { utf8 } from "../byte-writer.ts";
import { type Column, type ColumnChunk, encoding } from "./columns.ts";
import { encodeThrift, i32, i64, list, struct, type Thrift, text } from "./thrift.ts";

const magic = utf8("PAR1");
const repetition = { required: 0, optional: 1 } as const;
/** ConvertedType UTF8. */
const utf8Type = 0;
const pageType = { data: 0, dictionary: 2 } as const;
const codecNone = 0;
const formatVersion = 1;

/** A file in the making. Every method gives bytes to be appended to it. */
export class ParquetFile {
  readonly #columns: readonly (readonly [name: string, Column])[];
  readonly #groups: Thrift[] = [];
  #offset = 0;
  #rows = 0;

  constructor(columns: Readonly<Record<string, Column>>) {
    this.#columns = Object.entries(columns);
  }

  begin(): Uint8Array[] {
    return this.#put([magic]);
  }

  /** The `rows` rows, at least one, that the columns have got since the last time; borrowed. */
  group(rows: number): Uint8Array[] {
    const out: Uint8Array[] = [];
    let bytes = 0;
    const chunks = this.#columns.map(([name, column]) => {
      const start = this.#offset;
      const chunk = column.take(rows);
      const hasDictionary = chunk.dictionary !== undefined;
      if (hasDictionary) out.push(...this.#put(dictionaryPage(chunk)));
      const dataAt = this.#offset;
      out.push(...this.#put(dataPage(chunk, rows)));
      const size = this.#offset - start;
      bytes += size;
      const meta = struct({
        1: i32(column.type),
        2: list("i32", [i32(encoding.rle), i32(encoding.plain), i32(chunk.encoding)]),
        3: list("binary", [text(name)]),
        4: i32(codecNone),
        5: i64(rows),
        6: i64(size),
        7: i64(size),
        9: i64(dataAt),
        11: hasDictionary ? i64(start) : undefined,
      });
      return struct({ 2: i64(start), 3: meta });
    });
    this.#rows += rows;
    this.#groups.push(struct({ 1: list("struct", chunks), 2: i64(bytes), 3: i64(rows) }));
    return out;
  }

  end(): Uint8Array[] {
    const root = struct({ 4: text("schema"), 5: i32(this.#columns.length) });
    const footer = encodeThrift(
      struct({
        1: i32(formatVersion),
        2: list("struct", [root, ...this.#columns.map(([name, column]) => element(name, column))]),
        3: i64(this.#rows),
        4: list("struct", this.#groups),
        6: text("patchbay"),
      }),
    );
    return this.#put([footer, new Uint8Array(new Uint32Array([footer.length]).buffer), magic]);
  }

  #put(parts: readonly Uint8Array[]): Uint8Array[] {
    for (const part of parts) this.#offset += part.length;
    return [...parts];
  }
}

const element = (name: string, column: Column): Thrift =>
  struct({
    1: i32(column.type),
    3: i32(column.isOptional ? repetition.optional : repetition.required),
    4: text(name),
    6: column.isText ? i32(utf8Type) : undefined,
  });

const sizeOf = (parts: readonly Uint8Array[]): number =>
  parts.reduce((sum, part) => sum + part.length, 0);

function dataPage(chunk: ColumnChunk, rows: number): readonly Uint8Array[] {
  const size = sizeOf(chunk.parts);
  const levels = i32(encoding.rle);
  const head = struct({
    1: i32(pageType.data),
    2: i32(size),
    3: i32(size),
    5: struct({ 1: i32(rows), 2: i32(chunk.encoding), 3: levels, 4: levels }),
  });
  return [encodeThrift(head), ...chunk.parts];
}

function dictionaryPage({ dictionary }: ColumnChunk): readonly Uint8Array[] {
  if (dictionary === undefined) return [];
  const { count, bytes } = dictionary;
  const head = struct({
    1: i32(pageType.dictionary),
    2: i32(bytes.length),
    3: i32(bytes.length),
    7: struct({ 1: i32(count), 2: i32(encoding.plain) }),
  });
  return [encodeThrift(head), bytes];
}

/**
 * Thrift's compact protocol (thrift/doc/specs/thrift-compact-protocol.md), the part of it that
 * Parquet's headers and footers need.
 */
import { ByteWriter, utf8 } from "../byte-writer.ts";

/** Types of fields, and of the elements of lists. */
const wireType = { i32: 5, i64: 6, binary: 8, list: 9, struct: 12 } as const;

/** A value with its type; fields of structs stand under their numbers, ascending. */
export type Thrift =
  | { readonly kind: "i32" | "i64"; readonly value: number }
  | { readonly kind: "binary"; readonly value: Uint8Array }
  | { readonly kind: "list"; readonly of: keyof typeof wireType; readonly items: readonly Thrift[] }
  | { readonly kind: "struct"; readonly fields: readonly (readonly [number, Thrift])[] };

/** Whole numbers that are not negative and below 2^52. */
export const i32 = (value: number): Thrift => ({ kind: "i32", value });
export const i64 = (value: number): Thrift => ({ kind: "i64", value });
export const text = (value: string): Thrift => ({ kind: "binary", value: utf8(value) });
export const list = (of: keyof typeof wireType, items: readonly Thrift[]): Thrift => ({
  kind: "list",
  of,
  items,
});

/** A struct of the fields that are there. */
export const struct = (fields: Readonly<Record<number, Thrift | undefined>>): Thrift => ({
  kind: "struct",
  fields: Object.entries(fields).flatMap(([id, value]) =>
    value === undefined ? [] : [[Number(id), value] as const],
  ),
});

/** The bytes of a struct. */
export function encodeThrift(value: Thrift): Uint8Array {
  const out = new ByteWriter();
  write(out, value);
  return out.take();
}

function write(out: ByteWriter, thrift: Thrift): void {
  switch (thrift.kind) {
    case "i32":
    case "i64":
      // Zigzag: the sign in the lowest bit.
      out.varint(thrift.value * 2);
      break;
    case "binary":
      out.varint(thrift.value.length);
      out.bytes(thrift.value);
      break;
    case "list":
      writeList(out, thrift.of, thrift.items);
      break;
    case "struct":
      writeFields(out, thrift.fields);
      break;
    default:
      thrift satisfies never;
  }
}

function writeList(out: ByteWriter, of: keyof typeof wireType, items: readonly Thrift[]): void {
  const size = Math.min(items.length, 15);
  out.byte((size << 4) | wireType[of]);
  if (size === 15) out.varint(items.length);
  for (const item of items) write(out, item);
}

function writeFields(out: ByteWriter, fields: readonly (readonly [number, Thrift])[]): void {
  let last = 0;
  for (const [id, value] of fields) {
    out.byte(((id - last) << 4) | wireType[value.kind]);
    last = id;
    write(out, value);
  }
  out.byte(0);
}

/** Structures that two object files know by one name, and lay out otherwise. */
import { inflateSync } from "node:zlib";
import { linkAddr } from "../base/brand.ts";
import type { ElfFile, Section } from "../elf/elf-file.ts";
import type { ObjectFile, ObjectSection } from "../elf/object-file.ts";
import { DebugInfo } from "../symbols/dwarf/debug-info.ts";
import { readDeclarations } from "../symbols/dwarf/declarations.ts";

export type LayoutChange = { readonly name: string; readonly how: string };

/** x86-64 relocations that debug sections have: absolute, of 8 and of 4 bytes. */
const absolute64 = 1;
const absolute32 = 10;

/** A section's bytes with its relocations applied; sections lie at 0 in an object file. */
function relocated({ symbols }: ObjectFile, { bytes, relocations }: ObjectSection): Uint8Array {
  const out = bytes.slice();
  const view = new DataView(out.buffer);
  for (const { offset, type, symbol, addend } of relocations) {
    const value = BigInt(symbols[symbol]?.value ?? 0) + addend;
    if (type === absolute64) view.setBigInt64(offset, value, true);
    if (type === absolute32) view.setUint32(offset, Number(BigInt.asUintN(32, value)), true);
  }
  return out;
}

/** The debug information of an object file. */
function debugInfoOf(object: ObjectFile): DebugInfo {
  const parts = object.sections
    .filter(({ name, type }) => name.startsWith(".debug_") && type === 1)
    .map((section) => ({ section, bytes: relocated(object, section) }));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes.length, 0));
  let offset = 0;
  const sections = parts.map(({ section, bytes: part }, index): Section => {
    const at = offset;
    bytes.set(part, at);
    offset += part.length;
    const { name, type, flags, entrySize } = section;
    const size = part.length;
    return { index, name, type, flags, addr: 0, offset: at, size, link: 0, info: 0, entrySize };
  });
  const view = new DataView(bytes.buffer);
  const elf: ElfFile = {
    bytes,
    view,
    machine: "x86-64",
    kind: "pie",
    entry: linkAddr(0n),
    segments: [],
    sections,
    debugOnly: true,
  };
  const inflate = (packed: Uint8Array, size: number): Uint8Array =>
    inflateSync(packed, { maxOutputLength: Math.max(1, size) });
  return new DebugInfo(elf, inflate);
}

/** The structures that differ from `before` to `after`. */
export function diffLayouts(before: ObjectFile, after: ObjectFile): readonly LayoutChange[] {
  const [old, next] = [before, after].map(
    (object) => readDeclarations(debugInfoOf(object), () => false).structures,
  );
  return [...(next ?? [])].flatMap(([name, layouts]) => {
    const were = old?.get(name);
    if (were === undefined || [...layouts].some((layout) => were.has(layout))) return [];
    return [{ name, how: `${[...layouts][0]} instead of ${[...were][0]}` }];
  });
}

/**
 * Jumps through slots of the global offset table: how to tell one, and whose address the loader
 * puts into a slot.
 */
import { relocationType } from "../elf/constants.ts";
import type { ElfFile } from "../elf/elf-file.ts";
import { dynamicRelocations, forEachRelocation } from "../elf/pointers.ts";
import { nameAt } from "../elf/string-table.ts";
import { symbolEntry, symbolSections } from "../elf/symbol-section.ts";
import { endbr64, isEndbr64 } from "./x86-64-layouts.ts";

const bndPrefix = 0xf2;
/** Opcode, ModRM and displacement of `jmp *disp32(%rip)`. */
const jumpBytes = 6;

/** An entry's jump: where it begins in the entry, its bytes, and its slot's link address. */
type SlotJump = { readonly from: number; readonly size: number; readonly slot: number };

/** The jump through a slot at the beginning of `bytes`, which are mapped at `addr`. */
export function slotJump(bytes: Uint8Array, addr: number): SlotJump | undefined {
  const from = isEndbr64(bytes, 0) ? endbr64.length : 0;
  const prefix = bytes[from] === bndPrefix ? 1 : 0;
  const at = from + prefix;
  if (bytes[at] !== 0xff || bytes[at + 1] !== 0x25 || at + jumpBytes > bytes.length) {
    return undefined;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = at + jumpBytes;
  return { from, size: prefix + jumpBytes, slot: addr + end + view.getInt32(at + 2, true) };
}

/** Names of the functions whose addresses the loader puts into slots, by the slots' addresses. */
export function slotNames(elf: ElfFile): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  // Relocations count symbols in the dynamic table, which stands last.
  const dynamic = symbolSections(elf).at(-1);
  if (dynamic === undefined) return names;
  const { globDat, jumpSlot } = relocationType[elf.machine];
  for (const table of dynamicRelocations(elf)) {
    forEachRelocation(table, (slot, type, index) => {
      if ((type !== globDat && type !== jumpSlot) || index >= dynamic.count) return;
      const name = nameAt(dynamic.names, symbolEntry(dynamic, index).name);
      if (name !== "") names.set(slot, name);
    });
  }
  return names;
}

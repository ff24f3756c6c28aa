/**
 * XRay's sleds: what `clang -fxray-instrument` leaves at a function's entry, and the table of them.
 * Patchbay needs no XRay runtime, and puts a jump of its own into the sled. Exits are seen by the
 * thunk that calls the body, so the sleds at returns stay as they are.
 *
 * Source: LLVM, "XRay Instrumentation", and llvm/lib/Target/X86/X86MCInstLower.cpp
 * (LowerPATCHABLE_FUNCTION_ENTER); the table: compiler-rt/lib/xray/xray_interface_internal.h,
 * `XRaySledEntry`.
 */
import { type ElfFile, sectionsNamed } from "../elf/elf-file.ts";
import { readAddressTable } from "../elf/pointers.ts";

/** `jmp +9`, and a 9-byte no-op that nobody executes. */
const sledBytes: readonly number[] = [
  ...[0xeb, 0x09],
  ...[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x02, 0x00, 0x00],
];

/** Whether a sled that no XRay runtime has switched on stands at `bytes[at]`. */
export const isSled = (bytes: Uint8Array, at: number): boolean =>
  sledBytes.every((byte, i) => bytes[at + i] === byte);

/** Bytes of one `XRaySledEntry`: u64 sled, u64 function, u8 kind, u8 always, u8 version. */
const entryBytes = 32;
const kindAt = 16;
const versionAt = 18;
/** Entries that stand at a function's entry: plainly, and with its first argument logged. */
const entryKinds: ReadonlySet<number> = new Set([0, 3]);
/** From this version on, an address is relative to the word that holds it. */
const relativeVersion = 2;

/** Link addresses of the sleds at functions' entries; those at exits are passed over. */
export function* entrySleds(elf: ElfFile): Generator<number> {
  const { bytes, view } = elf;
  for (const section of sectionsNamed(elf, "xray_instr_map")) {
    const words = readAddressTable(elf, section);
    for (let at = 0; at + entryBytes <= words.length * 8; at += entryBytes) {
      const entry = section.offset + at;
      if (!entryKinds.has(bytes[entry + kindAt] ?? -1)) continue;
      const isRelative = (bytes[entry + versionAt] ?? 0) >= relativeVersion;
      const distance = Number(view.getBigInt64(entry, true));
      yield isRelative ? section.addr + at + distance : (words[at / 8] ?? 0);
    }
  }
}

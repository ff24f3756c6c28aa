/**
 * AArch64 functions that look at their own return address; `return-readers.ts` tells why that
 * matters. It is in x30 until a call or a load puts something else there. Compilers keep it in the
 * frame, with `stp x29, x30` or `str x30`; who moves it elsewhere (`setjmp` into its buffer) is
 * found along the straight line from the function's beginning to where x30 changes. Of what
 * `__builtin_return_address` gives, gcc and clang take the signature off, with XPACLRI.
 */
import { branchDistance, isBranchLink } from "../isa/aarch64/place.ts";

const wordBytes = 4;
const link = 30;
const stack = 31;

const is = (word: number, mask: number, match: number): boolean =>
  (word & mask) >>> 0 === match >>> 0;

const rt = (word: number): number => word & 31;
const rn = (word: number): number => (word >>> 5) & 31;
const rt2 = (word: number): number => (word >>> 10) & 31;
const rm = (word: number): number => (word >>> 16) & 31;

/** STP and LDP of general registers, with every way of addressing (Arm ARM C4.1, pairs). */
const isPair = (word: number): boolean => is(word, 0x7e00_0000, 0x2800_0000) && word >>> 31 === 1;
/** STR and LDR of X registers: unscaled, indexed, by register, with an unsigned offset. */
const isSingle = (word: number): boolean =>
  is(word, 0xff00_0000, 0xf800_0000) || is(word, 0xff00_0000, 0xf900_0000);
const isPairLoad = (word: number): boolean => ((word >>> 22) & 1) === 1;
const isSingleLoad = (word: number): boolean => ((word >>> 22) & 3) !== 0;
/** BLR, BR and RET. */
const isByRegister = (word: number): boolean => is(word, 0xfe00_0000, 0xd600_0000);
/** Makes a plain address of a signed one in x30. */
const xpaclri = 0xd503_20ff;

type Look = "reads" | "goes on" | "ends";

/** What an instruction does with the return address. */
function lookAt(word: number): Look {
  if (isBranchLink(word) || isByRegister(word)) return "ends";
  if (branchDistance(word) !== undefined) {
    return is(word, 0xfc00_0000, 0x1400_0000) ? "ends" : "goes on";
  }
  if (isPair(word)) {
    if (rt(word) !== link && rt2(word) !== link) return "goes on";
    if (isPairLoad(word)) return "ends";
    return rn(word) === stack ? "goes on" : "reads";
  }
  if (isSingle(word)) {
    if (rt(word) !== link) return "goes on";
    if (isSingleLoad(word)) return "ends";
    return rn(word) === stack ? "goes on" : "reads";
  }
  // Arithmetic and moves of registers; immediates have one operand and no second one.
  const isImmediate = is(word, 0x1c00_0000, 0x1000_0000);
  const isRegisters = is(word, 0x0e00_0000, 0x0a00_0000);
  const isWide = is(word, 0x1f80_0000, 0x1280_0000) || is(word, 0x1f00_0000, 0x1000_0000);
  if (isImmediate && !isWide && rn(word) === link) return "reads";
  if (isRegisters && (rn(word) === link || rm(word) === link)) return "reads";
  return (isImmediate || isRegisters) && rt(word) === link ? "ends" : "goes on";
}

/** Whether the function whose bytes are `code` (borrowed) looks at its return address. */
export function readsLink(code: Uint8Array): boolean {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  let look: Look = "goes on";
  for (let at = 0; at + wordBytes <= code.length && look !== "reads"; at += wordBytes) {
    const word = view.getUint32(at, true);
    if (word === xpaclri) return true;
    if (look === "goes on") look = lookAt(word);
  }
  return look === "reads";
}

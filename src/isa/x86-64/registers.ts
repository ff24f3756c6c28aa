/**
 * Registers of x86-64 as assembler operands and as text: `r64.rax`, `r8.sil`, `xmm(3)`.
 * Numbers are the encoding's (Intel SDM Vol. 2A, table 2-8): rax 0, rcx 1, rdx 2, rbx 3, rsp 4, ...
 */
import { assert, ensure } from "../../base/assert.ts";
import { families } from "./table.ts";

export type GprSize = 8 | 16 | 32 | 64;
export type VectorSize = 128 | 256;

/** A general register, or the part of it that its size says. */
export type Gpr<Size extends GprSize = GprSize> = {
  readonly kind: "gpr";
  readonly size: Size;
  /** 0 to 15, as it is encoded. */
  readonly number: number;
  /** ah, ch, dh, bh: bits 8-15 of rax to rbx, encoded as 4 to 7 and only without REX. */
  readonly high: boolean;
  readonly name: string;
};

/** An xmm or ymm register. */
export type VectorRegister<Size extends VectorSize = VectorSize> = {
  readonly kind: "vector";
  readonly size: Size;
  /** 0 to 15. */
  readonly number: number;
  readonly name: string;
};

export type Register = Gpr | VectorRegister;

/** The words of a text as a union of literals. */
type Words<Text extends string> = Text extends `${infer Word} ${infer Rest}`
  ? Word | Words<Rest>
  : Text;

const names64 = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15";
const names32 = "eax ecx edx ebx esp ebp esi edi r8d r9d r10d r11d r12d r13d r14d r15d";
const names16 = "ax cx dx bx sp bp si di r8w r9w r10w r11w r12w r13w r14w r15w";
const names8 = "al cl dl bl spl bpl sil dil r8b r9b r10b r11b r12b r13b r14b r15b";
const namesHigh = "ah ch dh bh";

type Bank<Names extends string, Size extends GprSize> = {
  readonly [Name in Words<Names>]: Gpr<Size>;
};

const bank = <Names extends string, Size extends GprSize>(
  names: Names,
  size: Size,
): Bank<Names, Size> => {
  const high = names === namesHigh;
  const registers: Record<string, Gpr<Size>> = {};
  names.split(" ").forEach((name, index) => {
    registers[name] = { kind: "gpr", size, number: high ? index + 4 : index, high, name };
  });
  return registers as Bank<Names, Size>;
};

/** 64-bit general registers. */
export const r64: Bank<typeof names64, 64> = bank(names64, 64);
/** 32-bit general registers; writing one clears the upper half of the 64-bit register. */
export const r32: Bank<typeof names32, 32> = bank(names32, 32);
/** 16-bit general registers. */
export const r16: Bank<typeof names16, 16> = bank(names16, 16);
/** 8-bit general registers, with the four high ones. */
export const r8: Bank<typeof names8 | typeof namesHigh, 8> = {
  ...bank(names8, 8),
  ...bank(namesHigh, 8),
};

const banks: { readonly [Size in GprSize]: readonly Gpr<Size>[] } = {
  8: Object.values(bank(names8, 8)),
  16: Object.values(r16),
  32: Object.values(r32),
  64: Object.values(r64),
};
const highBytes = Object.values(bank(namesHigh, 8));

/** The general register with this number and size: `gpr(64, 4)` is rsp, `gpr(8, 4)` is spl. */
export const gpr = <Size extends GprSize>(size: Size, number: number): Gpr<Size> =>
  ensure(banks[size][number], `general register ${number}`);

/** The 8-bit register that `number` means in an instruction without REX: 4 to 7 are ah to bh. */
export const legacyByteRegister = (number: number): Gpr<8> =>
  number < 4 ? gpr(8, number) : ensure(highBytes[number - 4], `byte register ${number}`);

const vectors = <Size extends VectorSize>(
  size: Size,
  letter: string,
): readonly VectorRegister<Size>[] =>
  Array.from({ length: 16 }, (_, number) => ({
    kind: "vector",
    size,
    number,
    name: `${letter}mm${number}`,
  }));
const xmmBank = vectors(128, "x");
const ymmBank = vectors(256, "y");

/** xmm0 to xmm15. */
export const xmm = (number: number): VectorRegister<128> =>
  ensure(xmmBank[number], `xmm register ${number}`);
/** ymm0 to ymm15. */
export const ymm = (number: number): VectorRegister<256> =>
  ensure(ymmBank[number], `ymm register ${number}`);

export type Condition = (typeof families)["CC"][number];
/** Condition codes as Jcc, SETcc and CMOVcc name them, by number (SDM Vol. 1, appendix B). */
export const conditions: readonly Condition[] = families.CC;

/** The condition that holds exactly when `condition` does not: numbers come in pairs. */
export const invertCondition = (condition: Condition): Condition => {
  const number = conditions.indexOf(condition);
  assert(number >= 0, `condition ${condition}`);
  return ensure(conditions[number ^ 1], "conditions come in pairs");
};

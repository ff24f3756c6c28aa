/** The same instruction in the spellings of Patchbay, Capstone and objdump, made comparable. */
import type { Disassembled } from "./capstone.ts";

/** Lower case, one spelling of spaces and signs, numbers in decimal modulo 2^64. */
const canonical = (text: string): string =>
  text
    .toLowerCase()
    .replace(/\s+/g, " ")
    .replace(/ ?([+*,]) ?/g, "$1")
    .replace(/ - |(?<=[\]\w])-(?=\d)/g, "+-")
    .replace(/\*1\b/g, "")
    .replace(/\+(0x)?0\]/g, "]")
    .replace(/(-?)\b(0x[0-9a-f]+|\d+)\b/g, (_, sign: string, digits: string) => {
      const value = BigInt(digits);
      return BigInt.asUintN(64, sign === "-" ? -value : value).toString();
    })
    .trim();

/** What the tools spell differently although they mean the same instruction. */
const spellings: readonly (readonly [from: RegExp, to: string])[] = [
  [/^movabs /, "mov "],
  [/\bsal /, "shl "],
  [/^(push|pop)f$/, "$1fq"],
  [/\boword ptr /, "xmmword ptr "],
  // Capstone leaves a shift count of 1 out for rcl, and names the operands of string instructions.
  [/^(rcl .*),1$/, "$1"],
  [/^((?:rep|repe|repne)? ?(?:movs|stos|cmps|scas)[bq])\b.*$/, "$1"],
  [/^rep(n?)z /, "rep$1e "],
  [/\b(movs|stos|cmps|scas) (?:al,)?byte ptr .*$/, "$1b"],
  [/\b(movs|stos|cmps|scas) (?:rax,)?qword ptr .*$/, "$1q"],
  // The manual says m64 and m32 for scalar comparisons, some tools the whole register.
  [/^(u?comis[sd] .*)(?:xmmword|qword|dword) ptr /, "$1"],
  [/^(prefetch\w*|clflush|xsave\w*|xrstor\w*|fxsave\w*|fxrstor\w*) (?:\w+ )?ptr /, "$1 "],
];

const spelled = (text: string): string =>
  spellings.reduce((result, [from, to]) => result.replace(from, to), canonical(text));

/** The text with its last number, where that is an immediate, modulo 2^`bits`. */
const truncated = (text: string, bits: number): string =>
  text.replace(/(?<=[ ,])\d+$/, (digits) => BigInt.asUintN(bits, BigInt(digits)).toString());

/**
 * Whether two texts mean the same instruction. Immediates may be written signed or unsigned in the
 * operand size.
 */
export const sameInstruction = (ours: string, theirs: Disassembled): boolean => {
  const mine = spelled(ours);
  const other = spelled(`${theirs.mnemonic} ${theirs.operands}`);
  return [64, 32, 16, 8].some((bits) => truncated(mine, bits) === truncated(other, bits));
};

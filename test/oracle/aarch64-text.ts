/** Reads AArch64 assembly, as the formatter and GNU as write it, into assembler arguments. */
import { ensure } from "../../src/base/assert.ts";
import {
  b,
  d,
  type GeneralRegister,
  h,
  q,
  type Register,
  s,
  sp,
  w,
  wsp,
  wzr,
  x,
  xzr,
} from "../../src/isa/aarch64/registers.ts";
import {
  type Arg,
  extended,
  imm,
  indexed,
  mem,
  post,
  pre,
  shifted,
} from "../../src/isa/aarch64/slots.ts";

const special: Readonly<Record<string, GeneralRegister>> = { sp, wsp, xzr, wzr };
const general: Readonly<Record<string, (n: number) => GeneralRegister>> = { x, w };
const vectors: Readonly<Record<string, (n: number) => Register>> = { b, h, s, d, q };
const shifts = ["lsl", "lsr", "asr", "ror"] as const;
const extensions = ["uxtb", "uxth", "uxtw", "uxtx", "sxtb", "sxth", "sxtw", "sxtx"] as const;
const indexExtensions = ["uxtw", "uxtx", "sxtw", "sxtx"] as const;

const findGeneral = (text: string): GeneralRegister | undefined =>
  special[text] ??
  (/^[xw]\d+$/.test(text) ? general[text[0] ?? ""]?.(Number(text.slice(1))) : undefined);

const findRegister = (text: string): Register | undefined =>
  findGeneral(text) ??
  (/^[bhsdq]\d+$/.test(text) ? vectors[text[0] ?? ""]?.(Number(text.slice(1))) : undefined);

const getGeneral = (text: string): GeneralRegister => ensure(findGeneral(text), text);

const parseModifier = (text: string): { name: string; amount: number } | undefined => {
  const [, name, amount] = /^(lsl|lsr|asr|ror|[us]xt[bhwx])(?: #(\d+))?$/.exec(text) ?? [];
  return name === undefined ? undefined : { name, amount: Number(amount ?? 0) };
};

const modify = (
  register: GeneralRegister,
  { name, amount }: { name: string; amount: number },
): Arg => {
  const by = shifts.find((shift) => shift === name);
  if (by !== undefined) return shifted(register, by, amount);
  return extended(
    register,
    ensure(
      extensions.find((extend) => extend === name),
      name,
    ),
    amount,
  );
};

const parseMemory = (text: string, after: number | undefined): Arg => {
  const [, inside = "", bang] = /^\[(.*)\](!?)$/.exec(text) ?? [];
  const [base = "", second, third] = inside.split(", ");
  const register = getGeneral(base);
  if (after !== undefined) return post(register, after);
  if (second === undefined) return mem(register);
  if (second.startsWith("#")) {
    const offset = Number(second.slice(1));
    return bang === "!" ? pre(register, offset) : mem(register, offset);
  }
  const how = third === undefined ? undefined : parseModifier(third);
  const extend = indexExtensions.find((name) => name === how?.name) ?? "uxtx";
  const scaled = third?.includes("#") === true;
  return indexed(register, getGeneral(second), extend, scaled);
};

const parseNumber = (text: string): Arg => {
  const value = BigInt(text);
  return value > 2n ** 40n ? imm(value) : Number(value);
};

/** The parts of the operands: split at commas outside of brackets. */
const split = (text: string): string[] => text.match(/\[[^\]]*\]!?|[^,\s][^,[]*/g) ?? [];

/** `mnemonic a, b` as a mnemonic and arguments; addresses count from 0. */
export const parseText = (line: string): { readonly mnemonic: string; readonly args: Arg[] } => {
  const space = line.indexOf(" ");
  const mnemonic = space < 0 ? line : line.slice(0, space);
  const parts = space < 0 ? [] : split(line.slice(space + 1)).map((part) => part.trim());
  const args: Arg[] = [];
  for (let i = 0; i < parts.length; i++) {
    const part = ensure(parts[i], "a part");
    const register = findRegister(part);
    const modifier = parseModifier(parts[i + 1] ?? "");
    if (register !== undefined && modifier !== undefined) {
      args.push(modify(getGeneral(part), modifier));
      i++;
    } else if (register !== undefined) args.push(register);
    else if (part.startsWith("[")) {
      const next = parts[i + 1];
      args.push(
        parseMemory(part, next?.startsWith("#") === true ? Number(next.slice(1)) : undefined),
      );
      if (next !== undefined) i++;
    } else if (part.startsWith("#") && modifier !== undefined) {
      // `#imm, lsl #12` is one number for ADD, two for MOVZ.
      const value = Number(part.slice(1));
      if (mnemonic.startsWith("mov")) args.push(value, modifier.amount);
      else args.push(value * 2 ** modifier.amount);
      i++;
    } else if (part.startsWith("#")) args.push(parseNumber(part.slice(1)));
    else if (part.startsWith("0x")) args.push(Number(BigInt.asIntN(64, BigInt(part))));
    else args.push(part);
  }
  return { mnemonic, args };
};

/** Operands of AArch64 instructions: how assembler arguments, fields and text map to each other. */

import { ensure } from "../../base/assert.ts";
import { type Computation, distance, type Fields, type Slot } from "../table.ts";
import type { Bits } from "./access.ts";
import { decodeBitmask, encodeBitmask } from "./bitmask.ts";
import { barrierOptions } from "./control.ts";
import {
  conditions,
  type GeneralRegister,
  type Register,
  registerName,
  systemRegisters,
} from "./registers.ts";

export type Extend = "uxtb" | "uxth" | "uxtw" | "uxtx" | "sxtb" | "sxth" | "sxtw" | "sxtx";
export type Shift = "lsl" | "lsr" | "asr" | "ror";

const extendNames: readonly string[] = [
  ...["uxtb", "uxth", "uxtw", "uxtx", "sxtb", "sxth", "sxtw", "sxtx"],
];
const shiftNames: readonly string[] = ["lsl", "lsr", "asr", "ror"];

/** Memory by a base register and a constant, perhaps written back before or after the access. */
export type BaseMem = {
  readonly kind: "mem";
  readonly mode: "offset" | "pre" | "post";
  readonly base: GeneralRegister;
  readonly offset: number;
};

/** Memory by a base and an index register. */
export type IndexMem = {
  readonly kind: "mem";
  readonly mode: "index";
  readonly base: GeneralRegister;
  readonly index: GeneralRegister;
  readonly extend: Extend;
  /** Whether the index is multiplied by the size of the access. */
  readonly scaled: boolean;
};

/** `[base, #offset]`. */
export const mem = (base: GeneralRegister, offset = 0): BaseMem => ({
  ...{ kind: "mem", mode: "offset", base, offset },
});
/** `[base, #offset]!`. */
export const pre = (base: GeneralRegister, offset: number): BaseMem => ({
  ...{ kind: "mem", mode: "pre", base, offset },
});
/** `[base], #offset`. */
export const post = (base: GeneralRegister, offset: number): BaseMem => ({
  ...{ kind: "mem", mode: "post", base, offset },
});
/** `[base, index, extend #]`; `uxtx` is written `lsl`. */
export const indexed = (
  base: GeneralRegister,
  index: GeneralRegister,
  extend: "uxtw" | "uxtx" | "sxtw" | "sxtx" = "uxtx",
  scaled = false,
): IndexMem => ({ kind: "mem", mode: "index", base, index, extend, scaled });

/** A register, shifted or extended, as a second source. */
export type Modified = {
  readonly kind: "modified";
  readonly register: GeneralRegister;
  readonly by: Shift | Extend;
  readonly amount: number;
};

export const shifted = (register: GeneralRegister, by: Shift, amount: number): Modified => ({
  ...{ kind: "modified", register, by, amount },
});
export const extended = (register: GeneralRegister, by: Extend, amount = 0): Modified => ({
  ...{ kind: "modified", register, by, amount },
});

/** A constant that is written with 64 bits. */
export type Imm = { readonly kind: "imm"; readonly value: bigint };
export const imm = (value: bigint): Imm => ({ kind: "imm", value });

/**
 * An assembler's argument: a register, a number (an immediate, or the distance of a branch from
 * its own address), a memory operand, or a name (condition, barrier option, system register).
 */
export type Arg = Register | BaseMem | IndexMem | Modified | Imm | number | string;

export type AArch64Slot = Slot<Arg>;

const get = (fields: Fields, name: string): number => ensure(fields[name], name);

const isRegister = (arg: Arg | undefined, kind: Register["kind"]): arg is Register =>
  typeof arg === "object" && arg.kind === kind;

const register = (kind: Register["kind"], at31: Register["kind"], field: string): AArch64Slot => ({
  parse: (arg) => {
    if (isRegister(arg, at31) && arg.n === 31) return { [field]: 31 };
    const wide = isRegister(arg, kind) && (arg.n !== 31 || at31 === kind);
    return wide ? { [field]: arg.n } : undefined;
  },
  text: (fields) => {
    const n = get(fields, field);
    return registerName({ kind: n === 31 ? at31 : kind, n });
  },
});

/** X or W register, 31 is the zero register. */
export const r = (bits: Bits, field: string): AArch64Slot => {
  const kind = bits === 64 ? "x" : "w";
  return register(kind, kind, field);
};

/** X or W register, 31 is the stack pointer. */
export const rsp = (bits: Bits, field: string): AArch64Slot =>
  bits === 64 ? register("x", "sp", field) : register("w", "wsp", field);

export const vector = (kind: "b" | "h" | "s" | "d" | "q", field: string): AArch64Slot =>
  register(kind, kind, field);

/** A plain immediate. */
export const immediate = (field: string): AArch64Slot => ({
  parse: (arg) => (typeof arg === "number" ? { [field]: arg } : undefined),
  text: (fields) => `#${get(fields, field)}`,
  names: { field },
});

/** An immediate that may be left out when it is `usual`. */
export const optional = (field: string, usual: number): AArch64Slot => ({
  parse: (arg) => {
    if (arg === undefined) return { [field]: usual };
    return typeof arg === "number" ? { [field]: arg } : undefined;
  },
  text: (fields) => (get(fields, field) === usual ? undefined : `#${get(fields, field)}`),
});

/** 12 bits, or 12 bits shifted left by 12 (`imm`, `sh`). */
export const addImm: AArch64Slot = {
  parse: (arg) => {
    if (typeof arg !== "number" || arg < 0) return undefined;
    return arg < 4096 || arg % 4096 !== 0 ? { imm: arg, sh: 0 } : { imm: arg / 4096, sh: 1 };
  },
  text: (fields) => `#${get(fields, "imm")}${get(fields, "sh") === 1 ? ", lsl #12" : ""}`,
  names: { field: "imm" },
};

/** The constant of a logical instruction (`n`, `immr`, `imms`); a number is taken as signed. */
export const bitmask = (bits: Bits): AArch64Slot => ({
  parse: (arg) => {
    if (typeof arg === "number") return encodeBitmask(BigInt(arg), bits);
    const isImm = typeof arg === "object" && arg.kind === "imm";
    return isImm ? encodeBitmask(arg.value, bits) : undefined;
  },
  text: (fields) => {
    const { n = 0, immr = 0, imms = 0 } = fields;
    return `#0x${(decodeBitmask({ n, immr, imms }, bits) ?? 0n).toString(16)}`;
  },
});

/** `lsl #16 * hw` of MOVZ, MOVN and MOVK, as the number of bits. */
export const moveShift: AArch64Slot = {
  parse: (arg) => {
    if (arg === undefined) return { hw: 0 };
    return typeof arg === "number" && arg % 16 === 0 ? { hw: arg / 16 } : undefined;
  },
  text: (fields) => (get(fields, "hw") === 0 ? undefined : `lsl #${16 * get(fields, "hw")}`),
};

/** A register that may be shifted (`rm`, `shift`, `amount`). */
export const shiftedR = (bits: Bits): AArch64Slot => {
  const plain = r(bits, "rm");
  return {
    parse: (arg, before) => {
      if (typeof arg !== "object" || arg.kind !== "modified") {
        const fields = plain.parse(arg, before);
        return fields === undefined ? undefined : { ...fields, shift: 0, amount: 0 };
      }
      const fields = plain.parse(arg.register, before);
      const shift = shiftNames.indexOf(arg.by);
      return fields === undefined || shift < 0
        ? undefined
        : { ...fields, shift, amount: arg.amount };
    },
    text: (fields, pc) => {
      const shift = get(fields, "shift");
      const amount = get(fields, "amount");
      const modifier = shift === 0 && amount === 0 ? "" : `, ${shiftNames[shift]} #${amount}`;
      return `${plain.text(fields, pc)}${modifier}`;
    },
  };
};

/** The width of an extended register: X for UXTX and SXTX, else W. */
const extendedKind = (option: number): "x" | "w" => ((option & 3) === 3 ? "x" : "w");

/**
 * A register that is extended and shifted (`rm`, `option`, `amount`).
 * @param withSp whether the fields name the stack pointer: then the usual extension is `lsl`.
 */
export const extendedR = (bits: Bits, withSp: (fields: Fields) => boolean): AArch64Slot => {
  const usual = bits === 64 ? 3 : 2;
  return {
    parse: (arg) => {
      if (isRegister(arg, bits === 64 ? "x" : "w")) {
        return { rm: arg.n, option: usual, amount: 0 };
      }
      if (typeof arg !== "object" || arg.kind !== "modified") return undefined;
      const option = arg.by === "lsl" ? usual : extendNames.indexOf(arg.by);
      const fits = option >= 0 && arg.register.kind === (bits === 64 ? extendedKind(option) : "w");
      return fits ? { rm: arg.register.n, option, amount: arg.amount } : undefined;
    },
    text: (fields) => {
      const option = get(fields, "option");
      const amount = get(fields, "amount");
      const kind = bits === 64 ? extendedKind(option) : "w";
      const name = registerName({ kind, n: get(fields, "rm") });
      if (option === usual && withSp(fields))
        return amount === 0 ? name : `${name}, lsl #${amount}`;
      return `${name}, ${extendNames[option]}${amount === 0 ? "" : ` #${amount}`}`;
    },
  };
};

const base = (arg: GeneralRegister): number | undefined =>
  arg.kind === "sp" || (arg.kind === "x" && arg.n !== 31) ? arg.n : undefined;

const baseText = (fields: Fields): string => {
  const n = get(fields, "rn");
  return registerName({ kind: n === 31 ? "sp" : "x", n });
};

/** `[base, #offset]`, `[base, #offset]!` or `[base], #offset` (`rn` and the named field). */
export const memory = (mode: "offset" | "pre" | "post", field: string): AArch64Slot => ({
  parse: (arg) => {
    if (typeof arg !== "object" || arg.kind !== "mem" || arg.mode !== mode) return undefined;
    const rn = base(arg.base);
    return rn === undefined ? undefined : { rn, [field]: arg.offset };
  },
  text: (fields) => {
    const offset = get(fields, field);
    if (mode === "post") return `[${baseText(fields)}], #${offset}`;
    if (mode === "pre") return `[${baseText(fields)}, #${offset}]!`;
    return offset === 0 ? `[${baseText(fields)}]` : `[${baseText(fields)}, #${offset}]`;
  },
});

/** `[base]` alone. */
export const memoryBase: AArch64Slot = {
  parse: (arg) => {
    const plain = typeof arg === "object" && arg.kind === "mem" && arg.mode === "offset";
    if (!plain || arg.offset !== 0) return undefined;
    const rn = base(arg.base);
    return rn === undefined ? undefined : { rn };
  },
  text: (fields) => `[${baseText(fields)}]`,
};

/** `[base, index, extend #amount]` (`rn`, `rm`, `option`, `s`) of an access of 2^log bytes. */
export const memoryIndex = (log: number): AArch64Slot => ({
  parse: (arg) => {
    if (typeof arg !== "object" || arg.kind !== "mem" || arg.mode !== "index") return undefined;
    const rn = base(arg.base);
    const option = extendNames.indexOf(arg.extend);
    const fits = arg.index.kind === extendedKind(option);
    if (rn === undefined || !fits) return undefined;
    return { rn, rm: arg.index.n, option, s: arg.scaled ? 1 : 0 };
  },
  text: (fields) => {
    const option = get(fields, "option");
    const scaled = get(fields, "s") === 1;
    const index = registerName({ kind: extendedKind(option), n: get(fields, "rm") });
    const how = option === 3 ? "lsl" : extendNames[option];
    const modifier = scaled ? `, ${how} #${log}` : option === 3 ? "" : `, ${how}`;
    return `[${baseText(fields)}, ${index}${modifier}]`;
  },
});

const addressText = (address: bigint): string => `0x${BigInt.asUintN(64, address).toString(16)}`;

/** A place in the code or beside it, by its distance (`offset`). */
export const target: AArch64Slot = {
  parse: (arg) => (typeof arg === "number" ? { offset: arg } : undefined),
  text: (fields, pc) => addressText(pc + BigInt(get(fields, "offset"))),
  names: { field: "offset", computation: distance },
};

const pageMask = -4096n;
const pageDistance: Computation = {
  value: (to, from) => (to & pageMask) - (from & pageMask),
  absolute: true,
};

/** The 4 KiB page of a place, by the distance of the pages (`offset`). */
export const pageTarget: AArch64Slot = {
  parse: (arg) => (typeof arg === "number" ? { offset: arg } : undefined),
  text: (fields, pc) => addressText((pc & pageMask) + BigInt(get(fields, "offset"))),
  names: { field: "offset", computation: pageDistance },
};

export const condition: AArch64Slot = {
  parse: (arg) => {
    if (typeof arg !== "string") return undefined;
    const cond = conditions.indexOf(arg === "hs" ? "cs" : arg === "lo" ? "cc" : arg);
    return cond < 0 ? undefined : { cond };
  },
  text: (fields) => conditions[get(fields, "cond")],
};

/** The condition that an alias states is the opposite of the one that is encoded. */
export const invertedCondition: AArch64Slot = {
  parse: (arg, before) => {
    const fields = condition.parse(arg, before);
    return fields === undefined ? undefined : { cond: get(fields, "cond") ^ 1 };
  },
  text: (fields) => conditions[get(fields, "cond") ^ 1],
};

export const barrierOption: AArch64Slot = {
  parse: (arg) => {
    const option = typeof arg === "string" ? barrierOptions[arg] : undefined;
    return option === undefined ? undefined : { option };
  },
  text: (fields) =>
    Object.keys(barrierOptions).find((name) => barrierOptions[name] === fields["option"]),
};

const genericSystem = /^s([23])_([0-7])_c(\d+)_c(\d+)_([0-7])$/;

export const systemRegister: AArch64Slot = {
  parse: (arg) => {
    const known = systemRegisters.find(({ name }) => name === arg);
    if (known !== undefined) return { sysreg: known.code };
    const parts = typeof arg === "string" ? genericSystem.exec(arg) : null;
    if (parts === null) return undefined;
    const [op0 = 0, op1 = 0, crn = 0, crm = 0, op2 = 0] = parts.slice(1).map(Number);
    return { sysreg: ((op0 & 1) << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2 };
  },
  text: (fields) => {
    const code = get(fields, "sysreg");
    const known = systemRegisters.find((candidate) => candidate.code === code);
    const crs = `c${(code >> 7) & 15}_c${(code >> 3) & 15}`;
    return known?.name ?? `s${2 + (code >> 14)}_${(code >> 11) & 7}_${crs}_${code & 7}`;
  },
};

/** A word that is part of the instruction's text and of its fixed bits: `cvau`. */
export const word = (text: string): AArch64Slot => ({
  parse: (arg) => (arg === text ? {} : undefined),
  text: () => text,
});

/** A register that TBZ and TBNZ test: W for bits below 32, else X; both are understood. */
export const bitTested: AArch64Slot = {
  parse: (arg) => (isRegister(arg, "x") || isRegister(arg, "w") ? { rt: arg.n } : undefined),
  text: (fields) =>
    registerName({ kind: get(fields, "bit") < 32 ? "w" : "x", n: get(fields, "rt") }),
};

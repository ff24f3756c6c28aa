// table
/**
 * Other names of AArch64 instructions, as C6.2 of the Arm ARM prefers them: `mov x9, x30` and not
 * `orr x9, xzr, x30`. Of several aliases of one form, the first that fits is printed.
 */

import { ensure } from "../../base/assert.ts";
import type { Alias, Fields, Slot } from "../table.ts";
import type { Bits } from "./access.ts";
import { decodeBitmask, isWide } from "./bitmask.ts";
import { conditions } from "./registers.ts";
import {
  type AArch64Slot,
  type Arg,
  addImm,
  bitmask,
  extendedR,
  immediate,
  invertedCondition,
  memoryBase,
  r,
  rsp,
  shiftedR,
  target,
} from "./slots.ts";
import type { AArch64Form } from "./table.ts";

export type AArch64Alias = Alias<Arg>;

const field = (fields: Fields, name: string): number => ensure(fields[name], name);

type AliasOptions = Pick<AArch64Alias, "when" | "inputOnly">;

const alias = (
  mnemonic: string,
  of: string,
  slots: readonly AArch64Slot[],
  fixed: Fields = {},
  options: AliasOptions = {},
): AArch64Alias => ({ mnemonic, of, slots, fixed, ...options });

const both = (make: (bits: Bits, letter: "w" | "x") => readonly AArch64Alias[]): AArch64Alias[] => [
  ...make(32, "w"),
  ...make(64, "x"),
];

/** A slot that shows and takes a number that is computed from fields. */
const computed = (
  fieldsOf: (value: number) => Fields | undefined,
  shown: (fields: Fields) => number,
): Slot<Arg> => ({
  parse: (arg) => (typeof arg === "number" ? fieldsOf(arg) : undefined),
  text: (fields) => `#${shown(fields)}`,
});

const isZeroWide = (f: Fields): boolean => f["imm"] === 0 && f["hw"] !== 0;

/** The value that a MOVZ or MOVN loads, as a number or, above 2^53, as `imm(...)`. */
const wideValue = (bits: Bits, inverse: boolean): AArch64Slot => ({
  parse: (arg) => {
    const isImm = typeof arg === "object" && arg.kind === "imm";
    if (typeof arg !== "number" && !isImm) return undefined;
    const given = BigInt.asUintN(bits, typeof arg === "number" ? BigInt(arg) : arg.value);
    const wanted = inverse ? BigInt.asUintN(bits, ~given) : given;
    for (let hw = 0; hw < bits / 16; hw++) {
      const part = (wanted >> BigInt(16 * hw)) & 0xffffn;
      if (part << BigInt(16 * hw) === wanted) return { hw, imm: Number(part) };
    }
    return undefined;
  },
  text: (fields) => {
    const value = BigInt(field(fields, "imm")) << BigInt(16 * field(fields, "hw"));
    return `#0x${(inverse ? BigInt.asUintN(bits, ~value) : value).toString(16)}`;
  },
});

const moves: readonly AArch64Alias[] = both((bits, letter) => [
  alias(
    "mov",
    `add.${letter}.imm`,
    [rsp(bits, "rd"), rsp(bits, "rn")],
    { imm: 0, sh: 0 },
    {
      when: (f) => f["rd"] === 31 || f["rn"] === 31,
    },
  ),
  alias("mov", `orr.${letter}.reg`, [r(bits, "rd"), r(bits, "rm")], {
    ...{ rn: 31, shift: 0, amount: 0 },
  }),
  alias(
    "mov",
    `movz.${letter}`,
    [r(bits, "rd"), wideValue(bits, false)],
    {},
    {
      when: (f) => !isZeroWide(f),
    },
  ),
  alias(
    "mov",
    `movn.${letter}`,
    [r(bits, "rd"), wideValue(bits, true)],
    {},
    {
      when: (f) => !isZeroWide(f) && (bits === 64 || f["imm"] !== 0xffff),
    },
  ),
  alias(
    "mov",
    `orr.${letter}.imm`,
    [rsp(bits, "rd"), bitmask(bits)],
    { rn: 31 },
    {
      // No wide move goes to the stack pointer.
      when: ({ n = 0, immr = 0, imms = 0, rd }) =>
        rd === 31 || !isWide(decodeBitmask({ n, immr, imms }, bits) ?? 0n, bits),
    },
  ),
]);

const arithmetic: readonly AArch64Alias[] = both((bits, letter) => [
  alias("cmp", `subs.${letter}.imm`, [rsp(bits, "rn"), addImm], { rd: 31 }),
  alias("cmn", `adds.${letter}.imm`, [rsp(bits, "rn"), addImm], { rd: 31 }),
  alias("cmp", `subs.${letter}.reg`, [r(bits, "rn"), shiftedR(bits)], { rd: 31 }),
  alias("cmn", `adds.${letter}.reg`, [r(bits, "rn"), shiftedR(bits)], { rd: 31 }),
  alias("cmp", `subs.${letter}.ext`, [rsp(bits, "rn"), extendedR(bits, (f) => f["rn"] === 31)], {
    rd: 31,
  }),
  alias("cmn", `adds.${letter}.ext`, [rsp(bits, "rn"), extendedR(bits, (f) => f["rn"] === 31)], {
    rd: 31,
  }),
  alias("neg", `sub.${letter}.reg`, [r(bits, "rd"), shiftedR(bits)], { rn: 31 }),
  alias("negs", `subs.${letter}.reg`, [r(bits, "rd"), shiftedR(bits)], { rn: 31 }),
  alias("ngc", `sbc.${letter}`, [r(bits, "rd"), r(bits, "rm")], { rn: 31 }),
  alias("ngcs", `sbcs.${letter}`, [r(bits, "rd"), r(bits, "rm")], { rn: 31 }),
  alias("tst", `ands.${letter}.imm`, [r(bits, "rn"), bitmask(bits)], { rd: 31 }),
  alias("tst", `ands.${letter}.reg`, [r(bits, "rn"), shiftedR(bits)], { rd: 31 }),
  alias("mvn", `orn.${letter}.reg`, [r(bits, "rd"), shiftedR(bits)], { rn: 31 }),
  alias("mul", `madd.${letter}`, [r(bits, "rd"), r(bits, "rn"), r(bits, "rm")], { ra: 31 }),
  alias("mneg", `msub.${letter}`, [r(bits, "rd"), r(bits, "rn"), r(bits, "rm")], { ra: 31 }),
]);

const longProducts: readonly AArch64Alias[] = (
  [
    ["smull", "smaddl"],
    ["smnegl", "smsubl"],
    ["umull", "umaddl"],
    ["umnegl", "umsubl"],
  ] as const
).map(([name, of]) => alias(name, of, [r(64, "rd"), r(32, "rn"), r(32, "rm")], { ra: 31 }));

/** `#lsb, #width` of the bit field instructions whose field goes up from the bottom. */
const insertAt = (bits: Bits): AArch64Slot[] => [
  computed(
    (lsb) => ({ immr: (bits - lsb) % bits }),
    (f) => (bits - field(f, "immr")) % bits,
  ),
  computed(
    (width) => ({ imms: width - 1 }),
    (f) => field(f, "imms") + 1,
  ),
];

/** `#lsb, #width` of those whose field goes down to the bottom. */
const extractFrom: readonly AArch64Slot[] = [
  immediate("immr"),
  {
    parse: (arg, before) =>
      typeof arg === "number" ? { imms: field(before, "immr") + arg - 1 } : undefined,
    text: (f) => `#${field(f, "imms") - field(f, "immr") + 1}`,
  },
];

const isUp = (f: Fields): boolean => field(f, "imms") < field(f, "immr");

/** ROR, CINC and their like name one source, which stands in both fields. */
const twice = (bits: Bits): AArch64Slot => {
  const rn = r(bits, "rn");
  return {
    parse: (arg, before) => {
      const fields = rn.parse(arg, before);
      return fields === undefined
        ? undefined
        : { rn: field(fields, "rn"), rm: field(fields, "rn") };
    },
    text: rn.text,
  };
};

const bitfields: readonly AArch64Alias[] = both((bits, letter) => {
  const top = bits - 1;
  const rd = r(bits, "rd");
  const rn = r(bits, "rn");
  const narrow = r(32, "rn");
  const signed = `sbfm.${letter}`;
  const unsigned = `ubfm.${letter}`;
  const insert = `bfm.${letter}`;
  const up = { when: isUp };
  const shiftLeft = computed(
    (by) => (by >= 0 && by < bits ? { immr: (bits - by) % bits, imms: top - by } : undefined),
    (f) => top - field(f, "imms"),
  );
  return [
    alias("asr", signed, [rd, rn, immediate("immr")], { imms: top }),
    alias("sxtb", signed, [rd, narrow], { immr: 0, imms: 7 }),
    alias("sxth", signed, [rd, narrow], { immr: 0, imms: 15 }),
    ...(bits === 64 ? [alias("sxtw", signed, [rd, narrow], { immr: 0, imms: 31 })] : []),
    alias("sbfiz", signed, [rd, rn, ...insertAt(bits)], {}, up),
    alias("sbfx", signed, [rd, rn, ...extractFrom]),
    alias("lsr", unsigned, [rd, rn, immediate("immr")], { imms: top }),
    alias(
      "lsl",
      unsigned,
      [rd, rn, shiftLeft],
      {},
      {
        when: (f) => (field(f, "imms") + 1) % bits === field(f, "immr"),
      },
    ),
    ...(bits === 32
      ? [
          alias("uxtb", unsigned, [rd, narrow], { immr: 0, imms: 7 }),
          alias("uxth", unsigned, [rd, narrow], { immr: 0, imms: 15 }),
        ]
      : []),
    alias("ubfiz", unsigned, [rd, rn, ...insertAt(bits)], {}, up),
    alias("ubfx", unsigned, [rd, rn, ...extractFrom]),
    alias("bfc", insert, [rd, ...insertAt(bits)], { rn: 31 }, up),
    alias("bfi", insert, [rd, rn, ...insertAt(bits)], {}, up),
    alias("bfxil", insert, [rd, rn, ...extractFrom]),
    alias(
      "ror",
      `extr.${letter}`,
      [rd, twice(bits), immediate("imms")],
      {},
      {
        when: (f) => f["rn"] === f["rm"],
      },
    ),
  ];
});

const isRealCondition = (f: Fields): boolean => field(f, "cond") < 14;

const conditionals: readonly AArch64Alias[] = both((bits, letter) => {
  const rd = r(bits, "rd");
  const same = {
    when: (f: Fields) => isRealCondition(f) && f["rn"] === f["rm"] && f["rn"] !== 31,
  };
  const real = { when: isRealCondition };
  const none = { rn: 31, rm: 31 };
  const changing = [rd, twice(bits), invertedCondition];
  return [
    alias("cset", `csinc.${letter}`, [rd, invertedCondition], none, real),
    alias("csetm", `csinv.${letter}`, [rd, invertedCondition], none, real),
    alias("cinc", `csinc.${letter}`, changing, {}, same),
    alias("cinv", `csinv.${letter}`, changing, {}, same),
    alias(
      "cneg",
      `csneg.${letter}`,
      changing,
      {},
      {
        when: (f) => isRealCondition(f) && f["rn"] === f["rm"],
      },
    ),
  ];
});

const branches: readonly AArch64Alias[] = [
  alias("ret", "ret", [], { rn: 30 }),
  ...conditions.map((name, cond) => alias(`b.${name}`, "b.cond", [target], { cond })),
  alias("b.hs", "b.cond", [target], { cond: 2 }, { inputOnly: true }),
  alias("b.lo", "b.cond", [target], { cond: 3 }, { inputOnly: true }),
];

/** STADD and its like: the old value is not wanted; only without acquire. */
const makeStores = (forms: readonly AArch64Form[]): AArch64Alias[] =>
  forms
    .filter(({ name }) => /^ld(add|clr|eor|set|[su]max|[su]min)l?[bh]?\./.test(name))
    .map(({ name, mnemonic }) => {
      const bits = name.endsWith(".x") ? 64 : 32;
      return alias(mnemonic.replace(/^ld/, "st"), name, [r(bits, "rs"), memoryBase], { rt: 31 });
    });

/** `ldr x0, [x1, #-8]` means LDUR, as in every assembler. */
const makeUnscaled = (forms: readonly AArch64Form[]): AArch64Alias[] =>
  forms
    .filter(({ name }) => /^(ld|st)ur/.test(name))
    .map(({ name, mnemonic, slots }) =>
      alias(mnemonic.replace(/^(ld|st)ur/, "$1r"), name, slots, {}, { inputOnly: true }),
    );

export const makeAliases = (forms: readonly AArch64Form[]): readonly AArch64Alias[] => [
  ...[...moves, ...arithmetic, ...longProducts, ...bitfields],
  ...[...conditionals, ...branches, ...makeStores(forms), ...makeUnscaled(forms)],
];

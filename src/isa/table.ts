/**
 * Instruction tables of ISAs whose instructions are words of 16 or 32 bits: what one row is, and
 * what reads the rows: field packing, encoding, decoding and text. x86-64 has its own machinery.
 *
 * A row's bits are written as the manuals print them, most significant first:
 * `imm[11:0] rs1 000 rd 0010011` (RISC-V) or `sf 0 0 100010 sh imm[11:0] rn rd` (AArch64). Digits
 * are fixed bits; a name is a field, with its usual width or with the bits of the *value* that
 * stand there, `imm[20|10:1|11|19:12]`. A value whose low bits are not encoded is a multiple of
 * their weight; `rd'` is one of eight registers, 8 to 15 (RISC-V's compressed formats).
 */

import { assert, ensure } from "../base/assert.ts";
import type { Effect } from "./effects.ts";

/** An instruction's fields by name: register numbers, and immediates as values. */
export type Fields = Readonly<Record<string, number>>;

/** What an ISA says about a field name: signed values, and the width of `name` without brackets. */
export type FieldStyle = { readonly width?: number; readonly signed?: boolean };
export type FieldStyles = Readonly<Record<string, FieldStyle>>;

/** `width` bits of the value, from its bit `from` up, stand in the word from bit `at` up. */
type Piece = { readonly at: number; readonly from: number; readonly width: number };

export type Field = {
  readonly name: string;
  readonly pieces: readonly Piece[];
  readonly signed: boolean;
  /** Value of the lowest encoded bit: 1, 2, 4...; every value is a multiple of it. */
  readonly unit: number;
  readonly min: number;
  readonly max: number;
  /** Added to the encoded bits: 8 for compressed register names, else 0. */
  readonly bias: number;
};

export type Pattern = {
  readonly sizeBytes: 2 | 4;
  readonly mask: number;
  readonly match: number;
  readonly fields: readonly Field[];
};

/** One operand of an instruction's text: how assembler arguments and fields map to each other. */
export type Slot<Arg> = {
  /** Fields that `arg` means, after those of the slots before; `undefined`: not taken here. */
  readonly parse: (arg: Arg | undefined, before: Fields) => Fields | undefined;
  /** The operand as text; `undefined` where it is left out (a shift by 0). */
  readonly text: (fields: Fields, pc: bigint) => string | undefined;
  /** For slots of one number: an assembler may fill it in later, from a label or a hole. */
  readonly names?: { readonly field: string; readonly computation?: Computation };
};

/** Computes a field's value from an address and the place that distances are counted from. */
export type Computation = {
  readonly value: (target: bigint, from: bigint) => bigint;
  /** Whether it depends on more than the distance, so that code that is moved has to be redone. */
  readonly absolute: boolean;
};

/** The distance from the instruction itself, as most branches have it. */
export const distance: Computation = { value: (target, from) => target - from, absolute: false };

/** How a row is encoded. */
export type Encoding = {
  /** Unique in its table: `add.x.imm`. */
  readonly name: string;
  readonly pattern: Pattern;
  /** Combinations of fields that are reserved: `false` for those. */
  readonly valid?: (fields: Fields) => boolean;
};

/** One row of an ISA's table. */
export type Form<Arg> = Encoding & {
  readonly mnemonic: string;
  readonly slots: readonly Slot<Arg>[];
  /** Where the manual states it. */
  readonly manual: string;
  readonly effects: (fields: Fields) => readonly Effect[];
  /** Combinations that decode, but whose result the manual leaves open: `true` for those. */
  readonly unpredictable?: (fields: Fields) => boolean;
  /** In the Arm ARM's list of concurrently modifiable instructions. */
  readonly cmodx?: boolean;
};

/** Another way to write some instructions of a form: `mov x9, x30` for an `orr`. */
export type Alias<Arg> = {
  readonly mnemonic: string;
  readonly of: string;
  /** Fields that the alias does not show, with their values. */
  readonly fixed: Fields;
  readonly when?: (fields: Fields) => boolean;
  readonly slots: readonly Slot<Arg>[];
  /** Understood by the assembler and never printed. */
  readonly inputOnly?: boolean;
};

/** One token of a pattern, before its place in the word is known. */
type Token =
  | { readonly kind: "fixed"; readonly width: number; readonly value: number }
  | {
      readonly kind: "field";
      readonly width: number;
      readonly name: string;
      readonly compressed: boolean;
      readonly ranges: readonly { readonly high: number; readonly low: number }[];
    };

const parseToken = (token: string, styles: FieldStyles): Token => {
  if (/^[01]+$/.test(token)) {
    return { kind: "fixed", width: token.length, value: Number.parseInt(token, 2) };
  }
  const parts = ensure(/^([a-z]\w*)('?)(?:\[([\d:|]+)\])?$/.exec(token), `pattern token ${token}`);
  const name = ensure(parts[1], token);
  const compressed = parts[2] === "'";
  const usual = compressed ? 3 : styles[name]?.width;
  assert(parts[3] !== undefined || usual !== undefined, `the width of ${token} is not known`);
  const ranges = (parts[3] ?? `${ensure(usual, token) - 1}:0`).split("|").map((range) => {
    const [high, low = high] = range.split(":").map(Number);
    return { high: ensure(high, range), low: ensure(low, range) };
  });
  const width = ranges.reduce((sum, { high, low }) => sum + high - low + 1, 0);
  return { kind: "field", width, name, compressed, ranges };
};

const finishField = (
  name: string,
  pieces: readonly Piece[],
  signed: boolean,
  bias: number,
): Field => {
  const bits = Math.max(...pieces.map((p) => p.from + p.width));
  const low = Math.min(...pieces.map((p) => p.from));
  const encoded = pieces.reduce((sum, p) => sum + p.width, 0);
  assert(encoded === bits - low, `the bits of ${name} have a hole`);
  const min = signed ? -(2 ** (bits - 1)) : bias;
  return { name, pieces, signed, unit: 2 ** low, min, max: min + 2 ** bits - 2 ** low, bias };
};

/** Reads a row's bits; asserts that they are 16 or 32. A field may stand in several tokens. */
export function parsePattern(text: string, styles: FieldStyles): Pattern {
  const tokens = text.split(/\s+/).map((token) => parseToken(token, styles));
  const total = tokens.reduce((sum, token) => sum + token.width, 0);
  assert(total === 16 || total === 32, `${total} bits in "${text}"`);
  const gathered = new Map<string, { bias: number; pieces: Piece[] }>();
  let mask = 0;
  let match = 0;
  let at: number = total;
  for (const token of tokens) {
    if (token.kind === "fixed") {
      at -= token.width;
      mask += (2 ** token.width - 1) * 2 ** at;
      match += token.value * 2 ** at;
      continue;
    }
    const field = gathered.get(token.name) ?? { bias: token.compressed ? 8 : 0, pieces: [] };
    gathered.set(token.name, field);
    for (const { high, low } of token.ranges) {
      at -= high - low + 1;
      field.pieces.push({ at, from: low, width: high - low + 1 });
    }
  }
  const fields = [...gathered].map(([name, { bias, pieces }]) =>
    finishField(name, pieces, styles[name]?.signed === true, bias),
  );
  return { sizeBytes: total === 16 ? 2 : 4, mask, match, fields };
}

/** Why a field's value can't be encoded; `undefined` where it can. */
const misfit = (field: Field, value: number | undefined): string | undefined => {
  if (value === undefined) return `${field.name} is missing`;
  if (!Number.isInteger(value)) return `${field.name} = ${value} is not a whole number`;
  if (value < field.min || value > field.max) {
    return `${field.name} = ${value} is outside of ${field.min} to ${field.max}`;
  }
  const multiple = value % field.unit === 0;
  return multiple ? undefined : `${field.name} = ${value} is not a multiple of ${field.unit}`;
};

/** Why `fields` can't be encoded as `form`: the first field that is wrong; or `undefined`. */
export function findMisfit(form: Encoding, fields: Fields): string | undefined {
  for (const field of form.pattern.fields) {
    const problem = misfit(field, fields[field.name]);
    if (problem !== undefined) return problem;
  }
  return form.valid?.(fields) === false ? "the combination of operands is reserved" : undefined;
}

/** The instruction word; asserts that the fields fit. */
export function encodeForm(form: Encoding, fields: Fields): number {
  const problem = findMisfit(form, fields);
  assert(problem === undefined, `${form.name}: ${problem}`);
  let word = form.pattern.match;
  for (const field of form.pattern.fields) {
    const value = ensure(fields[field.name], field.name) - field.bias;
    for (const { at, from, width } of field.pieces) {
      const bits = Math.floor(value / 2 ** from) & (2 ** width - 1);
      word += bits * 2 ** at;
    }
  }
  return word;
}

/** The fields of a word that matches `form`. */
export function extractFields(form: Encoding, word: number): Fields {
  const fields: Record<string, number> = {};
  for (const { name, pieces, signed, max, unit, bias } of form.pattern.fields) {
    let value = bias;
    for (const { at, from, width } of pieces) {
      value += ((word >>> at) & (2 ** width - 1)) * 2 ** from;
    }
    fields[name] = signed && value > max ? value - 2 * (max + unit) : value;
  }
  return fields;
}

/** Whether `word`, of the form's size, has the form's fixed bits. */
const matches = (pattern: Pattern, word: number): boolean =>
  (word & pattern.mask) >>> 0 === pattern.match;

const onesOf = (value: number): number => value.toString(2).replaceAll("0", "").length;

/** A table of forms of one size, ready to be searched. */
export type FormIndex<Arg> = {
  readonly find: (word: number) => { form: Form<Arg>; fields: Fields } | undefined;
};

/**
 * An index over forms of one size: a word's bits at `keyBits` select a short list, in which the
 * form with the most fixed bits comes first, so that `nop` wins over `hint #imm`.
 */
export function indexForms<Arg>(
  forms: readonly Form<Arg>[],
  keyBits: readonly number[],
): FormIndex<Arg> {
  const sorted = forms.toSorted((a, b) => onesOf(b.pattern.mask) - onesOf(a.pattern.mask));
  const keyOf = (word: number): number =>
    keyBits.reduce((key, bit, index) => key | (((word >>> bit) & 1) << index), 0);
  const buckets = new Map<number, Form<Arg>[]>();
  for (const form of sorted) {
    const fixed = keyOf(form.pattern.mask);
    const match = keyOf(form.pattern.match);
    const free = ~fixed & (2 ** keyBits.length - 1);
    // All subsets of the free bits, from the full one down to the empty one.
    for (let subset = free; ; subset = (subset - 1) & free) {
      const bucket = buckets.get(match | subset);
      if (bucket === undefined) buckets.set(match | subset, [form]);
      else bucket.push(form);
      if (subset === 0) break;
    }
  }
  const find = (word: number): { form: Form<Arg>; fields: Fields } | undefined => {
    for (const form of buckets.get(keyOf(word)) ?? []) {
      if (!matches(form.pattern, word)) continue;
      const fields = extractFields(form, word);
      if (form.valid?.(fields) !== false) return { form, fields };
    }
    return undefined;
  };
  return { find };
}

/** `mnemonic a, b, c` of a form or an alias. */
function formatSlots<Arg>(
  mnemonic: string,
  slots: readonly Slot<Arg>[],
  fields: Fields,
  pc: bigint,
): string {
  const operands = slots.map((slot) => slot.text(fields, pc)).filter((text) => text !== undefined);
  return operands.length === 0 ? mnemonic : `${mnemonic} ${operands.join(", ")}`;
}

/** Whether the fields are those that the alias stands for. */
function isAliasOf<Arg>(alias: Alias<Arg>, fields: Fields): boolean {
  const shown = Object.entries(alias.fixed).every(([name, value]) => fields[name] === value);
  return shown && alias.inputOnly !== true && alias.when?.(fields) !== false;
}

/** Fields that assembler arguments mean for these slots; `undefined` where one does not fit. */
function parseSlots<Arg>(
  slots: readonly Slot<Arg>[],
  fixed: Fields,
  args: readonly Arg[],
): Fields | undefined {
  if (args.length > slots.length) return undefined;
  let fields: Fields = fixed;
  for (const [index, slot] of slots.entries()) {
    const parsed = slot.parse(args[index], fields);
    if (parsed === undefined) return undefined;
    fields = { ...fields, ...parsed };
  }
  return fields;
}

/** What a mnemonic with arguments means. */
export type Reading<Arg> = {
  readonly form: Form<Arg>;
  readonly slots: readonly Slot<Arg>[];
  readonly fields: Fields;
};

/** What a table offers to its ISA: look-up by name, reading of assembler arguments, text. */
export type Table<Arg> = {
  readonly forms: readonly Form<Arg>[];
  readonly aliases: readonly Alias<Arg>[];
  /** The form named so; asserts that there is one. */
  readonly form: (name: string) => Form<Arg>;
  /**
   * The first form or alias of this mnemonic that takes the arguments; a string says why there is
   * none.
   */
  readonly read: (mnemonic: string, args: readonly Arg[]) => Reading<Arg> | string;
  /** Text by the preferred alias. */
  readonly format: (name: string, fields: Fields, pc: bigint) => string;
  /** Text without aliases. */
  readonly formatPlain: (name: string, fields: Fields, pc: bigint) => string;
};

const groupBy = <T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> => {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
};

/** @param what names the table in assertions: `RV64`. */
export function makeTable<Arg>(
  what: string,
  forms: readonly Form<Arg>[],
  aliases: readonly Alias<Arg>[],
): Table<Arg> {
  const byName = new Map(forms.map((form) => [form.name, form]));
  const byMnemonic = groupBy(forms, (form) => form.mnemonic);
  const aliasesByMnemonic = groupBy(aliases, (alias) => alias.mnemonic);
  const aliasesOf = groupBy(aliases, (alias) => alias.of);
  const form = (name: string): Form<Arg> => ensure(byName.get(name), `${what} has no ${name}`);

  const read = (mnemonic: string, args: readonly Arg[]): Reading<Arg> | string => {
    const readings = [
      ...(byMnemonic.get(mnemonic) ?? []).map((f) => ({
        ...{ form: f, fixed: {}, slots: f.slots, when: undefined },
      })),
      ...(aliasesByMnemonic.get(mnemonic) ?? []).map(({ of, fixed, slots, when }) => ({
        ...{ form: form(of), fixed, slots, when },
      })),
    ];
    let problem = readings.length === 0 ? "no such instruction" : "no form takes these operands";
    for (const { form: candidate, fixed, slots, when } of readings) {
      const fields = parseSlots(slots, fixed, args);
      if (fields === undefined || when?.(fields) === false) continue;
      const misfitting = findMisfit(candidate, fields);
      if (misfitting === undefined) return { form: candidate, slots, fields };
      problem = misfitting;
    }
    return problem;
  };

  const formatPlain = (name: string, fields: Fields, pc: bigint): string =>
    formatSlots(form(name).mnemonic, form(name).slots, fields, pc);
  const format = (name: string, fields: Fields, pc: bigint): string => {
    const alias = aliasesOf.get(name)?.find((candidate) => isAliasOf(candidate, fields));
    if (alias === undefined) return formatPlain(name, fields, pc);
    return formatSlots(alias.mnemonic, alias.slots, fields, pc);
  };
  return { forms, aliases, form, read, format, formatPlain };
}

/** Calls `make` when it is first asked, and keeps the answer. */
export const once = <T>(make: () => T): (() => T) => {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
};

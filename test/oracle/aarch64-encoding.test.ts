/**
 * AArch64's table against two disassemblers and an assembler that we did not write: every form
 * with random operands, and random words near the table's own.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensure } from "../../src/base/assert.ts";
import { hexBytes } from "../../src/base/brand.ts";
import { type AArch64Instruction, aarch64, bytesOf } from "../../src/isa/aarch64/isa.ts";
import { systemRegisters } from "../../src/isa/aarch64/registers.ts";
import { encodeForm } from "../../src/isa/table.ts";
import { parseText } from "./aarch64-text.ts";
import { assembleText, hasBinutils, objdump } from "./binutils.ts";
import { type Disassembler, openCapstone } from "./capstone.ts";
import { makeRandom, randomFields } from "./random.ts";

const perForm = 20;
const random = makeRandom();

/**
 * Numbers in one spelling, no spaces: what is left differs only where the meaning does. A constant
 * for a W register is printed with and without its sign.
 */
const normalise = (text: string): string => {
  const bits = /^(mov|and|orr|eor|ands|tst)\s+w/.test(text) ? 32 : 64;
  return text
    .toLowerCase()
    .replaceAll("#", "")
    .replaceAll(/(?<![a-z0-9_])-?(0x[0-9a-f]+|\d+)\b/g, (n) => {
      const value = n.startsWith("-") ? -BigInt(n.slice(1)) : BigInt(n);
      return String(BigInt.asUintN(bits, value));
    })
    .replaceAll(/\bhs$/g, "cs")
    .replaceAll(/\blo$/g, "cc")
    .replace(/^b\.hs/, "b.cs")
    .replace(/^b\.lo/, "b.cc")
    .replaceAll(/\s+/g, " ")
    .replaceAll(/, ?/g, ",")
    .trim();
};

const samples: readonly AArch64Instruction[] = aarch64.table.forms.flatMap((form) =>
  Array.from({ length: perForm }, () => aarch64.instruction(form.name, randomFields(form, random))),
);

/** Hints and system registers that the table has no name for: the tools have names for some. */
const hasNames = ({ form, operands }: AArch64Instruction): boolean => {
  if (form === "hint") return false;
  return systemRegisters.some(({ code }) => code === operands["sysreg"]) || !("sysreg" in operands);
};

/** Capstone prefers two aliases where the manual prefers none, or another. */
const capstoneText = (text: string): string =>
  text
    .replace(/^orr (\w+),[wx]zr,(\d+)$/, "mov $1,$2")
    .replace(/^bfxil (\w+),[wx]zr,0,(\d+)$/, "bfc $1,0,$2");

/** Of several encodings of one logical immediate, as takes the one with the smallest rotation. */
const sameBitmask = (insn: AArch64Instruction, bytes: Uint8Array, at: number): boolean => {
  const theirs = aarch64.decode(bytes, at);
  const isLogical = /^(and|orr|eor|ands)\.[wx]\.imm$/.test(insn.form);
  return (
    isLogical && theirs !== undefined && aarch64.format(theirs, 0n) === aarch64.format(insn, 0n)
  );
};

/** GNU as takes branch targets as distances. */
const gnuText = (insn: AArch64Instruction): string => {
  const text = aarch64.format(insn, 0n);
  const isTarget = aarch64.table.form(insn.form).slots.at(-1)?.names?.computation !== undefined;
  if (!isTarget) return text;
  const { offset = 0 } = insn.operands;
  return text.replace(/0x[0-9a-f]+$/, `.${offset < 0 ? "" : "+"}${offset}`);
};

/**
 * What objdump names and the table leaves out on purpose: other instruction sets that share a
 * mnemonic, reserved barrier options, system encodings below op0 = 2, cache operations of later
 * extensions, and words whose bits that "should be one" are not.
 */
const isOutside = (text: string, word: number): boolean => {
  if (/ z?[zpv]a?\d*[.,[]|nxs$|^(isb|dsb|dmb|clrex) \d+$|s[01]_\d_c\d|^msr \w+,\d+$/.test(text))
    return true;
  if (/^dc (cvap|cvadp|cipapa|[ci]?[ci]?v?g)/.test(text)) return true;
  const fields = [0x001f0000, 0x00007c00, 0x001f7c00, 0x0000001f];
  return fields.some((bits) => {
    const insn = aarch64.decodeWord((word | bits) >>> 0);
    return insn !== undefined && normalise(aarch64.format(insn, 0n)) === text;
  });
};

const blobOf = (insns: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(insns.flatMap((bytes) => [...bytes]));

describe(`aarch64, seed ${random.seed}`, () => {
  let capstone: Disassembler;
  beforeAll(async () => {
    capstone = await openCapstone("aarch64");
  });
  afterAll(() => capstone.close());

  it("decodes what it encodes", () => {
    const general = new Set(["hint"]);
    for (const insn of samples) {
      const found = aarch64.decodeWord(insn.word);
      if (!general.has(insn.form)) expect(found).toEqual(insn);
    }
  });

  it.skipIf(!hasBinutils("aarch64"))("reads as objdump reads", () => {
    const found = objdump("aarch64", blobOf(samples.map(bytesOf)));
    const differences = samples.flatMap((insn, i) => {
      if (!hasNames(insn)) return [];
      const theirs = ensure(found[i], "objdump's line");
      const want = normalise(`${theirs.mnemonic} ${theirs.operands}`.replace(/ <.*>/, ""));
      const ours = normalise(aarch64.format(insn, BigInt(4 * i)));
      return ours === want
        ? []
        : [`${insn.form} ${insn.word.toString(16)}: ours ${ours}, objdump ${want}`];
    });
    expect(differences).toEqual([]);
  });

  it("reads as Capstone reads", () => {
    const differences = samples.filter(hasNames).flatMap((insn, i) => {
      const at = BigInt(4 * i);
      const theirs = capstone.one(bytesOf(insn), at);
      const want = normalise(`${theirs?.mnemonic} ${theirs?.operands}`);
      const ours = capstoneText(normalise(aarch64.format(insn, at)));
      return ours === want ? [] : [`${insn.word.toString(16)}: ours ${ours}, Capstone ${want}`];
    });
    expect(differences).toEqual([]);
  });

  it.skipIf(!hasBinutils("aarch64"))("assembles to what GNU as assembles", () => {
    // The page of a symbol that has no address yet would be left to the linker.
    const known = samples.filter((insn) => insn.form !== "adrp");
    const text = known.map(gnuText);
    const bytes = assembleText("aarch64", text.join("\n"));
    const differences = known.flatMap((insn, i) => {
      const ours = hexBytes(bytesOf(insn));
      const theirs = hexBytes(bytes.subarray(4 * i, 4 * i + 4));
      return ours === theirs || sameBitmask(insn, bytes, 4 * i)
        ? []
        : [`${text[i]}: ours ${ours}, as ${theirs}`];
    });
    expect(differences).toEqual([]);
    expect(bytes.length).toBe(4 * known.length);
  });

  it("assembles its own text", () => {
    const differences = samples.flatMap((insn) => {
      const text = aarch64.format(insn, 0n);
      const { mnemonic, args } = parseText(text);
      const reading = aarch64.table.read(mnemonic, args);
      if (typeof reading === "string") return [`${text}: ${reading}`];
      const word = encodeForm(reading.form, reading.fields);
      // Zero, shifted or not, is one number.
      if (text.endsWith("#0, lsl #12")) return [];
      const again = ensure(aarch64.decodeWord(word), "what was encoded decodes");
      return aarch64.format(again, 0n) === text ? [] : [`${text}: ${aarch64.format(again, 0n)}`];
    });
    expect(differences).toEqual([]);
  });

  it.skipIf(!hasBinutils("aarch64"))("knows what is an instruction and what is not", () => {
    const words = Array.from({ length: 60_000 }, () => {
      const { word } = random.pick(samples);
      return (word ^ (1 << random.below(32)) ^ (1 << random.below(32))) >>> 0;
    });
    const blob = new Uint8Array(Uint32Array.from(words).buffer);
    const found = objdump("aarch64", blob);
    const names = new Set(aarch64.table.forms.map(({ mnemonic }) => mnemonic));
    const differences = words.flatMap((word, i) => {
      const theirs = ensure(found[i], "objdump's line");
      const want = normalise(`${theirs.mnemonic} ${theirs.operands}`.replace(/ <.*>/, ""));
      const insn = aarch64.decodeWord(word);
      const shown = word.toString(16);
      if (insn === undefined) {
        return names.has(theirs.mnemonic) && !isOutside(want, word)
          ? [`${shown}: objdump ${want}`]
          : [];
      }
      const { unpredictable } = aarch64.table.form(insn.form);
      if (!hasNames(insn) || unpredictable?.(insn.operands) === true) return [];
      const ours = normalise(aarch64.format(insn, BigInt(4 * i)));
      return ours === want ? [] : [`${shown}: ours ${ours}, objdump ${want}`];
    });
    expect(differences).toEqual([]);
  });
});

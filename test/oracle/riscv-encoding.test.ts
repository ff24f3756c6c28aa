/**
 * RISC-V's table against two disassemblers and an assembler that we did not write: every form of
 * RV64 and RV32 with random operands.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensure } from "../../src/base/assert.ts";
import { hexBytes } from "../../src/base/brand.ts";
import {
  bytesOf,
  lengthOfParcel,
  type RiscvInstruction,
  type RiscvIsa,
  riscv32,
  riscv64,
} from "../../src/isa/riscv/isa.ts";
import { f, fNames, x, xNames } from "../../src/isa/riscv/registers.ts";
import { csrs } from "../../src/isa/riscv/semantics.ts";
import { type Arg, mem } from "../../src/isa/riscv/slots.ts";
import { encodeForm } from "../../src/isa/table.ts";
import { assembleText, hasBinutils, objdump, objdumpEach } from "./binutils.ts";
import { type Disassembler, openCapstone } from "./capstone.ts";
import { makeRandom, randomFields } from "./random.ts";

const perForm = 24;
const slotBytes = 64;
const random = makeRandom();

/** Numbers in one spelling, no spaces: what is left differs only where the meaning does. */
const normalise = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/-?0x[0-9a-f]+/g, (n) =>
      n.startsWith("-") ? `-${Number(n.slice(1))}` : String(Number(n)),
    )
    .replaceAll(/\s+/g, " ")
    .replaceAll(/, ?/g, ",")
    .trim();

/** The text with a branch's distance in the place of its target's address. */
const withDistance = (
  isa: RiscvIsa,
  insn: RiscvInstruction,
  text: string,
  here: string,
): string => {
  if (!hasTarget(isa, insn)) return text;
  const distance = ensure(insn.operands["imm"], "a branch's distance");
  return text.replace(/0x[0-9a-f]+$/, here + (here === "" || distance < 0 ? "" : "+") + distance);
};

const gnuText = (isa: RiscvIsa, insn: RiscvInstruction): string =>
  withDistance(isa, insn, isa.formatPlain(insn, 0n), ".");

/** An operand as the formatter writes it; addresses count from 0. */
const parseOperand = (text: string): Arg => {
  const [, offset, base] = /^(-?\d*)\((\w+)\)$/.exec(text) ?? [];
  if (base !== undefined) return mem(x(xNames.indexOf(base)), Number(offset));
  if (xNames.includes(text)) return x(xNames.indexOf(text));
  if (fNames.includes(text)) return f(fNames.indexOf(text));
  if (/^0x[0-9a-f]{8,}$/.test(text))
    return Number(BigInt.asIntN(text.length > 10 ? 64 : 32, BigInt(text)));
  return /^-?\d|^0x/.test(text) ? Number(text) : text;
};

/** What no tool here has a name for: a fence of nothing, and a compressed shift by nothing. */
const nameless = ({ mnemonic, operands }: RiscvInstruction): boolean =>
  (mnemonic === "fence" && (operands["pred"] === 0 || operands["succ"] === 0)) ||
  (/^c\.s[lr][la]i$/.test(mnemonic) && operands["shamt"] === 0);

/** CSRs that only one side has a name for: privileged ones, and the newer jvt. */
const foreignCsr = ({ operands }: RiscvInstruction): boolean => {
  const name = csrs.find((csr) => csr.number === operands["csr"])?.name;
  return operands["csr"] !== undefined && (name === undefined || name === "jvt");
};

/** objdump on plain bytes reads no extension beyond its default set. */
const unknownToObjdump = (insn: RiscvInstruction): boolean =>
  insn.mnemonic === "pause" ||
  insn.mnemonic.startsWith("cbo.") ||
  nameless(insn) ||
  foreignCsr(insn);

/**
 * Capstone 5 reads neither later extensions nor the hints that write the zero register, and has
 * mnemonics of its own for fcsr and its parts.
 */
const unknownToCapstone = (insn: RiscvInstruction): boolean =>
  unknownToObjdump(insn) ||
  (insn.size === 2 && insn.operands["rd"] === 0) ||
  (insn.operands["csr"] !== undefined && insn.operands["csr"] <= 3);

/** Capstone's spelling of what we write in the manual's way. */
const capstoneText = (isa: RiscvIsa, insn: RiscvInstruction, text: string): string =>
  normalise(withDistance(isa, insn, text, ""))
    .replace(/^(jalr \w+),(-?\d+)\((\w+)\)$/, "$1,$3,$2")
    .replace(/^(sfence.vma \w+),zero$/, "$1");

const samplesOf = (isa: RiscvIsa): RiscvInstruction[] =>
  isa.table.forms.flatMap((form) =>
    Array.from({ length: perForm }, () => isa.instruction(form.name, randomFields(form, random))),
  );

const hasTarget = (isa: RiscvIsa, insn: RiscvInstruction): boolean =>
  isa.table.form(insn.mnemonic).slots.at(-1)?.names?.computation !== undefined;

describe.each([riscv64, riscv32])(`$name, seed ${random.seed}`, (isa) => {
  const samples = samplesOf(isa);
  let capstone: Disassembler;
  beforeAll(async () => {
    capstone = await openCapstone(isa.name);
  });
  afterAll(() => capstone.close());

  it("decodes what it encodes", () => {
    for (const insn of samples) expect(isa.decode(bytesOf(insn), 0)).toEqual(insn);
  });

  it.skipIf(!hasBinutils(isa.name))("reads as objdump reads", () => {
    const readable = samples.filter((insn) => !unknownToObjdump(insn));
    const found = objdumpEach(
      isa.name,
      readable.map((insn) => bytesOf(insn)),
    );
    const differences = readable.flatMap((insn, index) => {
      const theirs = ensure(found[index], "objdump's line");
      const want = normalise(`${theirs.mnemonic} ${theirs.operands}`.replace(/ <.*>/, ""));
      const ours = normalise(isa.formatPlain(insn, BigInt(index * slotBytes)));
      return ours === want ? [] : [`${insn.word.toString(16)}: ours ${ours}, objdump ${want}`];
    });
    expect(differences).toEqual([]);
  });

  it.skipIf(!hasBinutils(isa.name))("assembles to what GNU as assembles", () => {
    // GNU as 2.40 does not know the CSR jvt.
    const known = samples.filter((insn) => !nameless(insn) && insn.operands["csr"] !== 0x17);
    const text = known.map(
      (insn) => `.option ${insn.size === 2 ? "" : "no"}rvc\n${gnuText(isa, insn)}`,
    );
    const flags = [`-march=rv${isa.xlen}gc_zifencei_zicsr_zihintpause_zicbom_zicboz`, "-mno-relax"];
    const bytes = assembleText(isa.name, text.join("\n"), flags);
    let offset = 0;
    const differences: string[] = [];
    for (const insn of known) {
      const ours = hexBytes(bytesOf(insn));
      const theirs = hexBytes(bytes.subarray(offset, offset + insn.size));
      offset += insn.size;
      if (theirs !== ours) differences.push(`${gnuText(isa, insn)}: ${ours}, as ${theirs}`);
    }
    expect(differences).toEqual([]);
    expect(offset).toBe(bytes.length);
  });

  it("reads as Capstone reads", () => {
    const known = samples.filter((insn) => !unknownToCapstone(insn));
    const differences = known.flatMap((insn) => {
      const theirs = capstone.one(bytesOf(insn));
      const want = normalise(`${theirs?.mnemonic} ${theirs?.operands}`);
      const ours = [isa.format(insn, 0n), isa.formatPlain(insn, 0n)].map((text) =>
        capstoneText(isa, insn, text),
      );
      return ours.includes(want) ? [] : [`${insn.word.toString(16)}: ${ours[0]}, Capstone ${want}`];
    });
    expect(differences).toEqual([]);
  });

  it("assembles its own text", () => {
    const differences = samples.flatMap((insn) => {
      const text = isa.format(insn, 0n);
      const [mnemonic = "", ...rest] = text.split(" ");
      const args = rest.map((part) => parseOperand(part.replace(/,$/, "")));
      const reading = isa.table.read(mnemonic, args);
      if (typeof reading === "string") return [`${text}: ${reading}`];
      const word = encodeForm(reading.form, reading.fields);
      return word === insn.word ? [] : [`${text}: ${word.toString(16)}`];
    });
    expect(differences).toEqual([]);
  });

  /** Every parcel of 16 bits, and random words around the table's own. */
  it.skipIf(!hasBinutils(isa.name))("knows what is an instruction and what is not", () => {
    const parcels = Array.from({ length: 0x10000 }, (_, parcel) =>
      Uint8Array.of(parcel & 0xff, parcel >> 8),
    ).filter(([low]) => (ensure(low, "a byte") & 3) !== 3);
    const longSamples = samples.filter(({ size }) => size === 4);
    const words = Array.from({ length: 20_000 }, () => {
      const near = bytesOf(random.pick(longSamples));
      const at = random.below(4);
      near[at] = ensure(near[at], "a byte") ^ (1 << random.below(8));
      return near;
    }).filter(([low]) => lengthOfParcel(ensure(low, "a byte")) === 4);
    const chunks = [...parcels, ...words];
    const blob = Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
    const found = new Map(objdump(isa.name, blob).map((theirs) => [theirs.at, theirs]));
    let end = 0n;
    const names = new Set(isa.table.forms.map((form) => form.name));
    const differences = chunks.flatMap((chunk) => {
      const insn = isa.decode(chunk, 0);
      const at = end;
      end += BigInt(chunk.length);
      const theirs = ensure(found.get(at), "objdump's line");
      const want = normalise(`${theirs.mnemonic} ${theirs.operands}`.replace(/ <.*>/, ""));
      if (insn === undefined) {
        // objdump shows the reserved c.addi16sp by 0, and shifts by 32 and more on RV32.
        const longShift = /^(c\.)?s[lr][la]i (\w+,){1,2}(3[2-9]|[456]\d)$/.test(want);
        const reserved = want === "c.addi16sp sp,0" || (isa.xlen === 32 && longShift);
        const known = names.has(theirs.mnemonic) && !reserved;
        return known ? [`${hexBytes(chunk)}: objdump ${want}`] : [];
      }
      if (unknownToObjdump(insn)) return [];
      const ours = normalise(isa.formatPlain(insn, at));
      return ours === want ? [] : [`${hexBytes(chunk)}: ours ${ours}, objdump ${want}`];
    });
    expect(differences).toEqual([]);
  });
});

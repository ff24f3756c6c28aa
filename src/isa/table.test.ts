import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { aarch64 } from "./aarch64/isa.ts";
import { reach } from "./reach.ts";
import { riscv32, riscv32Zcmt, riscv64, riscv64Zcmt } from "./riscv/isa.ts";
import {
  type Encoding,
  encodeForm,
  extractFields,
  type Field,
  findMisfit,
  parsePattern,
} from "./table.ts";

const plainForm = (bits: string): Encoding => ({
  name: "test",
  pattern: parsePattern(bits, { rd: { width: 5 }, imm: { signed: true } }),
});

describe("a pattern", () => {
  it("puts the bits of a scattered value where the manual prints them", () => {
    const jump = plainForm("imm[20|10:1|11|19:12] rd 1101111");
    expect(encodeForm(jump, { rd: 0, imm: 2 ** 10 })).toBe(0x4000006f);
    expect(encodeForm(jump, { rd: 0, imm: 2 ** 11 })).toBe(0x0010006f);
    expect(encodeForm(jump, { rd: 0, imm: 2 ** 12 })).toBe(0x0000106f);
    expect(encodeForm(jump, { rd: 1, imm: -2 })).toBe(0xfffff0ef);
  });

  it("knows the range and the unit of every field", () => {
    const { fields } = plainForm("imm[12|10:5] rd 00000 000 imm[4:1|11] 1100011").pattern;
    expect(fields).toMatchObject([
      { name: "imm", min: -4096, max: 4094, unit: 2 },
      { name: "rd", min: 0, max: 31, unit: 1 },
    ]);
  });

  it("refuses what does not fit, and says why", () => {
    const form = plainForm("imm[11:0] 00000 000 rd 0010011");
    expect(findMisfit(form, { rd: 1, imm: 2047 })).toBeUndefined();
    expect(findMisfit(form, { rd: 1, imm: 2048 })).toBe("imm = 2048 is outside of -2048 to 2047");
    expect(findMisfit(form, { rd: 1 })).toBe("imm is missing");
    const even = plainForm("imm[12:1] 00000 000 rd 0010011");
    expect(findMisfit(even, { rd: 1, imm: 3 })).toBe("imm = 3 is not a multiple of 2");
    expect(() => encodeForm(form, { rd: 32, imm: 0 })).toThrow("rd = 32 is outside of 0 to 31");
  });

  it("has to have 16 or 32 bits and no holes", () => {
    expect(() => parsePattern("0000 1111", {})).toThrow("8 bits");
    expect(() => parsePattern("imm[15|3:0] 00000000000 0000000000000000", {})).toThrow("hole");
  });
});

const tables: { readonly name: string; readonly forms: readonly Encoding[] }[] = [
  { name: "AArch64", forms: aarch64.table.forms },
  { name: "RV64", forms: riscv64.table.forms },
  { name: "RV32", forms: riscv32.table.forms },
  { name: "RV64 with Zcmt", forms: riscv64Zcmt.table.forms },
  { name: "RV32 with Zcmt", forms: riscv32Zcmt.table.forms },
];

/** Bits of the word that a field takes. */
const bitsOf = (field: Field): number =>
  field.pieces.reduce((sum, { at, width }) => sum + (2 ** width - 1) * 2 ** at, 0);

describe.each(tables)("the table of $name", ({ forms }) => {
  it("gives every bit of every word one meaning", () => {
    for (const { pattern, name } of forms) {
      const all = pattern.fields.reduce((sum, field) => sum + bitsOf(field), pattern.mask);
      expect({ name, all }).toEqual({ name, all: 2 ** (8 * pattern.sizeBytes) - 1 });
      expect((pattern.match & ~pattern.mask) >>> 0).toBe(0);
    }
  });

  it("names every form once", () => {
    const names = forms.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it("reads back the fields that it wrote", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...forms),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        (form, stream) => {
          const fields = Object.fromEntries(
            form.pattern.fields.map((field) => {
              const steps = (field.max - field.min) / field.unit;
              const draw = stream.next().value ?? 0;
              return [field.name, field.min + Math.round(draw * steps) * field.unit];
            }),
          );
          fc.pre(form.valid?.(fields) !== false);
          expect(extractFields(form, encodeForm(form, fields))).toEqual(fields);
        },
      ),
    );
  });

  it("has forms that overlap only where one is a special case of the other", () => {
    const problems = forms.flatMap((a) =>
      forms
        .filter((b) => a !== b && a.pattern.sizeBytes === b.pattern.sizeBytes)
        .filter((b) => {
          const common = (a.pattern.mask & b.pattern.mask) >>> 0;
          const disjoint = ((a.pattern.match ^ b.pattern.match) & common) !== 0;
          const nested = common === a.pattern.mask || common === b.pattern.mask;
          return !disjoint && !nested && a.valid === undefined && b.valid === undefined;
        })
        .map((b) => `${a.name} and ${b.name}`),
    );
    expect(problems).toEqual([]);
  });
});

describe("reach", () => {
  it("answers with the distance, or with the limit that it breaks", () => {
    expect(reach(4n, -8n, 8n, 4n)).toEqual({ kind: "reachable", distance: 4n });
    expect(reach(12n, -8n, 8n, 4n)).toEqual({ kind: "outOfRange", distance: 12n, limit: 8n });
    expect(reach(-12n, -8n, 8n, 4n)).toEqual({ kind: "outOfRange", distance: -12n, limit: -8n });
    expect(reach(2n, -8n, 8n, 4n)).toEqual({ kind: "misaligned", distance: 2n, align: 4n });
  });
});

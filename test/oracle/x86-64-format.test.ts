/**
 * The whole circle for every form of the table: random operands, assembled, decoded, written as
 * text; the text against Capstone's and objdump's reading of the same bytes.
 */
import { describe, expect, it } from "vitest";
import { ensure } from "../../src/base/assert.ts";
import { codeAddr, hexBytes } from "../../src/base/brand.ts";
import { decode } from "../../src/isa/x86-64/decode.ts";
import { format } from "../../src/isa/x86-64/format.ts";
import { allForms } from "../../src/isa/x86-64/forms.ts";
import { hasBinutils, objdumpEach } from "./binutils.ts";
import { type Disassembled, openCapstone } from "./capstone.ts";
import { choices, randomSample, runSeed, type Sample, sampleText } from "./x86-64-random.ts";
import { sameInstruction } from "./x86-64-text.ts";

const perForm = 16;
const at = codeAddr(0x401000n);
// Newer than Capstone 5.
const unknownToCapstone = new Set(["serialize"]);

const samplesOf = (seed: number): Sample[] => {
  const c = choices(seed);
  return allForms.flatMap((form) =>
    Array.from({ length: form.operands.length === 0 ? 1 : perForm }, () =>
      randomSample(c, form),
    ).filter((sample) => sample !== undefined),
  );
};

const disagreements = (
  samples: readonly Sample[],
  read: (sample: Sample, index: number) => Disassembled | undefined,
): string[] => {
  const found: string[] = [];
  for (const [index, sample] of samples.entries()) {
    const decoded = decode(sample.bytes, 0, at);
    const ours = decoded === undefined ? "nothing" : format(decoded);
    const theirs = read(sample, index);
    const agree =
      theirs?.size === sample.bytes.length &&
      decoded?.length === sample.bytes.length &&
      sameInstruction(ours, theirs);
    if (agree) continue;
    const other = theirs === undefined ? "nothing" : `${theirs.mnemonic} ${theirs.operands}`;
    found.push(`${hexBytes(sample.bytes)} from ${sampleText(sample)}: ${ours}; ${other}`);
  }
  return found;
};

describe("x86-64 as text", () => {
  const seed = runSeed();

  it(`reads what it wrote as Capstone does (PATCHBAY_SEED=${seed})`, async () => {
    const capstone = await openCapstone("x86-64");
    const samples = samplesOf(seed).filter(({ mnemonic }) => !unknownToCapstone.has(mnemonic));
    const wrong = disagreements(samples, ({ bytes }) => capstone.one(bytes, at));
    capstone.close();
    expect(wrong).toEqual([]);
    expect(samples.length).toBeGreaterThan(100 * perForm);
  });

  it.skipIf(!hasBinutils("x86-64"))(`and as objdump does (PATCHBAY_SEED=${seed})`, () => {
    // objdump stands every chunk at its own address: branch targets are compared with Capstone.
    const samples = samplesOf(seed).filter(({ mnemonic }) => !/^(j|call)/.test(mnemonic));
    const read = objdumpEach(
      "x86-64",
      samples.map(({ bytes }) => bytes),
    );
    const wrong = disagreements(samples, (_, index) => {
      const theirs = ensure(read[index], "a reading of each chunk");
      // objdump gives an absolute address with its segment and without brackets.
      const operands = theirs.operands.replace(
        /\b([defg]s:)(0x\w+)/g,
        (_, seg: string, to: string) => (seg === "ds:" ? `[${to}]` : `${seg}[${to}]`),
      );
      return { ...theirs, operands };
    });
    expect(wrong).toEqual([]);
  });
});

/** The x86-64 assembler against GNU as: every form of the table, random operands. */
import { describe, expect, it } from "vitest";
import { ensure } from "../../src/base/assert.ts";
import { hexBytes } from "../../src/base/brand.ts";
import { allForms } from "../../src/isa/x86-64/forms.ts";
import { assembleText, hasBinutils, objdumpEach } from "./binutils.ts";
import { choices, randomSample, runSeed, type Sample, sampleText } from "./x86-64-random.ts";

const slotBytes = 64;
const perForm = 24;

/** Both are right where these differ: as shortens `xchg` with rax, and turns AVX moves around. */
const shorterInAs = /^(xchg|vmov)/;

const randomSamples = (seed: number): Sample[] => {
  const c = choices(seed);
  return allForms.flatMap((form) => {
    const count = form.operands.length === 0 ? 1 : perForm;
    return Array.from({ length: count }, () => randomSample(c, form)).filter(
      (sample) => sample !== undefined,
    );
  });
};

describe.skipIf(!hasBinutils("x86-64"))("the x86-64 assembler", () => {
  const seed = runSeed();

  it(`makes the bytes that GNU as makes, for every form (PATCHBAY_SEED=${seed})`, () => {
    const samples = randomSamples(seed);
    const text = samples.map((sample) => `.balign ${slotBytes}\n${sampleText(sample)}`).join("\n");
    const blob = assembleText("x86-64", text);
    const theirs = samples.map((_, index) => blob.subarray(index * slotBytes).slice(0, 16));
    const oursRead = objdumpEach(
      "x86-64",
      samples.map(({ bytes }) => bytes),
    );
    const theirsRead = objdumpEach("x86-64", theirs);
    const wrong: string[] = [];
    for (const [index, sample] of samples.entries()) {
      const ours = ensure(oursRead[index], "objdump's reading of our bytes");
      const other = ensure(theirsRead[index], "objdump's reading of as' bytes");
      const mine = hexBytes(sample.bytes);
      const their = hexBytes(ensure(theirs[index], "as' bytes").subarray(0, other.size));
      if (mine === their && ours.size === sample.bytes.length) continue;
      const sameMeaning =
        `${ours.mnemonic} ${ours.operands}` === `${other.mnemonic} ${other.operands}` ||
        sample.mnemonic === "xchg";
      if (shorterInAs.test(sample.mnemonic) && sameMeaning) continue;
      wrong.push(`${sampleText(sample)}: ${mine}, as makes ${their}`);
    }
    expect(wrong).toEqual([]);
    expect(samples.length).toBeGreaterThan(perForm * 100);
  });
});

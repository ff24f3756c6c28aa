/**
 * The AArch64 model against published verdicts: Arm's and herd's catalogue for instruction fetch,
 * and the tests of Simner et al., ESOP 2020. The tests are not part of this repository: they are
 * read from `../shared/litmus` beside it, or from where PATCHBAY_LITMUS says.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { runLitmus } from "../../src/index.ts";

const root = resolve(import.meta.dirname, "../..");
const folder = process.env["PATCHBAY_LITMUS"] ?? resolve(root, "../shared/litmus");
const isThere = existsSync(folder);
if (!isThere) {
  console.warn(`SKIPPED: no published litmus tests in ${folder}; PATCHBAY_LITMUS can name them`);
}

/** Where we are weaker than what is published; docs/limits-litmus.md says why. */
const weaker: ReadonlySet<string> = new Set(["SB-bnop-cachesyncs3.litmus"]);

type Published = { readonly file: string; readonly verdict: string };

const readVerdicts = (set: string): Published[] =>
  readFileSync(join(folder, set, "verdicts.tsv"), "utf8")
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => {
      const [file = "", verdict = ""] = line.split("\t");
      return { file, verdict };
    });

const run = (set: string, file: string, machine?: string): string => {
  const text = readFileSync(join(folder, set, file), "utf8");
  const options = { fileName: file, ...(machine === undefined ? {} : { machine }) };
  return runLitmus(text, options)
    .map(({ verdict }) => verdict)
    .join();
};

describe.skipIf(!isThere)("published verdicts for AArch64", () => {
  for (const set of isThere ? ["aarch64-catalogue", "aarch64-esop2020"] : []) {
    it.each(readVerdicts(set))(`${set}: $file is $verdict`, ({ file, verdict }) => {
      const found = run(set, file);
      if (weaker.has(file)) expect([found, verdict]).toEqual(["Allowed", "Forbidden"]);
      else expect(found).toBe(verdict);
    });
  }

  it("has at most 2 tests in 100 where the verdicts differ, and says why in docs", () => {
    const all = ["aarch64-catalogue", "aarch64-esop2020"].flatMap(readVerdicts);
    expect(all.length).toBeGreaterThanOrEqual(124);
    expect(weaker.size / all.length).toBeLessThan(0.02);
    const page = readFileSync(join(root, "docs/limits-litmus.md"), "utf8");
    for (const file of weaker) expect(page).toContain(file.replace(".litmus", ""));
  });

  // The same shapes on other cache types, as far as the catalogue's verdicts for them are known.
  it.each([
    ["MP.FR+dmb.st+po", "Forbidden", "Forbidden"],
    ["coFF", "Allowed", "Forbidden"],
    ["MP.FF+dmb.st+po", "Allowed", "Forbidden"],
  ])("%s with IDC is %s, with DIC and IDC %s", (name, idc, both) => {
    const file = `${name}.litmus`;
    expect(run("aarch64-catalogue", file, "armv8-dic0-idc1")).toBe(idc);
    expect(run("aarch64-catalogue", file, "armv8-dic1-idc1")).toBe(both);
  });

  it("MP.RF+dmb.st+ctrlisb needs no maintenance with DIC and IDC", () => {
    const file = "MP.RF+dmb.st+ctrlisb.litmus";
    expect(run("aarch64-catalogue", file, "armv8-dic1-idc1")).toBe("Forbidden");
  });

  it("forbids nothing with fewer promises: DIC and IDC only take outcomes away", () => {
    for (const { file } of readVerdicts("aarch64-catalogue")) {
      const text = readFileSync(join(folder, "aarch64-catalogue", file), "utf8");
      const [plain, idc, dic, both] = runLitmus(text, { machine: "all" }).map(
        ({ states }) => new Set(states.map((state) => state.text)),
      );
      for (const [more, fewer] of [
        [plain, idc],
        [plain, dic],
        [idc, both],
        [dic, both],
      ]) {
        for (const state of fewer ?? []) expect(more?.has(state), `${file}: ${state}`).toBe(true);
      }
    }
  });
});

describe.skipIf(!isThere)("traps of the published tests", () => {
  const original = (): string =>
    readFileSync(join(folder, "aarch64-esop2020/SM+cachesync-isb.litmus"), "utf8");

  it("finds SM+cachesync-isb forbidden for a reason: with X2=1, and allowed without the IC", () => {
    const asked = original().replace("~exists 0:X2=0", "exists 0:X2=1");
    expect(runLitmus(asked)[0]?.verdict).toBe("Forbidden");
    const without = asked.replace("IC IVAU,X1", "NOP");
    expect(runLitmus(without)[0]?.verdict).toBe("Allowed");
  });

  it("decodes raw words as instructions", () => {
    const raw = original()
      .replace('instr:"B .+4"', "0x14000001")
      .replace("~exists 0:X2=0", "exists 0:X2=1");
    expect(runLitmus(raw)[0]?.verdict).toBe("Forbidden");
    expect(runLitmus(raw)[0]?.states.map(({ text }) => text)).toEqual(["0:X2=2;"]);
  });
});

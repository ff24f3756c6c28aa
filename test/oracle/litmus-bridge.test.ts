/**
 * Two models of each architecture: the axioms that litmus tests are judged by, and the memory that
 * `patchbay verify` explores. What verify's machine forbids, the axioms have to forbid too, else
 * verify could miss a fault. Where that is not so the test says why it can't matter: verify has no
 * threads that do it.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { runLitmus } from "../../src/index.ts";
import { makeImage } from "../../src/model/litmus/image.ts";
import type { LitmusIsa } from "../../src/model/litmus/isa.ts";
import { aarch64Litmus } from "../../src/model/litmus/isa-aarch64.ts";
import { riscvLitmus } from "../../src/model/litmus/isa-riscv.ts";
import { x86Litmus } from "../../src/model/litmus/isa-x86.ts";
import { checkNames, faultsIn, placesIn } from "../../src/model/litmus/outcome.ts";
import { parseLitmus, placeName } from "../../src/model/litmus/parse.ts";
import type { LitmusArch } from "../../src/model/litmus/test-file.ts";
import { machines } from "../../src/model/machine.ts";
import type { MachineName } from "../../src/patch/verdicts.ts";
import { runOnChecker } from "./litmus-machine.ts";

const isas: Readonly<Record<LitmusArch, LitmusIsa>> = {
  AArch64: aarch64Litmus,
  RISCV: riscvLitmus,
  X86_64: x86Litmus,
};

const tests = resolve(import.meta.dirname, "../litmus");
const shared =
  process.env["PATCHBAY_LITMUS"] ?? resolve(import.meta.dirname, "../../../shared/litmus");

const arms: readonly MachineName[] = [
  ...(["armv8-dic0-idc0", "armv8-dic0-idc1", "armv8-dic1-idc0", "armv8-dic1-idc1"] as const),
];

type Comparison = "equal" | "verify allows more" | "verify forbids more";

/** Final states of one test in both models. */
function compare(file: string, machine: MachineName): Comparison {
  const text = readFileSync(file, "utf8");
  const test = parseLitmus(text, file);
  const image = makeImage(test, isas[test.arch]);
  checkNames(image, test.condition);
  const named = placesIn(test.condition).map((place) => [placeName(place), place] as const);
  const places = [...new Map(named).values()];
  const withFaults = faultsIn(test.condition).length > 0;
  const checker = runOnChecker(image, machines[machine], places, withFaults);
  const axioms = new Set(runLitmus(text, { machine }).flatMap((r) => r.states.map((s) => s.text)));
  if ([...axioms].some((state) => !checker.has(state))) return "verify forbids more";
  return checker.size > axioms.size ? "verify allows more" : "equal";
}

const filesOf = (folder: string): string[] =>
  readdirSync(folder).filter((file) => file.endsWith(".litmus"));

/** The tests of a folder where verify forbids more, and how many are equal. */
function survey(folder: string, machine: MachineName): { forbids: Set<string>; equal: number } {
  const forbids = new Set<string>();
  let equal = 0;
  for (const file of filesOf(folder)) {
    const found = compare(join(folder, file), machine);
    if (found === "verify forbids more") forbids.add(file.replace(".litmus", ""));
    if (found === "equal") equal++;
  }
  return { forbids, equal };
}

/** verify's threads execute in order, and store nothing that others look at. */
const storesAfterFetch = [
  ...["3.lb.fff", "lb.ff", "lb.rf-fence.r.w", "cofw", "ww-fw-fence.w.w-po"],
  ...["mp-irf-fence.r.r", "mp-irf-data-fence.r.r", "wrc.f.rf-po-fencei", "wrc.f.rr-po-fence.r.r"],
];

/** verify's threads do not load code as data. */
const loadsCode = ["cofr"];

/**
 * FENCE.I of a thread that has loaded nothing which shows it the new code: on its own it orders
 * nothing, and verify's machine takes it for a synchronisation. In a protocol FENCE.I is the answer
 * to an interrupt, whose handler has loaded something newer than the store; where it comes for
 * another reason it need not come, and verify looks at that as well.
 */
const fencesAlone = [
  ...["coff-fencei", "cofr-fencei", "mp.ff-fencei", "mp.ff-jump-fencei", "mp.ff-lw-fencei"],
  ...["mp.ff-jump-load-fencei", "mp.ff-jump-store-fencei", "mp.ff-patched-fence.i"],
  "mp.fr-fence.w.w-fencei",
];

/** verify's threads have no data fences of their own. */
const ownDataFence = ["mp.fr-patched-fence.r.r"];

/** A torn instruction that is a load of something else: the same, with one parcel old. */
const tornLoads = [
  ...["coff-load-fencei", "cofr-load-fencei", "mp.ff-load-fencei"],
  "wrc.f.ff-load-fencei-load-fencei",
];

const base = [...storesAfterFetch, ...loadsCode, ...fencesAlone];

describe("what verify's machine forbids, the axioms forbid", () => {
  it.each([
    ["riscv-ziccid", [], 64],
    ["riscv-ziccif", [...base, ...ownDataFence], 42],
    ["riscv-parcel", [...base, ...tornLoads], 39],
  ] as const)("%s", (machine, excused, equal) => {
    const found = survey(join(tests, "riscv"), machine);
    expect(found.forbids).toEqual(new Set(excused));
    expect(found.equal).toBe(equal);
  });

  it.each(["x86-intel", "x86-amd", "x86-observed"] as const)("%s", (machine) => {
    const found = survey(join(tests, "x86"), machine);
    expect(found.forbids).toEqual(new Set());
    // Self-modifying code: verify's threads change none, and its machines do not snoop for them.
    expect(found.equal).toBe(17);
  });

  it.each(arms)("%s", (machine) => {
    const found = survey(join(tests, "aarch64"), machine);
    expect(found.forbids).toEqual(new Set());
    expect(found.equal).toBeGreaterThanOrEqual(17);
  });
});

/** Loads that are done before older ones, in threads that do maintenance for others. */
const earlyLoads = [
  ...["MP.R.RF+addr-cachesync+dmb+ctrl-isb", "MP.RF+dmb+addr-cachesync"],
  "MP.RF+dmb.st+dmb.ld-dc-dsb-ic-dsb-isb",
];

/** A store that DMB ST leaves behind a later DC of another line: verify's patchers wait there. */
const earlyCleaning = ["SB.RF+dmb+dmb.st-cachesync-isb"];

/** IC IALLU, which verify does not have. */
const wholeCache = ["SB-bnop-cachesyncs3"];

describe.skipIf(!existsSync(shared))("the same on the published tests", () => {
  it.each(arms)("%s", (machine) => {
    const excused = new Set([...earlyLoads, ...earlyCleaning, ...wholeCache]);
    for (const [set, equalMin] of [
      ["aarch64-catalogue", 99],
      ["aarch64-esop2020", 14],
    ] as const) {
      const { forbids, equal } = survey(join(shared, set), machine);
      for (const name of forbids) expect(excused.has(name), name).toBe(true);
      expect(equal).toBeGreaterThanOrEqual(equalMin);
    }
  });
});

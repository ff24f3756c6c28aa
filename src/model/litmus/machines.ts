/**
 * The machines that litmus tests run on: memory models with a name. Where the checker of protocols
 * (`patchbay verify`) has a machine of the same name, it stands for the same promise.
 */

import { aarch64Axioms } from "./axioms-aarch64.ts";
import { type FetchRules, riscvAxioms } from "./axioms-riscv.ts";
import { type X86Rules, x86Axioms } from "./axioms-x86.ts";
import type { Axioms } from "./execution.ts";
import type { LitmusArch } from "./test-file.ts";

/** A machine by name, for lists. */
export type LitmusMachine = {
  readonly name: string;
  readonly arch: LitmusArch;
  /** One line: whose rules these are. */
  readonly summary: string;
};

/** A machine with its rules. */
export type MachineModel = LitmusMachine & {
  readonly axioms: Axioms;
  /** Bytes of an aligned block that one fetch sees at one moment. */
  readonly fetchBytes: number;
  /** Set for AArch64. */
  readonly cacheType?: { readonly dic: boolean; readonly idc: boolean };
};

const armv8 = (dic: boolean, idc: boolean): MachineModel => ({
  name: `armv8-dic${dic ? 1 : 0}-idc${idc ? 1 : 0}`,
  arch: "AArch64",
  summary: `Armv8-A, CTR_EL0.DIC = ${dic ? 1 : 0}, IDC = ${idc ? 1 : 0}`,
  axioms: aarch64Axioms({ dic, idc }),
  fetchBytes: 4,
  cacheType: { dic, idc },
});

const baseRules: FetchRules = {
  fetchToFetch: false,
  fetchToWrite: false,
  fetchToAccess: false,
  fenceFetch: false,
};

const riscv = (
  name: string,
  summary: string,
  rules: Partial<FetchRules>,
  fetchBytes = 4,
): MachineModel => ({
  name: `riscv-${name}`,
  arch: "RISCV",
  summary,
  axioms: riscvAxioms({ ...baseRules, ...rules }),
  fetchBytes,
});

const x86 = (name: string, summary: string, fetchBytes: number, rules: X86Rules): MachineModel => ({
  name: `x86-${name}`,
  arch: "X86_64",
  summary,
  axioms: x86Axioms(rules),
  fetchBytes,
});

const models: readonly MachineModel[] = [
  armv8(false, false),
  armv8(false, true),
  armv8(true, false),
  armv8(true, true),
  riscv("ziccif", "RVWMO, Zifencei and Ziccif: ir1 + ir3", {}),
  riscv("ziccid", "with Ziccid: ir1 + ir2 + ir3", { fetchToFetch: true, fetchToAccess: true }),
  riscv("ir-decode-w", "ir1 + ir3, fetches before later stores", { fetchToWrite: true }),
  riscv("ir-decode", "ir1 + ir3, fetches before later loads and stores", { fetchToAccess: true }),
  riscv("ir3-fetch", "ir1 + ir3, FENCE.I orders fetches too", { fenceFetch: true }),
  riscv("parcel", "without Ziccif: each 16-bit parcel is fetched by itself", {}, 2),
  x86("intel", "Intel's manual: nothing is promised about more than one byte", 1, {
    ...{ fetchOrder: "location", storeBytes: 8 },
  }),
  x86("amd", "AMD's manual: an aligned quadword is fetched whole", 8, {
    ...{ fetchOrder: "location", storeBytes: 8 },
  }),
  x86("observed", "what processors are seen to do: whole lines, in order", 64, {
    ...{ fetchOrder: "program", storeBytes: 64 },
  }),
];

/** Every machine; a test runs on those of its architecture. */
export const litmusMachines: readonly LitmusMachine[] = models;

/** The models of an architecture, or those of them that are called `name`. */
export const findModels = (arch: LitmusArch, name?: string): readonly MachineModel[] =>
  models.filter((model) => model.arch === arch && (name === undefined || model.name === name));

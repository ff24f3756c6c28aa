/** AArch64's semantics against qemu-user: every form, random operands, random registers. */
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { type AArch64Instruction, type AArch64Isa, aarch64 } from "../../src/isa/aarch64/isa.ts";
import { systemRegisters } from "../../src/isa/aarch64/registers.ts";
import type { AArch64Form } from "../../src/isa/aarch64/table.ts";
import { makeRandom, randomFields } from "./random.ts";
import { aarch64Driver } from "./semantics/aarch64-driver.ts";
import type { Trial } from "./semantics/driver.ts";
import { compareWithMachine, distanceToPad } from "./semantics/harness.ts";

// Without pointer authentication, whose hints are then no-operations, as the effects say.
const emulator = ["qemu-aarch64", "-cpu", "max,pauth=off"];
const perForm = 4;
const random = makeRandom();
const hasEmulator = spawnSync("qemu-aarch64", ["--version"]).status === 0;

/** What a user program can't run here: traps, waiting, and what the processor above lacks. */
const notRun =
  /^(svc|hvc|smc|brk|hlt|udf|eret|wf[ei]|b(l?)ra[ab]z?|reta[ab]|ic\.iall.*|dc\.zva|hint)$/;

/** System registers that are part of the compared state and keep every bit. */
const writable = ["nzcv", "tpidr_el0"];
const readable = [...writable, "fpcr", "fpsr"];

const codeOf = (name: string): number =>
  systemRegisters.find((register) => register.name === name)?.code ?? 0;

const makeTrial = (form: AArch64Form): Trial<AArch64Instruction> => {
  const drawn = { ...randomFields(form, random) };
  const { computation } = form.slots.at(-1)?.names ?? {};
  // Jumps and loads of literals within the trial; ADR and ADRP go anywhere.
  if (computation !== undefined && !form.name.startsWith("adr")) {
    drawn["offset"] = distanceToPad(8, 4, random);
  }
  if (/^(br|blr|ret)$/.test(form.name) && drawn["rn"] === 31) drawn["rn"] = 7;
  if (/^[di]c\./.test(form.name) && drawn["rt"] === 31) drawn["rt"] = 7;
  if (drawn["sysreg"] !== undefined) {
    drawn["sysreg"] = codeOf(random.pick(form.name === "mrs" ? readable : writable));
  }
  const insn = aarch64.instruction(form.name, drawn);
  const { rs = 0, rt = 0, rn = 0 } = drawn;
  const others = Array.from({ length: 31 }, (_, n) => n).filter(
    (n) => n !== rs && n !== rt && n !== rn,
  );
  const prefixed = random.below(3) > 0;
  if (/^stl?xr/.test(form.name) && prefixed) {
    // A store with a reservation; in the other third there is none.
    const reserve = form.name.replace(/^stl?xr/, "ldxr");
    return { insns: [aarch64.instruction(reserve, { rt: random.pick(others), rn }), insn] };
  }
  if (form.name.startsWith("cas") && prefixed && rs !== rn && rs !== 31) {
    // A comparison that holds.
    const load = form.name.replace(/^casa?l?/, "ldr");
    return { insns: [aarch64.instruction(load, { rt: rs, rn, imm: 0 }), insn] };
  }
  return { insns: [insn] };
};

describe(`qemu-aarch64, seed ${random.seed}`, () => {
  it.skipIf(!hasEmulator)("does what the effects say", () => {
    const forms = aarch64.table.forms.filter(({ name }) => !notRun.test(name));
    const trials = forms.flatMap((form) => Array.from({ length: perForm }, () => makeTrial(form)));
    expect(compareWithMachine(aarch64Driver(emulator), trials, random)).toEqual([]);
    expect(trials.length).toBeGreaterThan(1500);
  });

  it.skipIf(!hasEmulator)("would find a wrong register, flag, place or store", () => {
    const add = aarch64.instruction("adds.x.imm", { rd: 0, rn: 1, imm: 100, sh: 0 });
    const branch = aarch64.instruction("b", { offset: 4 });
    const store = aarch64.instruction("str.x", { rt: 0, rn: 1, imm: 8 });
    const isa: AArch64Isa = {
      ...aarch64,
      effects: (insn) =>
        aarch64.effects({ ...insn, operands: { ...insn.operands, imm: 16, offset: 12 } }),
    };
    const driver = { ...aarch64Driver(emulator), isa };
    const trials = [add, branch, store].map((insn) => ({ insns: [insn] }));
    const failures = compareWithMachine(driver, trials, random);
    expect(failures).toHaveLength(3);
    expect(failures[0]).toMatch(/^adds .*: x0: was/);
    expect(failures[1]).toMatch(/^b .*landed at/);
    expect(failures[2]).toMatch(/^str .*memory/);
  });
});

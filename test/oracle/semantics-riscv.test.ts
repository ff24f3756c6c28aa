/** RISC-V's semantics against qemu-user: every form, random operands, random registers. */
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import type { RiscvInstruction, RiscvIsa } from "../../src/isa/riscv/isa.ts";
import { riscv32, riscv64 } from "../../src/isa/riscv/isa.ts";
import type { RiscvForm } from "../../src/isa/riscv/table.ts";
import { makeRandom, type Random, randomFields } from "./random.ts";
import type { Trial } from "./semantics/driver.ts";
import { compareWithMachine, distanceToPad } from "./semantics/harness.ts";
import { riscvDriver } from "./semantics/riscv-driver.ts";

const perForm = 6;
const random = makeRandom();
const hasCommand = (name: string): boolean => spawnSync(name, ["--version"]).status === 0;

/** What a user program can't run here: traps, waiting, and extensions that qemu 7.2 lacks. */
const notRun = /^(ecall|c?\.?ebreak|c\.unimp|sret|mret|wfi|sfence\.vma|cbo\..*|cm\..*)$/;

const isJump = (form: RiscvForm): boolean => form.slots.at(-1)?.names?.computation !== undefined;

const makeTrial = (isa: RiscvIsa, form: RiscvForm, random: Random): Trial<RiscvInstruction> => {
  const drawn = { ...randomFields(form, random) };
  // Jumps within the trial, and CSRs that user mode may write.
  if (isJump(form)) drawn["imm"] = distanceToPad(8, form.pattern.sizeBytes, random);
  if (drawn["csr"] !== undefined) drawn["csr"] = 1 + random.below(3);
  // Address 0 and its surroundings are not mapped.
  const usesAddress = form
    .effects(drawn)
    .some((effect) => "addr" in effect || (effect.kind === "jump" && form.name === "jalr"));
  if (usesAddress && drawn["rs1"] === 0) drawn["rs1"] = 1 + random.below(31);
  const insn = isa.instruction(form.name, drawn);
  if (!form.name.startsWith("sc.")) return { insns: [insn] };
  // A store-conditional with and without its reservation.
  if (random.below(3) === 0) return { insns: [insn] };
  const reserve = form.name.replace(/^sc\.(.).*$/, "lr.$1");
  const { rs1 = 0 } = drawn;
  const others = Array.from({ length: 31 }, (_, n) => n + 1).filter((n) => n !== rs1);
  const rd = random.pick(others);
  return { insns: [isa.instruction(reserve, { rd, rs1 }), insn] };
};

describe.each([
  { isa: riscv64, emulator: "qemu-riscv64" },
  { isa: riscv32, emulator: "qemu-riscv32" },
])(`$emulator, seed ${random.seed}`, ({ isa, emulator }) => {
  it.skipIf(!hasCommand(emulator))("does what the effects say", () => {
    const forms = isa.table.forms.filter(({ name }) => !notRun.test(name));
    const trials = forms.flatMap((form) =>
      Array.from({ length: perForm }, () => makeTrial(isa, form, random)),
    );
    const failures = compareWithMachine(riscvDriver(isa, [emulator]), trials, random);
    expect(failures).toEqual([]);
    expect(trials.length).toBeGreaterThan(500);
  });

  it.skipIf(!hasCommand(emulator))("would find a wrong register, place or store", () => {
    const addi = isa.instruction("addi", { rd: 10, rs1: 11, imm: 100 });
    const jal = isa.instruction("jal", { rd: 1, imm: 4 });
    const sw = isa.instruction("sw", { rs2: 10, rs1: 11, imm: 4 });
    const trials = [addi, jal, sw].map((insn) => ({ insns: [insn] }));
    const wrong: RiscvIsa = {
      ...isa,
      effects: (insn) => {
        if (insn.mnemonic !== "jal") {
          return isa.effects({ ...insn, operands: { ...insn.operands, imm: 8 } });
        }
        return isa.effects(isa.instruction("jal", { rd: 1, imm: 12 }));
      },
    };
    const failures = compareWithMachine(riscvDriver(wrong, [emulator]), trials, random);
    expect(failures).toHaveLength(3);
    expect(failures[0]).toMatch(/^addi .*: a0: was/);
    expect(failures[1]).toMatch(/^jal .*landed at/);
    expect(failures[2]).toMatch(/^sw .*memory/);
  });
});

import { describe, expect, it } from "vitest";
import { execute } from "../isa/execute.ts";
import { riscv64 } from "../isa/riscv/isa.ts";
import { concat } from "../patch/bytes.ts";
import { RA, riscv64Code, splitDistance, T0, T1 } from "../patch/riscv-code.ts";
import {
  checkPublishedStubs,
  checkRangeRule,
  computeAll,
  countReachingPhases,
  countRepairedPhases,
  repairedEntries,
  repairedStubBytes,
} from "./arithmetic.ts";

/** Where `code` at `at` goes when it is executed; memory is a table of words. */
function runCode(
  code: Uint8Array,
  at: bigint,
  registers: ReadonlyMap<string, bigint>,
  memory: ReadonlyMap<bigint, bigint> = new Map(),
): { readonly pc: bigint; readonly registers: ReadonlyMap<string, bigint> } {
  const regs = new Map(registers);
  let pc = at;
  while (pc >= at && pc < at + BigInt(code.length)) {
    const insn = riscv64.decode(code, Number(pc - at));
    if (insn === undefined) throw new Error("no instruction");
    const cpu = {
      read: (name: string): bigint => regs.get(name) ?? 0n,
      write: (name: string, value: bigint): void => void regs.set(name, value),
      load: (addr: bigint): bigint => memory.get(addr) ?? 0xdeadn,
      store: (): void => undefined,
    };
    ({ pc } = execute(riscv64.effects(insn), cpu, pc, insn.size, 64));
  }
  return { pc, registers: regs };
}

describe("the rule of the direct target near ftrace_caller", () => {
  it("is wrong for d / 4096 of the places, by exactly 4096 bytes", () => {
    for (const distance of [4, 64, 256, 1024, 2044, -4, -256, -2044]) {
      const { right, wrong, offBy } = checkRangeRule(distance);
      expect(wrong).toBe(Math.abs(distance) / 4);
      expect(right + wrong).toBe(1024);
      expect(offBy.map(Math.abs)).toEqual([4096]);
    }
    expect(checkRangeRule(0).wrong).toBe(0);
  });

  it("goes where executing auipc and jalr goes", () => {
    const common = 0x0081_2780n;
    let wrong = 0;
    for (let phase = 0n; phase < 4096n; phase += 4n) {
      const site = 0x0010_0000n + phase;
      const target = common + 256n;
      const code = concat(
        riscv64Code.auipc(T0, splitDistance(common - site).hi),
        riscv64Code.jalr(T0, T0, splitDistance(target - site).lo),
      );
      if (runCode(code, site, new Map()).pc !== target) wrong++;
    }
    expect(wrong).toBe(checkRangeRule(256).wrong);
  });
});

describe("the table of stubs", () => {
  it("is reached as a whole from few places", () => {
    expect(countReachingPhases(255, 8)).toBe(516);
    expect(countReachingPhases(511, 8)).toBe(4);
    expect(countReachingPhases(1, 8)).toBe(1024);
  });

  it("loads a wrong slot as published, but for one place per entry", () => {
    expect(checkPublishedStubs("auipc", 255).right).toBe(255);
    expect(checkPublishedStubs("link", 255).right).toBe(0);
  });

  it("works as repaired: every site reaches a copy, and each stub loads its own slot", () => {
    expect(countRepairedPhases()).toBe(1024);
    const table = 0x0090_0000n;
    const slots = 0x00a0_0000n;
    for (const k of [0, 1, 84, repairedEntries - 1]) {
      const stub = table + 2048n + BigInt(k * repairedStubBytes);
      const slot = slots + BigInt(8 * k);
      const { hi, lo } = splitDistance(slot - stub);
      const ld = riscv64.instruction("ld", { rd: T1, rs1: T1, imm: lo });
      const word = (n: number): Uint8Array =>
        Uint8Array.of(n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24);
      const code = concat(riscv64Code.auipc(T1, hi), word(ld.word), riscv64Code.jalr(0, T1, 0));
      expect(code).toHaveLength(repairedStubBytes);
      const target = 0x1234_5678n + BigInt(16 * k);
      const before = new Map([
        ["t0", 0x77n],
        ["ra", 0x88n],
      ]);
      const { pc, registers } = runCode(code, stub, before, new Map([[slot, target]]));
      expect(pc).toBe(target);
      // The link and the parent's return address come through.
      expect([registers.get("t0"), registers.get("ra")]).toEqual([0x77n, 0x88n]);
    }
    expect(RA).toBe(1);
  });
});

describe("computeAll", () => {
  it("finds what is expected", () => {
    for (const { id, found, expected } of computeAll()) expect(found, id).toBe(expected);
  });
});

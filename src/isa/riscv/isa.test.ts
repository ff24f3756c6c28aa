import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codeAddr } from "../../base/brand.ts";
import { Assembler } from "../assembler.ts";
import { evaluate, execute } from "../execute.ts";
import {
  bytesOf,
  lengthOfParcel,
  type RiscvIsa,
  riscv32,
  riscv32Zcmt,
  riscv64,
  riscv64Zcmt,
} from "./isa.ts";
import { callFar, loadAddress, loadConstant } from "./macros.ts";
import { canReach, canReachFixed, canReachPair, splitOffset } from "./reach.ts";
import { a0, ra, sp, t0, t1, x, zero } from "./registers.ts";
import { type Arg, mem } from "./slots.ts";

const at = codeAddr(0x1000n);

const decodeHex = (isa: RiscvIsa, hexWord: string) => {
  const value = Number.parseInt(hexWord, 16);
  const bytes = Uint8Array.from(
    { length: hexWord.length / 2 },
    (_, i) => (value >>> (8 * i)) & 255,
  );
  return isa.decode(bytes, 0);
};

// As GNU binutils assembles them; branch targets are from address 0x1000.
const known: readonly [hexWord: string, text: string][] = [
  ["00000013", "nop"],
  ["0001", "c.nop"],
  ["00008293", "mv t0, ra"],
  ["8286", "c.mv t0, ra"],
  ["00000297", "auipc t0, 0x0"],
  ["12345297", "auipc t0, 0x12345"],
  ["00000317", "auipc t1, 0x0"],
  ["00000097", "auipc ra, 0x0"],
  ["000282e7", "jalr t0, 0(t0)"],
  ["7ff282e7", "jalr t0, 2047(t0)"],
  ["800282e7", "jalr t0, -2048(t0)"],
  ["000300e7", "jalr t1"],
  ["00030367", "jalr t1, 0(t1)"],
  ["000080e7", "jalr ra"],
  ["00028067", "jr t0"],
  ["00030067", "jr t1"],
  ["00008067", "ret"],
  ["8302", "c.jr t1"],
  ["8082", "c.jr ra"],
  ["9302", "c.jalr t1"],
  ["0040006f", "j 0x1004"],
  ["0080006f", "j 0x1008"],
  ["008002ef", "jal t0, 0x1008"],
  ["a021", "c.j 0x1008"],
  ["80033303", "ld t1, -2048(t1)"],
  ["7f833303", "ld t1, 2040(t1)"],
  ["ff02b303", "ld t1, -16(t0)"],
  ["00033303", "ld t1, 0(t1)"],
  ["00100073", "ebreak"],
  ["9002", "c.ebreak"],
  ["00000073", "ecall"],
  ["0000100f", "fence.i"],
  ["0110000f", "fence w, w"],
  ["0220000f", "fence r, r"],
  ["0330000f", "fence rw, rw"],
  ["0140000f", "fence w, o"],
  ["0ff0000f", "fence"],
  ["8330000f", "fence.tso"],
  ["12000073", "sfence.vma"],
  ["c0001073", "unimp"],
  ["10200073", "sret"],
  ["30200073", "mret"],
  ["4581", "c.li a1, 0"],
  ["4585", "c.li a1, 1"],
];

describe("RISC-V", () => {
  it.each(known)("reads %s as %s", (hexWord, text) => {
    const insn = decodeHex(riscv64, hexWord);
    expect(insn && riscv64.format(insn, at)).toBe(text);
    expect(insn && riscv64.instruction(insn.mnemonic, insn.operands)).toEqual(insn);
  });

  it("tells the length of an instruction by its first parcel", () => {
    expect([0x0001, 0x0002, 0x0000].map(lengthOfParcel)).toEqual([2, 2, 2]);
    expect(lengthOfParcel(0x0013)).toBe(4);
    expect(lengthOfParcel(0x001f)).toBeUndefined();
  });

  it("decodes nothing where the bytes end too early", () => {
    expect(riscv64.decode(Uint8Array.of(0x13), 0)).toBeUndefined();
    expect(riscv64.decode(Uint8Array.of(0x13, 0, 0), 0)).toBeUndefined();
    expect(riscv64.decode(Uint8Array.of(0xff, 1, 0), 1)?.mnemonic).toBe("c.addi");
  });

  it("has 64-bit instructions on RV64 alone", () => {
    expect(decodeHex(riscv32, "00033303")).toBeUndefined();
    expect(decodeHex(riscv32, "2021")?.mnemonic).toBe("c.jal");
    expect(decodeHex(riscv64, "2021")?.mnemonic).not.toBe("c.jal");
  });
});

describe("Zcmt", () => {
  // "cm.jt index", 101 000 index 10: 0xa002 + 4 * index; from 32 on it is cm.jalt.
  it.each([
    [riscv64Zcmt, 0, "a002", "cm.jt 0"],
    [riscv64Zcmt, 31, "a07e", "cm.jt 31"],
    [riscv64Zcmt, 32, "a082", "cm.jalt 32"],
    [riscv32Zcmt, 255, "a3fe", "cm.jalt 255"],
  ] as const)("%# encodes index %i as %s", (isa, index, hexWord, text) => {
    const insn = decodeHex(isa, hexWord);
    expect(insn?.operands).toEqual({ index });
    expect(insn && isa.format(insn, at)).toBe(text);
  });

  it("takes the place of c.fsdsp", () => {
    expect(decodeHex(riscv64, "a002")?.mnemonic).toBe("c.fsdsp");
    expect(riscv64Zcmt.table.forms.some(({ name }) => name === "c.fsdsp")).toBe(false);
  });

  it("fetches its target from the table and links behind itself", () => {
    const insn = riscv64Zcmt.instruction("cm.jalt", { index: 40 });
    const registers = new Map([["jvt", 0x8007n]]);
    const loads: bigint[] = [];
    const outcome = execute(
      riscv64Zcmt.effects(insn),
      {
        read: (name) => registers.get(name) ?? 0n,
        write: (name, value) => registers.set(name, value),
        load: (addr) => {
          loads.push(addr);
          return 0x4001n;
        },
        store: () => undefined,
      },
      at,
      insn.size,
      64,
    );
    // The low 6 bits of jvt are its mode.
    expect(loads).toEqual([0x8000n + 40n * 8n]);
    expect(outcome).toEqual({ kind: "jump", pc: 0x4000n, taken: "call" });
    expect(registers.get("ra")).toBe(0x1002n);
  });
});

describe("reach", () => {
  const limits: readonly [string, bigint, bigint][] = [
    ["jal", -(2n ** 20n), 2n ** 20n - 2n],
    ["beq", -4096n, 4094n],
    ["c.j", -2048n, 2046n],
    ["c.beqz", -256n, 254n],
  ];

  it.each(limits)("%s goes from %i to %i and not one instruction farther", (name, min, max) => {
    const middle = codeAddr(2n ** 40n);
    const to = (distance: bigint) => canReach(riscv64, name, middle, codeAddr(middle + distance));
    expect(to(min)).toEqual({ kind: "reachable", distance: min });
    expect(to(max)).toEqual({ kind: "reachable", distance: max });
    expect(to(min - 2n)).toEqual({ kind: "outOfRange", distance: min - 2n, limit: min });
    expect(to(max + 2n)).toEqual({ kind: "outOfRange", distance: max + 2n, limit: max });
    expect(to(1n)).toEqual({ kind: "misaligned", distance: 1n, align: 2n });
  });

  it("of AUIPC with a second half is 2 GiB, less 2 KiB ahead", () => {
    const middle = codeAddr(2n ** 40n);
    const to = (distance: bigint) => canReachPair(riscv64, middle, codeAddr(middle + distance));
    const [min, max] = [-(2n ** 31n) - 2048n, 2n ** 31n - 2050n];
    expect(to(min).kind).toBe("reachable");
    expect(to(max).kind).toBe("reachable");
    expect(to(min - 2n)).toMatchObject({ kind: "outOfRange", limit: min });
    expect(to(max + 2n).kind).toBe("outOfRange");
  });

  it("of an AUIPC that stays is a window of 4 KiB that depends on where it stands", () => {
    const auipc = codeAddr(0x10_0ff8n);
    const to = (address: bigint) => canReachFixed(riscv64, auipc, 1, codeAddr(address));
    expect(to(0x10_1ff8n - 2048n).kind).toBe("reachable");
    expect(to(0x10_1ff8n + 2047n).kind).toBe("reachable");
    expect(to(0x10_1ff8n - 2049n).kind).toBe("outOfRange");
    expect(to(0x10_1ff8n + 2048n).kind).toBe("outOfRange");
  });

  it("splits every distance into halves that add up", () => {
    const distance = fc.bigInt({ min: -(2n ** 31n) - 2048n, max: 2n ** 31n - 2049n });
    fc.assert(
      fc.property(distance, (d) => {
        const { hi, lo } = splitOffset(d);
        expect(lo).toBeGreaterThanOrEqual(-2048);
        expect(lo).toBeLessThanOrEqual(2047);
        expect(Math.abs(hi)).toBeLessThanOrEqual(2 ** 19);
        expect(BigInt(hi) * 4096n + BigInt(lo)).toBe(d);
      }),
    );
    expect(splitOffset(2047n)).toEqual({ hi: 0, lo: 2047 });
    expect(splitOffset(2048n)).toEqual({ hi: 1, lo: -2048 });
  });
});

/** Runs straight-line code from its beginning; the registers afterwards. */
const runAll = (isa: RiscvIsa, code: Uint8Array, origin: bigint): Map<string, bigint> => {
  const registers = new Map<string, bigint>();
  for (let offset = 0; offset < code.length; ) {
    const insn = isa.decode(code, offset);
    if (insn === undefined) throw new Error(`no instruction at ${offset}`);
    const cpu = {
      read: (name: string) => registers.get(name) ?? 0n,
      write: (name: string, value: bigint) => registers.set(name, value),
      load: () => 0n,
      store: () => undefined,
    };
    const outcome = execute(isa.effects(insn), cpu, origin + BigInt(offset), insn.size, isa.xlen);
    registers.set("pc", outcome.pc);
    offset += insn.size;
  }
  return registers;
};

describe("the assembler", () => {
  const assembler = (isa: RiscvIsa = riscv64) => new Assembler<Arg>(isa, at);

  it("fills in branches to labels, both ways", () => {
    const a = assembler();
    const [start, end] = [a.bindNew(), a.label()];
    a.i("beqz", a0, end).i("addi", a0, a0, -1).i("j", start).bind(end).i("ret");
    const { bytes, labels } = a.finish();
    const texts = [0, 4, 8, 12].map((offset) => {
      const insn = riscv64.decode(bytes, offset);
      return insn && riscv64.format(insn, at + BigInt(offset));
    });
    expect(texts).toEqual(["beqz a0, 0x100c", "addi a0, a0, -1", "j 0x1000", "ret"]);
    expect(labels(end)).toBe(0x100cn);
  });

  it("takes addresses, and refuses those out of reach when it finishes", () => {
    const near = assembler().i("jal", ra, codeAddr(0x1000n + 2n ** 20n - 2n));
    expect(near.finish().bytes).toHaveLength(4);
    const far = assembler().i("jal", ra, codeAddr(0x1000n + 2n ** 20n));
    expect(() => far.finish()).toThrow("is outside of");
    expect(() => assembler().i("addi", a0, a0, 2048)).toThrow("is outside of");
    expect(() => assembler().i("addi", a0, a0)).toThrow("no form takes these operands");
  });

  it("takes labels of its own only, bound once", () => {
    const a = assembler();
    const label = a.bindNew();
    expect(() => a.bind(label)).toThrow("bound twice");
    expect(() => a.i("j", a.label()).finish()).toThrow("is not bound");
  });

  it("aligns, and writes data", () => {
    const a = assembler();
    const label = a.label();
    a.i("ret").align(8).bind(label).u64(0x1122334455667788n).u64(label).u32(7).align(16, "zero");
    const { bytes } = a.finish();
    const view = new DataView(bytes.buffer);
    expect(view.getUint32(4, true)).toBe(0x13);
    expect(view.getBigUint64(8, true)).toBe(0x1122334455667788n);
    expect(view.getBigUint64(16, true)).toBe(0x1008n);
    expect(bytes).toHaveLength(32);
  });

  it("copies a template to where it runs, with its holes filled in", () => {
    const a = assembler();
    const end = a.label();
    a.i("ld", t0, mem(sp, 8)).i("li", t1, a.hole("count")).i("jal", zero, a.hole("target"));
    a.i("bnez", t1, end).bind(end).u64(a.hole("ops")).u64(end);
    const code = a.finish();
    expect(code.holes).toEqual([
      { name: "count", offset: 4 },
      { name: "target", offset: 8 },
      { name: "ops", offset: 16 },
    ]);
    const out = new Uint8Array(40);
    code.copyTo(out, 4, codeAddr(0x9000n), [77n, 0x9100n, 0xabcdn]);
    const texts = [8, 12, 16].map((offset) => {
      const insn = riscv64.decode(out, offset);
      return insn && riscv64.format(insn, 0x9000n + BigInt(offset - 4));
    });
    expect(texts).toEqual(["li t1, 77", "j 0x9100", "bnez t1, 0x9010"]);
    const view = new DataView(out.buffer);
    expect(view.getBigUint64(20, true)).toBe(0xabcdn);
    expect(view.getBigUint64(28, true)).toBe(0x9010n);
    expect(() => code.copyTo(out, 4, at, [1n])).toThrow("3 holes, 1 values");
    expect(() => code.copyTo(out, 4, at, [5000n, 0x1000n, 0n])).toThrow("imm = 5000");
  });

  it.each([
    [riscv64, 64],
    [riscv32, 32],
  ] as const)("loads constants: %#", (isa, xlen) => {
    const value = fc.oneof(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.bigInt({ min: -5000n, max: 5000n }),
      fc.nat(63).map((shift) => (1n << BigInt(shift)) - 1n),
      fc.nat(63).map((shift) => -(1n << BigInt(shift))),
    );
    fc.assert(
      fc.property(value, (wanted) => {
        const a = assembler(isa);
        loadConstant(a, a0, wanted, xlen);
        const { bytes } = a.finish();
        const most = xlen === 32 ? 8 : 32;
        expect(bytes.length).toBeLessThanOrEqual(most);
        expect(runAll(isa, bytes, 0x1000n).get("a0")).toBe(BigInt.asUintN(xlen, wanted));
      }),
    );
  });

  it("names places and calls them over AUIPC, anywhere within 2 GiB", () => {
    const distance = fc.bigInt({ min: -(2n ** 31n) - 2048n, max: 2n ** 31n - 2060n });
    fc.assert(
      fc.property(distance, (d) => {
        const origin = codeAddr(2n ** 40n);
        const target = codeAddr(origin + (d & -2n));
        const a = new Assembler<Arg>(riscv64, origin);
        loadAddress(a, a0, target);
        expect(runAll(riscv64, a.finish().bytes, origin).get("a0")).toBe(target);
        const call = new Assembler<Arg>(riscv64, origin);
        callFar(call, target, zero, x(7));
        expect(runAll(riscv64, call.finish().bytes, origin).get("pc")).toBe(target);
      }),
    );
    const far = new Assembler<Arg>(riscv64, at);
    loadAddress(far, a0, codeAddr(at + 2n ** 31n));
    expect(() => far.finish()).toThrow("is outside of");
  });
});

describe("effects", () => {
  it("are independent of the place: the address is the expression pc", () => {
    const insn = riscv64.instruction("auipc", { rd: 5, imm: 0x1000 });
    const [effect] = riscv64.effects(insn);
    if (effect?.kind !== "set") throw new Error("auipc sets a register");
    const value = (pc: bigint) => evaluate(effect.value, () => 0n, new Map(), pc);
    expect([value(0n), value(0x100n)]).toEqual([0x1000n, 0x1100n]);
    expect(bytesOf(insn)).toEqual(Uint8Array.of(0x97, 0x12, 0, 0));
  });

  it("call an instruction a call, a jump or a return by its link registers", () => {
    const kindOf = (rd: number, rs1: number) => {
      const effects = riscv64.effects(riscv64.instruction("jalr", { rd, rs1, imm: 0 }));
      const jump = effects.find((effect) => effect.kind === "jump");
      return jump?.kind === "jump" ? jump.as : undefined;
    };
    expect(kindOf(1, 6)).toBe("call");
    expect(kindOf(5, 5)).toBe("call");
    expect(kindOf(0, 1)).toBe("return");
    expect(kindOf(0, 6)).toBe("jump");
  });
});

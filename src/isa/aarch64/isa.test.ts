import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codeAddr } from "../../base/brand.ts";
import { Assembler } from "../assembler.ts";
import { execute } from "../execute.ts";
import { decodeBitmask, encodeBitmask } from "./bitmask.ts";
import { aarch64 } from "./isa.ts";
import { loadAddress, loadConstant } from "./macros.ts";
import { canReach, canReachPage, type Reaching } from "./reach.ts";
import { fp, lr, q, sp, w, x, xzr } from "./registers.ts";
import { type Arg, extended, imm, indexed, mem, post, pre, shifted } from "./slots.ts";

const at = codeAddr(0x1000n);

const textOf = (hexWord: string): string | undefined => {
  const insn = aarch64.decodeWord(Number.parseInt(hexWord, 16));
  return insn && aarch64.format(insn, at);
};

// As GNU binutils assembles them; branch targets are from address 0x1000.
const known: readonly [hexWord: string, text: string][] = [
  ["d503201f", "nop"],
  ["aa1e03e9", "mov x9, x30"],
  ["aa0903fe", "mov x30, x9"],
  ["94000001", "bl 0x1004"],
  ["97ffffff", "bl 0xffc"],
  ["14000001", "b 0x1004"],
  ["14000002", "b 0x1008"],
  ["54000040", "b.eq 0x1008"],
  ["b4000040", "cbz x0, 0x1008"],
  ["d4200000", "brk #0"],
  ["d4202000", "brk #256"],
  ["d65f03c0", "ret"],
  ["d65f0120", "ret x9"],
  ["d61f0220", "br x17"],
  ["d61f0200", "br x16"],
  ["d63f0080", "blr x4"],
  ["58000051", "ldr x17, 0x1008"],
  ["58000050", "ldr x16, 0x1008"],
  ["f85f016b", "ldur x11, [x11, #-16]"],
  ["927df3cb", "and x11, x30, #0xfffffffffffffff8"],
  ["d503233f", "paciasp"],
  ["d50323bf", "autiasp"],
  ["d503245f", "bti c"],
  ["d503249f", "bti j"],
  ["d50324df", "bti jc"],
  ["d5033fdf", "isb"],
  ["d5033b9f", "dsb ish"],
  ["d5033a9f", "dsb ishst"],
  ["d5033f9f", "dsb sy"],
  ["d5033bbf", "dmb ish"],
  ["d5033fbf", "dmb sy"],
  ["d5033abf", "dmb ishst"],
  ["d50339bf", "dmb ishld"],
  ["d50b7b20", "dc cvau, x0"],
  ["d50b7520", "ic ivau, x0"],
  ["d508711f", "ic ialluis"],
  ["d4000001", "svc #0"],
  ["d4000002", "hvc #0"],
  ["d4000003", "smc #0"],
  ["a9bf7bfd", "stp x29, x30, [sp, #-16]!"],
  ["910003fd", "mov x29, sp"],
  ["a8c17bfd", "ldp x29, x30, [sp], #16"],
  ["00000000", "udf #0"],
  ["d69f03e0", "eret"],
  ["d53b0020", "mrs x0, ctr_el0"],
  ["d50330ff", "sb"],
];

describe("AArch64", () => {
  it.each(known)("reads %s as %s", (hexWord, text) => {
    expect(textOf(hexWord)).toBe(text);
    const word = Number.parseInt(hexWord, 16);
    const insn = aarch64.decodeWord(word);
    expect(insn && aarch64.instruction(insn.form, insn.operands).word).toBe(word);
  });

  it("decodes nothing where the bytes end too early", () => {
    expect(aarch64.decode(Uint8Array.of(0x1f, 0x20, 0x03), 0)).toBeUndefined();
    expect(aarch64.decode(Uint8Array.of(9, 0x1f, 0x20, 0x03, 0xd5), 1)?.mnemonic).toBe("nop");
  });

  it("marks the instructions that may be changed while they are executed", () => {
    // B2.2.5: B, B.cond, BL, BRK, CBNZ, CBZ, HVC, ISB, NOP, SMC, SVC, TBNZ, TBZ and no others.
    const marked = aarch64.table.forms.filter(({ cmodx }) => cmodx === true);
    const names = new Set(marked.map(({ mnemonic }) => mnemonic));
    expect([...names].toSorted()).toEqual([
      ...["b", "b.cond", "bl", "brk", "cbnz", "cbz", "hvc", "isb", "nop", "smc", "svc"],
      ...["tbnz", "tbz"],
    ]);
    const isListed = (word: number) => {
      const insn = aarch64.decodeWord(word);
      return insn !== undefined && aarch64.isConcurrentlyModifiable(insn);
    };
    expect(isListed(0xd503201f)).toBe(true);
    expect(isListed(0xd503245f)).toBe(false);
    expect(isListed(0xa9bf7bfd)).toBe(false);
  });
});

describe("logical immediates", () => {
  it("are 5334 values of 64 bits and 1302 of 32", () => {
    for (const [bits, count] of [
      [64, 5334],
      [32, 1302],
    ] as const) {
      const values = new Set<bigint>();
      for (let code = 0; code < 0x2000; code++) {
        const fields = { n: code >> 12, immr: (code >> 6) & 63, imms: code & 63 };
        const value = decodeBitmask(fields, bits);
        if (value !== undefined) values.add(value);
      }
      expect(values.size).toBe(count);
      for (const value of values) {
        const fields = encodeBitmask(value, bits);
        expect(fields && decodeBitmask(fields, bits)).toBe(value);
      }
    }
  });

  it("are not all values", () => {
    expect(encodeBitmask(0n, 64)).toBeUndefined();
    expect(encodeBitmask(-1n, 64)).toBeUndefined();
    expect(encodeBitmask(5n, 64)).toBeUndefined();
    expect(encodeBitmask(5n, 32)).toBeUndefined();
  });
});

describe("reach", () => {
  const limits: readonly [Reaching, bigint, bigint, bigint][] = [
    ["b", -(2n ** 27n), 2n ** 27n - 4n, 4n],
    ["bl", -(2n ** 27n), 2n ** 27n - 4n, 4n],
    ["b.cond", -(2n ** 20n), 2n ** 20n - 4n, 4n],
    ["cbz.x", -(2n ** 20n), 2n ** 20n - 4n, 4n],
    ["tbz", -(2n ** 15n), 2n ** 15n - 4n, 4n],
    ["ldr.x.literal", -(2n ** 20n), 2n ** 20n - 4n, 4n],
    ["adr", -(2n ** 20n), 2n ** 20n - 1n, 1n],
  ];

  it.each(limits)(
    "%s goes from %i to %i and not one step of %i farther",
    (form, min, max, step) => {
      const middle = codeAddr(2n ** 40n);
      const to = (distance: bigint) => canReach(form, middle, codeAddr(middle + distance));
      expect(to(min)).toEqual({ kind: "reachable", distance: min });
      expect(to(max)).toEqual({ kind: "reachable", distance: max });
      expect(to(min - step)).toEqual({ kind: "outOfRange", distance: min - step, limit: min });
      expect(to(max + step)).toEqual({ kind: "outOfRange", distance: max + step, limit: max });
      if (step > 1n) expect(to(2n)).toEqual({ kind: "misaligned", distance: 2n, align: step });
    },
  );

  it("of ADRP is 4 GiB, in pages", () => {
    const from = codeAddr(2n ** 40n + 0xfffn);
    const to = (address: bigint) => canReachPage(from, codeAddr(address)).kind;
    expect(to(2n ** 40n + 2n ** 32n - 1n)).toBe("reachable");
    expect(to(2n ** 40n + 2n ** 32n)).toBe("outOfRange");
    expect(to(2n ** 40n - 2n ** 32n)).toBe("reachable");
    expect(to(2n ** 40n - 2n ** 32n - 1n)).toBe("outOfRange");
  });
});

/** Runs straight-line code from its beginning; the registers afterwards. */
const runAll = (code: Uint8Array, origin: bigint): Map<string, bigint> => {
  const registers = new Map<string, bigint>();
  for (let offset = 0; offset < code.length; offset += 4) {
    const insn = aarch64.decode(code, offset);
    if (insn === undefined) throw new Error(`no instruction at ${offset}`);
    const cpu = {
      read: (name: string) => registers.get(name) ?? 0n,
      write: (name: string, value: bigint) => registers.set(name, value),
      load: () => 0n,
      store: () => undefined,
    };
    execute(aarch64.effects(insn), cpu, origin + BigInt(offset), 4, 64);
  }
  return registers;
};

const assembler = (origin = at) => new Assembler<Arg>(aarch64, origin);

describe("the assembler", () => {
  it("understands operands of every kind", () => {
    const a = assembler();
    a.i("stp", fp, lr, pre(sp, -16)).i("mov", fp, sp).i("mov", x(9), lr);
    a.i("ldr", x(0), mem(x(1), 8))
      .i("ldr", x(0), mem(x(1), -8))
      .i("ldr", w(0), post(sp, 4));
    a.i("str", q(3), mem(sp, 32)).i("ldr", x(2), indexed(x(3), x(4), "uxtx", true));
    a.i("ldrb", w(2), indexed(x(3), w(4), "sxtw"));
    a.i("add", x(0), x(1), shifted(x(2), "lsl", 3)).i("add", sp, sp, extended(x(2), "uxtx"));
    a.i("sub", sp, sp, 4096).i("and", x(0), x(1), imm(0xff00ff00ff00ff00n));
    a.i("and", x(11), lr, -8).i("cset", w(0), "ne").i("cmp", x(0), xzr).i("lsl", x(0), x(0), 4);
    a.i("ubfx", x(0), x(1), 8, 16).i("mov", x(0), 0x120000).i("mov", x(0), -5);
    a.i("dmb", "ishst").i("mrs", x(0), "tpidr_el0").i("bti", "c").i("dc", "cvau", x(3));
    a.i("ldaddal", w(1), w(2), mem(x(3))).i("stxr", w(0), x(1), mem(x(2)));
    const { bytes } = a.finish();
    const texts = Array.from({ length: bytes.length / 4 }, (_, i) => {
      const insn = aarch64.decode(bytes, 4 * i);
      return insn && aarch64.format(insn, 0n);
    });
    expect(texts).toEqual([
      ...["stp x29, x30, [sp, #-16]!", "mov x29, sp", "mov x9, x30"],
      ...["ldr x0, [x1, #8]", "ldur x0, [x1, #-8]", "ldr w0, [sp], #4"],
      ...["str q3, [sp, #32]", "ldr x2, [x3, x4, lsl #3]"],
      "ldrb w2, [x3, w4, sxtw]",
      ...["add x0, x1, x2, lsl #3", "add sp, sp, x2"],
      ...["sub sp, sp, #1, lsl #12", "and x0, x1, #0xff00ff00ff00ff00"],
      ...["and x11, x30, #0xfffffffffffffff8", "cset w0, ne", "cmp x0, xzr", "lsl x0, x0, #4"],
      ...["ubfx x0, x1, #8, #16", "mov x0, #0x120000", "mov x0, #0xfffffffffffffffb"],
      ...["dmb ishst", "mrs x0, tpidr_el0", "bti c", "dc cvau, x3"],
      ...["ldaddal w1, w2, [x3]", "stxr w0, x1, [x2]"],
    ]);
  });

  it("refuses what no form takes", () => {
    expect(() => assembler().i("add", x(0), w(1), 4)).toThrow("no form takes these operands");
    expect(() => assembler().i("add", x(0), x(1), 4097)).toThrow("is outside of");
    expect(() => assembler().i("ldr", x(0), mem(x(1), 3))).not.toThrow();
    expect(() => assembler().i("ldr", x(0), mem(x(1), 257))).toThrow();
    expect(() => assembler().i("and", x(0), x(1), 5)).toThrow("no form takes these operands");
    expect(() => assembler().i("frob", x(0))).toThrow("no such instruction");
    expect(() => x(31)).toThrow();
  });

  it("fills in branches and literals, both ways, and addresses in data", () => {
    const a = assembler();
    const [start, literal] = [a.bindNew(), a.label()];
    a.i("ldr", x(16), literal).i("cbnz", x(16), start).i("br", x(16)).align(8).bind(literal);
    a.u64(start);
    const { bytes } = a.finish();
    expect(textOf("d61f0200")).toBe("br x16");
    const texts = [0, 4].map((offset) => {
      const insn = aarch64.decode(bytes, offset);
      return insn && aarch64.format(insn, at + BigInt(offset));
    });
    expect(texts).toEqual(["ldr x16, 0x1010", "cbnz x16, 0x1000"]);
    expect(new DataView(bytes.buffer).getBigUint64(16, true)).toBe(0x1000n);
  });

  it("copies a template to where it runs, pages included", () => {
    const a = assembler();
    const data = a.label();
    loadAddress(a, x(0), data);
    a.i("bl", a.hole("handler")).i("movz", x(1), a.hole("id")).bind(data).u64(a.hole("ops"));
    const code = a.finish();
    const out = new Uint8Array(24);
    code.copyTo(out, 0, codeAddr(0x5ff4n), [0x5000n, 7n, 0x1234n]);
    const texts = [0, 4, 8, 12].map((offset) => {
      const insn = aarch64.decode(out, offset);
      return insn && aarch64.format(insn, 0x5ff4n + BigInt(offset));
    });
    expect(texts).toEqual(["adrp x0, 0x6000", "add x0, x0, #4", "bl 0x5000", "mov x1, #0x7"]);
    expect(new DataView(out.buffer).getBigUint64(16, true)).toBe(0x1234n);
  });

  it("refuses a branch one instruction out of reach when it finishes", () => {
    const far = assembler().i("bl", codeAddr(0x1000n + 2n ** 27n));
    expect(() => far.finish()).toThrow("is outside of");
    expect(
      assembler()
        .i("bl", codeAddr(0x1000n + 2n ** 27n - 4n))
        .finish().bytes,
    ).toHaveLength(4);
  });
});

describe("macros", () => {
  it("load every constant, in at most four instructions", () => {
    const value = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.bigInt({ min: -70000n, max: 70000n }),
      fc.tuple(fc.nat(63), fc.nat(63)).map(([a, b]) => (1n << BigInt(a)) - (1n << BigInt(b))),
    );
    fc.assert(
      fc.property(value, (wanted) => {
        const a = assembler();
        loadConstant(a, x(5), wanted);
        const { bytes } = a.finish();
        expect(bytes.length).toBeLessThanOrEqual(16);
        expect(runAll(bytes, 0n).get("x5")).toBe(BigInt.asUintN(64, wanted));
      }),
    );
  });

  it("load addresses within 4 GiB", () => {
    const origin = codeAddr(2n ** 40n + 0x123cn);
    const distance = fc.bigInt({ min: -(2n ** 32n) + 0x2000n, max: 2n ** 32n - 0x2000n });
    fc.assert(
      fc.property(distance, (d) => {
        const a = assembler(origin);
        loadAddress(a, x(7), codeAddr(origin + d));
        expect(runAll(a.finish().bytes, origin).get("x7")).toBe(origin + d);
      }),
    );
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ensure } from "../../base/assert.ts";
import { codeAddr, hexBytes } from "../../base/brand.ts";
import { type Assembled, Assembler } from "./assembler.ts";
import { type Hole, mem, mem32, mem64 } from "./operands.ts";
import { OutOfReach } from "./reach.ts";
import { r8, r32, r64 } from "./registers.ts";
import { nops } from "./table.ts";

const origin = codeAddr(0x401000n);
const bytesOf = (build: (a: Assembler) => void): string => {
  const a = new Assembler(origin);
  build(a);
  return hexBytes(a.finish().bytes);
};

describe("labels", () => {
  it("gives a branch back its short form while that reaches, then rel32", () => {
    const backBy = (count: number): string =>
      bytesOf((a) => {
        const top = a.bindNew();
        a.nop(count).i("jne", top);
      }).slice(3 * count);
    expect(backBy(126)).toBe("75 80");
    expect(backBy(127)).toBe("0f 85 7b ff ff ff");
  });

  it("fills a forward branch in when its label is bound", () => {
    const forward = (short: boolean): string =>
      bytesOf((a) => {
        const done = a.label();
        if (short) a.short("jmp", done);
        else a.i("jmp", done);
        a.i("int3").bind(done);
      });
    expect(forward(false)).toBe("e9 01 00 00 00 cc");
    expect(forward(true)).toBe("eb 01 cc");
  });

  it("refuses a short branch whose label comes too late", () => {
    const a = new Assembler(origin);
    const done = a.label();
    a.short("je", done).nop(128);
    expect(() => a.bind(done)).toThrow(OutOfReach);
  });

  it("refuses to finish while a label in use is not bound", () => {
    const a = new Assembler(origin);
    a.i("call", a.label());
    expect(() => a.finish()).toThrow("never bound");
  });

  it("counts a rip-relative displacement from behind the immediate", () => {
    const text = bytesOf((a) => {
      const data = a.label();
      a.i("mov", mem32(data), 1).bind(data);
    });
    expect(text).toBe("c7 05 00 00 00 00 01 00 00 00");
  });

  it("knows a label's address", () => {
    const a = new Assembler(origin);
    a.nop(5);
    const here = a.bindNew();
    expect(a.finish().labels(here)).toBe(codeAddr(0x401005n));
  });
});

describe("refusals", () => {
  it("throws OutOfReach for a call more than 2 GiB away", () => {
    const a = new Assembler(origin);
    expect(() => a.i("call", codeAddr(origin + 5n + 0x8000_0000n))).toThrow(OutOfReach);
    expect(() => a.i("call", codeAddr(origin + 5n + 5n + 0x7fff_ffffn))).not.toThrow();
  });

  it("throws for operands that no form takes", () => {
    const a = new Assembler(origin);
    expect(() => a.i("mov", r64.rax, r32.eax)).toThrow("no form of mov");
    expect(() => a.i("add", r64.rax, 0x8000_0000)).toThrow("no form of add");
    expect(() => a.i("mov", r8.ah, r8.sil)).toThrow("exclude REX");
    expect(() => a.i("xsave64", r64.rax)).toThrow("no form of xsave64");
  });

  it("locks only what may be locked", () => {
    expect(bytesOf((a) => a.lock().i("inc", mem64(r64.rdi)))).toBe("f0 48 ff 07");
    expect(() => new Assembler(origin).lock().i("inc", r64.rdi)).toThrow("can't be locked");
    expect(() => new Assembler(origin).lock().i("mov", mem64(r64.rdi), r64.rax)).toThrow();
    expect(() => new Assembler(origin).lock().i("add", r64.rax, mem64(r64.rdi))).toThrow();
  });
});

describe("padding", () => {
  it("fills any size with the longest NOPs and aligns the address, not the offset", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 6 }), (skip, log) => {
        const a = new Assembler(codeAddr(0x401003n));
        a.nop(skip).align(2 ** log);
        expect(a.size).toBeLessThan(skip + 2 ** log);
        expect(a.here % BigInt(2 ** log)).toBe(0n);
      }),
    );
  });

  it("has a NOP of every length up to nine", () => {
    expect(nops.map((nop) => nop.length)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

/** A copy of `code` for the address `at`, the holes filled in with `values` in their order. */
const copyTo = (code: Assembled, at: bigint, values: readonly bigint[]): Uint8Array => {
  const out = code.bytes.slice();
  const put = (offset: number, value: bigint, sizeBytes: number): void => {
    for (let i = 0; i < sizeBytes; i++) out[offset + i] = Number((value >> BigInt(8 * i)) & 0xffn);
  };
  for (const fixup of code.fixups) {
    if (fixup.kind === "address") put(fixup.offset, at + BigInt(fixup.targetOffset), 8);
    else put(fixup.offset, fixup.target - (at + BigInt(fixup.endOffset)), fixup.sizeBytes);
  }
  for (const [index, { offset, sizeBytes, endOffset }] of code.holes.entries()) {
    const value = ensure(values[index], "a value for every hole");
    put(offset, endOffset === undefined ? value : value - (at + BigInt(endOffset)), sizeBytes);
  }
  return out;
};

describe("templates", () => {
  type Values = Record<"site" | "ops" | "body" | "tail", number | bigint | Hole>;
  const build = (at: bigint, { site, ops, body, tail }: Values): Assembled => {
    const a = new Assembler(codeAddr(at));
    const table = a.bindNew();
    const disp = typeof tail === "object" ? tail : Number(tail);
    a.u64(table);
    a.i("mov", r32.eax, site).i("movabs", r64.rcx, ops);
    a.i("call", body).i("lea", r64.rdx, mem(table)).i("jmp", codeAddr(0x500000n));
    a.i("mov", mem64(r64.rsp, { disp }), r64.rcx);
    return a.finish();
  };

  it("say where a copy at another place differs", () => {
    const hole = (name: string, size: 4 | 8): Hole => ({ kind: "hole", name, size });
    const template = build(origin, {
      ...{ site: hole("site", 4), ops: hole("ops", 8) },
      ...{ body: hole("body", 4), tail: hole("tail", 4) },
    });
    expect(template.holes.map(({ name }) => name)).toEqual(["site", "ops", "body", "tail"]);
    const near = fc.bigInt({ min: 0x10000n, max: 0x7000_0000n });
    const word = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    const site = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n });
    const tail = fc.bigInt({ min: 128n, max: 2n ** 31n - 1n });
    fc.assert(
      fc.property(near, fc.record({ site, ops: word, body: near, tail }), (at, values) => {
        const { site, ops, body, tail } = values;
        const copy = copyTo(template, at, [site, ops, body, tail]);
        expect(hexBytes(copy)).toBe(hexBytes(build(at, values).bytes));
      }),
    );
  });
});

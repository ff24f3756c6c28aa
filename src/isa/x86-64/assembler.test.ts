import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codeAddr, hexBytes } from "../../base/brand.ts";
import { Assembler } from "./assembler.ts";
import { mem, mem32, mem64 } from "./operands.ts";
import { OutOfReach } from "./reach.ts";
import { r8, r32, r64 } from "./registers.ts";
import { nops } from "./table.ts";
import { copyCode } from "./template.ts";

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

  it("counts a rip-relative displacement from the end of the instruction, immediate and all", () => {
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

describe("templates", () => {
  const build = (at: bigint, site: bigint, body: bigint, ops: bigint, tail: bigint) => {
    const a = new Assembler(codeAddr(at));
    const table = a.bindNew();
    a.u64(table);
    a.i("mov", r32.eax, site).i("movabs", r64.rcx, ops);
    a.i("call", codeAddr(body)).i("lea", r64.rdx, mem(table)).i("jmp", codeAddr(0x500000n));
    a.i("mov", mem64(r64.rsp, { disp: Number(tail) }), r64.rcx);
    return a.finish();
  };

  it("gives the bytes that assembling at the new place would give", () => {
    const a = new Assembler(origin);
    const table = a.bindNew();
    a.u64(table);
    a.i("mov", r32.eax, a.hole("site", 4)).i("movabs", r64.rcx, a.hole("ops", 8));
    a.i("call", a.hole("body", 4)).i("lea", r64.rdx, mem(table)).i("jmp", codeAddr(0x500000n));
    a.i("mov", mem64(r64.rsp, { disp: a.hole("tail", 4) }), r64.rcx);
    const template = a.finish();
    expect(template.holes.map(({ name }) => name)).toEqual(["site", "ops", "body", "tail"]);
    const word = fc.bigInt({ min: 2n ** 32n, max: 2n ** 64n - 1n });
    const near = fc.bigInt({ min: 0x10000n, max: 0x7000_0000n });
    const site = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n });
    const tail = fc.bigInt({ min: 128n, max: 2n ** 31n - 1n });
    fc.assert(
      fc.property(near, site, near, word, tail, (at, id, body, ops, disp) => {
        const out = new Uint8Array(template.bytes.length + 3);
        copyCode(template, out, 3, codeAddr(at), [id, ops, body, disp]);
        const wanted = build(at, id, body, BigInt.asIntN(64, ops), disp).bytes;
        expect(hexBytes(out.subarray(3))).toBe(hexBytes(wanted));
      }),
    );
  });

  it("refuses a value that its hole can't hold and a target that its place can't reach", () => {
    const a = new Assembler(origin);
    a.i("mov", r32.eax, a.hole("site", 4)).i("call", a.hole("body", 4));
    const template = a.finish();
    const copy = (values: readonly bigint[]): void =>
      copyCode(template, new Uint8Array(16), 0, origin, values);
    expect(() => copy([1n << 32n, 0x402000n])).toThrow("does not fit");
    expect(() => copy([0n, 0x1_8040_2000n])).toThrow(OutOfReach);
    expect(() => copy([0n])).toThrow("2 holes, 1 values");
  });
});

/** The layouts of AArch64 and RISC-V: bytes as binutils encodes them, reach to the last byte. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CodeAddr, codeAddr, hexBytes } from "../base/brand.ts";
import { aarch64Layouts, canReach, twoNops, twoNopsLiteralBti } from "./aarch64-layouts.ts";
import type { Layout } from "./layout.ts";
import { callOps2023Layout, callOpsLayout, type RiscvSite } from "./riscv-layouts.ts";

const at = codeAddr(0x40_1000n);
const bytesOf = (result: ReturnType<Layout["call"]>): string =>
  result.ok ? hexBytes(result.value) : result.error.kind;

describe("AArch64 layouts", () => {
  it("have the bytes that binutils gives these instructions", () => {
    expect(hexBytes(twoNops.idle())).toBe("e9 03 1e aa 1f 20 03 d5");
    expect(bytesOf(twoNops.call(at, codeAddr(at + 8n)))).toBe("e9 03 1e aa 01 00 00 94");
    expect(bytesOf(twoNops.call(at, at))).toBe("e9 03 1e aa ff ff ff 97");
    expect(bytesOf(twoNops.jump(at, codeAddr(at + 12n)))).toBe("1f 20 03 d5 02 00 00 14");
  });

  it("reach 128 MiB less one instruction forwards and 128 MiB backwards", () => {
    const far = (distance: bigint) => canReach(at, codeAddr(at + 4n + distance));
    expect(far(2n ** 27n - 4n)).toMatchObject({ ok: true });
    expect(far(2n ** 27n)).toMatchObject({ ok: false, error: { kind: "outOfRange" } });
    const low = codeAddr(0x1000_0000n);
    expect(canReach(low, codeAddr(low + 4n - 2n ** 27n))).toMatchObject({ ok: true });
    expect(canReach(low, codeAddr(low - 2n ** 27n))).toMatchObject({ ok: false });
    expect(far(2n)).toMatchObject({ ok: false, error: { kind: "misaligned", align: 4n } });
  });

  it("recognise what they make, and nothing else", () => {
    const compiled = Uint8Array.from([0x1f, 0x20, 3, 0xd5, 0x1f, 0x20, 3, 0xd5]);
    const target = fc.integer({ min: -(2 ** 25), max: 2 ** 25 - 1 }).map((n) => BigInt(4 * n));
    fc.assert(
      fc.property(target, fc.constantFrom("call" as const, "jump" as const), (distance, kind) => {
        const goal = codeAddr(0x1000_0000n + 4n + distance);
        const site = codeAddr(0x1000_0000n);
        for (const layout of aarch64Layouts.values()) {
          const made = layout[kind](site, goal);
          if (!made.ok) return;
          expect(layout.recognise(made.value, site, compiled)).toEqual({ kind, target: goal });
        }
      }),
    );
    expect(twoNops.recognise(compiled, at, compiled)).toEqual({ kind: "compiled" });
    expect(twoNops.recognise(twoNops.idle(), at, compiled)).toEqual({ kind: "idle" });
    expect(twoNops.recognise(new Uint8Array(8), at, compiled)).toBeUndefined();
    expect(twoNopsLiteralBti.literal).toEqual({ offset: -12, size: 8 });
  });
});

const site: RiscvSite = { at, common: codeAddr(0x81_2340n), xlen: 64, compressed: true };
const layoutOf = (of: typeof callOpsLayout, change: Partial<RiscvSite> = {}): Layout => {
  const made = of({ ...site, ...change });
  if (!made.ok) throw new Error(made.error.kind);
  return made.value;
};

describe("RISC-V layouts", () => {
  it("have the bytes that binutils gives these instructions", () => {
    // 0x812340 - 0x401000 = 0x411340: auipc t0, 0x411; jalr t0, 0x340(t0)
    const layout = layoutOf(callOpsLayout);
    expect(hexBytes(layout.idle())).toBe("97 12 41 00 13 00 00 00");
    expect(bytesOf(layout.call(at, site.common))).toBe("97 12 41 00 e7 82 02 34");
    expect(bytesOf(layout.jump(at, site.common))).toBe("97 12 41 00 67 80 02 34");
    // 4 bytes on: 0x41133c.
    const older = layoutOf(callOps2023Layout);
    expect(hexBytes(older.idle())).toBe("93 82 00 00 17 13 41 00 13 00 00 00");
    expect(bytesOf(older.call(at, site.common))).toBe("93 82 00 00 17 13 41 00 e7 00 c3 33");
  });

  it("count the compiler's no-ops by their size", () => {
    expect(layoutOf(callOpsLayout).compiledSizes).toEqual([2, 2, 2, 2]);
    expect(layoutOf(callOpsLayout, { compressed: false }).compiledSizes).toEqual([4, 4]);
    expect(layoutOf(callOps2023Layout, { xlen: 32 }).literal).toEqual({ offset: -4, size: 4 });
  });

  it("reach 2047 bytes up and 2048 down from where auipc points, not from the trampoline", () => {
    const layout = layoutOf(callOpsLayout);
    const base = at + 0x411000n;
    const isReached = (target: bigint): boolean => layout.call(at, codeAddr(target)).ok;
    expect([isReached(base + 2047n), isReached(base + 2048n)]).toEqual([true, false]);
    expect([isReached(base - 2048n), isReached(base - 2049n)]).toEqual([true, false]);
  });

  it("refuse a trampoline that auipc does not reach", () => {
    const near = codeAddr(at + 0x7fff_f7ffn);
    expect(callOpsLayout({ ...site, common: near })).toMatchObject({ ok: true });
    const far: CodeAddr = codeAddr(at + 0x7fff_f800n);
    expect(callOpsLayout({ ...site, common: far })).toMatchObject({
      ok: false,
      error: { kind: "outOfRange", limit: 0x7fff_f7ffn },
    });
  });

  it("recognise what they make", () => {
    const compiled = Uint8Array.from([1, 0, 1, 0, 1, 0, 1, 0]);
    fc.assert(
      fc.property(fc.integer({ min: -2048, max: 2047 }), (lo) => {
        const layout = layoutOf(callOpsLayout);
        const target = codeAddr(at + 0x411000n + BigInt(lo));
        for (const kind of ["call", "jump"] as const) {
          const made = layout[kind](at, target);
          if (!made.ok) throw new Error("not reached");
          expect(layout.recognise(made.value, at, compiled)).toEqual({ kind, target });
        }
      }),
    );
    const layout = layoutOf(callOpsLayout);
    expect(layout.recognise(layout.idle(), at, compiled)).toEqual({ kind: "idle" });
    expect(layout.recognise(compiled, at, compiled)).toEqual({ kind: "compiled" });
    expect(layout.recognise(new Uint8Array(8), at, compiled)).toBeUndefined();
  });
});

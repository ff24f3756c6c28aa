import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codeAddr } from "../base/brand.ts";
import type { Layout } from "./layout.ts";
import { canReach, nopBytes, nopSizeAt, x8664Layouts } from "./x86-64-layouts.ts";

const layouts = [...x8664Layouts.values()];
const anyLayout = fc.constantFrom(...layouts);
const at = codeAddr(0x5555_5555_5000n);

/** What a compiler would leave in the window: something that no state has. */
const compiledOf = (layout: Layout): Uint8Array =>
  layout.id.includes("fentry")
    ? Uint8Array.from({ length: layout.windowSize }, (_, i) => (i === 0 ? 0xe8 : 0x11))
    : nopBytes(layout.windowSize).fill(0x08, layout.windowSize - 1);

describe("x86-64 layouts", () => {
  it("recognise every state that they write, at any distance in reach", () => {
    const distance = fc.bigInt({ min: -(2n ** 31n) + 5n, max: 2n ** 31n - 1n });
    fc.assert(
      fc.property(anyLayout, distance, fc.constantFrom("call", "jump"), (layout, far, kind) => {
        const target = codeAddr(at + far);
        const written = layout[kind](at, target);
        if (!written.ok) throw new Error("in reach");
        expect(written.value.length).toBe(layout.windowSize);
        const compiled = compiledOf(layout);
        expect(layout.recognise(written.value, at, compiled)).toEqual({ kind, target });
      }),
    );
  });

  it("tell the compiler's bytes from their own idle ones, and refuse others", () => {
    for (const layout of layouts) {
      const compiled = compiledOf(layout);
      expect(layout.recognise(compiled, at, compiled)).toEqual({ kind: "compiled" });
      expect(layout.recognise(layout.idle(), at, compiled)).toEqual({ kind: "idle" });
      const foreign = new Uint8Array(layout.windowSize).fill(0xcc);
      expect(layout.recognise(foreign, at, compiled)).toBeUndefined();
      expect(layout.recognise(compiled.subarray(1), at, compiled)).toBeUndefined();
    }
  });

  it("refuse a call whose tail is not their no-op", () => {
    const layout = x8664Layouts.get("x86-64/nop8");
    const bytes = Uint8Array.of(0xe8, 0, 0, 0, 0, 0xcc, 0xcc, 0xcc);
    expect(layout?.recognise(bytes, at, nopBytes(8))).toBeUndefined();
  });

  it("have idle bytes that are one instruction", () => {
    for (const layout of layouts) {
      expect(nopSizeAt(layout.idle(), 0)).toBe(layout.windowSize);
      expect(layout.compiledSizes.reduce((sum, size) => sum + size)).toBe(layout.windowSize);
    }
  });
});

describe("canReach", () => {
  it("says how far a target is and where the limit was", () => {
    const last = codeAddr(at + 5n + 2n ** 31n - 1n);
    expect(canReach(at, last)).toEqual({ ok: true, value: 2 ** 31 - 1 });
    expect(canReach(at, codeAddr(last + 1n))).toEqual({
      ok: false,
      error: { kind: "outOfRange", distance: 2n ** 31n, limit: 2n ** 31n - 1n },
    });
    const first = codeAddr(at + 5n - 2n ** 31n);
    expect(canReach(at, first)).toEqual({ ok: true, value: -(2 ** 31) });
    expect(canReach(at, codeAddr(first - 1n))).toMatchObject({
      error: { distance: -(2n ** 31n) - 1n, limit: -(2n ** 31n) },
    });
  });
});

describe("nopSizeAt", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["90", 1],
    ["66 90", 2],
    ["66 66 66 90", 4],
    ["0f 1f 44 00 08", 5],
    ["2e 66 0f 1f 84 00 00 02 00 00", 10],
    // The same length written otherwise: disp32 without a base.
    ["0f 1f 04 25 00 00 00 00", 8],
    ["0f 1f c0", 3],
    // Not a no-op: pause, another /digit, cut off, call.
    ["f3 90", 0],
    ["0f 1f 48 00", 0],
    ["0f 1f 44 00", 0],
    ["0f 1f", 0],
    ["66", 0],
    ["e8 00 00 00 00", 0],
  ];
  for (const [text, size] of cases) {
    it(`takes ${text} as ${size === 0 ? "none" : `${size} bytes`}`, () => {
      const bytes = Uint8Array.from(text.split(" "), (byte) => Number.parseInt(byte, 16));
      expect(nopSizeAt(bytes, 0)).toBe(size);
    });
  }
});

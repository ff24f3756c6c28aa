import { describe, expect, it } from "vitest";
import { codeAddr, hexBytes } from "../base/brand.ts";
import { fillersOf } from "./fillers.ts";
import {
  bindSteps,
  describeBatchStep,
  describeStep,
  literal,
  type SiteChange,
  stop,
  sync,
  toAddress,
  toBytes,
  toNew,
  toOld,
  toSkip,
  toTrap,
  window,
  word,
  write,
  writePieces,
} from "./steps.ts";

const nop = Uint8Array.of(0x0f, 0x1f, 0x44, 0, 0);
const call = Uint8Array.of(0xe8, 1, 2, 3, 4);
const siteAt = (at: bigint): SiteChange => ({ at: codeAddr(at), from: nop, to: call });
const x86 = fillersOf("x86-64");

describe("bindSteps", () => {
  it("carries each step out for all sites before the next one", () => {
    const bound = bindSteps(
      [write(window(0, 1), toTrap), sync, writePieces(window(1, "rest"), toNew)],
      [siteAt(0x1000n), siteAt(0x2000n)],
      x86,
    );
    expect(bound.map(describeBatchStep)).toEqual([
      "writes cc at 0x1000, writes cc at 0x2000",
      "sync by interrupt",
      "writes 01 02 03 04 at 0x1001, writes 01 02 03 04 at 0x2001",
    ]);
    expect(bound[0]).toMatchObject({ store: "single" });
    expect(bound[2]).toMatchObject({ store: "pieces" });
  });

  it("resolves contents against each site's own change", () => {
    const other = { ...siteAt(0x2000n), to: Uint8Array.of(0xe8, 9, 9, 9, 9) };
    const bound = bindSteps([write(window(0, "rest"), toNew)], [siteAt(0x1000n), other], x86);
    const writes = bound[0]?.op === "write" ? bound[0].writes : [];
    expect(writes.map(({ bytes }) => hexBytes(bytes))).toEqual([
      "e8 01 02 03 04",
      "e8 09 09 09 09",
    ]);
    expect(bindSteps([write(window(0, 2), toOld)], [other], x86).map(describeBatchStep)).toEqual([
      "writes 0f 1f at 0x2000",
    ]);
  });

  it("gives out bytes of its own, which the caller may keep", () => {
    const [bound] = bindSteps([write(window(0, "rest"), toNew)], [siteAt(0x1000n)], x86);
    if (bound?.op === "write") bound.writes[0]?.bytes.fill(0);
    expect(hexBytes(call)).toBe("e8 01 02 03 04");
  });

  it("stores words that sites share once", () => {
    const words = new Map([["ops", { at: codeAddr(0x9000n), to: Uint8Array.of(7) }]]);
    const addresses = new Map([["list", Uint8Array.of(8)]]);
    const sites = [siteAt(0x1000n), siteAt(0x2000n)].map((site) => ({ ...site, words, addresses }));
    const steps = [write(word("ops"), toNew), write(word("ops"), toAddress("list"))];
    expect(bindSteps(steps, sites, x86).map(describeBatchStep)).toEqual([
      "writes 07 at 0x9000",
      "writes 08 at 0x9000",
    ]);
  });

  it("binds what is inside of a stop", () => {
    const bound = bindSteps([stop(write(window(0, 1), toTrap))], [siteAt(0x1000n)], x86);
    expect(bound.map(describeBatchStep)).toEqual(["stop { writes cc at 0x1000 }"]);
  });

  it("refuses spans and contents that a site does not have", () => {
    const bind = (step: Parameters<typeof bindSteps>[0][number]) => () =>
      bindSteps([step], [siteAt(0x1000n)], x86);
    expect(bind(write(window(4, 2), toNew))).toThrow(/outside of the window/);
    expect(bind(write(literal, toNew))).toThrow(/no literal/);
    expect(bind(write(window(0, 3), toTrap))).toThrow(/no trap of 3 bytes/);
    expect(bind(write(window(0, 2), toBytes(1)))).toThrow(/no bytes of 2 bytes/);
    expect(bind(write(word("ops"), toNew))).toThrow(/no word ops/);
  });
});

describe("fillers", () => {
  it("jump from the span to the window's end, in each ISA's shortest way", () => {
    const skip = (isa: Parameters<typeof fillersOf>[0], distance: number, size: number) =>
      hexBytes(fillersOf(isa).skip(distance, size) ?? new Uint8Array(0));
    expect(skip("x86-64", 5, 2)).toBe("eb 03");
    expect(skip("x86-64", 9, 5)).toBe("e9 04 00 00 00");
    expect(skip("aarch64", 16, 4)).toBe("04 00 00 14");
    expect(skip("riscv64", 8, 4)).toBe("6f 00 80 00");
    expect(skip("riscv32", 8, 2)).toBe("21 a0");
    expect(skip("x86-64", 5, 3)).toBe("");
  });

  it("trap", () => {
    expect(hexBytes(fillersOf("aarch64").trap(4) ?? call)).toBe("00 00 20 d4");
    expect(hexBytes(fillersOf("riscv64").trap(4) ?? call)).toBe("73 00 10 00");
    expect(hexBytes(fillersOf("riscv64").trap(2) ?? call)).toBe("02 90");
  });
});

describe("describeStep", () => {
  it("says what is stored where", () => {
    expect(describeStep(write(window(0, 2), toSkip))).toBe("write window[0, 2) = skip");
    expect(describeStep(writePieces(window(1, "rest"), toNew))).toBe(
      "write window[1, end) = new, any stores",
    );
  });
});

import { describe, expect, it } from "vitest";
import { buildKernel } from "../../test/support/kernel-builder.ts";
import { parseElf } from "../elf/elf-file.ts";
import { readKallsyms } from "../elf/kallsyms.ts";
import { kernelElf, recogniseKernel } from "../elf/kernel-image.ts";
import { findSites } from "./site.ts";

const nop = [0x1f, 0x20, 0x03, 0xd5];
const bti = [0x5f, 0x24, 0x03, 0xd5];
const cNops = [1, 0, 1, 0, 1, 0, 1, 0];
const codeAt = 0x1000;
const functionBytes = 32;
const count = 1200;
const names = Array.from({ length: count }, (_, i) => `function_${i}`);
names[7] = `long_${"x".repeat(200)}`;

type Options = { readonly table: boolean; readonly old: boolean };

/** Functions with a literal's room in front, every second one with a landing pad. */
function armKernel({ table, old }: Options): Uint8Array {
  const starts = names.map((_, i) => codeAt + functionBytes * i + 8);
  const code = new Map(
    starts.map((start, i) => [
      start - 8,
      Uint8Array.from([...nop, ...nop, ...(i % 2 === 0 ? [] : bti), ...nop, ...nop]),
    ]),
  );
  return buildKernel({
    machine: "aarch64",
    base: 0xffff_8000_8000_0000n,
    code,
    symbols: [
      { offset: 0, text: "T_text" },
      ...names.map((name, i) => ({ offset: starts[i] ?? 0, text: `t${name}` })),
    ],
    ...(table ? { table: [0, 0, ...starts.map((start) => start - 8)] } : {}),
    old,
  });
}

describe("kernel images", () => {
  it.each([
    { table: true, old: false },
    { table: true, old: true },
  ])("give their functions, names and addresses: %o", (options) => {
    const image = armKernel(options);
    expect(recogniseKernel(image)).toEqual({ kind: "image", machine: "aarch64" });
    const { bytes, bias } = kernelElf(image, "aarch64");
    const { sites, refused } = findSites(parseElf(bytes));
    expect(sites.map(({ symbol }) => symbol)).toEqual(names);
    expect(refused.map(({ reason }) => reason)).toEqual(["dropped", "dropped"]);
    for (const [i, site] of sites.entries()) {
      const start = 0xffff_8000_8000_0000n + BigInt(codeAt + functionBytes * i + 8);
      expect(site.functionAddr + bias).toBe(start);
      expect(site.addr - site.functionAddr).toBe(i % 2 === 0 ? 0n : 4n);
      expect(site.layout.id).toBe("aarch64/nop2");
      expect(site.literal).toMatchObject({ aligned: true });
    }
  });

  it("are searched for no-ops where no symbol names the table", () => {
    const { sites } = findSites(
      parseElf(kernelElf(armKernel({ table: false, old: true }), "aarch64").bytes),
    );
    expect(sites.map(({ symbol }) => symbol)).toEqual(names);
  });

  it("are read for RISC-V, too", () => {
    const starts = names.map((_, i) => codeAt + 18 * i);
    const image = buildKernel({
      machine: "riscv64",
      base: 0xffff_ffff_8000_0000n,
      code: new Map(starts.map((start) => [start, Uint8Array.from(cNops)])),
      symbols: names.map((name, i) => ({ offset: starts[i] ?? 0, text: `T${name}` })),
      table: starts,
    });
    expect(recogniseKernel(image)).toEqual({ kind: "image", machine: "riscv64" });
    const { bytes, bias } = kernelElf(image, "riscv64");
    const { sites, refused } = findSites(parseElf(bytes));
    expect(refused).toEqual([]);
    expect(sites.map(({ addr }) => Number(addr + bias - 0xffff_ffff_8000_0000n))).toEqual(starts);
  });

  it("without symbols are programs without sites", () => {
    const image = new Uint8Array(0x10000);
    image.set([0x4d, 0x5a]);
    expect(recogniseKernel(image)).toBeUndefined();
    expect(readKallsyms(image)).toBeUndefined();
    expect(findSites(parseElf(kernelElf(image, "aarch64").bytes)).sites).toEqual([]);
  });

  it("packed by an EFI program say where they are and by what", () => {
    const file = new Uint8Array(8192);
    file.set([0x4d, 0x5a, 0, 0, ...Array.from("zimg", (char) => char.charCodeAt(0))]);
    new DataView(file.buffer).setUint32(8, 512, true);
    new DataView(file.buffer).setUint32(12, 1000, true);
    file.set(
      Array.from("zstd", (char) => char.charCodeAt(0)),
      24,
    );
    expect(recogniseKernel(file)).toEqual({ kind: "zboot", by: "zstd", from: 512, to: 1512 });
  });
});

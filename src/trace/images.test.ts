import { describe, expect, it } from "vitest";
import { functionTable, type TracedFunction } from "./functions.ts";

const at = (site: number, name: string, more: Partial<TracedFunction> = {}): TracedFunction => ({
  site,
  name,
  module: "/bin/prog",
  address: 0x1000n,
  linkAddress: BigInt(site) * 16n,
  ...more,
});

describe("functions of several images", () => {
  it("are one where file, place and name are the same, and keep the first image's sites", () => {
    const lib = { module: "/lib/lib.so", linkAddress: 0x500n };
    const table = functionTable([
      at(0, "main"),
      at(7, "shared", lib),
      at(0, "shared", { ...lib, image: 1 }),
      at(3, "other", { module: "/bin/other", image: 1 }),
      at(1, "shared", { ...lib, image: 2, file: "lib.c", line: 5 }),
    ]);
    expect(table.sitesOf(0)).toBeUndefined();
    expect(table.all.map(({ name }) => name).sort()).toEqual(["main", "other", "shared"]);
    const named = (image: number, number: number): string =>
      table.name(table.sitesOf(image)?.[number] ?? -1);
    expect([named(1, 0), named(1, 3), named(2, 1)]).toEqual(["shared", "other", "shared"]);
    expect(table.sitesOf(1)?.[0]).toBe(7);
    expect(table.find(7)).toMatchObject({ line: 5 });
  });

  it("are told apart where their places are not known, or differ", () => {
    const unknown = { linkAddress: undefined };
    const table = functionTable([
      at(0, "main"),
      at(1, "f", unknown),
      at(0, "main", { image: 1, module: "/bin/other" }),
      at(1, "f", { ...unknown, image: 1 }),
      at(1, "f", { ...unknown, image: 1, file: "f.c", line: 2 }),
    ]);
    expect(table.all).toHaveLength(4);
    const sites = table.sitesOf(1);
    expect(new Set([0, 1, sites?.[0], sites?.[1]]).size).toBe(4);
    expect(table.find(sites?.[1] ?? -1)).toMatchObject({ name: "f", line: 2 });
  });

  it("have one site for numbers that nothing is said of", () => {
    const table = functionTable([at(4, "f", { image: 1 })]);
    const sites = table.sitesOf(1);
    expect(sites?.[0]).toBe(sites?.[3]);
    expect(table.find(sites?.[0] ?? -1)).toBeUndefined();
    expect(table.name(sites?.[4] ?? -1)).toBe("f");
  });
});

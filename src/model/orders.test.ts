import { describe, expect, it } from "vitest";
import { tabulateOrders } from "./orders.ts";

describe("tabulateOrders", () => {
  it.each(["riscv-ziccif", "riscv-ziccid"] as const)("finds no mixed pair on %s", (machine) => {
    const rows = tabulateOrders(machine);
    expect(rows).toHaveLength(10);
    expect(rows.map(({ verdict }) => verdict)).toEqual(rows.map(({ expected }) => expected));
    expect(rows.flatMap(({ found }) => found)).not.toContain("mixed");
  });

  it("finds mixed pairs where nobody replays: the table is not about nothing", () => {
    const rows = tabulateOrders();
    const mixed = rows.filter(({ foundWithoutReplay }) => foundWithoutReplay.includes("mixed"));
    expect(mixed.map(({ order }) => order)).toEqual(["0fff4", "0ff4f", "0f4ff"]);
  });

  it("shows the one order that the proposal calls impossible and that happens", () => {
    const row = tabulateOrders().find(({ order }) => order === "ff04f");
    expect(row).toMatchObject({ claim: "impossible", found: ["updated"] });
  });
});

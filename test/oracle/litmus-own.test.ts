/**
 * Our own litmus tests: RISC-V's, written out from the names of the 64 published ones, against the
 * published verdicts of five candidate models (litmus-tests-riscv-ifetch); x86-64's, with verdicts
 * read from the vendors' manuals; AArch64's, shapes of the published tests on all four cache types.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { ensure } from "../../src/base/assert.ts";
import { runLitmus } from "../../src/index.ts";

const root = resolve(import.meta.dirname, "../litmus");

/** Rows of a folder's table: file, then a verdict for each machine of the heading. */
const readTable = (folder: string): { machines: string[]; rows: string[][] } => {
  const lines = readFileSync(join(root, folder, "verdicts.tsv"), "utf8")
    .trim()
    .split("\n");
  const [heading = [], ...rows] = lines.map((line) => line.split("\t"));
  return { machines: heading.slice(1), rows };
};

describe.each([
  ["aarch64", 18],
  ["riscv", 64],
  ["x86", 18],
])("%s", (folder, count) => {
  const { machines, rows } = readTable(folder);

  it.each(rows.map((row) => [ensure(row[0], "a file"), row.slice(1)] as const))(
    "%s",
    (file, verdicts) => {
      const text = readFileSync(join(root, folder, file), "utf8");
      const results = runLitmus(text, { fileName: file, machine: "all" });
      const found = machines.map(
        (name) => results.find(({ machine }) => machine === name)?.verdict ?? "missing",
      );
      expect(found).toEqual(verdicts);
    },
  );

  it("has a verdict for every test", () => {
    const files = readdirSync(join(root, folder)).filter((file) => file.endsWith(".litmus"));
    expect(new Set(rows.map(([file]) => file))).toEqual(new Set(files));
    expect(files).toHaveLength(count);
  });
});

it("has no RISC-V candidate that forbids what Ziccif with fewer promises does not allow", () => {
  for (const [file = ""] of readTable("riscv").rows) {
    const text = readFileSync(join(root, "riscv", file), "utf8");
    const results = runLitmus(text);
    const statesOf = (machine: string): Set<string> =>
      new Set(results.find((r) => r.machine === machine)?.states.map((state) => state.text));
    const base = statesOf("riscv-ziccif");
    const torn = statesOf("riscv-parcel");
    for (const state of base) expect(torn.has(state), `${file}: ${state}`).toBe(true);
    for (const stronger of ["ziccid", "ir-decode-w", "ir-decode", "ir3-fetch"]) {
      for (const state of statesOf(`riscv-${stronger}`)) expect(base.has(state), file).toBe(true);
    }
  }
});

/** `patchbay verify` as people call it: the built command line, its output and its exit status. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const main = resolve("dist/cli/main.js");
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "patchbay-verify-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function patchbay(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: "utf8",
    cwd: folder,
  });
  return { status, stdout, stderr };
}

/** A protocol file whose one expectation is `expected`. */
const ownFile = (expected: string): string => `
import { checksFor, designs, steps } from "patchbay";
const { sync, toNew, window, write } = steps;
const list = [write(window(1, "rest"), toNew), write(window(0, 1), toNew), sync];
const protocol = { id: "mine/one", title: "tail, head", enable: list, disable: list, retire: [] };
const question = { protocol, design: designs.x86Call, expected: "${expected}", reason: "a test" };
export const checks = checksFor(question, ["x86-amd"], [[]]);
`;

describe("patchbay verify", () => {
  it("prints the table and the claims of a family, and ends with 0", () => {
    const { status, stdout } = patchbay("verify", "P5");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^protocol +site +machine +adversities +verdict +states +depth +ms$/m);
    expect(stdout).toMatch(/^P5\/replay +riscv64\/auipc-replay .* safe /m);
    expect(stdout).toMatch(/^ff04f {2}impossible +updated .*happens, and is safe$/m);
    expect(stdout).toMatch(/all as expected/);
  });

  it("prints the same as JSON", () => {
    const { status, stdout } = patchbay("verify", "P4/stop-machine", "--json");
    expect(status).toBe(0);
    const report: unknown = JSON.parse(stdout);
    expect(report).toMatchObject({ ok: true });
    expect(report).toHaveProperty("rows.0.search", "exhaustive");
    expect(report).toHaveProperty("rows.0.assumptions");
  });

  it("lists protocols", () => {
    const { status, stdout } = patchbay("verify", "--list");
    expect(status).toBe(0);
    expect(stdout).toMatch(/P7\/int3 +int3, tail, first byte/);
  });

  it("draws the shortest counterexample as text, page and picture", () => {
    const [html, svg] = [join(folder, "trace.html"), join(folder, "trace.svg")];
    const args = ["--trace", "--html", html, "--svg", svg];
    const { status, stdout } = patchbay("verify", "P10/split-immediate", ...args);
    expect(status).toBe(0);
    expect(stdout).toMatch(/hart 0: patcher +memory +hart 1/);
    expect(stdout).toMatch(/=> jumped to a mixed target/);
    expect(readFileSync(html, "utf8")).toMatch(/^<!doctype html>/);
    expect(readFileSync(svg, "utf8")).toMatch(/^<svg /);
  });

  it("repairs", () => {
    const { status, stdout } = patchbay("verify", "P10/split-immediate", "--repair");
    expect(status).toBe(0);
    expect(stdout).toMatch(/ 1 {2}write window\[0, 4\) = skip/);
    expect(stdout).toMatch(/safe: \d+ states, depth \d+, exhaustive/);
  });

  it("refuses names that it does not know, with status 2", () => {
    const { status, stderr } = patchbay("verify", "P99");
    expect(status).toBe(2);
    expect(stderr).toMatch(/^patchbay: verify P99: there is no such protocol .*--list/);
    expect(patchbay("verify", "--trace").status).toBe(2);
  });

  it("checks a protocol of one's own, wherever it lies", () => {
    const file = join(folder, "mine.mjs");
    writeFileSync(file, ownFile("unwritten-instruction"));
    const good = patchbay("verify", file);
    expect(good.stderr).toBe("");
    expect(good.status).toBe(0);
    expect(good.stdout).toMatch(/mine\/one .* unwritten-instruction/);
    expect(patchbay("verify", file, "--trace").stdout).toMatch(/=> executed an instruction/);
  });

  it("ends with 1 when a verdict is not the expected one", () => {
    const file = join(folder, "wrong.mjs");
    writeFileSync(file, ownFile("safe"));
    const { status, stdout } = patchbay("verify", file);
    expect(status).toBe(1);
    expect(stdout).toMatch(/EXPECTED safe/);
  });

  it("says what is wrong with a file", () => {
    expect(patchbay("verify", "nowhere.mjs")).toMatchObject({ status: 2 });
    writeFileSync(join(folder, "empty.mjs"), "export const nothing = 1;");
    const empty = patchbay("verify", "empty.mjs");
    expect(empty.status).toBe(2);
    expect(empty.stderr).toMatch(/it exports no checks .*checksFor/);
    const outside = ownFile("safe").replace('window(1, "rest")', "window(4, 2)");
    writeFileSync(join(folder, "outside.mjs"), outside);
    const wrong = patchbay("verify", "outside.mjs");
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toMatch(/^patchbay: check .*outside\.mjs: a span outside of the window$/m);
    writeFileSync(join(folder, "broken.mjs"), "export const = 1;");
    expect(patchbay("verify", "broken.mjs").status).toBe(2);
  });

  it("reads TypeScript where a tool for it is there", () => {
    const { status, stdout } = spawnSync(
      process.execPath,
      [main, "verify", resolve("examples/my-protocol.ts")],
      { encoding: "utf8" },
    );
    expect(status).toBe(0);
    expect(stdout).toMatch(/mine\/tail-then-head/);
  });
});

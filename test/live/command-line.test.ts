/** What the command line says of itself, and where it says it. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compile, patchbay, Running, startCommand } from "./harness.ts";

it("tells its version", async () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  const { status, stdout } = await patchbay("--version");
  expect([status, stdout]).toEqual([0, version]);
});

it("shows defaults that say something, and no others", async () => {
  const { stdout } = await patchbay("record", "--help");
  expect(stdout).toContain('(default: "patchbay-trace")');
  expect(stdout).not.toMatch(/default: (false|\[\])/);
});

describe("an output that can't be written to is told in one line", () => {
  it.each([
    ["by the parser", ["--help"]],
    ["by a verb that writes all at once", ["sites", compile("count.c")]],
    ["by a verb that writes in pieces", ["verify", "--list"]],
  ])("%s", async (_, args) => {
    const toFull = ["-c", 'exec "$@" > /dev/full', "sh", ...startCommand, ...args];
    const { status, stderr } = await new Running("sh", toFull).finish();
    expect(status).toBe(1);
    expect(stderr).toMatch(/^patchbay: write to standard output: no space is left there.*\n$/);
  });
});

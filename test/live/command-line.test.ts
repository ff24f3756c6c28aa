/** What the command line says of itself, and where it says it. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compile, patchbay, Running, startCommand, Target, tracePath } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

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

it("brings its work to an end though nobody hears of it", async () => {
  const target = await Target.start(compile("count.c"));
  const directory = tracePath();
  const args = ["record", "-p", String(target.pid), "-o", directory, "--duration", "200ms"];
  // The shell's own word of how it ended goes past the pipe.
  const deaf = 'exec 3>&1; { "$@" 2>&1; echo "status $?" >&3; } | true';
  const shell = ["-c", deaf, "sh", ...startCommand, ...args];
  const { stdout } = await new Running("sh", shell).finish();
  expect(stdout).toBe("status 0");
  expect(countTrace(directory)).toMatchObject({ isEnded: true });
  expect(changedTextBytes(target.pid)).toBe(0);
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

/** Compiling the fixtures with the compilers that are installed. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

/** Whether `tool` is installed. */
export const hasTool = (tool: string): boolean =>
  spawnSync(tool, ["--version"], { stdio: "ignore" }).status === 0;

/** Path of a file in `test/fixtures/`. */
export const fixture = (name: string): string =>
  fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

const folders: string[] = [];

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder that is removed when the tests of the file that asked for it have ended. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-test-"));
  folders.push(folder);
  return folder;
}

const outputBytesMax = 2 ** 30;

/** What `tool` prints; throws with its complaint when it fails. */
export function outputOf(tool: string, args: readonly string[], input = ""): string {
  return execFileSync(tool, args, {
    encoding: "utf8",
    input,
    maxBuffer: outputBytesMax,
    stdio: ["pipe", "pipe", "pipe"],
  });
}

/** Compiles `source` of the fixtures with `compiler` and `flags`; the path of the result. */
export function compile(compiler: string, flags: readonly string[], source: string): string {
  const output = join(scratchFolder(), "program");
  outputOf(compiler, [...flags, fixture(source), "-o", output]);
  return output;
}

/** Lines of a text, without the empty ones. */
export const linesOf = (text: string): string[] => text.split("\n").filter((line) => line !== "");

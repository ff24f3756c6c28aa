/**
 * The examples of docs/live-patching.md, as they stand there: each is compiled by the command in
 * its first line, and replaces a function of a running program of its language.
 */
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { api, run, startPatchbay, Target, tempDir } from "./harness.ts";

const page = readFileSync(new URL("../../docs/live-patching.md", import.meta.url), "utf8");
const fixtures = fileURLToPath(new URL("../fixtures/live/fix-examples", import.meta.url));

/** The blocks of code in one language, in the page's order. */
const examples = (language: string): readonly string[] =>
  [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, found, code = ""]) =>
    found === language ? [code] : [],
  );

/** Runs a command line that needs no shell, in `folder`; the library that it made. */
function build(folder: string, command: string): string {
  run("env", ["-C", folder, ...command.split(" ")]);
  const library = readdirSync(folder).find((name) => name.endsWith(".so"));
  return join(folder, library ?? "");
}

/** A folder with the example in it, its source as `fix.EXTENSION`, and the library made of it. */
function buildExample(extension: string, code: string): string {
  const folder = tempDir("fix");
  for (const name of ["server.h", "server.hpp"]) {
    copyFileSync(join(fixtures, name), join(folder, name));
  }
  writeFileSync(join(folder, `fix.${extension}`), code);
  const command = /^(?:\/\*|\/\/) ((?:cc|c\+\+|rustc) [^;*\n]*[^;*\s])/.exec(code)?.[1];
  expect(command, "its first line says how to compile it").toBeDefined();
  return build(folder, command ?? "");
}

const ask = async (target: Target, x: number): Promise<string> => {
  target.send(`${x}`);
  return await target.line(/^answer/);
};

const compilers = {
  c: ["cc", "-O2"],
  cpp: ["c++", "-O2"],
  rust: ["rustc", "-O"],
} as const;

describe("an example in the documentation", () => {
  it.each([
    ["c", "c", (x: number, said: number) => `answer ${said} ${x}`],
    ["cpp", "cpp", (_: number, said: number) => `answer ${said}`],
    ["rust", "rs", (_: number, said: number) => `answer ${said}`],
  ] as const)("in %s replaces a function, and goes again", async (language, extension, line) => {
    const [code] = examples(language);
    const fix = buildExample(extension, code ?? "");
    const program = join(tempDir("program"), "server");
    const [compiler, ...flags] = compilers[language];
    run(compiler, [...flags, join(fixtures, `server.${extension}`), "-o", program]);
    const target = await Target.start(program);
    expect(await ask(target, 20)).toBe(line(1, 41));
    const { stderr, status } = await startPatchbay("patch", "-p", `${target.pid}`, fix).finish();
    expect(stderr).toMatch(/^patchbay: patched 1 function \(.*answer.*\) by .* in \d+ ms\n$/);
    expect(status).toBe(0);
    expect(await ask(target, 20)).toBe(line(2, 40));
    await using reverting = await api.revertPatch(target.pid);
    expect(await reverting.done).toMatchObject({ result: "reverted" });
    expect(await ask(target, 20)).toBe(line(3, 41));
  });
});

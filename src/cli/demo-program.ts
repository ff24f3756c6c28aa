/**
 * Builds the program of `patchbay demo`: SQLite, whose source comes with the npm package
 * better-sqlite3, and `demo/workload.c`, compiled so that every function has a patch site. SQLite
 * takes half a minute, so what was compiled is kept and found again by what it was made from.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { PatchbayError } from "../index.ts";

const doing = "build the demo's program";
const flags: readonly string[] = [
  "-O2",
  "-g",
  "-fpatchable-function-entry=5",
  "-pthread",
  "-DSQLITE_THREADSAFE=2",
  "-DSQLITE_OMIT_LOAD_EXTENSION",
];

export type DemoProgram = {
  readonly path: string;
  /** SQLite's, as its header says. */
  readonly version: string;
};

/** Compiles what is not compiled yet. @param say tells a person what takes long. */
export function buildDemoProgram(say: (line: string) => void): DemoProgram {
  const sqlite = findSqlite();
  const workload = findWorkload();
  const compiler = findCompiler();
  const cache = makeCache();
  const source = readFileSync(join(sqlite, "sqlite3.c"));
  const objectKey = [compiler.version, ...flags, source];
  const library = keep(cache, "sqlite3", objectKey, (out) => {
    const size = (source.length / 1e6).toFixed(1);
    say(`compiling SQLite, ${size} MB of C: half a minute, and only this once`);
    compile(compiler.command, [...flags, "-c", "-x", "c", join(sqlite, "sqlite3.c"), "-o", out]);
  });
  const path = keep(cache, "workload", [...objectKey, readFileSync(workload)], (out) => {
    const sources = [workload, "-x", "none", library];
    compile(compiler.command, [...flags, `-I${sqlite}`, ...sources, "-o", out, "-lm"]);
  });
  const header = readFileSync(join(sqlite, "sqlite3.h"), "latin1");
  return { path, version: /SQLITE_VERSION +"([^"]+)"/.exec(header)?.[1] ?? "" };
}

/** The folder of SQLite's two files. */
function findSqlite(): string {
  try {
    const manifest = createRequire(import.meta.url).resolve("better-sqlite3/package.json");
    const folder = join(dirname(manifest), "deps", "sqlite3");
    if (existsSync(join(folder, "sqlite3.c"))) return folder;
  } catch {
    // Not installed; said below.
  }
  throw new PatchbayError({
    code: "missing-tool",
    doing,
    why: "SQLite's source, which the npm package better-sqlite3 brings, is not installed",
    hint: "run the demo in a clone of Patchbay after `npm ci`, or `npm install better-sqlite3`",
  });
}

function findWorkload(): string {
  const path = fileURLToPath(new URL("../../demo/workload.c", import.meta.url));
  if (existsSync(path)) return path;
  throw new PatchbayError({
    code: "missing-tool",
    doing,
    why: `${path} is not there`,
    hint: "run the demo in a clone of Patchbay",
  });
}

function findCompiler(): { readonly command: string; readonly version: string } {
  const command = process.env["CC"] ?? "cc";
  const { status, stdout } = spawnSync(command, ["--version"], { encoding: "utf8" });
  if (status === 0) return { command, version: stdout.split("\n")[0] ?? "" };
  throw new PatchbayError({
    code: "missing-tool",
    doing,
    why: `there is no C compiler (${command})`,
    hint: "install gcc or clang: `apt install gcc libc6-dev`, `dnf install gcc`",
  });
}

/** `build/demo` of a clone; a temporary folder where that can't be written. */
function makeCache(): string {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  try {
    accessSync(root, constants.W_OK);
    return mkdir(join(root, "build", "demo"));
  } catch {
    return mkdir(join(tmpdir(), `patchbay-demo-${userInfo().uid}`));
  }
}

function mkdir(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return path;
}

/** The file made by `make` from what `key` says, made only once. */
function keep(
  cache: string,
  name: string,
  key: readonly (string | Uint8Array)[],
  make: (path: string) => void,
): string {
  const hash = createHash("sha256");
  for (const part of key) hash.update(part).update("\0");
  const path = join(cache, `${name}-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(path)) return path;
  make(`${path}.new`);
  renameSync(`${path}.new`, path);
  return path;
}

function compile(command: string, parameters: readonly string[]): void {
  const { status, stderr } = spawnSync(command, parameters, {
    encoding: "utf8",
    stdio: ["ignore", "inherit", "pipe"],
  });
  if (status === 0) return;
  throw new PatchbayError({
    code: "system",
    doing,
    why: `${command} failed: ${stderr.split("\n").find((line) => line !== "") ?? "it was killed"}`,
  });
}

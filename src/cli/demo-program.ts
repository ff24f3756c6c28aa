/**
 * The programs of `patchbay demo`. One is SQLite, whose source comes with the npm package
 * better-sqlite3, and `demo/workload.c`, compiled so that every function has a patch site. SQLite
 * takes half a minute, so what was compiled is kept and found again by what it was made from.
 *
 * The other one needs no compiler: it is this very Node.js with `demo/workload.mjs`, whose
 * functions have no patch sites.
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
  /** What works in it, with its version. */
  readonly name: string;
  readonly command: readonly string[];
  /** Threads of it that never rest. */
  readonly threads: number;
  /** What is traced unless somebody says otherwise. */
  readonly filter: { readonly include: readonly string[]; readonly exclude: readonly string[] };
  /** Whether its functions have no patch sites. */
  readonly prologues: boolean;
  /** A function that takes so long by itself was interrupted: another program had the processor. */
  readonly interruptedNs: number;
};

/**
 * Not traced unless somebody asks for them: together they are called fifty million times a second
 * and take some ten nanoseconds each. They would be most of the trace and half of the program's
 * time, and say nothing.
 */
const smallFunctions: readonly string[] = [
  "sqlite3GetVarint*",
  "vdbeRecordCompare*",
  "sqlite3VdbeRecordCompare*",
  "sqlite3VdbeSerialGet",
  "getCellInfo",
  "btreeParseCell*",
  "pcache1Fetch",
  "sqlite3PcacheRelease",
  "getPageNormal",
  "sqlite3PagerUnref*",
  "getAndInitPage",
  "moveToRoot",
  "moveToChild",
  "sqlite3BtreeNext*",
  "vdbeSorterCompare*",
];

/** SQLite where there is a C compiler, this Node.js where there is none. */
export function findDemoProgram(say: (line: string) => void): DemoProgram {
  const compiler = findCompiler();
  if (compiler !== undefined) return buildSqlite(compiler, say);
  say("no C compiler, so Node.js is traced instead: `apt install gcc libc6-dev` brings SQLite");
  return nodeProgram();
}

/** The garbage collector of a Node.js that is busy with garbage. */
const nodeProgram = (): DemoProgram => ({
  name: `Node.js ${process.versions.node}`,
  command: [process.execPath, findWorkload("workload.mjs")],
  threads: 1,
  filter: { include: ["v8::internal::Heap::*", "v8::internal::*Collector*::*"], exclude: [] },
  prologues: true,
  interruptedNs: Number.POSITIVE_INFINITY,
});

type Compiler = { readonly command: string; readonly version: string };

/** Compiles what is not compiled yet. @param say tells a person what takes long. */
function buildSqlite(compiler: Compiler, say: (line: string) => void): DemoProgram {
  const sqlite = findSqlite();
  const workload = findWorkload("workload.c");
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
  return {
    name: `SQLite ${/SQLITE_VERSION +"([^"]+)"/.exec(header)?.[1] ?? ""}`,
    command: [path],
    threads: 2,
    filter: { include: [], exclude: smallFunctions },
    prologues: false,
    interruptedNs: 100_000,
  };
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

function findWorkload(name: string): string {
  const path = fileURLToPath(new URL(`../../demo/${name}`, import.meta.url));
  if (existsSync(path)) return path;
  throw new PatchbayError({
    code: "missing-tool",
    doing,
    why: `${path} is not there`,
    hint: "run the demo in a clone of Patchbay",
  });
}

function findCompiler(): Compiler | undefined {
  const command = process.env["CC"] ?? "cc";
  const { status, stdout } = spawnSync(command, ["--version"], { encoding: "utf8" });
  return status === 0 ? { command, version: stdout.split("\n")[0] ?? "" } : undefined;
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

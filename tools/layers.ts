/**
 * The layers check: in `src/`, imports point down one table and nowhere else, and the pure layers
 * touch nothing of the world outside. An allow-list: what the table doesn't name is refused.
 */
import { posix } from "node:path";
import {
  type FileMap,
  formatProblem,
  isMain,
  listedFiles,
  type Problem,
  readTexts,
  walkFolder,
} from "./repository.ts";
import { codeOf, referencesOf, type Token, tokenize } from "./tokens.ts";

export type Layer = {
  /** The folder in `src/`; `index.ts` and `reading.ts` are layers of one file. */
  readonly name: string;
  /** Pure: no module from outside, no clock, no randomness, no process. */
  readonly pure: boolean;
  /** Packages it may import; `node:` stands for all of Node's own modules. */
  readonly packages: readonly string[];
  /** The layers it may import; without it, every layer before it in the table. */
  readonly only?: readonly string[];
};

const pure = (name: string): Layer => ({ name, pure: true, packages: [] });
const effectful = (name: string, ...packages: readonly string[]): Layer => ({
  name,
  pure: false,
  packages: ["node:", ...packages],
});

/** From the lowest to the highest; each may import itself and those before it. */
export const layers: readonly Layer[] = [
  pure("base"),
  pure("isa"),
  pure("elf"),
  pure("symbols"),
  pure("patch"),
  pure("model"),
  pure("ftrace"),
  // Below codegen, whose handlers write what ring/ lays out.
  pure("ring"),
  pure("codegen"),
  pure("trace"),
  pure("report"),
  effectful("os", "koffi"),
  effectful("target"),
  effectful("session", "@duckdb/node-api"),
  // Before index.ts: its part for reading traces, which loads quickly.
  { name: "reading.ts", pure: true, packages: [] },
  { name: "index.ts", pure: true, packages: [] },
  effectful("server", "hono", "@hono/node-server"),
  { ...effectful("cli", "commander"), only: ["index.ts", "reading.ts", "server"] },
];

/** What a unit test may import besides what its layer may; the pure rules are not for tests. */
const testPackages: readonly string[] = ["node:", "vitest", "fast-check"];

/** What tests of several layers share. */
const testSupport = "test/support/";

type Source = { readonly path: string; readonly layer: Layer; readonly code: readonly Token[] };

/**
 * Judges the files of `src/` by the table.
 * @param files all files that stand under `src/`, by path from the repository's top.
 * @param listed what git lists under `src/`: each of them must be among `files`, so that a check
 *   that walks the wrong way can't pass by having seen nothing.
 */
export function checkLayers(files: FileMap, listed: readonly string[]): readonly Problem[] {
  const problems: Problem[] = [];
  const complain = (file: string, message: string): void => {
    problems.push({ file, line: 0, message });
  };
  if (listed.length === 0) complain("src", "git lists no file here: nothing was checked");
  for (const path of listed) if (!files.has(path)) complain(path, "git lists it, unvisited");
  for (const [path, text] of files) {
    const name = path.split("/")[1] ?? "";
    const layer = layers.find((candidate) => candidate.name === name);
    if (layer === undefined) complain(path, `"${name}" is not in the table of the layers`);
    else if (!path.endsWith(".ts")) complain(path, "only .ts files are built and shipped from src");
    else problems.push(...checkSource({ path, layer, code: codeOf(tokenize(text)) }, files));
  }
  return problems;
}

function checkSource(source: Source, files: FileMap): readonly Problem[] {
  const problems: Problem[] = [];
  for (const { specifier, line } of referencesOf(source.code)) {
    const message = specifier.startsWith(".")
      ? judgeFile(source, specifier, files)
      : judgePackage(source, specifier);
    if (message !== undefined) problems.push({ file: source.path, line, message });
  }
  return [...problems, ...(source.layer.pure ? impurities(source) : [])];
}

const isTest = (path: string): boolean => path.endsWith(".test.ts");

function judgeFile({ path, layer }: Source, specifier: string, files: FileMap): string | undefined {
  // Workers are named by the file that the compiler makes of them.
  const to = posix.join(posix.dirname(path), specifier).replace(/-worker\.js$/, "-worker.ts");
  // A URL of something that is not code: a folder, a file that is read.
  if (!/\.[jt]s$/.test(to)) return undefined;
  if (isTest(path) && to.startsWith(testSupport)) return undefined;
  if (!to.startsWith("src/")) return `imports ${to}, which lies outside of src`;
  if (!files.has(to)) return `imports ${to}, which is not there`;
  if (isTest(to)) return `imports ${to}, a test`;
  const name = to.split("/")[1] ?? "";
  if (name === layer.name) return undefined;
  const below = layers.slice(0, layers.indexOf(layer)).map((lower) => lower.name);
  if ((layer.only ?? below).includes(name)) return undefined;
  const allowed = layer.only === undefined ? "what is below it" : layer.only.join(", ");
  return `imports ${to}: ${layer.name} may import itself and ${allowed}`;
}

function judgePackage({ path, layer }: Source, specifier: string): string | undefined {
  if (specifier === "") return "imports a computed path, which can't be checked";
  const allowed = [...layer.packages, ...(isTest(path) ? testPackages : [])];
  const fits = (name: string): boolean =>
    name.endsWith(":") ? specifier.startsWith(name) : specifier === name;
  if (allowed.some(fits)) return undefined;
  return `imports ${specifier}: ${layer.name} may import ${allowed.join(", ") || "no package"}`;
}

/** The current time and chance in any way of writing, without their innocent relatives. */
function impurities({ path, code }: Source): readonly Problem[] {
  const problems: Problem[] = [];
  code.forEach(({ kind, text, line }, index) => {
    const next = (offset: number): string => code[index + offset]?.text ?? "";
    if (kind !== "word" || /^\??\.$/.test(next(-1))) return;
    const member = `${text}.${next(2)}`;
    const reads = /^\??\.$/.test(next(1));
    let banned: string | undefined;
    if (reads && member === "Math.random") banned = member;
    if (reads && member === "Date.now" && !isTest(path)) banned = member;
    if (reads && text === "process" && !isTest(path)) banned = "process.";
    if (text === "globalThis" && !isTest(path)) banned = text;
    if (text === "Date" && next(1) === "(" && next(2) === ")") banned = "Date()";
    if (banned !== undefined) {
      const message = `${banned} in a pure layer: let the caller pass the value in`;
      problems.push({ file: path, line, message });
    }
  });
  return problems;
}

/** Checks the repository as it stands on disk. */
export function checkRepositoryLayers(): readonly Problem[] {
  const listed = listedFiles("src");
  return checkLayers(readTexts(walkFolder("src")), listed);
}

if (isMain(import.meta.url)) {
  const problems = checkRepositoryLayers();
  for (const problem of problems) console.log(formatProblem(problem));
  process.exitCode = problems.length === 0 ? 0 : 1;
}

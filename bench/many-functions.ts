/** Builds `bench/programs/many.c` with as many functions as wanted, in pieces, once. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cached, sourcePath, versionOf } from "./program.ts";

/** Functions in one piece: a compiler takes some seconds for them. */
const perPiece = 10_000;
const flags = ["-O1", "-fpatchable-function-entry=5", "-pthread"] as const;

const index = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Small functions of different lengths, so that their sites do not all lie alike. */
function pieceSource(piece: number): string {
  const functions = index(perPiece).map((i) => {
    const terms = index(i % 7).map((k) => `(x >> ${k + 1})`);
    return `int p${piece}_f${i}(int x) { return ${["x", i, ...terms].join(" ^ ")}; }`;
  });
  const table = index(perPiece).map((i) => `p${piece}_f${i}`);
  return `${functions.join("\n")}\nint (*const table_${piece}[])(int) = {${table.join(", ")}};\n`;
}

function tablesSource(pieces: number): string {
  const names = index(pieces).map((piece) => `table_${piece}`);
  return [
    ...names.map((name) => `extern int (*const ${name}[])(int);`),
    `int (*const *const tables[])(int) = {${names.join(", ")}};`,
    `const int table_count = ${pieces}, functions_per_table = ${perPiece};`,
    "",
  ].join("\n");
}

/** The program with `count` functions (a multiple of 10,000); its path. */
export function buildManyFunctions(count: number): Promise<string> {
  const pieces = count / perPiece;
  const main = sourcePath("many.c");
  const key = [readFileSync(main, "utf8"), pieceSource(0), versionOf("cc") ?? "", ...flags];
  return cached(`many-${count}`, [...key, String(pieces)], (out) => {
    console.error(`bench: compiling ${count} functions, which takes a while and is kept`);
    const folder = `${out}.parts`;
    mkdirSync(folder, { recursive: true });
    const objects: string[] = [];
    const compile = (name: string, source: string, extra: readonly string[]): void => {
      const path = join(folder, name);
      writeFileSync(`${path}.c`, source);
      execFileSync("cc", [...extra, "-c", `${path}.c`, "-o", `${path}.o`]);
      rmSync(`${path}.c`);
      objects.push(`${path}.o`);
    };
    for (const piece of index(pieces)) compile(`piece-${piece}`, pieceSource(piece), flags);
    compile("tables", tablesSource(pieces), ["-O1"]);
    execFileSync("cc", ["-O1", "-pthread", main, ...objects, "-o", out]);
    rmSync(folder, { recursive: true });
  });
}

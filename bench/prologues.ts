/**
 * Which functions without sites can be traced, in programs that are installed: writes the tables of
 * `docs/functions-without-sites.md` to standard output. `npx tsx bench/prologues.ts [FILE...]`
 */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { openProgramFile } from "../src/session/program-file.ts";

/** What the project is held to: libraries, language runtimes and tools of a Debian system. */
const usual: readonly string[] = [
  "/usr/lib/x86_64-linux-gnu/libc.so.6",
  "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
  "/usr/bin/node",
  "/usr/bin/python3",
  "/usr/bin/bash",
  "/usr/bin/sqlite3",
  "/usr/bin/git",
  "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0",
  "/usr/bin/redis-server",
  "/usr/sbin/nginx",
];
/** Shorter functions are not counted: many have no five bytes. */
const sizeMin = 16;

/** Not functions of their own, so that they do not count as such. */
const isNoFunction: ReadonlySet<string> = new Set(["split-part", "not-called", "ifunc", "no-size"]);

type Row = {
  readonly file: string;
  readonly functions: number;
  readonly traced: number;
  readonly entriesOnly: number;
  readonly reasons: ReadonlyMap<string, number>;
  readonly ms: number;
};

/** Bytes of the function at `addr`, by its symbol; those known by a description alone count. */
function measure(file: string): Row {
  const program = openProgramFile(file);
  const symbols = program.symbols();
  const sizes = new Map<number, number>();
  for (let i = 0; i < symbols.count; i++) {
    const addr = symbols.addrs[i] ?? 0;
    sizes.set(addr, Math.max(sizes.get(addr) ?? 0, symbols.sizes[i] ?? 0));
  }
  const isLong = (addr: bigint): boolean => (sizes.get(Number(addr)) ?? sizeMin) >= sizeMin;
  const start = performance.now();
  const own = program.sites().sites.filter(({ functionAddr }) => isLong(functionAddr));
  const found = program.prologues();
  const ms = performance.now() - start;
  const sites = found.sites.filter(({ functionAddr }) => isLong(functionAddr));
  const reasons = new Map<string, number>();
  for (const { addr, reason } of found.refused) {
    if (isLong(addr)) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const refused = [...reasons].filter(([reason]) => !isNoFunction.has(reason));
  const traced = own.length + sites.length;
  return {
    file,
    traced,
    functions: traced + refused.reduce((sum, [, count]) => sum + count, 0),
    entriesOnly: sites.filter(({ entriesOnly }) => entriesOnly !== undefined).length,
    reasons,
    ms,
  };
}

const rows = (process.argv.length > 2 ? process.argv.slice(2) : usual)
  .filter((file) => existsSync(file))
  .map(measure);
const columns = [...new Set(rows.flatMap(({ reasons }) => [...reasons.keys()]))].sort();
const counted = columns.filter((reason) => !isNoFunction.has(reason));
const left = columns.filter((reason) => isNoFunction.has(reason));
const print = (cells: readonly (string | number)[]): void => {
  process.stdout.write(`| ${cells.join(" | ")} |\n`);
};
const number = (value: number): string => value.toLocaleString("en-US");

const heads = ["file", "functions", "traced", "share", "entries only", ...counted, "seconds"];
print(heads);
print(heads.map((_, i) => (i === 0 ? "---" : "---:")));
for (const { file, functions, traced, entriesOnly, reasons, ms } of rows) {
  const share = `${((100 * traced) / Math.max(1, functions)).toFixed(2)} %`;
  const cells = counted.map((reason) => number(reasons.get(reason) ?? 0));
  const numbers = [number(functions), number(traced), share, number(entriesOnly), ...cells];
  print([`\`${basename(file)}\``, ...numbers, (ms / 1000).toFixed(1)]);
}
process.stdout.write("\n");
print(["file", ...left]);
print(["---", ...left.map(() => "---:")]);
for (const { file, reasons } of rows) {
  print([`\`${basename(file)}\``, ...left.map((reason) => number(reasons.get(reason) ?? 0))]);
}

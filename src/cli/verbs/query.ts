/** `patchbay query`: questions in SQL about a trace. */
import type { Command } from "commander";
import { type QueryRow, type QueryValue, queryTrace } from "../../index.ts";
import { paintFor, writePiece } from "../output.ts";

type Flags = { readonly json: boolean };
type Rows = readonly QueryRow[];

/** Columns are as wide as the values of so many rows want. */
const measuredRows = 2000;

export function registerQuery(program: Command): void {
  program
    .command("query")
    .description("ask in SQL: tables calls, events, functions, threads, losses, trace")
    .argument("<dir>", "a trace, or what `export --to parquet` made of one")
    .argument("<sql>", "the question, in DuckDB's SQL")
    .option("--json", "print each row as a JSON object on a line", false)
    .action(run);
}

async function run(dir: string, sql: string, flags: Flags): Promise<void> {
  await queryTrace(dir, sql, async ({ columns, pieces }) => {
    const format = flags.json ? jsonLines(columns) : tableLines(columns);
    for await (const rows of pieces) if (!write(format(rows))) return;
    write(format(undefined));
  });
}

const write = (lines: readonly string[]): boolean =>
  lines.length === 0 || writePiece(process.stdout.fd, `${lines.join("\n")}\n`);

/** Lines for rows; `undefined` says that there are no more. */
type Format = (rows: Rows | undefined) => readonly string[];

const jsonLines = (columns: readonly string[]): Format => {
  const one = (row: QueryRow): string =>
    JSON.stringify(Object.fromEntries(columns.map((name, i) => [name, row[i]])), (_, value) =>
      typeof value === "bigint" ? jsonNumber(value) : value,
    );
  return (rows) => (rows ?? []).map(one);
};

/** As all numbers of JSON where it fits into one, else as text. */
const jsonNumber = (value: bigint): number | string =>
  BigInt(Number(value)) === value && Number.isSafeInteger(Number(value))
    ? Number(value)
    : String(value);

/** A table whose columns are aligned by its first rows. */
function tableLines(names: readonly string[]): Format {
  const paint = paintFor(process.stdout);
  const waiting: (readonly string[])[] = [];
  let isNumber: readonly boolean[] | undefined;
  let widths: readonly number[] = [];
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => {
        const width = widths[i] ?? 0;
        return isNumber?.[i] === true ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return (rows) => {
    isNumber ??=
      rows === undefined ? names.map(() => false) : names.map((_, i) => areNumbers(rows, i));
    waiting.push(...(rows ?? []).map((row) => row.map(cellText)));
    const isHead = widths.length === 0;
    if (isHead && rows !== undefined && waiting.length < measuredRows) return [];
    if (isHead) {
      widths = names.map((name, i) =>
        waiting.reduce((most, row) => Math.max(most, row[i]?.length ?? 0), name.length),
      );
    }
    const head = isHead ? [paint("heading", line(names))] : [];
    return [...head, ...waiting.splice(0).map(line)];
  };
}

const areNumbers = (rows: Rows, column: number): boolean =>
  rows.every((row) => row[column] === null || ["number", "bigint"].includes(typeof row[column]));

function cellText(value: QueryValue): string {
  if (value === null) return "-";
  if (typeof value === "string") return value;
  if (value instanceof Date) return value.toISOString();
  if (typeof value !== "object") return String(value);
  return JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? String(inner) : inner));
}

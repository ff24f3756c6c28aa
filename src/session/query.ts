/**
 * Questions in SQL about a trace: its tables are written as Parquet files, which DuckDB reads. It
 * is an optional package, loaded when somebody asks.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DuckDBConnection } from "@duckdb/node-api";
import { PatchbayError } from "../base/error.ts";
import { parquetTables } from "../report/export-parquet.ts";
import { openTrace } from "./open-trace.ts";
import { hasTables, writeParquet } from "./parquet-directory.ts";

/** A value of a result: as JSON has it, and large whole numbers. */
export type QueryValue = null | boolean | number | bigint | string | object;

export type QueryRow = readonly QueryValue[];

/** Rows come piece by piece, as they are found. */
export type QueryResult = {
  readonly columns: readonly string[];
  readonly pieces: AsyncIterable<readonly QueryRow[]>;
};

/** Memory that DuckDB uses before it writes to disk. */
const memoryLimit = "256MB";

/** One row for each entry, exit and loss; by time, if it is asked for so. */
const eventsView = `
  CREATE VIEW events AS
    SELECT thread, tid, start_ns AS time_ns, 'entry' AS kind, function, site, depth,
           arguments AS "values", NULL::BIGINT AS lost
    FROM calls WHERE start_ns IS NOT NULL
    UNION ALL
    SELECT thread, tid, end_ns, CASE ending WHEN 'returned' THEN 'exit' ELSE ending END,
           function, site, depth, result, NULL
    FROM calls WHERE ending IN ('returned', 'unwound')
    UNION ALL
    SELECT thread, tid, from_ns, 'lost', NULL, NULL, NULL, NULL, lost FROM losses`;

/**
 * Runs `sql` over the tables of the trace (or of the tables exported from one) in the directory
 * `path`, and gives the result to `use`, which has it until it is done.
 */
export async function queryTrace(
  path: string,
  sql: string,
  use: (result: QueryResult) => Promise<void>,
): Promise<void> {
  if (sql.trim() === "") throw explain(new Error("the question is empty"));
  const { DuckDBInstance } = await loadDuckDb();
  const scratch = mkdtempSync(join(tmpdir(), "patchbay-query-"));
  try {
    const tables = hasTables(path) ? path : join(scratch, "tables");
    if (tables !== path) writeParquet(openTrace(path), tables);
    const options = { memory_limit: memoryLimit, temp_directory: join(scratch, "spill") };
    const instance = await DuckDBInstance.create(":memory:", options);
    const connection = await instance.connect();
    try {
      for (const table of parquetTables) {
        const file = join(tables, `${table}.parquet`).replaceAll("'", "''");
        await connection.run(`CREATE VIEW ${table} AS SELECT * FROM read_parquet('${file}')`);
      }
      await connection.run(eventsView);
      await use(await ask(connection, sql));
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function ask(connection: DuckDBConnection, sql: string): Promise<QueryResult> {
  try {
    const result = await connection.stream(sql);
    return { columns: result.deduplicatedColumnNames(), pieces: rowsOf(result.yieldRowsJs()) };
  } catch (error) {
    throw explain(error);
  }
}

async function* rowsOf(
  rows: AsyncIterable<readonly QueryRow[]>,
): AsyncGenerator<readonly QueryRow[]> {
  try {
    yield* rows;
  } catch (error) {
    throw explain(error);
  }
}

/** What DuckDB objects, on one line: what it is, not where in the text. */
function explain(error: unknown): PatchbayError {
  const text = error instanceof Error ? error.message : String(error);
  const [what = "", ...more] = text.split("\n").filter((line) => line.trim() !== "");
  const hint = more.find((line) => /^(Did you mean|Candidate|HINT)/.test(line));
  return new PatchbayError({
    code: "bad-usage",
    doing: "run the query",
    why: what,
    hint: hint ?? `tables: ${parquetTables.join(", ")}, events`,
    cause: error,
  });
}

async function loadDuckDb(): Promise<typeof import("@duckdb/node-api")> {
  try {
    return await import("@duckdb/node-api");
  } catch (cause) {
    throw new PatchbayError({
      code: "unsupported",
      doing: "run the query",
      why: "DuckDB is not installed",
      hint: "npm install @duckdb/node-api, or export --to parquet and use any other engine",
      cause,
    });
  }
}

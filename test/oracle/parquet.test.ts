/**
 * The tables that traces are exported to, held to DuckDB, which reads them: the same calls, losses
 * and values as were written, and the statistics that the report has.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { writeSyntheticTrace } from "../../bench/synthetic-trace.ts";
import { reportTrace } from "../../src/report/report.ts";
import { eventKind } from "../../src/ring/layout.ts";
import { encodeLongEvent, longBase, longForm, valueType } from "../../src/ring/long-event.ts";
import { openTrace } from "../../src/session/open-trace.ts";
import { writeParquet } from "../../src/session/parquet-directory.ts";
import { type QueryRow, queryTrace } from "../../src/session/query.ts";
import type { Trace } from "../../src/trace/trace.ts";
import { historyOf, moves } from "../support/random-calls.ts";
import {
  functionNamed,
  packetOf,
  packetsOf,
  slotOf,
  type TestThread,
  traceOf,
} from "../support/trace-builder.ts";

const home = mkdtempSync(join(tmpdir(), "patchbay-parquet-"));
afterAll(() => rmSync(home, { recursive: true }));

const names = ["main", "it's", 'say "hi"\n', "grün"];
const functions = names.map((name, site) => functionNamed(site, name, { parameters: ["n"] }));
let written = 0;

/** Where `trace` was exported to. */
function tablesOf(trace: Trace): string {
  const path = join(home, `tables-${++written}`);
  writeParquet(trace, path);
  return path;
}

/** Whole numbers of a result as numbers. */
async function rowsOf(path: string, sql: string): Promise<QueryRow[]> {
  const rows: QueryRow[] = [];
  await queryTrace(path, sql, async ({ pieces }) => {
    for await (const piece of pieces) rows.push(...piece);
  });
  return rows.map((row) => row.map((value) => (typeof value === "bigint" ? Number(value) : value)));
}

describe("tables in Parquet", () => {
  it("have each call with its thread, times and end", async () => {
    const lists = fc.array(moves(80), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(lists, async (threadMoves) => {
        const histories = threadMoves.map((list) => historyOf(list));
        const threads = histories.map(
          ({ events }, i): TestThread => ({ tid: i + 1, packets: packetsOf(events, [10]) }),
        );
        const begin = Math.min(...histories.flatMap(({ events }) => events[0]?.time ?? []));
        const expected = histories.flatMap(({ calls, events }, i) =>
          calls.map(({ site, start, end, self, depth, isUnwound }) => [
            ...[i + 1, names[site], depth, start - begin],
            (end ?? events.at(-1)?.time ?? 0) - begin,
            end === undefined ? null : end - start,
            self,
            end === undefined ? "open" : isUnwound ? "unwound" : "returned",
          ]),
        );
        const columns = "tid, function, depth, start_ns, end_ns, duration_ns, self_ns, ending";
        const path = tablesOf(traceOf(threads, functions));
        const found = await rowsOf(path, `SELECT ${columns} FROM calls`);
        const sorted = (rows: readonly (readonly unknown[])[]): string[] =>
          rows.map((row) => JSON.stringify(row)).sort();
        expect(sorted(found)).toEqual(sorted(expected));
        const events = histories.flatMap((history) => history.events);
        const kinds = await rowsOf(path, "SELECT count(*), count(DISTINCT kind) FROM events");
        expect(kinds).toEqual([[events.length, new Set(events.map(({ kind }) => kind)).size]]);
        rmSync(path, { recursive: true });
      }),
      { numRuns: 20 },
    );
  });

  it("have values by name, losses, and what is known of calls that are not whole", async () => {
    const types = valueType.i32;
    const long = (base: 0 | 1, time: number, words: readonly bigint[]): bigint[] =>
      encodeLongEvent({ base, form: longForm.values, time: BigInt(time), site: 1, types, words });
    const slots = [
      slotOf({ kind: eventKind.exit, time: 5, site: 0 }),
      ...long(longBase.entry, 6, [7n]),
      ...long(longBase.exit, 9, [8n]),
    ];
    const lost = { entries: 1, exits: 1, all: 2 };
    const packets = [
      { slots, begin: 5n, end: 9n },
      packetOf([{ kind: eventKind.entry, time: 20, site: 3 }], { lost, place: 1 }),
    ];
    const path = tablesOf(traceOf([{ tid: 1, packets }], functions));
    const sql = "SELECT function, start_ns, end_ns, ending, arguments, result FROM calls";
    expect(await rowsOf(path, sql)).toEqual([
      ["main", null, 0, "returned", null, null],
      ["it's", 1, 4, "returned", "n=7", "8"],
      ["grün", 15, 15, "open", null, null],
    ]);
    expect(await rowsOf(path, "SELECT * FROM losses")).toEqual([[0, 1, 4, 15, 2]]);
    expect(await rowsOf(path, "SELECT kind, time_ns FROM events ORDER BY ALL")).toEqual([
      ["entry", 1],
      ["entry", 15],
      ["exit", 0],
      ["exit", 4],
      ["lost", 4],
    ]);
  });

  it("of a large trace give the report's numbers, in several groups of rows", async () => {
    const path = join(home, "large");
    writeSyntheticTrace(path, { seed: 7, events: 1_000_000, threads: 3, functions: 300 });
    const expected = reportTrace(openTrace(path)).reports[0]?.functions.map((f) => [
      f.name,
      f.calls,
      f.complete,
    ]);
    const sql = "SELECT function, count(*), count(duration_ns) FROM calls GROUP BY 1";
    const found = await rowsOf(path, sql);
    expect(found.map(String).sort()).toEqual(expected?.map(String).sort());
  });

  it("answer a wrong question in one line", async () => {
    const path = tablesOf(traceOf([], functions));
    await expect(rowsOf(path, "SELEC 1")).rejects.toThrow(/^run the query: .*syntax error.*$/);
    await expect(rowsOf(path, "SELECT no FROM calls")).rejects.toMatchObject({
      code: "bad-usage",
    });
    expect(await rowsOf(path, "SELECT name FROM functions")).toEqual(names.map((name) => [name]));
  });
});

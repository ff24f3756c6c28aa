import { describe, expect, it } from "vitest";
import {
  counterOffset,
  pageBytes,
  ringOffset,
  threadBitsBytes,
  threadBitsOffset,
} from "./arena.ts";
import { siteCapacity, statisticsSlots } from "./statistics.ts";
import { keysBytes, rowsPerTable, valueTables } from "./value-rows.ts";

describe("tables of values", () => {
  it.each([false, true])("lie behind all counters and functions; with threads: %s", (threads) => {
    const [sites, count] = [100, 3];
    const counterBytes = pageBytes + count * keysBytes + (threads ? threadBitsBytes : 0);
    const slotCount = statisticsSlots(sites + count * rowsPerTable);
    const shape = { ringCount: 128, slotCount, programBytes: 0, counterBytes };
    const tables = valueTables(shape, count, threads);
    expect(tables.map(({ keys }) => keys)).toEqual(
      [0, 1, 2].map((i) => counterOffset(shape) + pageBytes + i * keysBytes),
    );
    const end = threads ? threadBitsOffset(shape) : ringOffset(shape, 0);
    expect((tables.at(-1)?.keys ?? 0) + keysBytes).toBe(end);
    expect(tables.every(({ keys }) => keys % pageBytes === 0)).toBe(true);
    const [first, , last] = tables.map(({ firstRow }) => firstRow);
    expect(first).toBeGreaterThanOrEqual(sites);
    expect((last ?? 0) + rowsPerTable).toBe(siteCapacity(shape));
  });
});

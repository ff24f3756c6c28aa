import { describe, expect, it } from "vitest";
import {
  firstView,
  formatLive,
  formatScreen,
  type LiveRow,
  type LiveView,
  pressKey,
  shownRows,
  sortLive,
} from "./live-statistics.ts";
import { plain } from "./table.ts";

const row = (site: number, name: string, calls: number, meanNs?: number): LiveRow => ({
  site,
  name,
  calls,
  perSecond: calls / 10,
  totalNs: calls * (meanNs ?? 0),
  selfNs: (calls * (meanNs ?? 0)) / 2,
  ...(meanNs === undefined
    ? {}
    : { meanNs, minNs: meanNs / 2, maxNs: meanNs * 4, p50Ns: meanNs, p99Ns: meanNs * 2 }),
});
const rows = [row(1, "often", 1000, 10), row(2, "slow", 10, 5000), row(3, "main", 1)];

const press = (view: LiveView, ...keys: readonly string[]): LiveView =>
  keys.reduce((now, key) => pressKey(now, key, rows, true), view);
const names = (view: LiveView): readonly string[] => shownRows(rows, view).map(({ name }) => name);

describe("live statistics", () => {
  it("are a table, with dashes for what has not returned", () => {
    const lines = formatLive(sortLive(rows, "total"), { times: true, paint: plain });
    expect(lines[0]?.trim()).toMatch(/^total +self +calls +calls\/s +mean +min +p50 .* function$/);
    expect(lines.map((line) => line.split(/ +/).at(-1))).toEqual([
      "function",
      "slow",
      "often",
      "main",
    ]);
    expect(lines[3]).toMatch(/^ +- +- +1 +0 +- +- +- +- +- {2}main$/);
    expect(formatLive(rows, { times: false, paint: plain })[0]?.trim()).toBe(
      "calls  calls/s  function",
    );
  });

  it("are sorted by the key that was pressed", () => {
    const view = firstView(true);
    expect(names(view)).toEqual(["slow", "often", "main"]);
    expect(names(press(view, "c"))).toEqual(["often", "slow", "main"]);
    expect(press(view, "9", "m").order).toBe("mean");
    expect(pressKey(firstView(false), "m", rows, false).order).toBe("rate");
  });

  it("show names like a pattern that is typed", () => {
    const view = press(firstView(true), "/", "o", "x", "\x7f", "f");
    expect([view.typing, view.pattern, names(view)]).toEqual([true, "of", ["often"]]);
    expect(names(press(view, "\r"))).toEqual(["often"]);
    expect(names(press(view, "\r", "/", "*", "w", "\r"))).toEqual(["slow"]);
    expect(names(press(view, "\x1b"))).toHaveLength(3);
  });

  it("switch functions off and on", () => {
    const second = press(firstView(true), "j", "\x1b[B", " ");
    expect([second.at, [...second.off]]).toEqual([1, [1]]);
    expect(press(second, " ").off.size).toBe(0);
    expect(press(second, "a").off.size).toBe(3);
    expect(press(second, "a", "a").off.size).toBe(0);
  });

  it("switch no values", () => {
    const [first, ...others] = rows;
    const some = [{ ...(first ?? row(0, "", 0, 0)), by: {} }, ...others];
    const off = pressKey(firstView(true), "a", some, true).off;
    expect([...off]).toEqual(others.map(({ site }) => site));
    const at = { ...firstView(true), at: first?.site };
    const view = pressKey(at, " ", some, true);
    expect([view.off.size, view.message]).toEqual([0, "functions are switched, not their values"]);
  });

  it("end at q and at Ctrl-C, while a pattern is typed at Ctrl-C alone", () => {
    expect(press(firstView(true), "q").quit).toBe(true);
    expect(press(firstView(true), "/", "q")).toMatchObject({ quit: false, pattern: "q" });
    expect(press(firstView(true), "/", "\x03").quit).toBe(true);
  });

  it("fill a screen and no more, whatever its size", () => {
    const many = Array.from({ length: 500 }, (_, i) => row(i, `f_${"x".repeat(i)}`, i, 5));
    for (const [columns, lines] of [
      [120, 24],
      [40, 6],
      [200, 600],
    ] as const) {
      const view = { ...firstView(true), at: 250, off: new Set([250]) };
      const size = { columns, lines, title: "500 functions", times: true, paint: plain };
      const screen = formatScreen(many, view, size);
      expect(screen).toHaveLength(Math.max(lines - 1, 4));
      expect(screen.some((line) => line.includes(">(off) f_xxx"))).toBe(true);
      for (const line of screen) expect(line.length).toBeLessThanOrEqual(columns);
    }
  });
});

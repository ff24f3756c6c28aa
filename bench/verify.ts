/** How fast protocols are checked: the whole table on one core, and SPIN beside it. */
import { families, verify } from "../src/index.ts";
import { spinTable } from "./spin/compare.ts";
import type { Table } from "./table.ts";

/** The whole table, twice: the first time with everything cold. */
function wholeTable(): Table {
  const rows = ["first", "second"].map((run) => {
    const report = verify({ names: [], now: () => performance.now() });
    const seconds = report.milliseconds / 1000;
    return {
      run,
      checks: report.rows.length,
      states: report.states,
      seconds: Number(seconds.toFixed(1)),
      "states per second": Math.round(report.states / seconds),
      verdicts: report.ok ? "all as expected" : "UNEXPECTED",
    };
  });
  return {
    title: "patchbay verify: the whole table on one core",
    notes: [`${families.length} families of protocols; every check is exhaustive.`],
    rows,
  };
}

/** The largest checks alone: what the explorer does when nothing else is in its way. */
function largest(): Table {
  const report = verify({ names: ["P7/int3"], now: () => performance.now() });
  const rows = report.rows
    .toSorted((a, b) => b.states - a.states)
    .slice(0, 5)
    .map(({ id, states, transitions, milliseconds }) => ({
      check: id,
      states,
      transitions,
      ms: Math.round(milliseconds),
      "states per second": Math.round((1000 * states) / milliseconds),
    }));
  return { title: "the largest checks of P7/int3", notes: [], rows };
}

export async function run(): Promise<readonly Table[]> {
  return [wholeTable(), largest(), spinTable()];
}

/** `stat` of some calls alone: the program's own counts of just these, whoever else is served. */
import { describe, expect, it } from "vitest";
import type { FunctionStatistics, ObserveOptions } from "../../src/index.ts";
import { api, compile, patchbay, startPatchbay, Target, tracePath } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";

type Half = {
  readonly keys: Readonly<Record<string, number>>;
  readonly negative: number;
  readonly jumps: number;
  readonly slow: number;
};
/** What the program says of itself, by the threads' names. */
type Own = Readonly<Record<"even" | "odd", Half>>;

const threads = 4;
const calls = 3000;
const start = (): Promise<Target> =>
  Target.start(compile("keys.c"), String(threads), String(calls));

async function work(target: Target): Promise<Own> {
  target.send("begin");
  return JSON.parse(await target.line(/^\{/));
}

const entriesOf = ({ even, odd }: Own): readonly (readonly [key: number, calls: number])[] =>
  [even, odd].flatMap(({ keys }) => Object.entries(keys).map(([key, n]) => [Number(key), n]));
const countOf = (own: Own, wants: (key: number) => boolean): number =>
  entriesOf(own).reduce((sum, [key, n]) => sum + (wants(key) ? n : 0), 0);

type Seen = Readonly<Record<string, FunctionStatistics>>;

const noneOf = { site: 0, calls: 0, returned: 0, totalNs: 0, selfNs: 0 };
const byName = (statistics: readonly FunctionStatistics[]): Seen =>
  Object.fromEntries(statistics.map((one) => [one.name, one]));
const of = (seen: Seen, name: string): Pick<FunctionStatistics, "calls" | "returned"> =>
  seen[name] ?? noneOf;

/** Counts while the program works. @param beside something else hooks the same returns. */
async function observe(options: ObserveOptions, beside: boolean) {
  const target = await start();
  await using session = await api.attach(target.pid);
  const filter = { include: ["traced_*"] };
  const other = beside ? await session.record({ directory: tracePath(), filter }) : undefined;
  const observation = await session.observe({ filter, ...options });
  const own = await work(target);
  const { statistics, missed } = await observation.stop();
  await other?.stop();
  expect([missed, changedTextBytes(target.pid)]).toEqual([0, 0]);
  return { own, seen: byName(statistics) };
}

const result = (key: number): number => (key % 5 === 0 ? -1 - Number(BigInt(key) & 3n) : 0);

describe.each([
  ["alone", false],
  ["beside a recording", true],
])("stat, %s, counts", (_, beside) => {
  it.each([
    ["arg1/ld > 3", (key: number) => key > 3],
    ["arg1 == 0 || arg1/ld == -1", (key: number) => key === 0 || key === -1],
    ["arg1/ld >= 1000 && arg1/ld <= 1001", (key: number) => key === 1000 || key === 1001],
    ["ret/ld < 0", (key: number) => result(key) < 0],
    ["arg1/ld < 100 && ret/ld == -1", (key: number) => key < 100 && result(key) === -1],
  ])("calls of which this holds: %s", async (when, wants) => {
    const { own, seen } = await observe({ when, filter: { include: ["traced_pick"] } }, beside);
    const count = countOf(own, wants);
    expect(count).toBeGreaterThan(0);
    expect(of(seen, "traced_pick")).toMatchObject({ calls: count, returned: count });
  });

  it("none of a function that jumps to another one, by its result", async () => {
    const { own, seen } = await observe({ when: "ret/ld < 0" }, beside);
    expect(own.even.jumps).toBeGreaterThan(0);
    expect(of(seen, "traced_jump").calls).toBe(0);
    expect(of(seen, "traced_pick").calls).toBe(countOf(own, (key) => result(key) < 0));
  });

  it("calls that take long, and measures just these", async () => {
    const { own, seen } = await observe({ minNs: 1_500_000 }, beside);
    const slow = seen["traced_slow"];
    expect(slow?.calls).toBe(own.even.slow + own.odd.slow);
    for (const one of Object.values(seen)) {
      expect(one.returned).toBe(one.calls);
      expect(one.minNs).toBeGreaterThan(1_490_000);
    }
    const none = await observe({ minNs: 3.6e12 }, beside);
    expect(none.seen).toEqual({});
  });

  it("calls of threads by name", async () => {
    const { own, seen } = await observe({ threads: { names: ["od*"] } }, beside);
    const all = Object.values(own.odd.keys).reduce((sum, n) => sum + n, 0);
    expect(of(seen, "traced_pick")).toMatchObject({ calls: all, returned: all });
    expect(of(seen, "traced_slow").calls).toBe(own.odd.slow);
  });

  it("one call in so many", async () => {
    const { own, seen } = await observe({ sample: 10 }, beside);
    const all = countOf(own, () => true);
    // Six standard deviations on either side.
    const spread = 6 * Math.sqrt(all * 0.1 * 0.9);
    expect(Math.abs(of(seen, "traced_pick").calls - all / 10)).toBeLessThan(spread);
    expect(of(seen, "traced_pick").returned).toBe(of(seen, "traced_pick").calls);
  });

  it("calls without times", async () => {
    const { own, seen } = await observe({ when: "arg1/ld > 3", times: false }, beside);
    const count = countOf(own, (key) => key > 3);
    expect(of(seen, "traced_pick")).toMatchObject({ calls: count, returned: 0 });
  });
});

/** Calls of a function by value; the numbers are as the program prints them. */
const valuesOf = (seen: Seen, name: string): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Object.values(seen)
      .filter(({ by }) => by?.function === name)
      .map(({ by, calls }) => [by?.value ?? "other", calls]),
  );

/** The sums of both halves, without what was never called. */
function sums(own: Own, wants: (key: number) => boolean = () => true): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const [key, n] of entriesOf(own)) {
    if (n > 0 && wants(key)) counts[key] = (counts[key] ?? 0) + n;
  }
  return counts;
}

describe.each([
  ["alone", false],
  ["beside a recording", true],
])("stat by values, %s, counts", (_, beside) => {
  const by = ["traced_pick@arg1/ld"];

  it.each([
    ["each value of an argument", { by }, () => true],
    ["without times", { by, times: false }, () => true],
    ["those that pass", { by, when: "arg1/ld > 3" }, (key: number) => key > 3],
    ["those that pass at the end", { by, when: "ret < 0" }, (key: number) => result(key) < 0],
  ])("%s", async (_, options, wants) => {
    const { own, seen } = await observe(options, beside);
    expect(valuesOf(seen, "traced_pick")).toEqual(sums(own, wants));
    expect(seen["traced_pick"]).toBe(undefined);
    const rows = Object.values(seen).filter((one) => one.by !== undefined);
    for (const one of rows) {
      expect(one.returned).toBe("times" in options ? 0 : one.calls);
      expect(one.selfNs).toBeLessThanOrEqual(one.totalNs);
    }
    const all = "when" in options ? [] : [own.even.slow + own.odd.slow];
    if (all.length > 0) expect([of(seen, "traced_slow").calls]).toEqual(all);
  });

  it("each result, of calls that return", async () => {
    const { own, seen } = await observe({ by: ["traced_*k@ret/ld", "traced_jump@ret"] }, beside);
    const counts: Record<string, number> = {};
    for (const [key, n] of entriesOf(own)) {
      const value = key % 5 === 0 ? result(key) : Number(BigInt(key) & 7n);
      if (n > 0) counts[value] = (counts[value] ?? 0) + n;
    }
    expect(valuesOf(seen, "traced_pick")).toEqual(counts);
    expect(valuesOf(seen, "traced_jump")).toEqual({});
  });

  it("the values of some threads", async () => {
    const { own, seen } = await observe({ by, threads: { names: ["odd"] } }, beside);
    const odd = Object.entries(own.odd.keys).filter(([, n]) => n > 0);
    expect(valuesOf(seen, "traced_pick")).toEqual(Object.fromEntries(odd));
  });
});

describe("stat by values", () => {
  it("has one row for all values that are too many", async () => {
    const target = await Target.start(compile("count.c"), "threads=4", "calls=5000", "signals=1");
    await using session = await api.attach(target.pid);
    const filter = { include: ["traced_*"] };
    const observation = await session.observe({ filter, by: ["traced_leaf@arg1/lu"] });
    target.send("begin");
    const own = await target.numbers();
    const rows = (await observation.stop()).statistics.filter(({ by }) => by !== undefined);
    expect(rows.reduce((sum, { calls }) => sum + calls, 0)).toBe(own["traced_leaf"]);
    const { calls = 0 } = rows.find(({ name }) => name === "traced_leaf(arg1 = other)") ?? {};
    expect(calls).toBeGreaterThan(1000);
    expect(rows.length).toBeGreaterThan(500);
    expect(rows.length).toBeLessThanOrEqual(1026);
  });
});

describe("patchbay stat", () => {
  it.each([
    ["as a table", ["--no-times"]],
    ["as JSON", ["--json"]],
  ])("shows a row for each value, %s", async (_, how) => {
    const program = [compile("count.c"), "wait=0", "threads=4", "depth=5", "signals=1"];
    const by = ["-F", "traced_last", "--by", "traced_recurse@arg2/ld"];
    const { status, stdout } = await patchbay("stat", ...by, ...how, "--", ...program);
    expect(status).toBe(0);
    const [first = ""] = stdout.split("\n").filter((line) => line.startsWith('{"traced'));
    const calls: number = JSON.parse(first).traced_recurse / 5;
    const table = /^ *([\d,]+) +[\d,]+ +traced_recurse\(arg2 = (\d+)\)$/gm;
    const json =
      /"name":"traced_recurse\(arg2 = \d+\)","by":{[^{}]*"value":"(\d+)"},"calls":(\d+)/g;
    const last = stdout.trimEnd().split("\n").at(-1) ?? "";
    const rows = how.includes("--json")
      ? [...last.matchAll(json)].map(([, value, n]) => [value, n])
      : [...stdout.matchAll(table)].map(([, n = "", value]) => [value, n.replaceAll(",", "")]);
    rows.sort(([one = ""], [other = ""]) => (one < other ? -1 : 1));
    expect(rows).toEqual(["1", "2", "3", "4", "5"].map((value) => [value, String(calls)]));
  });

  it("has all of it, from the first call on", async () => {
    const target = await start();
    const args = ["--if", "arg1/ld > 3", "--thread-name", "even", "--min", "0ns", "--json"];
    const filter = ["-F", "traced_pick", "--interval", "50ms", "-p", String(target.pid)];
    const running = startPatchbay("stat", ...filter, ...args);
    await running.line(/"seconds"/);
    const own = await work(target);
    running.child.kill("SIGINT");
    const { status, stdout, stderr } = await running.finish();
    expect([status, stderr]).toEqual([0, ""]);
    const wanted = Object.entries(own.even.keys).filter(([key]) => Number(key) > 3);
    const last = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
    expect(last.functions).toMatchObject([
      { name: "traced_pick", calls: wanted.reduce((sum, [, n]) => sum + n, 0) },
    ]);
  });

  it.each([
    ["a condition that is none", ["--if", "arg9x > 1"], "choose calls by a condition"],
    ["ends without times", ["--no-times", "--min", "1ms"], "without times nothing waits"],
    ["a text as a value", ["--by", "traced_pick@arg1/s"], "is a text; its address is arg1/p"],
    ["two values", ["--by", "traced_pick@arg1,arg2"], "names more than one value"],
    ["two of a function", ["--by", "traced_pick@arg1", "--by", "*k@ret"], "by one of its values"],
    ["arguments or results", ["--if", "arg1 > 1 || ret < 0"], "go together with the result"],
  ])("refuses %s in one line", async (_, args, why) => {
    const target = await start();
    const { status, stderr } = await patchbay("stat", "-p", String(target.pid), ...args);
    expect(status).toBe(2);
    expect(stderr).toContain(why);
    expect(changedTextBytes(target.pid)).toBe(0);
  });
});

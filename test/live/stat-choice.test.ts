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

describe("patchbay stat", () => {
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
    ["arguments or results", ["--if", "arg1 > 1 || ret < 0"], "go together with the result"],
  ])("refuses %s in one line", async (_, args, why) => {
    const target = await start();
    const { status, stderr } = await patchbay("stat", "-p", String(target.pid), ...args);
    expect(status).toBe(2);
    expect(stderr).toContain(why);
    expect(changedTextBytes(target.pid)).toBe(0);
  });
});

/**
 * Events recorded + events reported lost = the calls that the program counted itself, for entries
 * and for exits, at every run.
 */
import { describe, expect, it } from "vitest";
import { api, compile, isSoak, patchbay, run, Target, tracePath } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace, type TraceCounts } from "./trace-counts.ts";

type Counts = Readonly<Record<string, number>>;
type Options = Omit<Parameters<Awaited<ReturnType<typeof api.attach>>["record"]>[0], "directory">;

const filter = { include: ["traced_*"] };
const sum = (counts: Counts): number => Object.values(counts).reduce((a, b) => a + b, 0);

/** Runs count.c under a recording from its first to its last counted call. */
async function record(program: readonly string[], options: Options = {}) {
  const target = await Target.start(compile("count.c"), ...program);
  const directory = tracePath();
  await using session = await api.attach(target.pid);
  const recording = await session.record({ directory, filter, ...options });
  target.send("begin");
  const own = await target.numbers();
  const summary = await recording.stop();
  expect(changedTextBytes(target.pid)).toBe(0);
  target.send("end");
  expect(await target.ended).toEqual({ status: 0, signal: null });
  const counts = countTrace(directory);
  expect(counts).toMatchObject({ backwards: 0, damages: 0, tornBytes: 0, isEnded: true });
  expect(summary.lost).toBe(counts.lost);
  expect(summary.events).toBe(counts.entries + counts.exits + counts.unwound);
  return { own, counts, summary, directory };
}

/** Nothing is missing: every function has been counted as the program did. */
function expectAll(own: Counts, counts: TraceCounts, exits = true): void {
  expect(counts.lost).toBe(0);
  for (const [name, calls] of Object.entries(own)) {
    const expected = { entries: calls, exits: exits ? calls : 0, unwound: 0 };
    expect([name, counts.functions.get(name)]).toEqual([name, expected]);
  }
}

/** What is missing has been counted, and something is. */
function expectSomeLost(own: Counts, counts: TraceCounts): void {
  expect(counts.lostEntries).toBeGreaterThan(0);
  expect(counts.lostExits).toBeGreaterThan(0);
  expect(counts.entries).toBeGreaterThan(0);
  expect(counts.entries + counts.lostEntries).toBe(sum(own));
  expect(counts.exits + counts.unwound + counts.lostExits).toBe(sum(own));
  expect(counts.lost).toBe(counts.lostEntries + counts.lostExits);
}

describe("with rings of the default size and a rate that draining keeps up with", () => {
  it.each([
    ["1", "300000"],
    ["2", "200000"],
    ["8", "50000"],
  ])("counts every call of %s threads", async (threads, calls) => {
    const program = [`threads=${threads}`, `calls=${calls}`, "depth=6", "signals=1", "pace=2000"];
    const { own, counts } = await record(program);
    expect(own["traced_handler"]).toBeGreaterThan(0);
    expectAll(own, counts);
    expect(counts.threads).toBeGreaterThanOrEqual(Number(threads));
  });

  it("counts every entry when entries alone are recorded", async () => {
    const program = ["threads=2", "calls=100000", "depth=6", "signals=1", "pace=2000"];
    const { own, counts } = await record(program, { exits: false });
    expectAll(own, counts, false);
  });

  it("counts every call of 1000 threads that are born and die", async () => {
    const program = ["threads=1000", "alive=16", "calls=50", "depth=3", "signals=1"];
    const { own, counts } = await record(program);
    expectAll(own, counts);
    expect(counts.threads).toBeGreaterThanOrEqual(1000);
  });

  it("counts what threads for which there is no ring have lost", async () => {
    const program = ["threads=64", "alive=64", "calls=2000", "pace=1000"];
    const { own, counts } = await record(program, { threadsMax: 8 });
    expectSomeLost(own, counts);
  });

  it.each(["exact", "coarse"])("records what babeltrace2 reads as the same: %s", async (clock) => {
    const program = ["threads=2", "calls=20000", "depth=4", "signals=1", "pace=2000"];
    const { own, directory } = await record(program, { clock });
    const found = new Map<string, number>();
    for (const line of run("babeltrace2", [directory]).split("\n")) {
      const match = / (entry|exit): .*function = \( "(\w+)"/.exec(line);
      if (match === null) continue;
      const key = `${match[1]} ${match[2]}`;
      found.set(key, (found.get(key) ?? 0) + 1);
    }
    for (const [name, calls] of Object.entries(own)) {
      expect([name, found.get(`entry ${name}`)]).toEqual([name, calls]);
      expect([name, found.get(`exit ${name}`)]).toEqual([name, calls]);
    }
  });
});

describe("with rings that overflow", () => {
  it.each([["1"], ["2"], ["8"]])("counts what %s threads have lost", async (threads) => {
    const program = [`threads=${threads}`, "calls=1000000", "depth=8", "signals=1"];
    const { own, counts } = await record(program, { ringBytes: 4096 });
    expectSomeLost(own, counts);
  });

  it("counts 100 million calls", async () => {
    const options = isSoak ? {} : { ringBytes: 64 << 10 };
    const { own, counts } = await record(["calls=100000000"], options);
    expect(own["traced_leaf"]).toBe(100_000_000);
    expectSomeLost(own, counts);
  });

  it("keeps the latest events of each thread as a flight recorder, counts the others", async () => {
    const program = ["threads=4", "calls=100000", "depth=8", "signals=1"];
    const ringBytes = 64 << 10;
    const { own, counts } = await record(program, { flightRecorder: true, ringBytes });
    expect(counts.entries + counts.exits + counts.unwound + counts.lost).toBe(2 * sum(own));
    expect(counts.lost).toBeGreaterThan(0);
    expect(counts.functions.get("traced_last")).toEqual({ entries: 4, exits: 4, unwound: 0 });
    expect(counts.entries + counts.exits).toBeGreaterThan(4 * (ringBytes / 8 - 1024));
  });
});

describe("from the command line", () => {
  it("counts every call of a program that it starts, from the first on", async () => {
    const directory = tracePath();
    const program = [compile("count.c"), "wait=0", "threads=2", "calls=50000", "pace=2000"];
    const record = ["record", "-o", directory, "-F", "traced_*", "--", ...program, "depth=4"];
    const { status, stdout, stderr } = await patchbay(...record);
    expect([status, stderr]).toEqual([
      0,
      expect.stringMatching(/^patchbay: recording .*\npatchbay: recorded .*\n$/),
    ]);
    const own: Counts = JSON.parse(stdout.slice(stdout.indexOf("{")));
    expectAll(own, countTrace(directory));
  });
});

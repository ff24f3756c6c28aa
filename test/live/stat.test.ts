/** `patchbay stat`: counts that are the program's own, and an end that leaves nothing. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { api, compile, patchbay, startPatchbay, Target } from "./harness.ts";
import { changedTextBytes, stateOf } from "./process-state.ts";

type Line = {
  readonly seconds: number;
  readonly reason?: string;
  readonly functions: readonly { name: string; calls: number; perSecond: number }[];
};

type Counted = { readonly functions: readonly { name: string; calls: number }[] };

const countsOf = ({ functions }: Counted): Readonly<Record<string, number>> =>
  Object.fromEntries(functions.map(({ name, calls }) => [name, calls]));
const lastLine = (text: string): Line => JSON.parse(text.trimEnd().split("\n").at(-1) ?? "");

/** Mappings that are executable or come from files. */
const foreignMaps = ({ maps }: ReturnType<typeof stateOf>): readonly string[] =>
  maps.filter((line) => / r-xp | \d+ +\//.test(line));

const program = (): string => compile("count.c");
const work = ["threads=4", "calls=20000", "depth=5", "signals=1"] as const;
const stat = ["stat", "-F", "traced_*", "--interval", "50ms"] as const;

describe("stat", () => {
  it("counts every call, until it is interrupted", async () => {
    const target = await Target.start(program(), ...work);
    const before = stateOf(target.pid);
    const running = startPatchbay(...stat, "-p", String(target.pid), "--json");
    await running.line(/"seconds"/);
    target.send("begin");
    const own = await target.numbers();
    const isSeen = async (): Promise<Line> => JSON.parse(await running.line(/"seconds"/));
    let seen = await isSeen();
    while (countsOf(seen)["traced_last"] !== own["traced_last"]) seen = await isSeen();
    expect(countsOf(seen)).toEqual(own);
    running.child.kill("SIGINT");
    const { status, stdout, stderr } = await running.finish();
    expect([status, stderr]).toEqual([0, ""]);
    expect(lastLine(stdout)).toMatchObject({ reason: "stopped" });
    expect(countsOf(lastLine(stdout))).toEqual(own);
    expect(changedTextBytes(target.pid)).toBe(0);
    const after = stateOf(target.pid);
    expect([after.descriptors, after.threads]).toEqual([before.descriptors, before.threads]);
    // What the threads of the program leave behind is its own.
    expect(foreignMaps(after)).toEqual(foreignMaps(before));
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });

  it("counts to the very end of a program that ends", async () => {
    const command = [program(), "wait=0", ...work];
    const { status, stdout, stderr } = await patchbay(...stat, "--json", "--", ...command);
    expect([status, stderr]).toEqual([0, ""]);
    const own = JSON.parse(stdout.split("\n").find((line) => line.startsWith('{"traced')) ?? "");
    expect(countsOf(lastLine(stdout))).toEqual(own);
    expect(lastLine(stdout).reason).toBe("the program exited with status 0");
  });

  it("prints one table after one interval, most calls first, and ends", async () => {
    const target = await Target.start(program(), "calls=2000", "pace=100");
    target.send("begin");
    const table = await patchbay("stat", "-p", String(target.pid), "--once", "--interval", "200ms");
    expect(table.status).toBe(0);
    expect(table.stderr).toMatch(/^patchbay: counted [\d,]+ calls of [\d,]+ functions; stopped\n$/);
    const [heading] = table.stdout.split("\n");
    expect(heading).toMatch(/^ *total +self +calls +calls\/s +mean .* max {2}function$/);
    expect(changedTextBytes(target.pid)).toBe(0);
  });

  it("measures what calls take, whatever threads and signals do", async () => {
    const target = await Target.start(program(), "threads=70", "alive=30", ...work.slice(1));
    await using session = await api.attach(target.pid);
    const observation = await session.observe({ filter: { include: ["traced_*"] } });
    const start = performance.now();
    target.send("begin");
    const own = await target.numbers();
    const elapsedNs = (performance.now() - start) * 1e6;
    const { statistics, missed } = await observation.stop();
    const byName = new Map(statistics.map((one) => [one.name, one]));
    expect(missed).toBe(0);
    expect(countsOf({ functions: statistics })).toEqual(own);
    for (const one of statistics) {
      const { calls, returned, totalNs, selfNs, meanNs = 0, maxNs = 0 } = one;
      const { minNs = 0, p50Ns = 0, p99Ns = 0 } = one;
      expect(returned).toBe(calls);
      expect(selfNs).toBeLessThanOrEqual(totalNs);
      expect([minNs, p50Ns, p99Ns, maxNs]).toEqual(
        [minNs, p50Ns, p99Ns, maxNs].toSorted((a, b) => a - b),
      );
      expect(meanNs * calls).toBeCloseTo(totalNs, -5);
      expect(maxNs).toBeLessThan(elapsedNs);
    }
    // Self times are parts of the threads' time that do not overlap.
    const self = statistics.reduce((sum, one) => sum + one.selfNs, 0);
    expect(self).toBeLessThan(70 * elapsedNs);
    const recurse = byName.get("traced_recurse");
    expect(recurse?.totalNs).toBeGreaterThan(recurse?.selfNs ?? 0);
  });

  it("goes on with another filter, and keeps what was counted", async () => {
    const target = await Target.start(program(), "calls=0", "threads=1");
    await using session = await api.attach(target.pid);
    const observation = await session.observe({ filter: { include: ["traced_l*"] } });
    const callsOf = async (wanted: string): Promise<number> =>
      (await observation.statistics()).find(({ name }) => name === wanted)?.calls ?? 0;
    target.send("begin");
    while ((await callsOf("traced_leaf")) === 0) await sleep(5);
    await observation.setFilter({ include: ["traced_last"] });
    const counted = await callsOf("traced_leaf");
    const other = await session.observe({ filter: { include: ["traced_leaf"] }, times: false });
    while ((await other.statistics()).length === 0) await sleep(5);
    target.send("over");
    const own = await target.numbers();
    expect(counted).toBeGreaterThan(0);
    expect(own["traced_leaf"]).toBeGreaterThan(counted);
    expect(await callsOf("traced_leaf")).toBe(counted);
    expect(await callsOf("traced_last")).toBe(1);
    await expect(observation.setFilter({ exclude: ["*"] })).rejects.toThrow("is excluded");
  });

  it("prints one JSON object after one interval, or counts alone", async () => {
    const target = await Target.start(program(), "calls=2000");
    target.send("begin");
    await target.numbers();
    const once = ["stat", "-p", String(target.pid), "--once", "--interval", "50ms"];
    const { stdout } = await patchbay(...once, "--json");
    expect(JSON.parse(stdout)).toMatchObject({ functions: [], missed: 0, reason: "stopped" });
    const table = await patchbay(...once, "--no-times");
    expect(table.stdout).toBe("calls  calls/s  function");
  });

  it("ends by itself after its duration", async () => {
    const target = await Target.start(program());
    const args = ["-p", String(target.pid), "--duration", "150ms", "--json"];
    const { status, stdout } = await patchbay(...stat, ...args);
    expect([status, lastLine(stdout)]).toMatchObject([0, { functions: [], reason: "stopped" }]);
  });
});

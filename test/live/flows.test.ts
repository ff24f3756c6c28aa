/** Flows between what belongs together, held to what the program has logged itself. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { flowsOf } from "../support/perfetto-flows.ts";
import { readPackets } from "../support/perfetto-schema.ts";
import {
  type Build,
  compile,
  patchbay,
  run,
  startRecording,
  Target,
  tracePath,
} from "./harness.ts";
import { changedAfterKill, changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

/** A fork as the program has logged it. */
type Logged = {
  readonly child: number;
  readonly parent: number;
  readonly thread: number;
  readonly function: string;
  /** From before and after it. */
  readonly ticks: readonly [bigint, bigint];
  readonly ns: readonly [bigint, bigint];
};

function parseLogged(line: string): Logged {
  const [, child, parent, thread, name = "", ...times] = line.split(" ");
  const [a = 0n, b = 0n, c = 0n, d = 0n] = times.map(BigInt);
  return {
    child: Number(child),
    parent: Number(parent),
    thread: Number(thread),
    function: name,
    ticks: [a, b],
    ns: [c, d],
  };
}

/** Records a program that forks; what it has logged. */
async function recordForks(build: Build, count: number, ...options: readonly string[]) {
  const target = await Target.start(compile("forks.c", build), String(count));
  const directory = tracePath();
  const args = ["-p", String(target.pid), "-F", "traced_*", "-o", directory, "--ring-size", "64K"];
  const tracer = await startRecording(...args, "--follow-fork", ...options);
  target.send("begin");
  const log: Logged[] = [];
  for (;;) {
    const line = await target.line(/^(fork|done)/);
    if (line === "done") break;
    log.push(parseLogged(line));
  }
  tracer.child.kill("SIGINT");
  expect(await tracer.ended).toEqual({ status: 0, signal: null });
  expect(changedTextBytes(target.pid)).toBe(0);
  target.send("end");
  expect(await target.ended).toEqual({ status: 0, signal: null });
  expect(countTrace(directory)).toMatchObject({ isEnded: true, lost: 0, damages: 0, backwards: 0 });
  return { directory, log };
}

type Told = {
  readonly pid: number;
  readonly parent?: number;
  readonly thread?: number;
  readonly ticks?: string;
};

const forksIn = (directory: string): readonly Told[] =>
  readFileSync(`${directory}/patchbay/forks.ndjson`, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

/** The trace says of each fork what the program does. @param clock of the trace. */
function expectTold(directory: string, log: readonly Logged[], clock: "ticks" | "ns"): void {
  const told = new Map(forksIn(directory).map((fork) => [fork.pid, fork]));
  expect(told.size).toBe(log.length);
  for (const { child, parent, thread, [clock]: times } of log) {
    const fork = told.get(child);
    expect(fork).toMatchObject({ pid: child, parent, thread });
    const time = BigInt(fork?.ticks ?? 0);
    expect(time >= times[0] && time <= times[1]).toBe(true);
  }
}

describe("forks that are followed", () => {
  const builds: Readonly<Record<string, Build>> = {
    glibc: {},
    "glibc, static": { flags: ["-O2", "-static", "-fpatchable-function-entry=5"] },
    musl: { compiler: "musl-gcc", flags: ["-O2", "-fpatchable-function-entry=5"] },
  };

  it.each(Object.entries(builds))("are told of with who forked, and when: %s", async (_, build) => {
    const { directory, log } = await recordForks(build, 8);
    expect(log).toHaveLength(3 * 8 * 2);
    expectTold(directory, log, "ticks");
  });

  it("are told of by the coarse clock", async () => {
    const { directory, log } = await recordForks({}, 3, "--clock", "coarse");
    expectTold(directory, log, "ns");
  });

  it("are flows from the forking call to the child's first, for Perfetto", async () => {
    const { directory, log } = await recordForks({}, 5);
    const file = `${directory}.pftrace`;
    const exported = await patchbay("export", directory, "--to", "perfetto", "-o", file);
    expect(exported.status).toBe(0);
    const flows = flowsOf(readPackets(readFileSync(file)));
    const found = flows.map(({ from, to }) => ({
      thread: from?.tid,
      child: Number(from?.notes["child"]),
      around: from?.around,
      name: from?.name,
      to: [to?.tid, to?.name, ...(to?.around ?? [])],
    }));
    const expected = log.map(({ child, thread, function: name }) => ({
      thread,
      child,
      around: [name],
      name: "fork",
      to: [child, name === "traced_child" ? "traced_grandchild" : "traced_child"],
    }));
    const sorted = (rows: readonly { child: number }[]) =>
      rows.toSorted((a, b) => a.child - b.child);
    expect(sorted(found)).toEqual(sorted(expected));
    for (const { from, to } of flows) expect((from?.ns ?? 0n) < (to?.ns ?? 0n)).toBe(true);
  });

  it("are no harm when the tracer is killed: the C library is as it was, and forks", async () => {
    const target = await Target.start(compile("forks.c"), "3");
    const args = ["-p", String(target.pid), "-F", "traced_*", "-o", tracePath()];
    const tracer = await startRecording(...args, "--follow-fork");
    expect(changedTextBytes(target.pid)).toBeGreaterThan(0);
    expect(await changedAfterKill(tracer, target.pid)).toBe(0);
    target.send("begin");
    await target.line(/^done/);
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });

  it("are in the graph, in info and in what babeltrace2 reads", async () => {
    const { directory, log } = await recordForks({}, 2);
    const graph = await patchbay("graph", directory);
    const lines = graph.stdout.split("\n");
    for (const { child, thread } of log) {
      const fork = lines.findIndex(
        (line) => line.includes(`[${thread}]`) && line.includes(`/* forks ${child} */`),
      );
      const first = lines.findIndex((line) => line.includes(`[${child}]`));
      expect(fork).toBeGreaterThan(0);
      expect(first).toBeGreaterThan(fork);
    }
    const info = JSON.parse((await patchbay("info", "--json", directory)).stdout);
    const byChild = (a: { readonly pid: number }, b: { readonly pid: number }): number =>
      a.pid - b.pid;
    expect(info.forks.toSorted(byChild)).toMatchObject(
      log.map(({ child: pid, parent, thread }) => ({ pid, parent, thread })).toSorted(byChild),
    );
    const text = run("babeltrace2", [directory])
      .split("\n")
      .filter((line) => line !== "");
    const { entries, exits } = countTrace(directory);
    expect(text).toHaveLength(entries + exits);
    const metadata = run("babeltrace2", ["convert", directory, "--component=sink.text.details"]);
    for (const { child, parent, thread } of log) {
      expect(metadata).toContain(`process ${child} by thread ${thread} of process ${parent} at `);
    }
  });
});

/** Records a program that is sent signals; how often its functions say that they were called. */
async function recordSignals(build: Build, count: number, ...options: readonly string[]) {
  const target = await Target.start(compile("signals.c", build), String(count));
  const directory = tracePath();
  const args = ["-p", String(target.pid), "-o", directory, ...options];
  const filter = ["-F", "traced_*", "-F", "raise@plt", "-F", "*kill@plt", "-N", "traced_leaf"];
  const tracer = await startRecording(...args, ...filter, "--libcalls");
  target.send("begin");
  const own = await target.numbers();
  tracer.child.kill("SIGINT");
  expect(await tracer.ended).toEqual({ status: 0, signal: null });
  expect(changedTextBytes(target.pid)).toBe(0);
  target.send("end");
  expect(await target.ended).toEqual({ status: 0, signal: null });
  expect(countTrace(directory)).toMatchObject({ isEnded: true, lost: 0, damages: 0, backwards: 0 });
  return { directory, own, pid: target.pid };
}

/** Calls of a graph, as JSON has them. */
type GraphCall = {
  readonly event: string;
  readonly function: string;
  readonly signal?: { readonly number: number | null; readonly sender: number | null };
};

async function callsIn(directory: string): Promise<readonly GraphCall[]> {
  const { stdout } = await patchbay("graph", "--json", directory);
  const lines: readonly GraphCall[] = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  return lines.filter(({ event }) => event === "call");
}

/** What is told of the signals of a function's calls, each with its number of calls. */
function signalsOf(calls: readonly GraphCall[], name: string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const call of calls.filter((one) => one.function === name)) {
    const { number, sender } = call.signal ?? {};
    const key = call.signal === undefined ? "none" : `${number} from ${sender}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

const usr1 = 10;

describe("calls of signal handlers", () => {
  const count = 20;
  const builds: Readonly<Record<string, Build>> = {
    glibc: {},
    musl: { compiler: "musl-gcc", flags: ["-O2", "-fpatchable-function-entry=5"] },
  };

  it.each(Object.entries(builds))("are told from others, with the signal: %s", async (_, build) => {
    const { directory, own, pid } = await recordSignals(build, count, "--signals");
    const once = { traced_info: count, traced_plain: count, traced_work: count };
    expect(own).toEqual({ ...once, traced_both: 2 * count });
    const calls = await callsIn(directory);
    const signals = (name: string) => Object.fromEntries(signalsOf(calls, name));
    expect(signals("traced_info")).toEqual({ [`${usr1} from ${pid}`]: count });
    // Nothing says for sure which one it was.
    expect(signals("traced_plain")).toEqual({ "null from null": count });
    expect(signals("traced_work")).toEqual({ "null from null": count });
    expect(signals("traced_both")).toEqual({ "null from null": count, none: count });
    expect(signals("traced_raises")).toEqual({ none: 1 });
    const text = run("babeltrace2", [directory])
      .split("\n")
      .filter((line) => line !== "");
    const { entries, exits } = countTrace(directory);
    expect(text).toHaveLength(entries + exits);
    expect(text.filter((line) => line.includes('form = ( "signal"'))).toHaveLength(4 * count);
  });

  it("are told by entries alone and by rings that overwrite", async () => {
    for (const option of ["--no-exits", "--flight-recorder"]) {
      const { directory } = await recordSignals({}, count, "--signals", option);
      const text = run("babeltrace2", [directory]).split("\n");
      expect(text.filter((line) => line.includes('form = ( "signal"'))).toHaveLength(4 * count);
    }
  });

  it("are not told without being asked", async () => {
    const { directory } = await recordSignals({}, count);
    const calls = await callsIn(directory);
    expect(calls.filter(({ signal }) => signal !== undefined)).toEqual([]);
    expect(run("babeltrace2", [directory])).not.toContain("form");
  });

  it("are flows from what they interrupt, and from who sent them, for Perfetto", async () => {
    const values = ["-A", "*kill@plt@arg1/d,arg2/d,arg3/d"];
    const { directory, pid } = await recordSignals({}, count, "--signals", ...values);
    const file = `${directory}.pftrace`;
    const exported = await patchbay("export", directory, "--to", "perfetto", "-o", file);
    expect(exported.status).toBe(0);
    const flows = flowsOf(readPackets(readFileSync(file)));
    const marks = flows.filter(({ from }) => /sig/i.test(from?.name ?? ""));
    expect(marks).toHaveLength(4 * count);
    for (const { from, to } of marks) {
      const isSent = to?.name === "traced_info";
      expect([from?.tid, to?.tid]).toEqual([pid, pid]);
      expect(from?.name).toBe(isSent ? "SIGUSR1" : "a signal");
      expect(from?.notes).toEqual(isSent ? { sender: String(pid) } : {});
      const around = isSent ? ["traced_waits"] : ["traced_raises", "raise@plt"];
      expect([from?.around, to?.around]).toEqual([around, around]);
      expect(from?.ns).toBe(to?.ns);
    }
    const sent = flows
      .filter((flow) => !marks.includes(flow))
      .toSorted((a, b) => Number((a.from?.ns ?? 0n) - (b.from?.ns ?? 0n)));
    expect(sent.map(({ from, to }) => [from?.name, to?.name, to?.tid])).toEqual(
      Array.from({ length: count }, (_, turn) => [
        turn % 2 === 0 ? "pthread_kill@plt" : "kill@plt",
        "traced_info",
        pid,
      ]),
    );
    const order = sent.flatMap(({ from, to }) => [from?.ns ?? 0n, to?.ns ?? 0n]);
    expect(order).toEqual(order.toSorted((a, b) => Number(a - b)));
  });
});

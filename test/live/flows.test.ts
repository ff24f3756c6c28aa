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
import { changedTextBytes } from "./process-state.ts";
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

/** Recordings, exported for uftrace: it has in them what the programs say of themselves. */
import { describe, expect, it } from "vitest";
import { uftraceCalls, uftraceCounts } from "../support/uftrace.ts";
import { compile, patchbay, startRecording, Target, tracePath } from "./harness.ts";

/** Records all that a program does once it is told to; where that lies as uftrace's data. */
async function recordForUftrace(source: string, words: readonly string[], ...options: string[]) {
  const target = await Target.start(compile(source), ...words);
  const directory = tracePath();
  const args = ["-p", String(target.pid), "-F", "traced_*", "-o", directory, ...options];
  const tracer = await startRecording(...args);
  target.send("begin");
  const own = await target.numbers();
  tracer.child.kill("SIGINT");
  expect(await tracer.ended).toEqual({ status: 0, signal: null });
  const data = `${directory}-uftrace`;
  const exported = await patchbay("export", directory, "--to", "uftrace", "-o", data);
  expect(exported).toMatchObject({ status: 0, stdout: "", stderr: "" });
  return { own, directory, data };
}

function expectCounts(data: string, own: Readonly<Record<string, number>>): void {
  const counts = uftraceCounts(data);
  for (const [name, calls] of Object.entries(own)) {
    expect([name, counts.get(name)?.calls ?? 0]).toEqual([name, calls]);
  }
}

/** By thread: the functions called, each behind as many dots as there are calls around it. */
function byThread(
  calls: Iterable<{ readonly tid: number; readonly depth: number; readonly name: string }>,
): ReadonlyMap<number, readonly string[]> {
  const threads = new Map<number, string[]>();
  for (const { tid, depth, name } of calls) {
    const known = threads.get(tid) ?? [];
    threads.set(tid, known);
    known.push(".".repeat(depth) + name);
  }
  return threads;
}

describe("a recording exported for uftrace", () => {
  it("has each thread's calls as the graph has them, signal handlers' among them", async () => {
    const words = ["threads=6", "alive=3", "calls=1000", "depth=40", "signals=1"];
    const { own, directory, data } = await recordForUftrace("count.c", words);
    expectCounts(data, own);
    const { stdout } = await patchbay("graph", directory);
    const lines = stdout.matchAll(/\[(\d+)\] \| {2}( *)(\w+)\(\)(?:;| \{)/g);
    const shown = [...lines].map(([, tid, indent = "", name = ""]) => ({
      tid: Number(tid),
      depth: indent.length / 2,
      name,
    }));
    const threads = byThread(shown);
    expect(threads.size).toBeGreaterThanOrEqual(6);
    expect(byThread(uftraceCalls(data))).toEqual(threads);
  });

  it("has the calls of children that were followed", async () => {
    const { own, data } = await recordForUftrace("follow.c", ["fork", "10"], "--follow-fork");
    expect(own["traced_child"]).toBe(40);
    expectCounts(data, own);
  });
});

/** Processes that a traced program makes, or becomes, and what becomes of them. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { OpenCalls } from "../../src/index.ts";
import { compile, isSoak, patchbay, startRecording, Target, tracePath } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

/** A recording of a program that makes processes once it is told to. */
async function record(what: string, count: number, ...options: readonly string[]) {
  const target = await Target.start(compile("follow.c"), what, String(count));
  const directory = tracePath();
  const args = ["-p", String(target.pid), "-F", "traced_*", "-o", directory, "--ring-size", "64K"];
  const tracer = await startRecording(...args, ...options);
  target.send("begin");
  return { target, tracer, directory, own: await target.numbers() };
}

/** The trace has every call that the program has logged. */
function expectExact(directory: string, own: Readonly<Record<string, number>>): void {
  const counts = countTrace(directory);
  expect(counts).toMatchObject({ isEnded: true, lost: 0, damages: 0, backwards: 0, tornBytes: 0 });
  for (const [name, calls] of Object.entries(own)) {
    const found = counts.functions.get(name) ?? { entries: 0, exits: 0, unwound: 0 };
    expect([name, found]).toEqual([name, { entries: calls, exits: calls, unwound: 0 }]);
  }
}

describe("a recording that follows forks", () => {
  it("has every call of children, of their threads, and of their children", async () => {
    const count = isSoak ? 10_000 : 100;
    const { target, tracer, directory, own } = await record("fork", count, "--follow-fork");
    expect(own["traced_child"]).toBe(count * 4);
    tracer.child.kill("SIGINT");
    expect(await tracer.ended).toEqual({ status: 0, signal: null });
    expectExact(directory, own);
    expect(countTrace(directory).threads).toBeGreaterThan(count);
    expect(changedTextBytes(target.pid)).toBe(0);
  });

  it.each([["exact"], ["coarse"]])(
    "goes on while a child does when the program has ended, by the %s clock",
    async (clock) => {
      const options = ["--follow-fork", "--clock", clock];
      const { tracer, directory, own } = await record("daemon", 1, ...options);
      expect(await tracer.ended).toEqual({ status: 0, signal: null });
      expect(tracer.stderr).toMatch(/; the program ended\n$/);
      expectExact(directory, own);
    },
  );

  it.each(["vfork", "spawn"])("has the program's own calls alone: %s", async (what) => {
    const { target, tracer, directory, own } = await record(what, 20, "--follow-fork");
    tracer.child.kill("SIGINT");
    expect(await tracer.ended).toEqual({ status: 0, signal: null });
    expectExact(directory, own);
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });

  it("has no call of 10,000 children without that, and all of their parent's", async () => {
    // Each of 5,000 children has one of its own.
    const { target, tracer, directory } = await record("fork", 5000);
    tracer.child.kill("SIGINT");
    expect(await tracer.ended).toEqual({ status: 0, signal: null });
    expectExact(directory, { traced_leaf: 5000, traced_child: 0 });
    expect(countTrace(directory).threads).toBe(1);
    expect(changedTextBytes(target.pid)).toBe(0);
  });
});

describe("a program that crashes", () => {
  it("has a trace up to there, and the report says where it was", async () => {
    const target = await Target.start(compile("crash.c"));
    const directory = tracePath();
    const args = ["-p", String(target.pid), "-F", "traced_*", "-o", directory];
    const tracer = await startRecording(...args);
    target.send("begin");
    expect(await target.ended).toEqual({ status: 139, signal: null });
    expect(await tracer.ended).toEqual({ status: 0, signal: null });
    const where = "traced_main > traced_middle > traced_crash";
    const line = new RegExp(
      `\npatchbay: thread ${target.pid} \\(crash-[^)]*\\) was in ${where}, for `,
    );
    expect(tracer.stderr).toMatch(line);
    const { stdout } = await patchbay("info", "--open", "--json", directory);
    const threads: readonly OpenCalls[] = JSON.parse(stdout);
    const found = threads.map(({ calls }) => calls.map((call) => call.function).join(" > "));
    expect(new Set(found)).toEqual(new Set([where, "traced_waits"]));
    expectExactBefore(directory);
  });
});

/** Calls that returned before the crash have all been recorded. */
function expectExactBefore(directory: string): void {
  const { functions } = countTrace(directory);
  expect(functions.get("traced_before")).toEqual({ entries: 1000, exits: 1000, unwound: 0 });
  expect(functions.get("traced_crash")).toEqual({ entries: 1, exits: 0, unwound: 0 });
}

describe("a program that is stopped while it is recorded", () => {
  it("goes on, and has every call in its trace", async () => {
    const target = await Target.start(compile("count.c"), "calls=200000", "threads=3", "pace=500");
    const directory = tracePath();
    const args = ["-p", String(target.pid), "-F", "traced_*", "-o", directory];
    const tracer = await startRecording(...args);
    target.send("begin");
    for (let round = 0; round < 5; round++) {
      target.kill("SIGSTOP");
      await sleep(30);
      target.kill("SIGCONT");
      await sleep(10);
    }
    const own = await target.numbers();
    tracer.child.kill("SIGINT");
    expect(await tracer.ended).toEqual({ status: 0, signal: null });
    const called = Object.fromEntries(Object.entries(own).filter(([, calls]) => calls > 0));
    expectExact(directory, called);
  });
});

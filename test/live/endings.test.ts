/**
 * However a recording ends, what was recorded up to then is a trace, and the program is as it was.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { compile, startRecording, Target, tracePath, until } from "./harness.ts";
import { changedTextBytes, stateOf } from "./process-state.ts";
import { countTrace, type TraceCounts } from "./trace-counts.ts";

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((a, b) => a + b, 0);

/** `patchbay record` of the functions that a program counts itself, once it is under way. */
async function startRecord(target: Target, ...options: readonly string[]) {
  const directory = tracePath();
  const args = ["-p", String(target.pid), "-F", "traced_*", "-o", directory];
  return { tracer: await startRecording(...args, ...options), directory };
}

/** Waits until the trace has some events. */
async function untilRecorded(directory: string): Promise<void> {
  await until("events are on disk", () => eventsIn(directory) > 10_000);
}

function eventsIn(directory: string): number {
  try {
    return countTrace(directory).entries;
  } catch {
    return 0;
  }
}

/** Sound as far as it goes. */
const expectSound = (counts: TraceCounts): void =>
  expect(counts).toMatchObject({ backwards: 0, damages: 0 });

function expectExact(own: Readonly<Record<string, number>>, counts: TraceCounts): void {
  expectSound(counts);
  expect(counts).toMatchObject({ isEnded: true, tornBytes: 0 });
  expect(counts.entries + counts.lostEntries).toBe(sum(own));
  expect(counts.exits + counts.unwound + counts.lostExits).toBe(sum(own));
}

/** A program that has begun when it is traced from its first counted call on. */
async function startCounting(...options: readonly string[]) {
  const target = await Target.start(compile("count.c"), "depth=5", "signals=1", ...options);
  const { tracer, directory } = await startRecord(target);
  target.send("begin");
  return { target, tracer, directory };
}

/** A program that calls until it is told to stop, and is being recorded. */
async function startEndless() {
  const target = await Target.start(compile("count.c"), "calls=0", "threads=2", "pace=2000");
  target.send("begin");
  const recording = await startRecord(target);
  await untilRecorded(recording.directory);
  return { target, ...recording };
}

/** The program runs on untouched and comes to a good end. */
async function expectUnharmed(target: Target): Promise<number> {
  expect(changedTextBytes(target.pid)).toBe(0);
  target.send("stop");
  const own = await target.numbers();
  target.send("end");
  expect(await target.ended).toEqual({ status: 0, signal: null });
  return sum(own);
}

describe("a recording of calls that have all been made", () => {
  it.each(["SIGINT", "SIGTERM"] as const)("ends by %s with every call", async (signal) => {
    const { target, tracer, directory } = await startCounting("calls=50000", "pace=1000");
    const own = await target.numbers();
    tracer.child.kill(signal);
    expect(await tracer.ended).toEqual({ status: 0, signal: null });
    expect(tracer.stderr).toMatch(/^patchbay: recording .*\npatchbay: recorded .*; stopped\n$/);
    expectExact(own, countTrace(directory));
    expect(changedTextBytes(target.pid)).toBe(0);
  });

  it.each([
    ["its end", "crash=0", 0],
    ["a crash", "crash=1", 139],
  ])("ends by the program's end, by %s, with every call", async (_, crash, status) => {
    const { target, tracer, directory } = await startCounting("calls=50000", "pace=1000", crash);
    const own = await target.numbers();
    target.send("end");
    expect(await target.ended).toEqual({ status, signal: null });
    expect(await tracer.ended).toEqual({ status: 0, signal: null });
    expect(tracer.stderr).toMatch(/\npatchbay: recorded .*; the program ended\n$/);
    expectExact(own, countTrace(directory));
  });

  it("ends by kill -9 of the program with every call", async () => {
    const { target, tracer, directory } = await startCounting("calls=50000", "pace=1000");
    const own = await target.numbers();
    target.kill("SIGKILL");
    expect(await tracer.ended).toEqual({ status: 0, signal: null });
    expectExact(own, countTrace(directory));
  });
});

describe("a recording under load", () => {
  it("ends by Ctrl-C", async () => {
    const { target, tracer, directory } = await startEndless();
    tracer.child.kill("SIGINT");
    expect(await tracer.ended).toEqual({ status: 0, signal: null });
    const counts = countTrace(directory);
    expectSound(counts);
    expect(counts.isEnded).toBe(true);
    expect(await expectUnharmed(target)).toBeGreaterThan(counts.entries + counts.lostEntries);
  });

  it("ends by kill -9 of the program", async () => {
    const { target, tracer, directory } = await startEndless();
    target.kill("SIGKILL");
    expect(await tracer.ended).toEqual({ status: 0, signal: null });
    expectSound(countTrace(directory));
    expect(countTrace(directory).isEnded).toBe(true);
  });

  it("leaves a trace and a sound program when the tracer is killed by kill -9", async () => {
    const { target, tracer, directory } = await startEndless();
    tracer.child.kill("SIGKILL");
    await tracer.ended;
    expectSound(countTrace(directory));
    expect(countTrace(directory)).toMatchObject({ isEnded: false });
    await until("the text is the file's", () => changedTextBytes(target.pid) === 0);
    await until("the agent is gone", () => stateOf(target.pid).threads === 3);
    const again = await startRecord(target);
    await untilRecorded(again.directory);
    again.tracer.child.kill("SIGINT");
    expect(await again.tracer.ended).toEqual({ status: 0, signal: null });
    await expectUnharmed(target);
  });

  it("ends while the program is stopped, and leaves no more there than memory", async () => {
    const { target, tracer, directory } = await startEndless();
    target.kill("SIGSTOP");
    tracer.child.kill("SIGINT");
    expect(await tracer.ended).toEqual({ status: 0, signal: null });
    expect(tracer.stderr).toMatch(/\npatchbay: some memory stays mapped: .*does not run\n$/);
    expect(countTrace(directory).isEnded).toBe(true);
    expect(changedTextBytes(target.pid)).toBe(0);
    target.kill("SIGCONT");
    await until("the agent is gone", () => stateOf(target.pid).threads === 3);
    await expectUnharmed(target);
  });

  it("can be read at any time", async () => {
    const { target, tracer, directory } = await startEndless();
    let before = 0;
    for (let reads = 0; reads < 20; reads++) {
      const counts = countTrace(directory);
      expectSound(counts);
      expect(counts.isEnded).toBe(false);
      expect(counts.entries).toBeGreaterThanOrEqual(before);
      before = counts.entries;
      await sleep(10);
    }
    tracer.child.kill("SIGINT");
    await tracer.ended;
    expect(countTrace(directory).entries).toBeGreaterThan(before);
    await expectUnharmed(target);
  });
});

/** The coarse clock: what its times are good for, and what it is refused for. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  api,
  compile,
  isSoak,
  patchbay,
  startRecording,
  Target,
  tracePath,
  until,
} from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

type Shown = { readonly function: string; readonly durationNs?: number };

/** How long calls took, by the trace. */
async function durations(directory: string): Promise<readonly number[]> {
  const { stdout } = await patchbay("graph", directory, "--json");
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  return lines.flatMap((line): readonly number[] => {
    const { durationNs }: Shown = JSON.parse(line);
    return durationNs === undefined ? [] : [durationNs];
  });
}

/** Whether the program waits in read(2). */
const isReading = (pid: number): boolean =>
  readFileSync(`/proc/${pid}/syscall`, "utf8").startsWith("0 ");

const stepsOf = (directory: string) => {
  const { clockSteps } = api.readInfo(api.openTrace(directory)).summary;
  if (clockSteps === undefined) throw new Error("the trace says nothing of its clock");
  return clockSteps;
};

describe("durations by the coarse clock", () => {
  it("are right to its longest step, for a program that was stopped, too", async () => {
    const target = await Target.start(compile("waiting.c"));
    const directory = tracePath();
    await using session = await api.attach(target.pid);
    const filter = { include: ["traced_wait"] };
    const recording = await session.record({ directory, filter, clock: "coarse:200us" });
    const waits: { readonly least: number; readonly most: number }[] = [];
    const pass = async (): Promise<void> => {
      target.child.stdin?.write("x");
      await target.line(/^again/);
    };
    // Calls that were there before are not seen to begin.
    await until("it waits", () => isReading(target.pid));
    for (const signal of [undefined, "SIGSTOP", undefined] as const) {
      const before = performance.now();
      await pass();
      await until("it waits", () => isReading(target.pid));
      const entered = performance.now();
      if (signal !== undefined) target.kill(signal);
      await sleep(20);
      target.kill("SIGCONT");
      const least = performance.now() - entered;
      await pass();
      waits.push({ least, most: performance.now() - before });
    }
    await recording.stop();
    const { meanNs, longestNs } = stepsOf(directory);
    expect(longestNs).toBeGreaterThanOrEqual(meanNs);
    expect(meanNs).toBeGreaterThanOrEqual(200_000);
    const taken = await durations(directory);
    // Four calls within each other for each wait, and what is there for one that was passed by.
    waits.forEach(({ least, most }, wait) => {
      for (const ns of taken.slice(8 * wait, 8 * wait + 4)) {
        expect(ns).toBeGreaterThanOrEqual(least * 1e6 - longestNs);
        expect(ns).toBeLessThanOrEqual(most * 1e6 + longestNs);
      }
    });
    expect(taken.length).toBeGreaterThanOrEqual(20);
  });

  it("choose calls, and those that the clock does not see are refused", async () => {
    const target = await Target.start(compile("waiting.c"));
    const directory = tracePath();
    await using session = await api.attach(target.pid);
    const filter = { include: ["traced_wait"] };
    const options = { directory, filter, clock: "coarse", minNs: 10e6 };
    const recording = await session.record(options);
    const waitsNs: number[] = [];
    for (const ms of [0, 30, 0, 30, 0]) {
      await until("it waits", () => isReading(target.pid));
      const start = performance.now();
      await sleep(ms);
      waitsNs.push((performance.now() - start) * 1e6);
      target.child.stdin?.write("x");
      await target.line(/^again/);
    }
    await recording.stop();
    const { longestNs } = stepsOf(directory);
    const taken = await durations(directory);
    // Four calls within each other for each wait. One before the first may have begun earlier.
    const sure = waitsNs.slice(1).filter((ns) => ns >= options.minNs + longestNs);
    expect(taken.length).toBeGreaterThanOrEqual(4 * sure.length);
    for (const ns of taken) expect(ns).toBeGreaterThanOrEqual(10e6);
    expect(longestNs).toBeGreaterThan(0);
    await expect(session.record({ ...options, minNs: 20_000 })).rejects.toThrow("takes steps of");
  });
});

describe("a recording by the coarse clock", () => {
  it("joins one by the exact clock, and both have every call", async () => {
    const target = await Target.start(compile("count.c"), "threads=2", "calls=20000", "signals=1");
    const directories = [tracePath(), tracePath()] as const;
    const args = ["-p", String(target.pid), "-F", "traced_*", "-o"];
    const first = await startRecording(...args, directories[0]);
    const second = await startRecording(...args, directories[1], "--clock", "coarse");
    target.send("begin");
    const own = await target.numbers();
    for (const tracer of [second, first]) {
      tracer.child.kill("SIGINT");
      expect(await tracer.ended).toEqual({ status: 0, signal: null });
    }
    for (const directory of directories) {
      const counts = countTrace(directory);
      expect(counts).toMatchObject({ lost: 0, backwards: 0, damages: 0 });
      for (const [name, calls] of Object.entries(own)) {
        const expected = { entries: calls, exits: calls, unwound: 0 };
        expect([name, counts.functions.get(name)]).toEqual([name, expected]);
      }
    }
    const exact = await patchbay("report", directories[0]);
    expect(exact.stdout).not.toContain("coarse");
    const coarse = await patchbay("report", directories[1]);
    expect(coarse.stdout).toMatch(/^times go in steps of .*: the clock was coarse$/m);
  });

  it.each([
    ["restarts", "1"],
    ["does not restart", "0"],
  ])("has every call of threads that the kernel %s", async (_, rseq) => {
    const tunables = `GLIBC_TUNABLES=glibc.pthread.rseq=${rseq}`;
    const program = [compile("count.c"), "threads=4", "calls=50000", "depth=6", "signals=1"];
    const target = await Target.start("env", tunables, ...program, "pace=2000");
    const directory = tracePath();
    await using session = await api.attach(target.pid);
    const filter = { include: ["traced_*"] };
    const recording = await session.record({ directory, filter, clock: "coarse" });
    target.send("begin");
    const own = await target.numbers();
    const { lost } = await recording.stop();
    expect(lost).toBe(0);
    const counts = countTrace(directory);
    expect(counts).toMatchObject({ lost: 0, backwards: 0, damages: 0 });
    for (const [name, calls] of Object.entries(own)) {
      const expected = { entries: calls, exits: calls, unwound: 0 };
      expect([name, counts.functions.get(name)]).toEqual([name, expected]);
    }
  });

  it("comes and goes under load, and the program's results stay right", async () => {
    const program = ["threads=4", "calls=0", "depth=6", "signals=1"];
    const target = await Target.start(compile("count.c"), ...program);
    await using session = await api.attach(target.pid);
    target.send("begin");
    const filter = { include: ["traced_*"] };
    for (let round = 0; round < (isSoak ? 200 : 4); round++) {
      const directory = tracePath();
      const ringBytes = round % 2 === 0 ? 65_536 : 4 << 20;
      const recording = await session.record({ directory, filter, ringBytes, clock: "coarse" });
      await sleep(20);
      const { events } = await recording.stop();
      expect(countTrace(directory)).toMatchObject({ damages: 0, backwards: 0, isEnded: true });
      expect(events).toBeGreaterThan(0);
      expect(changedTextBytes(target.pid)).toBe(0);
    }
    target.send("stop");
    await target.numbers();
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });

  it("leaves nothing behind when its tracer is killed", async () => {
    const target = await Target.start(compile("count.c"), "threads=2", "calls=0", "pace=1000");
    const directory = tracePath();
    const args = ["-p", String(target.pid), "-o", directory, "--clock", "coarse"];
    const tracer = await startRecording(...args);
    target.send("begin");
    await until("it has events", () => countTrace(directory).entries > 1000);
    tracer.child.kill("SIGKILL");
    await until("its text is the file's", () => changedTextBytes(target.pid) === 0);
    target.send("stop");
    await target.numbers();
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });

  it("is refused in one line where there is no such clock", async () => {
    const target = await Target.start(compile("waiting.c"));
    for (const clock of ["fine", "coarse:1us", "coarse:", "exact:1ms"]) {
      const args = ["-p", String(target.pid), "--clock", clock];
      const { status, stderr } = await patchbay("record", ...args);
      expect([status, stderr.trimEnd().split("\n").length]).toEqual([2, 1]);
      expect(stderr).toContain(`there is no ${clock} (exact, coarse or coarse:TIME`);
    }
    expect(changedTextBytes(target.pid)).toBe(0);
  });
});

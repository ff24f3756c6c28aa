/** Children of a traced program are silent and right; a program that becomes another is left. */
import { describe, expect, it } from "vitest";
import { api, compile, isSoak, startRecording, Target, tracePath } from "./harness.ts";
import { changedTextBytes, stateOf } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

const rounds = isSoak ? 1000 : 50;
const filter = { include: ["traced_*"] };

describe("a program that forks while it is traced", () => {
  it.each([
    ["entries and exits", true],
    ["entries alone", false],
  ])("has right children, and no call of theirs among its own %s", async (_, exits) => {
    const target = await Target.start(compile("fork.c"), String(rounds));
    const before = stateOf(target.pid);
    const directory = tracePath();
    await using session = await api.attach(target.pid);
    const recording = await session.record({ directory, filter, exits });
    target.send("begin");
    const { wrong, ...own } = await target.numbers();
    expect(wrong).toBe(0);
    await recording.stop();
    expect(changedTextBytes(target.pid)).toBe(0);
    expect(stateOf(target.pid).maps.length).toBe(before.maps.length);
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
    const counts = countTrace(directory);
    expect(counts).toMatchObject({ lost: 0, damages: 0, backwards: 0 });
    for (const [name, calls] of Object.entries(own)) {
      const found = { entries: calls, exits: exits ? calls : 0, unwound: 0 };
      expect([name, counts.functions.get(name)]).toEqual([name, found]);
    }
  });
});

describe("a program that becomes another one", () => {
  it("is recorded up to there and then left alone", async () => {
    const target = await Target.start(compile("fork.c"), "10", "exec");
    const directory = tracePath();
    const args = ["-p", String(target.pid), "-F", "traced_*", "-o", directory];
    const tracer = await startRecording(...args);
    target.send("begin");
    const { wrong, ...own } = await target.numbers();
    expect(wrong).toBe(0);
    target.send("become");
    await target.line(/^ready/);
    expect(await tracer.ended).toEqual({ status: 0, signal: null });
    expect(tracer.stderr).toMatch(/; the program became another one \(exec\)\n$/);
    expect(changedTextBytes(target.pid)).toBe(0);
    expect(stateOf(target.pid)).toMatchObject({ threads: 1 });
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
    const counts = countTrace(directory);
    expect(counts).toMatchObject({ lost: 0, isEnded: true });
    for (const [name, calls] of Object.entries(own)) {
      const found = { entries: calls, exits: calls, unwound: 0 };
      expect([name, counts.functions.get(name)]).toEqual([name, found]);
    }
  });
});

describe("a program whose first thread has ended", () => {
  it.each(["before", "while"])("is traced and left as it was: it ends %s that", async (when) => {
    const target = await Target.start(compile("mainless.c"));
    if (when === "before") {
      target.send("leave");
      await target.line(/^alone/);
    }
    const directory = tracePath();
    await using session = await api.attach(target.pid);
    const recording = await session.record({ directory, filter });
    if (when === "while") {
      target.send("leave");
      await target.line(/^alone/);
    }
    target.send("begin");
    expect(await target.numbers()).toEqual({ traced_leaf: 1000 });
    const { reason, left } = await recording.stop();
    expect({ reason, left }).toEqual({ reason: "stopped", left: undefined });
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
    const found = { entries: 1000, exits: 1000, unwound: 0 };
    expect(countTrace(directory).functions.get("traced_leaf")).toEqual(found);
  });
});

/**
 * Libraries that come and go while a program is traced: every call of theirs is counted from the
 * first one on, nothing is written to text that is gone, and nothing stays behind.
 */
import { describe, expect, it } from "vitest";
import { api, compile, isSoak, patchbay, startRecording, Target, tracePath } from "./harness.ts";
import { changedTextBytes, stateOf } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

type Numbers = Readonly<Record<string, number>>;

const cycles = isSoak ? 10_000 : 200;
const shared = ["-O2", "-g", "-fPIC", "-shared", "-fpatchable-function-entry=5"];
const withLiteral = [...shared.slice(0, -1), "-fpatchable-function-entry=13,8"];
const library = (flags: readonly string[]): string => compile("plugin.c", { flags });
const start = (...libraries: readonly string[]): Promise<Target> =>
  Target.start(compile("plugins.c"), ...libraries);

async function ask(target: Target, command: string): Promise<Numbers> {
  target.send(command);
  return target.numbers();
}

/** What has to have been counted when a thread never waited for the tracer in vain. */
const expected = (calls: number): Numbers => ({
  plug_work: calls,
  plug_a: 3 * calls,
  plug_b: 3 * calls,
  plug_c: 3 * calls,
});

/** Holds counts to the program's own; a machine too busy to answer in a second loses some. */
function expectCounts(seen: Numbers, { calls = 0, slow = 0 }: Numbers): void {
  if (slow === 0) expect(seen).toEqual(expected(calls));
  for (const [name, count] of Object.entries(expected(calls))) {
    expect([name, (seen[name] ?? 0) <= count]).toEqual([name, true]);
  }
}

describe("libraries that come and go", { timeout: isSoak ? 1_800_000 : 180_000 }, () => {
  it(`are counted from their first call on, ${cycles} times`, async () => {
    const target = await start(library(shared), library(withLiteral));
    const before = stateOf(target.pid).threads;
    await using session = await api.attach(target.pid);
    const recording = await session.record({
      directory: tracePath(),
      filter: { include: ["main"] },
      flightRecorder: true,
      ringBytes: 64 << 10,
    });
    await recording.register("count", { kind: "count" }, { include: ["plug_*:mod:plugin-*"] });
    const own = await ask(target, `cycle ${cycles} 10`);
    const counts: Record<string, number> = {};
    for (const { name, calls } of await recording.counts()) {
      counts[name] = (counts[name] ?? 0) + calls;
    }
    expectCounts(counts, own);
    const { left } = await recording.stop();
    expect(left).toBeUndefined();
    expect([changedTextBytes(target.pid), stateOf(target.pid).threads]).toEqual([0, before]);
    await target.finish();
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });

  it("are recorded with entries and exits, and named in the trace", async () => {
    const target = await start(library(shared));
    const directory = tracePath();
    const recorder = await startRecording(
      ...["-p", String(target.pid), "-o", directory, "-F", "*:mod:plugin-*"],
    );
    const own = await ask(target, "cycle 20 10");
    recorder.child.kill("SIGINT");
    const { status, stderr } = await recorder.finish();
    expect([status, stderr]).toEqual([0, expect.stringContaining("0 lost")]);
    const { functions, isEnded } = countTrace(directory);
    const seen = Object.fromEntries([...functions].map(([name, { entries }]) => [name, entries]));
    expect(isEnded).toBe(true);
    expectCounts(seen, own);
    await target.finish();
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });

  it("are waited for by name, and typing errors are not", async () => {
    const target = await start(library(shared));
    const waits = await patchbay(
      ...["record", "-p", String(target.pid), "-o", tracePath(), "-F", "*:mod:libnever"],
      ...["--duration", "50ms"],
    );
    expect([waits.status, waits.stderr]).toEqual([0, expect.stringContaining("0 functions")]);
    const wrong = await patchbay(
      ...["record", "-p", String(target.pid), "-o", tracePath(), "-F", "own_wrk"],
    );
    expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining("own_work")]);
  });

  it("do not keep the loader waiting when the tracer is killed or stopped", async () => {
    const target = await start(library(shared));
    const recorder = await startRecording(
      ...["-p", String(target.pid), "-o", tracePath(), "-F", "*:mod:plugin-*", "-F", "own_work"],
    );
    await ask(target, "load");
    recorder.child.kill("SIGSTOP");
    await ask(target, "unload");
    recorder.child.kill("SIGKILL");
    await recorder.ended;
    const own = await ask(target, "cycle 10 1");
    expect(own["calls"]).toBe(10);
    expect(changedTextBytes(target.pid)).toBe(0);
    await target.finish();
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });
});

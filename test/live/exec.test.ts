/** Programs that a traced process, or a child of its, becomes by exec: `record --follow-exec`. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { exporters } from "../../src/report/exporters.ts";
import { openTrace } from "../../src/session/open-trace.ts";
import { flowsOf } from "../support/perfetto-flows.ts";
import { readPackets } from "../support/perfetto-schema.ts";
import { compile, patchbay, run, startRecording, Target, tempDir, tracePath } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

const build = (name: string, ...flags: readonly string[]): string =>
  compile("exec.c", { more: [`-DTRACED=traced_${name}`, ...flags] });
const [first, second, third] = [build("first"), build("second"), build("third")];
/** The status that they end with. */
const status = 3;

const logPath = (): string => join(tempDir("exec"), "log");

/** Calls of each function as the programs have logged them. */
function readLog(path: string): Readonly<Record<string, number>> {
  const calls: Record<string, number> = {};
  for (const line of readFileSync(path, "utf8").trim().split("\n")) {
    const [name = "", count = ""] = line.split(" ");
    calls[name] = (calls[name] ?? 0) + Number(count);
  }
  return calls;
}

/** The trace has these calls, all of them and no others. */
function expectCalls(directory: string, calls: Readonly<Record<string, number>>): void {
  const counts = countTrace(directory);
  expect(counts).toMatchObject({ isEnded: true, lost: 0, damages: 0, backwards: 0, tornBytes: 0 });
  const found = [...counts.functions].map(([name, { entries, exits, unwound }]) => {
    expect([name, exits, unwound]).toEqual([name, entries, 0]);
    return [name, entries] as const;
  });
  expect(Object.fromEntries(found)).toEqual(calls);
}

/** `record --follow-exec -- COMMAND`, and what came of it. */
async function record(options: readonly string[], command: readonly string[]) {
  const directory = tracePath();
  const args = ["record", "--follow-exec", "-F", "traced_*", "-o", directory, ...options, "--"];
  return { directory, result: await patchbay(...args, ...command) };
}

describe("a recording that follows execs", () => {
  it("goes on through a chain of programs, and past execs that fail", async () => {
    const log = logPath();
    const steps = ["fail", "exec", second, "calls", "7", "fail", "fail", "thread", third];
    const { directory, result } = await record(
      [],
      [first, log, "calls", "5", ...steps, "calls", "13", "script", first, "calls", "3"],
    );
    expect(result).toMatchObject({ status, signal: null, stdout: "" });
    expect(result.stderr).toMatch(
      /: recorded 56 events .*; the program exited with status 3\n.*: 5 programs in all\n$/,
    );
    expect(readLog(log)).toEqual({ traced_first: 8, traced_second: 7, traced_third: 13 });
    expectCalls(directory, readLog(log));
    // Told apart by others, too, though each program numbers its functions from 0.
    const lines = run("babeltrace2", [directory]).split("\n");
    const named = (name: string): number => lines.filter((line) => line.includes(name)).length;
    expect(["first", "second", "third"].map((one) => named(`traced_${one}`))).toEqual([16, 14, 26]);
    const { stdout } = await patchbay("report", "--json", directory);
    expect(JSON.parse(stdout).reports[0].functions).toHaveLength(3);
  });

  it("begins in a shell, which has nothing to trace", async () => {
    const log = logPath();
    const script = `${second} ${log} calls 4; ${third} ${log} calls 6`;
    const { directory, result } = await record(["--follow-fork"], ["sh", "-c", script]);
    expect(result).toMatchObject({ status, signal: null });
    expectCalls(directory, { traced_second: 4, traced_third: 6 });
    expect(readLog(log)).toEqual({ traced_second: 4, traced_third: 6 });
  });

  it("takes children along whichever way they are made", async () => {
    const log = logPath();
    const children = ["fork", "vfork", "spawn", "system"].flatMap((how) => [how, second, "9"]);
    const steps = ["calls", "2", ...children, "exec", third, "fork", first, "30", "calls", "1"];
    const { directory, result } = await record(["--follow-fork"], [first, log, ...steps]);
    expect(result).toMatchObject({ status, signal: null });
    expectCalls(directory, readLog(log));
    expect(readLog(log)).toEqual({ traced_first: 32, traced_second: 36, traced_third: 1 });
    // The shell of `system` is a process in between, and has nothing traced itself.
    const info = JSON.parse((await patchbay("info", "--json", directory)).stdout);
    const byMain = info.forks.filter((fork: { parent: number }) => fork.parent === info.pid);
    expect(byMain.map((fork: { thread: number }) => fork.thread)).toEqual(Array(5).fill(info.pid));
    // The last one by the third program, which has no event before it.
    const pieces = [...(exporters.get("perfetto")?.(openTrace(directory), {}) ?? [])];
    const flows = flowsOf(readPackets(Buffer.concat(pieces)));
    const forks = flows.filter(({ from }) => from?.name === "fork");
    expect(forks.map(({ from, to }) => [from?.tid, to?.name, to?.tid])).toEqual(
      [0, 1, 2].map((fork) => [info.pid, "traced_second", byMain[fork].pid]),
    );
  });

  it("leaves children alone without being told to follow them", async () => {
    const log = logPath();
    const children = ["fork", "vfork", "spawn", "system"].flatMap((how) => [how, second, "9"]);
    const { directory, result } = await record([], [first, log, "calls", "2", ...children]);
    expect(result).toMatchObject({ status, signal: null });
    expectCalls(directory, { traced_first: 2 });
    expect(readLog(log)).toEqual({ traced_first: 2, traced_second: 36 });
  });

  it("follows a process that was attached to, and leaves it as it was", async () => {
    const log = logPath();
    const steps = ["wait", "calls", "3", "thread", second, "calls", "5", "wait", "calls", "50"];
    const target = await Target.start(first, log, ...steps);
    const directory = tracePath();
    const args = ["-p", String(target.pid), "--follow-exec", "-F", "traced_*", "-o", directory];
    const tracer = await startRecording(...args);
    target.send("go");
    await target.line(/^ready/);
    tracer.child.kill("SIGINT");
    const ended = await tracer.ended;
    expect({ ...ended, stderr: tracer.stderr }).toMatchObject({ status: 0, signal: null });
    expectCalls(directory, { traced_first: 3, traced_second: 5 });
    expect(changedTextBytes(target.pid)).toBe(0);
    target.send("go");
    expect(await target.ended).toMatchObject({ status });
    expect(readLog(log)).toEqual({ traced_first: 3, traced_second: 55 });
  });

  it("lets programs run that can't be traced", async () => {
    const log = logPath();
    const plain = build("plain", "-static");
    const { directory, result } = await record(
      [],
      [first, log, "calls", "2", "exec", plain, "calls", "4", "exec", second, "calls", "3"],
    );
    expect(result).toMatchObject({ status, signal: null });
    expectCalls(directory, { traced_first: 2, traced_plain: 4, traced_second: 3 });
    expect(readLog(log)).toEqual({ traced_first: 2, traced_plain: 4, traced_second: 3 });
  });

  it("is no harm to a program when the tracer is killed", async () => {
    const log = logPath();
    const steps = ["wait", "calls", "3", "fork", third, "2", "exec", second, "calls", "5"];
    const target = await Target.start(first, log, ...steps);
    const args = ["-p", String(target.pid), "--follow-exec", "--follow-fork", "-F", "traced_*"];
    const tracer = await startRecording(...args, "-o", tracePath());
    tracer.child.kill("SIGKILL");
    await tracer.ended;
    target.send("go");
    expect(await target.ended).toMatchObject({ status });
    expect(readLog(log)).toEqual({ traced_first: 3, traced_second: 5, traced_third: 2 });
  });

  it("is no harm to a program whose loader is at work when the tracer is killed", async () => {
    const log = logPath();
    const library = compile("slow-loader.c", { flags: ["-O2", "-shared", "-fPIC"] });
    const slow = build("slow", "-Wl,--no-as-needed", library);
    const target = await Target.start(first, log, "wait", "calls", "3", "exec", slow, "calls", "5");
    const args = ["-p", String(target.pid), "--follow-exec", "-F", "traced_*", "-o", tracePath()];
    const tracer = await startRecording(...args);
    target.send("go");
    await target.line(/^loading/);
    tracer.child.kill("SIGKILL");
    await tracer.ended;
    target.send("go on");
    expect(await target.ended).toMatchObject({ status });
    expect(readLog(log)).toEqual({ traced_first: 3, traced_slow: 5 });
  });

  it("is refused together with what is for one program", async () => {
    const directory = tracePath();
    const args = ["record", "--follow-exec", "--trigger", "traced_first:traceoff", "-o", directory];
    const result = await patchbay(...args, "--", first, logPath());
    expect(result).toMatchObject({ status: 2, stdout: "" });
    expect(result.stderr).toMatch(/^patchbay: [^\n]*triggers[^\n]*\n$/);
    expect(existsSync(directory)).toBe(false);
  });
});

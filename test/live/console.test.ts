/** Tracing by commands: typed or piped into `patchbay attach`, or sent by `patchbay ctl`. */
import { describe, expect, it } from "vitest";
import type { CallCount, EnabledFunction } from "../../src/index.ts";
import {
  compile,
  patchbay,
  type Running,
  startPatchbay,
  startRecording,
  Target,
  tracePath,
} from "./harness.ts";
import { changedTextBytes, stateOf } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

const start = (...options: readonly string[]): Promise<Target> =>
  Target.start(compile("count.c"), "depth=5", "threads=2", ...options);

/** An attached console, and a command with its answer. */
async function attached(target: Target, ...options: readonly string[]) {
  const console = startPatchbay("attach", "-p", String(target.pid), "--json", ...options);
  await console.complaint(/^patchbay: attached to process /);
  const ask = async <T = object>(command: string): Promise<T> => {
    console.send(command);
    return JSON.parse(await console.line(/./));
  };
  return { console, ask };
}

async function quit(console: Running): Promise<void> {
  console.send("quit");
  expect(await console.ended).toEqual({ status: 0, signal: null });
}

const ctl = (target: Target, ...words: readonly string[]) =>
  patchbay("ctl", "-p", String(target.pid), ...words);

async function ctlJson(target: Target, ...words: readonly string[]): Promise<object> {
  const { status, stdout, stderr } = await ctl(target, "--json", ...words);
  expect([status, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout);
}

describe("patchbay attach", () => {
  it("counts and records by commands, with filters that change", async () => {
    const target = await start("calls=5000", "pace=500");
    const { console, ask } = await attached(target);
    const directory = tracePath();
    expect(await ask("count traced_leaf")).toMatchObject({ name: "count", functions: 1 });
    expect(await ask(`record start "${directory}" traced_l*`)).toMatchObject({
      name: "record",
      functions: 2,
    });
    expect(await ask("append count traced_rec*")).toMatchObject({ functions: 2 });
    expect(await ask("notrace record traced_last")).toMatchObject({ functions: 1 });
    const enabled = await ask<readonly EnabledFunction[]>("enabled");
    expect(Object.fromEntries(enabled.map((one) => [one.name, one.ops]))).toEqual({
      traced_leaf: ["count", "record"],
      traced_recurse: ["count"],
    });
    expect(await ask("off record")).toEqual(["record"]);
    expect(await ask("on")).toEqual(["count", "record"]);
    target.send("begin");
    const own = await target.numbers();
    const counted = await ask<readonly CallCount[]>("stat");
    const calls = counted.map((row) => [row.name, row.calls]);
    expect(Object.fromEntries(calls)).toEqual({
      traced_leaf: own["traced_leaf"],
      traced_recurse: own["traced_recurse"],
    });
    expect(await ask("record stop record")).toEqual({ name: "record" });
    const { functions, isEnded } = countTrace(directory);
    expect([isEnded, functions.get("traced_leaf")?.entries]).toEqual([true, own["traced_leaf"]]);
    await quit(console);
    expect(changedTextBytes(target.pid)).toBe(0);
  });

  it("takes a script, says what is wrong with it, and ends with status 1", async () => {
    const target = await start();
    const script = startPatchbay("attach", "-p", String(target.pid));
    for (const line of [
      "# a script",
      "",
      "functions traced_le*",
      "no-such-verb",
      "filter x",
      "info",
    ]) {
      script.send(line);
    }
    const { status, stdout, stderr } = await script.finish();
    expect(status).toBe(1);
    expect(stdout).toMatch(/^traced_leaf\nprocess \d+, traced by process \d+, host to 0 others/);
    const [, ...complaints] = stderr.trimEnd().split("\n");
    expect(complaints).toEqual([
      "patchbay: run a command: there is no verb no-such-verb (`help` lists them)",
      "patchbay: filter: there is no x (nothing is traced yet)",
    ]);
  });

  it.each(["SIGTERM", "SIGHUP", "SIGINT"] as const)("ends in order at %s", async (signal) => {
    const target = await start();
    const before = stateOf(target.pid);
    const { console, ask } = await attached(target);
    const directory = tracePath();
    await ask(`record start "${directory}" traced_l*`);
    console.child.kill(signal);
    expect(await console.ended).toEqual({ status: 0, signal: null });
    expect(countTrace(directory)).toMatchObject({ isEnded: true });
    expect(stateOf(target.pid)).toEqual(before);
    expect(changedTextBytes(target.pid)).toBe(0);
  });

  it("joins a recording", async () => {
    const target = await start("calls=5000");
    const directory = tracePath();
    const args = ["-p", String(target.pid), "-F", "traced_leaf", "-o", directory];
    const host = await startRecording(...args);
    const { console, ask } = await attached(target);
    expect(await ask("info")).toMatchObject({ host: host.pid });
    await ask("count traced_last");
    const enabled = await ask<readonly EnabledFunction[]>("enabled");
    expect(Object.fromEntries(enabled.map((one) => [one.name, one.ops]))).toEqual({
      traced_last: [`count@${console.pid}`],
      traced_leaf: ["record"],
    });
    await quit(console);
    host.child.kill("SIGINT");
    expect(await host.ended).toEqual({ status: 0, signal: null });
  });
});

describe("patchbay ctl", () => {
  it("commands a recording that runs elsewhere", async () => {
    const target = await start("calls=5000", "pace=500");
    const [first, second] = [tracePath(), tracePath()];
    const args = ["-p", String(target.pid), "-F", "traced_leaf", "-o", first];
    const host = await startRecording(...args);
    expect(await ctlJson(target, "filter", "record", "traced_last")).toMatchObject({
      name: "record",
      functions: 1,
    });
    expect(await ctlJson(target, "record", "start", second, "traced_leaf")).toMatchObject({
      name: "record2",
      recorded: { directory: second },
    });
    target.send("begin");
    const own = await target.numbers();
    expect(await ctlJson(target, "record", "stop", "record2")).toEqual({ name: "record2" });
    expect(countTrace(second).functions.get("traced_leaf")?.entries).toBe(own["traced_leaf"]);
    expect(await ctlJson(target, "record", "stop", "record")).toEqual({ name: "record" });
    expect(await host.ended).toEqual({ status: 0, signal: null });
    expect(countTrace(first).functions.get("traced_last")?.entries).toBe(own["traced_last"]);
    expect(changedTextBytes(target.pid)).toBe(0);
  });

  it("is refused in one line where there is nobody to command", async () => {
    const target = await start();
    const { status, stdout, stderr } = await ctl(target, "ops");
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^patchbay: command who traces process \d+: no patchbay [^\n]*\n$/);
    expect((await patchbay("ctl", "ops")).status).toBe(2);
  });

  it("tells errors of the other side by its status", async () => {
    const target = await start();
    const { console } = await attached(target);
    const { status, stderr } = await ctl(target, "frobnicate");
    expect([status, stderr]).toEqual([
      2,
      "patchbay: run a command: there is no verb frobnicate (`help` lists them)\n",
    ]);
    const missed = await ctl(target, "count", "no_such_function");
    expect(missed.status).toBe(1);
    const inFile = `${compile("count.c")}/trace`;
    expect((await ctl(target, "record", "start", inFile)).status).toBe(1);
    expect(await ctlJson(target, "ops")).toEqual([]);
    await quit(console);
  });
});

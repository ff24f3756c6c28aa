/**
 * Stacks of calls: what the program itself finds by unwinding. With frame pointers all of it, up to
 * the first function of a library; without, no more than that.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import type { RecordOptions } from "../../src/index.ts";
import {
  api,
  type Build,
  compile,
  isSoak,
  patchbay,
  startRecording,
  Target,
  tracePath,
} from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";

/** `PATCHBAY_SEED=n` repeats a run. */
const seed = Number(process.env["PATCHBAY_SEED"] ?? Date.now() % 2 ** 31);
const named = `PATCHBAY_SEED=${seed}`;
const count = isSoak ? 20_000 : 300;
const depth = 64;

const flags = ["-O2", "-g", "-fpatchable-function-entry=5"];
const literals = ["-O2", "-g", "-fpatchable-function-entry=13,8"];
const framed = ["-fno-omit-frame-pointer"];

const script = fileURLToPath(new URL("../fixtures/live/stacks.mjs", import.meta.url));
const hasRust = spawnSync("rustc", ["--version"]).status === 0;

/** Return addresses, innermost first. */
type Stack = readonly string[];

/** Lets the program make its calls; the stacks that it found. */
async function makeCalls(target: Target): Promise<readonly Stack[]> {
  target.send(`${count} ${seed}`);
  const stacks: Stack[] = [];
  for (;;) {
    const said: { readonly stack?: Stack } = JSON.parse(await target.line(/^\{/));
    if (said.stack === undefined) return stacks;
    stacks.push(said.stack);
  }
}

type Shown = {
  readonly event: string;
  readonly function: string;
  readonly arguments?: readonly string[];
  readonly stack?: readonly { readonly address: string; readonly function: string | null }[];
};

async function readCalls(directory: string, name = "traced_here"): Promise<readonly Shown[]> {
  const { stdout } = await patchbay("graph", directory, "--json");
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  return lines.map((line): Shown => JSON.parse(line)).filter((one) => one.function === name);
}

/** What the program finds untraced, and what is shown of the same calls when they are recorded. */
async function record(build: Build, options: Partial<RecordOptions> = {}, source = "stacks.c") {
  const target = await Target.start(compile(source, build));
  const own = await makeCalls(target);
  await using session = await api.attach(target.pid);
  const directory = tracePath();
  const filter = { include: ["traced_*"] };
  const recording = await session.record({ directory, filter, stack: depth, ...options });
  await makeCalls(target);
  const { lost } = await recording.stop();
  expect([lost, changedTextBytes(target.pid)]).toEqual([0, 0]);
  const calls = await readCalls(directory);
  const shown = calls.map(({ stack = [] }) => stack.map(({ address }) => address));
  return { own, calls, shown, target, directory };
}

/** Frames of the program, and the first one outside of it. */
function ownFrames(stack: Stack, pid: number): number {
  const program = readFileSync(`/proc/${pid}/maps`, "utf8")
    .split("\n")
    .filter((line) => /r-xp .*\/stacks-/.test(line))
    .map((line) => line.split(/[- ]/, 2).map((text) => BigInt(`0x${text}`)));
  const isOwn = (address: string): boolean =>
    program.some(([start = 0n, end = 0n]) => BigInt(address) > start && BigInt(address) <= end);
  const outside = stack.findIndex((address) => !isOwn(address));
  return outside < 0 ? stack.length : outside + 1;
}

describe("stacks of calls", { timeout: 240_000 }, () => {
  it.each<[string, Build, Partial<RecordOptions>]>([
    ["are those that the program finds", { flags, more: framed }, {}],
    ["come with values", { flags, more: framed }, { values: ["traced_here@arg1/d,fparg1"] }],
    [
      "are there where calls are told by their ends",
      { flags, more: framed },
      { minNs: 0, values: ["traced_here@arg1/d,fparg1"] },
    ],
    ["are there where rings overwrite", { flags, more: framed }, { flightRecorder: true }],
    ["are there by the literal", { flags: literals, more: framed }, { exits: false }],
    [
      "are there by the list",
      { flags: literals, more: framed },
      { exits: false, dispatch: "list" },
    ],
    ["are those of a clang program", { compiler: "clang", flags, more: framed }, {}],
  ])("%s", async (_, build, options) => {
    const { own, calls, shown, target } = await record(build, options);
    const wanted = own.map((stack) =>
      stack.slice(0, Math.min(depth, ownFrames(stack, target.pid))),
    );
    expect([named, shown]).toEqual([named, wanted]);
    expect(Math.max(...shown.map((stack) => stack.length))).toBeGreaterThan(15);
    if (options.values === undefined) return;
    expect(new Set(calls.map((call) => call.arguments?.[1]))).toEqual(new Set(["0.5"]));
  });

  it.each<[string, Build, Partial<RecordOptions>]>([
    ["a C program", { flags }, {}],
    ["a C++ program", { compiler: "g++", flags }, {}],
    ["a program with anything in rbp", { flags: ["-O3", ...flags.slice(1)] }, {}],
    ["a program without sites", { flags: ["-O2"] }, { prologues: true }],
  ])("of %s without frame pointers end where they are not sure", async (_, build, options) => {
    const { own, shown } = await record(build, options);
    expect(shown).toHaveLength(own.length);
    const right = shown.map((stack, i) => own[i]?.slice(0, stack.length));
    expect([named, shown]).toEqual([named, right]);
    expect(Math.min(...shown.map((stack) => stack.length))).toBeGreaterThan(0);
  });

  it.skipIf(!hasRust)("of a Rust program end where they are not sure", async () => {
    const build = { compiler: "rustc", flags: ["-O", "-g"], threads: false };
    const filter = { include: ["traced_here"] };
    const options = { prologues: true, exits: false, filter };
    const { own, shown } = await record(build, options, "stacks.rs");
    expect(shown).toHaveLength(own.length);
    const right = shown.map((stack, i) => own[i]?.slice(0, stack.length));
    expect([named, shown]).toEqual([named, right]);
  });

  it("of Node.js go through JavaScript, whose functions it names itself", async () => {
    // Functions are compiled before they are called, and none into another one.
    const flags = ["--perf-basic-prof", "--always-sparkplug", "--no-opt"];
    const target = await Target.start(process.execPath, ...flags, script);
    onTestFinished(() => rmSync(join("/tmp", `perf-${target.pid}.map`), { force: true }));
    const directory = tracePath();
    const recorder = await startRecording(
      ...["-p", String(target.pid), "-o", directory, "--prologues", "--stack=64"],
      ...["-F", "v8::internal::Builtin_JsonParse"],
    );
    target.send("30");
    const own: (readonly string[])[] = [];
    for (;;) {
      const said: { readonly names?: readonly string[] } = JSON.parse(await target.line(/^\{/));
      if (said.names === undefined) break;
      own.push(said.names);
    }
    target.kill("SIGTERM");
    // Its files in /proc are gone by then.
    expect((await recorder.finish()).status).toBe(0);
    const calls = await readCalls(directory, "v8::internal::Builtin_JsonParse");
    const shown = calls.map(({ stack = [] }) =>
      stack.flatMap((frame) => /^JS:\W?(\w+) .*stacks\.mjs/.exec(frame.function ?? "")?.[1] ?? []),
    );
    expect(shown.filter((names) => names.length > 0)).toEqual(own);
    expect(calls.at(-1)?.stack?.map((frame) => frame.function)).toContain("uv_run");
  });

  it("name functions, in the graph and folded by how often they were called so", async () => {
    const { directory, own } = await record({ flags, more: framed });
    const { stdout } = await patchbay("graph", directory);
    expect(stdout).toMatch(
      /\/\* from go_on < (traced|plain)_\w+ < .*main < .* \*\/\n.*traced_here/,
    );
    const folded = await patchbay("export", directory, "--to", "folded", "--stacks");
    const lines = folded.stdout.trim().split("\n");
    const calls = lines
      .filter((line) => /;traced_here \d+$/.test(line))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
    expect([named, calls]).toEqual([named, own.length]);
  });

  it("are recorded at some functions alone, and so often", async () => {
    const target = await Target.start(compile("stacks.c", { flags, more: framed }));
    const own = await makeCalls(target);
    const directory = tracePath();
    const recorder = await startRecording(
      ...["-p", String(target.pid), "-o", directory, "-F", "traced_left"],
      ...["--trigger", "traced_here:stacktrace:10"],
    );
    await makeCalls(target);
    recorder.child.kill("SIGINT");
    expect((await recorder.finish()).status).toBe(0);
    const calls = await readCalls(directory);
    expect(calls).toHaveLength(own.length);
    const lengths = calls.map(({ stack = [] }) => stack.length);
    expect(lengths.slice(0, 10).every((length) => length > 1)).toBe(true);
    expect(lengths.slice(10).every((length) => length === 0)).toBe(true);
  });

  it("are refused in one line where that can't be", async () => {
    const target = await Target.start(compile("stacks.c", { flags }));
    const given = ["record", "-p", String(target.pid), "-o", tracePath()];
    const result = await patchbay(...given, "--stack=65");
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(/from 1 to 64/);
  });
});

/**
 * Programs that are not polite to their call stacks: each keeps a log of its own calls, and the
 * trace has the same ones, left in the same way.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { RecordOptions } from "../../src/index.ts";
import {
  api,
  type Build,
  compile,
  isSoak,
  patchbay,
  run,
  startRecording,
  Target,
  tempDir,
  tracePath,
  until,
} from "./harness.ts";
import { type CallLog, findDifference, finish, linesOf, traceLog } from "./own-log.ts";
import { countThreads, countTrace } from "./trace-counts.ts";

const five = "-fpatchable-function-entry=5";
const flags = ["-O2", "-g", "-std=c++17", "-fnon-call-exceptions", five];

/** rude.cc and the library that is half of it. */
function compileRude(build: Build = { compiler: "g++" }): string {
  const library = compile("rude-library.cc", { ...build, flags: [...flags, "-fPIC", "-shared"] });
  const folder = tempDir("library");
  run("cp", [library, `${folder}/librude.so`]);
  const link = ["-L", folder, "-lrude", `-Wl,-rpath,${folder}`, ...(build.more ?? [])];
  return compile("rude.cc", { ...build, flags, more: link });
}

/** Runs a case of rude.cc under a recording from its first to its last call. */
async function record(program: string, name: string, more: Partial<RecordOptions> = {}) {
  const target = await Target.start(program, name);
  const directory = tracePath();
  await using session = await api.attach(target.pid);
  const include = ["traced_*", "Guarded::*"];
  const recording = await session.record({ directory, filter: { include }, ...more });
  target.send("begin");
  const lines = await linesOf(target);
  expect(await recording.stop()).toMatchObject({ refused: [], exits: true, lost: 0 });
  return { ...(await finish(target, lines, directory)), lines };
}

/** The cases whose trace is to be the program's log. */
const exact = [
  ["exceptions through 1,000 frames", "deep"],
  ["exceptions that are thrown again and replaced", "rethrown"],
  ["exceptions in destructors that run for an exception", "destructors"],
  ["exceptions across shared libraries", "libraries"],
  ["exceptions in several threads", "threads"],
  ["exceptions out of a signal handler", "signals"],
  ["threads that are cancelled", "cancelled"],
  ["threads that exit in the middle of calls", "exited"],
  ["tail calls", "tails"],
  ["backtraces", "backtraces"],
  ["jumps", "jumps"],
] as const;

/** Some of them, where events have equal times. */
const coarse = exact.filter(([, name]) => ["threads", "signals", "tails"].includes(name));

/** A program with LLVM's unwinder and C++ library; libgcc's is there, and not used. */
const llvm: Build = {
  compiler: "clang++",
  more: ["-stdlib=libc++", "-lc++abi", "-lunwind"],
};

describe("the trace is the program's own log", () => {
  it.each(exact)("for %s", async (_, name) => {
    const { own, traced } = await record(compileRude(), name);
    expect(own.size).toBeGreaterThan(0);
    expect(findDifference(own, traced)).toBeUndefined();
  });

  it.each(coarse)("by the coarse clock, for %s", async (_, name) => {
    const { own, traced } = await record(compileRude(), name, { clock: "coarse:1ms" });
    expect(own.size).toBeGreaterThan(0);
    expect(findDifference(own, traced)).toBeUndefined();
  });

  it.each(exact.slice(0, 5))("for %s, with LLVM's libunwind", async (_, name) => {
    const { own, traced } = await record(compileRude(llvm), name);
    expect(own.size).toBeGreaterThan(0);
    expect(findDifference(own, traced)).toBeUndefined();
  });
});

describe("on stacks that are not mirrored, the trace has entries alone", () => {
  /** What is to be seen of a log in which calls of `names` are on such stacks. */
  const withoutExits = (own: CallLog, names: readonly string[]): CallLog => {
    const isAlone = (entry: string): boolean => names.includes(entry.slice(1));
    const seen = (log: readonly string[]): string[] =>
      log.flatMap((entry) => {
        if (!isAlone(entry)) return [entry];
        return entry.startsWith(">") ? [`.${entry.slice(1)}`] : [];
      });
    return new Map([...own].map(([tid, log]) => [tid, seen(log)]));
  };

  it.each([
    ["signal handlers on a stack in static memory", "alternate-stack"],
    ["coroutines on the heap", "heap-coroutines"],
  ])("of %s", async (_, name) => {
    const { own, traced } = await record(compileRude(), name);
    const names = ["traced_alternate", "traced_step", "traced_leaf"];
    expect(findDifference(withoutExits(own, names), traced)).toBeUndefined();
  });
});

describe("functions that a longjmp leaves, where nobody wants to know", () => {
  it("are entered and not left in the trace; all others are as in the log", async () => {
    const { own, traced } = await record(compileRude(), "jumps", { jumps: false });
    const without = (log: CallLog, mark: string): CallLog =>
      new Map([...log].map(([tid, list]) => [tid, list.filter((one) => !one.startsWith(mark))]));
    expect(findDifference(without(own, "!"), without(traced, "?left"))).toBeUndefined();
    const jumped = [...own.values()].flat().filter((one) => one.startsWith("!"));
    const left = [...traced.values()].flat().filter((one) => one.startsWith("?left"));
    expect(left.length).toBe(jumped.length);
  });
});

describe("coroutines on stacks of their own that are mirrored", () => {
  it("have all of their entries and exits in the trace, in order", async () => {
    const { own, traced } = await record(compileRude(), "mapped-coroutines");
    const events = (log: readonly string[]): string[] =>
      log
        .filter((entry) => !entry.startsWith("?left") && !entry.startsWith("?open"))
        .map((entry) => entry.replace("?orphan ", ""));
    const seen = new Map([...traced].map(([tid, log]) => [tid, events(log)]));
    expect(findDifference(own, seen)).toBeUndefined();
  });
});

describe("64 threads whose rings overflow", () => {
  it("have, each of them, seen and lost as many calls as they made", async () => {
    const target = await Target.start(compile("overflow.c"), "64", isSoak ? "200000" : "20000");
    const directory = tracePath();
    await using session = await api.attach(target.pid);
    const filter = { include: ["traced_*"] };
    const recording = await session.record({ directory, filter, ringBytes: 4096 });
    target.send("begin");
    const own = new Map((await linesOf(target)).map((line) => parsePair(line)));
    const { lost } = await recording.stop();
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
    expect(own.size).toBe(64);
    expect(lost).toBeGreaterThan(0);
    const found = countThreads(directory);
    for (const [tid, calls] of own) {
      expect([tid, found.get(tid)]).toEqual([tid, { entries: calls, exits: calls }]);
    }
  });

  const parsePair = (line: string): readonly [number, number] => {
    const [tid = 0, calls = 0] = line.split(" ").map(Number);
    return [tid, calls];
  };
});

describe("a program that crashes", () => {
  it("has a trace up to then, which says where its threads were", async () => {
    const program = compileRude();
    const directory = tracePath();
    const target = await Target.start(program, "crash");
    const recording = await startRecording(
      ...["-p", String(target.pid), "-F", "traced_*", "-o", directory],
    );
    target.send("begin");
    expect((await target.ended).status).toBe(139);
    await recording.ended;
    const calls = [">traced_leaf", "<traced_leaf", ...Array(6).fill(">traced_fault")];
    const open = Array(6).fill("?open traced_fault");
    expect([...traceLog(directory).values()]).toEqual([[...calls, ...open]]);
    const { stdout } = await patchbay("report", directory);
    const chain = Array(6).fill("traced_fault").join(" > ");
    expect(stdout).toContain("\nthe program ended\n");
    expect(stdout).toContain(`thread ${target.pid} was in ${chain}`);
  });
});

// Nothing tells when the unwinder has been told; a machine may be too busy for any time to wait.
describe.runIf(isSoak)("a library that brings the first unwinder", () => {
  it("throws through traced functions", async () => {
    const flags = ["-O2", "-g", "-fexceptions", five];
    const library = compile("late-library.cc", {
      compiler: "g++",
      flags: [...flags, "-fPIC", "-shared"],
    });
    const target = await Target.start(compile("late.c", { flags }), library);
    const directory = tracePath();
    await using session = await api.attach(target.pid);
    const filter = { include: ["traced_*", "plug_*"] };
    const recording = await session.record({ directory, filter });
    target.send("load");
    await target.line(/^loaded/);
    await new Promise((resolve) => setTimeout(resolve, 5000));
    target.send("call");
    expect(await target.numbers()).toEqual({ caught: 100 });
    expect(await recording.stop()).toMatchObject({ lost: 0 });
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
    const { unwound } = countTrace(directory);
    expect(unwound).toBeGreaterThan(0);
  });
});

describe("gdb with docs/gdb-unwinder.py", () => {
  it("sees through thunks", async () => {
    const target = await Target.start(compile("waiting.c"));
    const pid = String(target.pid);
    await using session = await api.attach(target.pid);
    const filter = { include: ["traced_*"] };
    const recording = await session.record({ directory: tracePath(), filter });
    target.send("");
    await target.line(/^again/);
    // In read(0, ...).
    const isWaiting = (): boolean =>
      readFileSync(`/proc/${pid}/syscall`, "utf8").startsWith("0 0x0 ");
    await until("the program waits", isWaiting);
    const script = fileURLToPath(new URL("../../docs/gdb-unwinder.py", import.meta.url));
    const commands = ["-ex", `source ${script}`, "-ex", "bt"];
    const text = run("gdb", ["-nx", "-batch", "-p", pid, ...commands]);
    const frames = text.split("\n").filter((line) => line.startsWith("#"));
    const named = frames.filter((line) => !line.includes("in ?? ()"));
    expect(named.slice(1).map((line) => / in (\w+) \(/.exec(line)?.[1])).toEqual([
      ...Array(4).fill("traced_wait"),
      "main",
    ]);
    await recording.stop();
    target.send("");
    await target.line(/^again/);
  });
});

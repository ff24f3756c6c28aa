/**
 * Programs that leave functions by longjmp: each keeps a log of its own calls, and the trace has
 * the same ones, left in the same way and at the same time.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { RecordOptions } from "../../src/index.ts";
import {
  api,
  type Build,
  compile,
  run,
  startRecording,
  Target,
  tempDir,
  tracePath,
  until,
} from "./harness.ts";
import {
  type CallLog,
  findDifference,
  finish,
  linesOf,
  parseOwnLog,
  type Recorded,
  traceLog,
} from "./own-log.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

const five = "-fpatchable-function-entry=5";
const flags = ["-O2", "-g", "-std=c++17", "-pthread", five];
const plain: Build = { compiler: "g++", flags };
/** Jumps go by `__longjmp_chk`. */
const checked: Build = { compiler: "g++", flags: [...flags, "-D_FORTIFY_SOURCE=2"] };

/** Runs a case of a program under a recording from its first to its last call. */
async function recordOf(program: string, name: string, more = {}): Promise<Recorded> {
  const target = await Target.start(program, name);
  return recordFrom(target, { filter: { include: ["traced_*"] }, ...more });
}

/** The same of one that has been started, and takes what `begin` does before it is ready. */
async function recordFrom(
  target: Target,
  options: Partial<RecordOptions>,
  begin: () => Promise<void> = async () => undefined,
): Promise<Recorded> {
  const directory = tracePath();
  await using session = await api.attach(target.pid);
  const recording = await session.record({ directory, ...options });
  await begin();
  target.send("begin");
  const lines = await linesOf(target);
  const summary = await recording.stop();
  expect(summary).toMatchObject({ refused: [], exits: true, lost: 0 });
  expect(summary.jumpsUnseen).toBeUndefined();
  return finish(target, lines, directory);
}

const record = (build: Build, name: string): Promise<Recorded> =>
  recordOf(compile("jumps.cc", build), name);

const cases = [
  ["over 1,000 frames", "deep"],
  ["over some frames", "shallow"],
  ["in threads", "threads"],
  ["to one of several places", "nested"],
  ["out of a signal handler", "signals"],
  ["over what was left before", "stale"],
] as const;

describe("the trace is the program's own log", () => {
  it.each(cases)("for jumps %s", async (_, name) => {
    const { own, traced } = await record(plain, name);
    expect(own.size).toBeGreaterThan(0);
    expect(findDifference(own, traced)).toBeUndefined();
  });

  it.each(cases.slice(1, 3))("for jumps %s that are checked", async (_, name) => {
    const { own, traced } = await record(checked, name);
    expect(findDifference(own, traced)).toBeUndefined();
  });
});

/** What is to be seen of a log in which calls of `names` have no exits. */
function withoutExits(own: CallLog, names: readonly string[]): CallLog {
  const isAlone = (entry: string): boolean => names.includes(entry.slice(1));
  const seen = (log: readonly string[]): string[] =>
    log.flatMap((entry) => {
      if (!isAlone(entry)) return [entry];
      return entry.startsWith(">") ? [`.${entry.slice(1)}`] : [];
    });
  return new Map([...own].map(([tid, log]) => [tid, seen(log)]));
}

const places = (build: Build = {}): string => compile("jump-places.c", build);

describe("on whatever stack a jump begins, the trace is the program's own log", () => {
  it.each([
    ["out of signal handlers", "signals"],
    ["off alternate stacks, and in threads", "several"],
    ["off an alternate stack that has little room", "alternate-small"],
  ])("for jumps %s", async (_, name) => {
    const { own, traced } = await recordOf(places(), name);
    expect(own.size).toBeGreaterThan(0);
    expect(findDifference(own, traced)).toBeUndefined();
  });

  it("for jumps of forked children that are followed", async () => {
    const { own, traced } = await recordOf(places(), "forks", { followForks: true });
    expect(own.size).toBe(3);
    expect(findDifference(own, traced)).toBeUndefined();
  });

  it("for those of the program, when its children are not followed", async () => {
    const { own, traced } = await recordOf(places(), "forks");
    const [[tid, first] = [0, []]] = [...own];
    expect(findDifference(new Map([[tid, first]]), traced)).toBeUndefined();
  });
});

describe("calls on stacks that are not mirrored have no exits, and jumps close the others", () => {
  it("for an alternate stack in static memory", async () => {
    const { own, traced } = await recordOf(places(), "alternate-static");
    const isEntry = (entry: string): boolean => /^[>.]/.test(entry);
    const names = (log: CallLog): CallLog =>
      new Map([...log].map(([tid, all]) => [tid, all.filter(isEntry).map((one) => one.slice(1))]));
    expect(findDifference(names(own), names(traced))).toBeUndefined();
    const entries = [...traced.values()].flat();
    expect(entries.filter((one) => one.startsWith("?"))).toEqual([]);
    // Half of the jumps are within the handlers, and a call in each of those lands.
    expect(entries.filter((one) => one === "!traced_signal").length).toBe(
      [...own.values()].flat().filter((one) => one === "!traced_signal").length,
    );
  });

  it("for a thread whose stack is in static memory", async () => {
    const { own, traced } = await recordOf(places(), "foreign");
    const [[first, log] = [0, []], ...others] = [...own];
    const names = [...new Set(others.flatMap(([, one]) => one.map((entry) => entry.slice(1))))];
    const alone = withoutExits(new Map(others), names);
    expect(others).toHaveLength(1);
    expect(findDifference(new Map([[first, log], ...alone]), traced)).toBeUndefined();
  });
});

/** How programs are built and linked that jump. */
const builds: Readonly<Record<string, Build>> = {
  "at a fixed address": { more: ["-no-pie"] },
  "linked statically": { more: ["-static"] },
  "linked statically, and moved": { more: ["-static-pie", "-fPIE"] },
  "with checks": { more: ["-D_FORTIFY_SOURCE=2"] },
  "with musl": { compiler: "musl-gcc" },
  "with musl, linked statically": { compiler: "musl-gcc", more: ["-static"] },
};

describe("the trace is the program's own log", () => {
  it.each(Object.entries(builds))("of a program %s", async (_, build) => {
    const { own, traced } = await recordOf(places(build), "several");
    expect(own.size).toBe(3);
    expect(findDifference(own, traced)).toBeUndefined();
  });
});

describe("a C library that was compiled in another way", () => {
  it("is looked through all the same", async () => {
    // push rbp; mov rbp, rdi; push rbx; mov ebx, esi, and the same in another order.
    const [begins, other] = ["554889fd5389f34883ec08", "55534889fd89f34883ec08"];
    const program = places();
    const path = /=> (\S*\/libc\.so\.6) /.exec(run("ldd", [program]))?.[1] ?? "";
    const folder = tempDir("libc");
    const changed = readFileSync(path).toString("hex").replaceAll(begins, other);
    writeFileSync(`${folder}/libc.so.6`, Buffer.from(changed, "hex"));
    const command = [`LD_LIBRARY_PATH=${folder}`, program, "several"];
    const target = await Target.start("env", ...command);
    expect(readFileSync(`/proc/${target.pid}/maps`, "utf8")).toContain(`${folder}/libc.so.6`);
    const filter = { include: ["traced_*"] };
    const { own, traced } = await recordFrom(target, { filter });
    expect(own.size).toBe(3);
    expect(findDifference(own, traced)).toBeUndefined();
  });
});

describe("a library that comes later, and is the first to jump", () => {
  it("has its jumps in the trace", async () => {
    const more = ["-fPIC", "-shared", "-DIS_LIBRARY"];
    const target = await Target.start(compile("jump-loader.c"), places({ more }), "several");
    const filter = { include: ["traced_*:mod:jump-places*"] };
    const { own, traced } = await recordFrom(target, { filter }, async () => {
      target.send("load");
      await target.line(/^ready/);
    });
    expect(own.size).toBe(3);
    expect(findDifference(own, traced)).toBeUndefined();
  });
});

describe("functions without sites, and longjmp itself among those that are traced", () => {
  it("are left where the program's log says so", async () => {
    const program = places({ flags: ["-O2", "-g"] });
    const filter = { include: ["traced_*", "*longjmp"] };
    const { own, traced } = await recordOf(program, "several", { prologues: true, filter });
    const isJump = (entry: string): boolean => entry.endsWith("longjmp");
    const without = new Map(
      [...traced].map(([tid, log]) => [tid, log.filter((one) => !isJump(one))]),
    );
    expect(findDifference(own, without)).toBeUndefined();
    const jumps = [...traced.values()].flat().filter(isJump);
    expect(jumps.length).toBeGreaterThan(100);
    expect(jumps.filter((one) => !one.startsWith("."))).toEqual([]);
  });
});

describe("two who trace", () => {
  it("both learn of jumps, when the first one did not want to know", async () => {
    const target = await Target.start(places(), "plain");
    const directory = tracePath();
    const other = tracePath();
    await using session = await api.attach(target.pid);
    const counting = await session.observe({ filter: { include: ["traced_*"] } });
    const tracer = await startRecording("-p", String(target.pid), "-F", "traced_*", "-o", other);
    const filter = { include: ["traced_*"] };
    const recording = await session.record({ directory, filter });
    target.send("begin");
    const own = parseOwnLog(await linesOf(target));
    tracer.child.kill("SIGINT");
    await tracer.ended;
    await recording.stop();
    await counting.stop();
    expect(changedTextBytes(target.pid)).toBe(0);
    expect(findDifference(own, traceLog(directory))).toBeUndefined();
    expect(findDifference(own, traceLog(other))).toBeUndefined();
  });
});

describe("a program that was started by the recording", () => {
  it.each([
    ["is followed over its jumps", [], "!"],
    ["is not, where that was said", ["--no-longjmp"], "?left "],
  ])("%s", async (_, options, mark) => {
    const directory = tracePath();
    const command = ["--", places(), "plain"];
    const tracer = await startRecording("-F", "traced_*", "-o", directory, ...options, ...command);
    tracer.send("begin");
    tracer.send("end");
    expect(await tracer.ended).toEqual({ status: 0, signal: null });
    const entries = [...traceLog(directory).values()].flat();
    const how = (one: string): boolean => one === `${mark}traced_jump`;
    // 1 to 9 calls in 30 rounds.
    expect(entries.filter(how)).toHaveLength(141);
  });
});

describe("coroutines that take turns by longjmp", () => {
  it("have all of their entries and exits in the trace, in order", async () => {
    const { own, traced } = await record(plain, "coroutines");
    const events = (log: readonly string[]): string[] =>
      log
        .filter((entry) => !entry.startsWith("?left") && !entry.startsWith("?open"))
        .map((entry) => entry.replace("?orphan ", ""));
    const seen = new Map([...traced].map(([tid, log]) => [tid, events(log)]));
    expect(findDifference(own, seen)).toBeUndefined();
  });
});

describe("a program that jumps out of signal handlers at any moment", () => {
  /** Lets the program come to rest, or go on; its results up to then are right. */
  async function tell(target: Target, what: "pause" | "go"): Promise<void> {
    target.send(what);
    expect(await target.numbers()).toMatchObject({ wrong: 0 });
  }

  it("works on, and no call ends that has not begun", async () => {
    const target = await Target.start(compile("endure.c"));
    await tell(target, "go");
    await using session = await api.attach(target.pid);
    for (let round = 0; round < 3; round++) {
      const directory = tracePath();
      const filter = { include: ["traced_throw", "traced_*handler"] };
      const recording = await session.record({ directory, filter });
      await new Promise((resolve) => setTimeout(resolve, 300));
      await tell(target, "pause");
      await recording.stop();
      expect(changedTextBytes(target.pid)).toBe(0);
      const { lost } = countTrace(directory);
      const orphans = [...traceLog(directory).values()]
        .flat()
        .filter((one) => one.startsWith("?orphan"));
      expect({ lost, orphans }).toEqual({ lost: 0, orphans: [] });
      await tell(target, "go");
    }
  });

  it("works on when the tracer is killed", async () => {
    const target = await Target.start(compile("endure.c"));
    await tell(target, "go");
    const options = ["-F", "traced_*", "-o", tracePath()];
    const recording = await startRecording("-p", String(target.pid), ...options);
    await tell(target, "pause");
    await tell(target, "go");
    recording.child.kill("SIGKILL");
    await recording.ended;
    await until("the text is as it was", () => changedTextBytes(target.pid) === 0);
    await tell(target, "pause");
  });
});

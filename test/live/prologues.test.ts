/**
 * Functions that were compiled without sites: their first instructions are moved while threads
 * stand in them, programs that nobody compiled for it compute what they should with all of their
 * functions traced, and their text is the file's in the end, also when the tracer is killed.
 */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { api, compile, patchbay, Running, run, Target, tracePath } from "./harness.ts";
import { changedAfterKill, changedTextBytes, stateOf } from "./process-state.ts";
import { makeRandom, newSeed } from "./random.ts";
import { countTrace } from "./trace-counts.ts";

/** Without sites, and with unaligned functions: windows cross words and begin anywhere. */
const unaligned = { flags: ["-Os", "-g"] };
const aligned = { flags: ["-O2", "-g"] };

const small = ["--flight-recorder", "--ring-size", "64K"] as const;
const stormed = Array.from({ length: 56 }, (_, n) => `storm_${n >> 3}${n % 8}`);
const toggles = 15;

type Own = Readonly<Record<string, number>>;

const steadyOf = (counts: Own): Own =>
  Object.fromEntries(Object.entries(counts).filter(([name]) => name.startsWith("steady_")));

async function pause(target: Target): Promise<Own> {
  target.send("pause");
  const own = await target.numbers();
  expect(own["wrong"]).toBe(0);
  return own;
}

describe("moved prologues", () => {
  it.each([unaligned, aligned])("follow a storm of toggles, built with $flags", async (build) => {
    const random = makeRandom(newSeed());
    const target = await Target.start(compile("storm.c", build));
    // The C library keeps the stacks of the first threads for later ones.
    target.send("begin");
    const untraced = steadyOf(await pause(target));
    const before = stateOf(target.pid);
    const directory = tracePath();
    await using session = await api.attach(target.pid);
    const recording = await session.record({
      directory,
      filter: { include: ["storm_handler"] },
      prologues: true,
      flightRecorder: true,
      ringBytes: 64 << 10,
    });
    await recording.register("steady", { kind: "count" }, { include: ["steady_*"] });
    target.send("begin");
    const some = (): readonly string[] => stormed.filter(() => random.next() < 0.5);
    const handler = { kind: "record", exits: true } as const;
    let ops = await recording.register("storm", handler, { include: stormed });
    for (let i = 0; i < toggles; i++) {
      ops = await recording.setFilter(ops, { include: ["storm_00", ...some()] });
    }
    const own = Object.entries(steadyOf(await pause(target)));
    const called = own.map(([name, calls]) => [name, calls - (untraced[name] ?? 0)]);
    const counts = await recording.counts();
    const seen = Object.fromEntries(counts.map(({ name, calls }) => [name, calls]));
    expect(steadyOf(seen)).toEqual(Object.fromEntries(called));

    target.send("begin");
    const { protocols, refused, left } = await recording.stop();
    expect(protocols.stop).toBeGreaterThan(stormed.length);
    expect([refused, left]).toEqual([[], undefined]);
    await pause(target);
    expect(changedTextBytes(target.pid)).toBe(0);
    const { maps, threads, descriptors } = stateOf(target.pid);
    expect({ maps, threads, descriptors }).toEqual({
      maps: before.maps,
      threads: before.threads,
      descriptors: before.descriptors,
    });
    await target.finish();
    expect(await target.ended).toEqual({ status: 0, signal: null });
    expect(countTrace(directory)).toMatchObject({ backwards: 0, damages: 0, isEnded: true });
  });

  it("are put back when the tracer is killed", async () => {
    const script = fileURLToPath(new URL("storm-script.mjs", import.meta.url));
    const publicApi = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
    const random = makeRandom(newSeed());
    const target = await Target.start(compile("storm.c", aligned));
    for (let round = 0; round < 4; round++) {
      const args = [script, publicApi, String(target.pid), tracePath(), "amd"];
      const seed = String(random.below(2 ** 31));
      const tracer = new Running(process.execPath, [...args, seed, "storm_*", "prologues"]);
      await tracer.line(/^storming/);
      target.send("begin");
      await new Promise((resolve) => setTimeout(resolve, random.next() * 300));
      const changed = await changedAfterKill(tracer, target.pid);
      expect([round, changed]).toEqual([round, 0]);
      await pause(target);
    }
    await target.finish();
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });
});

describe("programs that were compiled for another tracer", () => {
  // -finstrument-functions hands return addresses to its hooks, which may do anything with them.
  it.each([
    ["-pg", true],
    ["-finstrument-functions", false],
  ])("count the calls that are recorded: %s", async (by, hasExits) => {
    const program = compile("count.c", { flags: ["-O2", by] });
    const directory = tracePath();
    const profile = `GMON_OUT_PREFIX=${directory}.gmon`;
    const target = await Target.start(
      "env",
      profile,
      program,
      "threads=2",
      "calls=5000",
      "depth=4",
    );
    await using session = await api.attach(target.pid);
    const filter = { include: ["traced_*"] };
    const recording = await session.record({ directory, filter, prologues: true });
    target.send("begin");
    const own = await target.numbers();
    await recording.stop();
    expect(changedTextBytes(target.pid)).toBe(0);
    const { functions } = countTrace(directory);
    for (const [name, calls] of Object.entries(own)) {
      const expected = { entries: calls, exits: hasExits ? calls : 0, unwound: 0 };
      expect([name, functions.get(name)]).toEqual([name, expected]);
    }
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });
});

describe("programs with all of their functions traced", () => {
  /** Runs `command` by itself and traced; what it prints must be the same. */
  async function expectSame(...command: readonly [string, ...string[]]): Promise<string> {
    const [program, ...args] = command;
    const plain = run(program, args);
    const traced = await patchbay(
      "record",
      ...["--prologues", ...small, "-q", "-o", tracePath(), "--", ...command],
    );
    expect(`${traced.stdout}\n`).toBe(plain);
    expect(traced.stderr).toContain("the program exited with status 0");
    return traced.stderr;
  }

  it("throw, jump, switch stacks, fork, cancel threads and look up symbols as before", async () => {
    const binary = compile("odd-flow.cpp", {
      compiler: "g++",
      flags: ["-O2", "-std=c++17"],
      more: ["-ldl"],
    });
    const said = await expectSame(binary);
    expect(Number(/of ([\d,]+) functions/.exec(said)?.[1]?.replaceAll(",", ""))).toBeGreaterThan(
      5_000,
    );
  });

  it("include a shell that nobody compiled for it", async () => {
    const work = `
      f() { if [ $1 -lt 2 ]; then echo $1; else echo $(( $(f $(($1-1))) + $(f $(($1-2))) )); fi; }
      f 6; for i in $(seq 1 200); do case $i in *7) echo "b$i";; esac; done | sort -r | head -3
      declare -A m; for i in {1..300}; do m[$i]=$((i*i)); done; echo \${#m[@]} \${m[77]}
      trap 'echo trapped' USR1; kill -USR1 $$; (exit 3); echo $?; [[ abc =~ b(.) ]] && echo ok`;
    await expectSame("/bin/bash", "-c", work);
  });

  it("are named in advance, with the reasons for the others", async () => {
    const binary = compile("prologues.c", aligned);
    const listed = await patchbay("sites", "--prologues", "--json", binary);
    const { sites, refused } = JSON.parse(listed.stdout) as {
      sites: { name: string; layout: string }[];
      refused: { name: string; reason: string }[];
    };
    expect(sites.find(({ name }) => name === "traced")?.layout).toBe("x86-64/prologue");
    expect(refused.find(({ name }) => name === "_start")?.reason).toBe("not-called");
    expect(refused.find(({ name }) => name === "loops")?.reason).toBe("loop-at-entry");
    const why = await patchbay("sites", "--prologues", "--why", "loops", binary);
    expect([why.status, why.stdout]).toEqual([1, expect.stringContaining("a loop begins")]);
  });
});

/** Programs of all kinds of builds are traced from the first to the last of their counted calls. */
import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import { api, type Build, compile, run, Target, tempDir, tracePath } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

/** Records a program's counted calls; it ends well, its text as it was. */
async function record(program: readonly [string, ...string[]], include: readonly string[]) {
  const target = await Target.start(...program);
  const directory = tracePath();
  await using session = await api.attach(target.pid);
  const recording = await session.record({ directory, filter: { include } });
  target.send("begin");
  const own = await target.numbers();
  const { refused, exits, agentless } = await recording.stop();
  expect({ refused, exits, agentless }).toEqual({ refused: [], exits: true });
  expect(changedTextBytes(target.pid)).toBe(0);
  target.send("end");
  expect(await target.ended).toEqual({ status: 0, signal: null });
  const counts = countTrace(directory);
  expect(counts).toMatchObject({ lost: 0, backwards: 0, damages: 0, isEnded: true });
  return { own, counts };
}

async function expectCounted(program: string): Promise<void> {
  const options = ["threads=2", "calls=5000", "depth=4", "signals=1", "pace=500"] as const;
  const { own, counts } = await record([program, ...options], ["traced_*"]);
  expect(own["traced_leaf"]).toBeGreaterThan(10_000);
  for (const [name, calls] of Object.entries(own)) {
    const expected = { entries: calls, exits: calls, unwound: 0 };
    expect([name, counts.functions.get(name)]).toEqual([name, expected]);
  }
}

const five = "-fpatchable-function-entry=5";
const xray = ["instrument", "instruction-threshold=1"].flatMap((x) => ["-Xclang", `-fxray-${x}`]);
const builds: Readonly<Record<string, Build>> = {
  "gcc, position-independent": { flags: ["-O2", "-pie", "-fPIE", five] },
  "gcc, not optimised": { flags: ["-O0", "-g", five] },
  "gcc, fixed address": { flags: ["-O2", "-no-pie", "-fno-pie", five] },
  "gcc, static": { flags: ["-O2", "-static", five] },
  "gcc, static and position-independent": { flags: ["-O2", "-static-pie", "-fPIE", five] },
  "gcc, 13 bytes, 8 of them before": { flags: ["-O2", "-fpatchable-function-entry=13,8"] },
  "gcc, behind endbr64": { flags: ["-O2", "-fcf-protection=full", five] },
  "gcc, calls of __fentry__": {
    flags: ["-O2", "-no-pie", "-fno-pie", "-pg", "-mfentry", "-mnop-mcount", "-mrecord-mcount"],
  },
  "gcc, sections thrown away": {
    flags: ["-O2", "-ffunction-sections", "-Wl,--gc-sections", five],
  },
  "gcc, small pages of code apart": { flags: ["-O2", "-falign-functions=64", five] },
  "clang, position-independent": { compiler: "clang", flags: ["-O2", "-pie", "-fPIE", five] },
  "clang, fixed address, lld": {
    compiler: "clang",
    flags: ["-O2", "-no-pie", "-fuse-ld=lld", five],
  },
  // Told to the compiler alone: the driver would ask for XRay's runtime.
  "clang, XRay's sleds": { compiler: "clang", flags: ["-O2", ...xray] },
  "clang, XRay's sleds behind endbr64": {
    compiler: "clang",
    flags: ["-O2", "-fcf-protection=full", ...xray],
  },
  "clang, static": { compiler: "clang", flags: ["-O2", "-static", five] },
  "clang, 13 bytes, 8 of them before": {
    compiler: "clang",
    flags: ["-O2", "-fpatchable-function-entry=13,8"],
  },
  "musl, dynamic": { compiler: "musl-gcc", flags: ["-O2", five] },
  "musl, static": { compiler: "musl-gcc", flags: ["-O2", "-static", five] },
};

describe("a program counts the calls that a recording has", () => {
  it.each(Object.entries(builds))("%s", async (_, build) => {
    await expectCounted(compile("count.c", build));
  });

  it("in a shared library", async () => {
    const flags = ["-O2", "-fPIC", "-shared", five, "-Dmain=count_main"];
    const library = compile("count.c", { flags });
    const folder = tempDir("library");
    run("cp", [library, `${folder}/libcount.so`]);
    const more = ["-L", folder, "-lcount", `-Wl,-rpath,${folder}`];
    const program = compile("launcher.c", { flags: ["-O2"], more });
    expect(dirname(program)).not.toBe(folder);
    await expectCounted(program);
  });
});

describe("a program with exceptions", () => {
  it.each([
    ["g++", "-O2"],
    ["g++", "-O0"],
    ["clang++", "-O2"],
  ])("built by %s %s catches them as ever, and all calls are counted", async (compiler, level) => {
    const program = compile("exceptions.cc", { compiler, flags: [level, "-g", five] });
    const include = ["traced::*"];
    const { own, counts } = await record([program, "600"], include);
    const { caught, destroyed, ...calls } = own;
    expect({ caught, destroyed }).toEqual({ caught: 800, destroyed: 2 * 600 * 4 });
    for (const [name, expected] of Object.entries(calls)) {
      const found = [...counts.functions].filter(([key]) => key.includes(name));
      expect([name, found.map(([, { entries }]) => entries)]).toEqual([name, [expected]]);
    }
  });
});

/**
 * CALL_OPS, fused and listed ops in programs for AArch64 and RISC-V under qemu-user: every call is
 * recorded in each form and while other ops come and go, all registers stay, and the text is the
 * program's again, also when the tracer is killed.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { fixture } from "../support/compile.ts";
import {
  buildFor,
  changedText,
  machinesWithLiterals,
  recordExceptions,
  windowsAround,
} from "./emulated-programs.ts";
import { api, isSoak, Running, run, startPatchbay, tempDir, tracePath, until } from "./harness.ts";
import { makeRandom, newSeed } from "./random.ts";
import { countTrace } from "./trace-counts.ts";

const publicApi = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
const stormScript = fileURLToPath(new URL("emulated-storm-script.mjs", import.meta.url));
const forms = ["call-ops", "fused", "list"] as const;
const filter = { include: ["traced_*"] };
const aligned = ["-falign-functions=8"];

/** `c.j .+8`. */
const jumpOver = 0xa021;

type Own = Readonly<Record<string, number>>;

const formOf = (name: (typeof forms)[number] | "best") => (name === "best" ? undefined : name);

/** What the trace has of a program that says what it has called itself. */
function expectEntries(directory: string, own: Own): void {
  const counts = countTrace(directory);
  expect(counts).toMatchObject({ lost: 0, backwards: 0, damages: 0, exits: 0 });
  for (const [name, times] of Object.entries(own)) {
    expect([name, counts.functions.get(name)?.entries]).toEqual([name, times]);
  }
}

/**
 * Whether the agent has put the text back without its tracer. On RISC-V, where nobody can wait for
 * threads any more, a jump over the rest of the window stays.
 */
function isBack(machine: string, pid: number, program: string): boolean {
  const changed = changedText({ pid, program });
  if (machine === "aarch64") return changed.length === 0;
  return windowsAround({ pid, program }, changed).every((word) => word === jumpOver);
}

const probes = tempDir();

/** A program that calls one function with all registers set, and looks at them on its way. */
function buildProbe(machine: string, entry: string): string {
  const program = join(probes, machine);
  if (existsSync(program)) return program;
  const sources = [fixture("word/harness.c"), "-x", "assembler-with-cpp", fixture("word/probe.s")];
  const flags = ["-O2", `-fpatchable-function-entry=${entry}`, ...aligned, ...sources];
  run(`${machine}-linux-gnu-gcc`, [...flags, "-o", program]);
  return program;
}

/** Records 300 calls of it. @param lost number of a register that need not stay, or -1. */
function probe(program: string, lost: string, ...how: readonly string[]): Running {
  const args = ["-o", tracePath(), "-F", "traced_probe", "--no-exits", "--json", ...how];
  const test = ["-", "-", "registers", "300", newSeed().toString(), lost];
  return startPatchbay("record", ...args, "--qemu", program, ...test);
}

describe.each(machinesWithLiterals)("dispatch of a program for %s", (machine, entry) => {
  it.each(forms)("records every call by %s", async (form) => {
    const directory = tracePath();
    const calls = isSoak ? "1000000" : "20000";
    const options = ["threads=3", `calls=${calls}`, "depth=4", "signals=1", "pace=2000"];
    const program = [buildFor(machine, entry, "count.c", aligned), ...options];
    const how = ["--no-exits", "--json", "--dispatch", form];
    const args = ["-o", directory, "-F", "traced_*", ...how, "--qemu", ...program];
    const tracer = startPatchbay("record", ...args);
    tracer.send("begin");
    const own = await tracer.numbers();
    tracer.send("end");
    const { status, stdout } = await tracer.finish();
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ dispatches: { forms: { [form]: 5 } }, refused: [] });
    expectEntries(directory, own);
    expect(own["traced_handler"]).toBeGreaterThan(0);
  });

  it("throws and catches through functions that call", async () => {
    const directory = tracePath();
    const program = buildFor(machine, entry, "exceptions.cc", aligned);
    const how = ["--no-exits", "--dispatch", "call-ops"];
    const own = await recordExceptions(program, directory, ...how);
    const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
    expect(countTrace(directory).entries).toBe(sum(own));
  });

  it("leaves all registers as they were, but for what a site that calls has lost", async () => {
    const program = buildProbe(machine, entry);
    const lost = machine === "aarch64" ? "9" : "-1";
    for (const form of ["call-ops", "list"]) {
      const tracer = probe(program, lost, "--dispatch", form);
      expect(await tracer.numbers()).toEqual({ traced_probe: 300 });
      const { status, stdout } = await tracer.finish();
      expect(status).toBe(0);
      const forms = { [form]: 1 };
      expect(JSON.parse(stdout)).toMatchObject({ events: 300, lost: 0, dispatches: { forms } });
    }
  });

  it("misses no call while other ops come and go, and leaves the text as it was", async () => {
    const stdout = join(tempDir(), "output");
    const calls = isSoak ? 1_000_000 : 60_000;
    const options = ["threads=2", `calls=${calls}`, "depth=3", "pace=1000", "wait=0"];
    const program = buildFor(machine, entry, "count.c", aligned);
    await using session = await api.launch([program, ...options], { stdout, emulated: {} });
    const directory = tracePath();
    const recording = await session.record({ directory, filter, exits: false });
    const random = makeRandom(newSeed());
    const ops: Awaited<ReturnType<typeof recording.register>>[] = [];
    try {
      while (!recording.isEnding) {
        const old = random.next() < 0.5 ? ops.pop() : undefined;
        if (old !== undefined) await recording.unregister(old);
        else ops.push(await recording.register("more", { kind: "count" }, filter));
        await recording.setDispatch(formOf(random.of([...forms, "best"] as const)));
      }
    } catch (error) {
      // It may end in the midst of it.
      expect(error).toMatchObject({ code: "target-exited" });
    }
    const { refused, exit, protocols } = await recording.ended;
    expect([refused, exit]).toEqual([[], { kind: "exited", status: 0 }]);
    expect(protocols["literal"]).toBeGreaterThan(0);
    const line = readFileSync(stdout, "utf8").match(/^\{.*/m);
    expectEntries(directory, JSON.parse(line?.[0] ?? ""));
  });

  it("is as it was once the recording has ended, though the program has not", async () => {
    const options = ["threads=2", "calls=100000000", "depth=3", "pace=1000", "wait=0"];
    const program = buildFor(machine, entry, "count.c", aligned);
    await using session = await api.launch([program, ...options], {
      stdout: join(tempDir(), "output"),
      emulated: {},
    });
    onTestFinished(() => {
      if (existsSync(`/proc/${session.pid}`)) process.kill(session.pid, "SIGKILL");
    });
    const directory = tracePath();
    const recording = await session.record({ directory, filter, exits: false });
    for (const { dispatch } of await recording.enabledFunctions()) {
      expect(dispatch).toEqual({ form: "call-ops" });
    }
    await recording.setDispatch("idle");
    await recording.setDispatch("thunk");
    await recording.setDispatch("call-ops");
    await until("calls", () => changedText({ pid: session.pid, program }).length > 0);
    await recording.stop();
    expect(changedText({ pid: session.pid, program })).toEqual([]);
    expect(await session.status()).toEqual({ kind: "running" });
  });

  it("runs on when its tracer is killed, and gets its text back", async () => {
    const calls = 50_000;
    const options = ["threads=2", `calls=${calls}`, "depth=3", "pace=20000", "wait=0"];
    const program = buildFor(machine, entry, "count.c", aligned);
    const random = makeRandom(newSeed());
    for (let round = 0; round < (isSoak ? 30 : 1); round++) {
      const args = [stormScript, publicApi, tracePath(), `${round}`, program, ...options];
      const tracer = new Running(process.execPath, args);
      const pid = Number((await tracer.line(/^storming/)).slice("storming ".length));
      onTestFinished(() => {
        if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
      });
      await sleep(random.next() * 400);
      tracer.child.kill("SIGKILL");
      await until("the agent has put the text back", () => isBack(machine, pid, program));
      expect(existsSync(`/proc/${pid}`)).toBe(true);
      expect((await tracer.numbers())["traced_leaf"]).toBe((2 * (calls * 17)) / 16);
      await until("the program has ended", () => !existsSync(`/proc/${pid}`));
    }
  });
});

describe("a function whose literal is not aligned", () => {
  it("gets a thunk, and the summary says why", async () => {
    const program = buildFor("riscv64", "8,4", "count.c", ["-fno-align-functions"]);
    const directory = tracePath();
    const how = ["--no-exits", "--dispatch", "call-ops"];
    const args = ["-o", directory, "-F", "traced_*", ...how, "--qemu", program, "threads=2"];
    const tracer = startPatchbay("record", ...args, "calls=2000", "depth=3");
    tracer.send("begin");
    const own = await tracer.numbers();
    tracer.send("end");
    const { status, stderr } = await tracer.finish();
    expect(status).toBe(0);
    expect(stderr).toMatch(/another dispatch for [1-5] functions?: the room before it is not al/);
    expectEntries(directory, own);
  });
});

describe("functions that a branch reaches no free memory from", () => {
  const places = [
    ["low", 0x1000_0000],
    ["far", 0x1a00_0000],
    ["high", 0x1a00_1000],
  ] as const;
  const starts = places.map(([name, at]) => `-Wl,--section-start=.${name}=0x${at.toString(16)}`);

  it.each([["--exits"], ["--no-exits"]])("are left alone, and named: %s", async (exits) => {
    const program = buildFor("aarch64", "4,2", "far.c", ["-static", "-no-pie", ...starts]);
    const directory = tracePath();
    const how = exits === "--exits" ? [] : [exits];
    const args = ["-o", directory, "-F", "traced_*", ...how, "--qemu", program];
    const tracer = startPatchbay("record", ...args);
    expect(await tracer.numbers()).toEqual({ traced_near: 1000, traced_far: 2000 });
    const { status, stderr } = await tracer.finish();
    expect(status).toBe(0);
    expect(stderr).toContain(
      "left alone: 2 functions without free memory in a branch's reach: " +
        "traced_far_one, traced_far_two\n",
    );
    const entriesOf = (name: string): number | undefined =>
      countTrace(directory).functions.get(name)?.entries;
    const names = ["traced_near", "traced_far_one", "traced_far_two"];
    expect(names.map(entriesOf)).toEqual([1000, 0, 0]);
  });
});

describe("the designs of RISC-V's sites", () => {
  it.each(["target-in-memory", "trampoline-table"])("are there: %s", async (design) => {
    const how = ["--dispatch", "call-ops", "--site-design", design];
    const program = buildFor("riscv64", "8,4", "count.c", aligned);
    const directory = tracePath();
    const args = ["-o", directory, "-F", "traced_*", "--no-exits", ...how, "--qemu", program];
    const tracer = startPatchbay("record", ...args, "threads=3", "calls=5000", "signals=1");
    tracer.send("begin");
    const own = await tracer.numbers();
    tracer.send("end");
    expect(await tracer.finish()).toMatchObject({ status: 0 });
    expectEntries(directory, own);

    // Their stubs lose t1, and nothing else.
    const probed = buildProbe("riscv64", "8,4");
    expect(await probe(probed, "6", ...how).numbers()).toEqual({ traced_probe: 300 });
    await probe(probed, "-1", ...how).line(/^at the entry: register 6 was /);
  });

  it("are RISC-V's alone", async () => {
    const program = buildFor("aarch64", "4,2", "count.c", aligned);
    const how = ["--site-design", "trampoline-table", "--qemu", program, "wait=0"];
    expect(await startPatchbay("record", "-o", tracePath(), ...how).finish()).toMatchObject({
      status: 1,
      stderr: "patchbay: let sites call by trampoline-table: on aarch64 there is call-ops\n",
    });
  });
});

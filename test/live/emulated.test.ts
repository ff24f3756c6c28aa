/**
 * Programs for AArch64 and RISC-V under qemu-user: every call that they count themselves is
 * recorded, they do what they do without a tracer, and their text is theirs in the end.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  buildFor,
  changedText,
  machines,
  recordExceptions,
  toggleToEnd,
} from "./emulated-programs.ts";
import { api, isSoak, patchbay, run, startPatchbay, tempDir, tracePath, until } from "./harness.ts";
import { countTrace } from "./trace-counts.ts";

describe.each(machines)("a program for %s", (machine, entry) => {
  it("has every call of its threads and signal handlers recorded", async () => {
    const directory = tracePath();
    const calls = isSoak ? "1000000" : "20000";
    const options = ["threads=3", `calls=${calls}`, "depth=4", "signals=1", "pace=2000"];
    const program = [buildFor(machine, entry), ...options];
    const args = ["-o", directory, "-F", "traced_*", "--qemu", ...program];
    const tracer = startPatchbay("record", ...args);
    tracer.send("begin");
    const own = await tracer.numbers();
    tracer.send("end");
    expect(await tracer.finish()).toMatchObject({ status: 0 });
    const counts = countTrace(directory);
    expect(counts).toMatchObject({ lost: 0, backwards: 0, damages: 0, isEnded: true });
    for (const [name, times] of Object.entries(own)) {
      const expected = { entries: times, exits: times, unwound: 0 };
      expect([name, counts.functions.get(name)]).toEqual([name, expected]);
    }
    expect(own["traced_handler"]).toBeGreaterThan(0);
  });

  it("throws and catches through functions that are traced", async () => {
    const directory = tracePath();
    const program = buildFor(machine, entry, "exceptions.cc");
    const own = await recordExceptions(program, directory);
    const counts = countTrace(directory);
    const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
    expect(counts.entries).toBe(sum(own));
    // A third of the 600 rounds throws nothing: five more functions return then.
    expect(counts.exits).toBe(600 + 600 + 200 * 5);
  });

  it("runs on while its functions are switched off and on", async () => {
    const stdout = join(tempDir(), "output");
    const calls = isSoak ? 5_000_000 : 300_000;
    const options = ["threads=2", `calls=${calls}`, "depth=3", "wait=0"];
    await using session = await api.launch([buildFor(machine, entry), ...options], {
      stdout,
      emulated: {},
    });
    const filter = { include: ["traced_*"] };
    const recording = await session.record({ directory: tracePath(), filter });
    const toggles = await toggleToEnd(recording);
    const { refused, exit } = await recording.ended;
    expect([refused, exit]).toEqual([[], { kind: "exited", status: 0 }]);
    expect(readFileSync(stdout, "utf8")).toContain(`"traced_leaf": ${(2 * (calls * 17)) / 16}`);
    expect(toggles).toBeGreaterThan(0);
  });

  it("is as it was once the recording has ended, though the program has not", async () => {
    const program = buildFor(machine, entry);
    const options = ["threads=2", "calls=100000000", "depth=3", "pace=1000", "wait=0"];
    await using session = await api.launch([program, ...options], {
      stdout: join(tempDir(), "output"),
      emulated: {},
    });
    onTestFinished(() => {
      if (existsSync(`/proc/${session.pid}`)) process.kill(session.pid, "SIGKILL");
    });
    const filter = { include: ["traced_*"] };
    const recording = await session.record({ directory: tracePath(), filter });
    await until("events have come", () => changedText({ pid: session.pid, program }).length > 0);
    const summary = await recording.stop();
    expect(summary.left).toContain("emulated");
    expect(changedText({ pid: session.pid, program })).toEqual([]);
    expect(await session.status()).toEqual({ kind: "running" });
  });
});

describe("what can't be emulated", () => {
  it("is said in one line", async () => {
    const program = buildFor("aarch64", "2");
    const missing = ["--emulator", "qemu-of-nobody", program];
    expect(await patchbay("record", "--qemu", ...missing)).toMatchObject({
      status: 1,
      stderr:
        "patchbay: start a program for aarch64: qemu-of-nobody is missing " +
        "(apt-get install qemu-user)\n",
    });
    const plain = await patchbay("record", program);
    expect(plain).toMatchObject({ status: 1 });
    expect(plain.stderr).toMatch(
      /^patchbay: start .*: it is a program for aarch64 \(.*--qemu\)\n$/,
    );
  });

  it("has no libraries", async () => {
    const program = buildFor("riscv64", "8,4");
    const args = ["--qemu", "--sysroot", tempDir(), program];
    const { status, stderr } = await patchbay("record", ...args);
    expect(status).toBe(1);
    expect(stderr).toContain("the emulator has ended before it began");
  });

  it("exits as it would without a tracer", async () => {
    const source = tempDir();
    run("sh", ["-c", `echo 'int main(void) { return 42; }' > ${source}/m.c`]);
    const flags = ["-O2", "-fpatchable-function-entry=2", `${source}/m.c`, "-o", `${source}/m`];
    run("aarch64-linux-gnu-gcc", flags);
    const { status } = await patchbay("record", "-o", tracePath(), "--qemu", `${source}/m`);
    expect(status).toBe(42);
  });
});

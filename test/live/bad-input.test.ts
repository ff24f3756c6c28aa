/**
 * What can't be done is said in one line, with an exit status of 1 or 2, and nothing is touched.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  api,
  compile,
  type Finished,
  patchbay,
  Running,
  run,
  startCommand,
  Target,
  tempDir,
  tracePath,
  until,
} from "./harness.ts";
import { changedTextBytes, stateOf } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

const isRoot = process.getuid?.() === 0;

/** One line on standard error that says `what`, nothing on standard output. */
function expectRefused(result: Finished, status: number, what: RegExp): void {
  expect(result).toMatchObject({ status, stdout: "" });
  expect(result.stderr).toMatch(/^patchbay: [^\n]+\n$/);
  expect(result.stderr).toMatch(what);
}

/** Runs `patchbay record -p PID ARGS`; the process has to be as it was afterwards. */
async function refused(pid: number, ...args: readonly string[]): Promise<Finished> {
  const before = stateOf(pid);
  const directory = tracePath();
  const result = await patchbay("record", "-p", String(pid), "-o", directory, ...args);
  expect(stateOf(pid)).toEqual(before);
  expect(changedTextBytes(pid)).toBe(0);
  expect(existsSync(directory)).toBe(false);
  return result;
}

const waiting = (): Promise<Target> => Target.start(compile("count.c"));

describe("a process that can't be attached to", () => {
  it("is not there", async () => {
    const gone = await Target.run("true");
    await gone.ended;
    const result = await patchbay("record", "-p", String(gone.pid), "-o", tracePath());
    expectRefused(result, 1, new RegExp(`process ${gone.pid}: no such process`));
  });

  it.each(["0", "-5", "abc", "1.5", "12x", "99999999999999999999"])("is not %s", async (pid) => {
    const result = await patchbay("record", `--pid=${pid}`, "-o", tracePath());
    expectRefused(result, 2, /that is not a process id/);
  });

  it.runIf(isRoot)("belongs to somebody else", async () => {
    const program = compile("count.c");
    const other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    const target = await Target.start(...(["env", ...other, program] as const));
    const before = stateOf(target.pid);
    const noRights = ["--bounding-set=-all", "--inh-caps=-all", "--"];
    const args = ["record", "-p", String(target.pid), "-o", tracePath()];
    const result = await new Running("setpriv", [...noRights, ...startCommand, ...args]).finish();
    expectRefused(result, 1, /permission denied.*\(.*root/);
    expect(stateOf(target.pid)).toEqual(before);
  });

  it.runIf(!isRoot)("belongs to root", async () => {
    const result = await patchbay("record", "-p", "1", "-o", tracePath());
    expectRefused(result, 1, /permission denied.*\(.*root/);
  });

  it("is a thread", async () => {
    const target = await Target.start(compile("endure.c"));
    const threads = readdirSync(`/proc/${target.pid}/task`).map(Number);
    const second = threads.find((tid) => tid !== target.pid) ?? 0;
    expectRefused(await refused(second), 1, new RegExp(`thread of process ${target.pid}`));
  });

  it("is stopped", async () => {
    const target = await waiting();
    target.kill("SIGSTOP");
    await until("it is stopped", () => stateLetter(target.pid) === "T");
    expectRefused(await refused(target.pid), 1, /it is stopped \(continue it: kill -CONT/);
    expect(stateLetter(target.pid)).toBe("T");
  });

  it("has ended, and its parent has not looked", async () => {
    const parent = await Target.run(compile("zombie.c"));
    const pid = Number((await parent.line(/^ready/)).slice(6));
    await until("it has ended", () => stateLetter(pid) === "Z");
    expectRefused(await patchbay("record", "-p", String(pid)), 1, /it has ended/);
  });

  it.runIf(existsSync("/proc/2/status"))("is a thread of the kernel", async () => {
    const pid = kernelThread();
    expectRefused(await patchbay("record", "-p", String(pid)), 1, /thread of the kernel/);
  });

  it("has 32 bits", async () => {
    const program = compile("thirty-two.s", { flags: ["-m32", "-nostdlib", "-static"] });
    const target = await Target.run(program);
    await until("it waits", () => stateOf(target.pid).maps.some((line) => /thirty/.test(line)));
    expectRefused(await refused(target.pid), 1, /32-bit/);
  });

  it("is a child of the process that asks", async () => {
    const child = new Running("sleep", ["1000"]);
    await expect(api.attach(child.pid)).rejects.toThrow("it is a child of this process");
  });

  it("is being debugged", async () => {
    const target = await waiting();
    const debuggerOf = new Running("strace", ["-o", "/dev/null", "-p", String(target.pid)]);
    await debuggerOf.complaint(/attached/);
    const pattern = new RegExp(`process ${debuggerOf.pid} is tracing it`);
    expectRefused(await refused(target.pid), 1, pattern);
    debuggerOf.child.kill("SIGINT");
    await debuggerOf.ended;
  });
});

const stateLetter = (pid: number): string =>
  /^State:\t(.)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";

/** A process without an executable: only the kernel's are so, and zombies. */
function kernelThread(): number {
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    const isKernels = /^Kthread:\t1/m.test(readFileSync(`/proc/${name}/status`, "utf8"));
    const fields = readFileSync(`/proc/${name}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    if (isKernels || (Number(fields[6]) & 0x0020_0000) !== 0) return Number(name);
  }
  throw new Error("there is no thread of the kernel, though there is a process 2");
}

/** clock_nanosleep(2) on x86-64, as /proc/PID/syscall tells it. */
const clockNanosleep = "230";
const systemCallOf = (pid: number): string | undefined =>
  readFileSync(`/proc/${pid}/syscall`, "utf8").split(" ")[0];

describe("a call that is wrong", () => {
  it.each([
    [["record"], /nothing to trace/],
    [["record", "-p", "1", "--", "true"], /more than one of -p, --gdb and a command/],
    [["record", "--ring-size", "5000", "--", "true"], /a ring has 4K to 1G/],
    [["record", "--duration", "soon", "--", "true"], /a time is written as/],
    [["record", "--max-threads", "0", "--", "true"], /from 1 to 65536/],
    [["record", "--max-threads", "many", "--", "true"], /from 1 to 65536/],
    [["record", "--duration", "25d", "--", "true"], /a time is written as/],
    [["record", "--duration", "600h", "--", "true"], /24 days are the most/],
    [["record", "-F", "", "--", "true"], /it names no function/],
    [["record", "--stack", "./program"], /a command stands behind --/],
    [
      ["record", "--no-such-option"],
      /unknown option '--no-such-option' \(patchbay record --help\)/,
    ],
    [["record", "--durtion", "1s"], /unknown option '--durtion' \(Did you mean --duration\?\)/],
    [["rekord"], /unknown command 'rekord' \(Did you mean record\?\)/],
    [["help", "nothing"], /unknown command 'nothing'/],
  ])("is %j", async (args, what) => {
    expectRefused(await patchbay(...args), 2, what);
  });
});

describe("nothing to trace", () => {
  it("in a program without sites", async () => {
    const target = await Target.run("sleep", "1000");
    // Its loader is done by then.
    await until("it sleeps", () => systemCallOf(target.pid) === clockNanosleep);
    const what = /no.*patchable functions.*-fpatchable-function-entry=5.*-mnop-mcount/;
    expectRefused(await refused(target.pid), 1, what);
  });

  it("that a pattern matches", async () => {
    const target = await waiting();
    const result = await refused(target.pid, "-F", "traced_laef");
    expectRefused(result, 1, /matches traced_laef \(did you mean .*traced_leaf/);
  });

  it("that another pattern does not take away", async () => {
    const target = await waiting();
    expectRefused(await refused(target.pid, "-N", "*"), 1, /every function is excluded/);
  });
});

describe("a place where no trace can be", () => {
  it.each([
    ["a file", (folder: string) => writeFileSync(join(folder, "trace"), "x")],
    ["a directory with other files", (folder: string) => fill(join(folder, "trace"))],
    ["below a file", (folder: string) => writeFileSync(`${folder}/trace`, "x"), "/deeper"],
  ])("is %s", async (_, make, below = "") => {
    const folder = tempDir("place");
    make(folder);
    const target = await waiting();
    const before = stateOf(target.pid);
    const directory = `${folder}/trace${below}`;
    const result = await patchbay("record", "-p", String(target.pid), "-o", directory);
    expectRefused(result, 1, /create the trace/);
    expect(stateOf(target.pid)).toEqual(before);
    expect(changedTextBytes(target.pid)).toBe(0);
  });

  it("has no name", async () => {
    const target = await waiting();
    const result = await patchbay("record", "-p", String(target.pid), "-o", "");
    expectRefused(result, 2, /no directory was named/);
    expect(changedTextBytes(target.pid)).toBe(0);
  });

  it.runIf(isRoot)("is a disk that fills up", async () => {
    const disk = tempDir("disk");
    run("mount", ["-t", "tmpfs", "-o", "size=12m", "tmpfs", disk]);
    onTestFinished(() => void run("umount", ["-l", disk]));
    await expectFull(join(disk, "trace"), []);
  });

  it("has less room than is allowed for a file", async () => {
    await expectFull(tracePath(), ["sh", "-c", 'trap "" XFSZ; ulimit -f 20000; exec "$@"', "sh"]);
  });
});

function fill(directory: string): void {
  mkdirSync(directory);
  writeFileSync(join(directory, "letter"), "x");
}

/** Records to a place that fills up: the program goes on untouched, what there is can be read. */
async function expectFull(directory: string, wrapper: readonly string[]): Promise<void> {
  const target = await Target.start(compile("count.c"), "calls=0", "pace=100");
  const before = stateOf(target.pid);
  const args = ["record", "-p", String(target.pid), "-F", "traced_*", "-o", directory];
  const command = [...wrapper, ...startCommand, ...args];
  const tracer = new Running(command[0] ?? "", command.slice(1));
  await tracer.complaint(/^patchbay: recording/);
  target.send("begin");
  expect(await tracer.ended).toEqual({ status: 1, signal: null });
  expect(tracer.stderr).toMatch(/^patchbay: recording .*\npatchbay: [^\n]+\n$/);
  expect(tracer.stderr).toMatch(/write to .*(?:no space is left|larger than is allowed)/);
  expect(changedTextBytes(target.pid)).toBe(0);
  const counts = countTrace(directory);
  expect(counts).toMatchObject({ damages: 0, backwards: 0, isEnded: false });
  expect(counts.entries).toBeGreaterThan(1000);
  target.send("stop");
  const own = await target.numbers();
  expect(own["traced_leaf"]).toBeGreaterThan(counts.functions.get("traced_leaf")?.entries ?? 0);
  expect(stateOf(target.pid).maps.length).toBeLessThanOrEqual(before.maps.length + 8);
  target.send("end");
  expect(await target.ended).toEqual({ status: 0, signal: null });
}

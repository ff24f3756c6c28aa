/** Programs that `patchbay record -- COMMAND` starts: as if started by a shell, and traced. */
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  compile,
  type Finished,
  Running,
  run,
  startCommand,
  startPatchbayWith,
  tempDir,
  tracePath,
} from "./harness.ts";
import { countTrace } from "./trace-counts.ts";

/** `patchbay record -- COMMAND` with `input`; its trace too. */
async function launch(command: readonly string[], input = "", env = {}) {
  const directory = tracePath();
  const args = ["record", "-q", "-o", directory, "-F", "traced_*", "--", ...command];
  const tracer = startPatchbayWith({ env: { ...process.env, ...env } }, ...args);
  tracer.child.stdin?.write(input);
  return { result: await tracer.finish(), directory };
}

describe("a program that is started", () => {
  it.each([
    [["0"], 0],
    [["1"], 1],
    [["42"], 42],
    [["255"], 255],
    [["signal", "9"], 137],
    [["signal", "11"], 139],
    [["signal", "15"], 143],
  ])("ends by %j, and its exit status is passed on", async (args, status) => {
    const { result, directory } = await launch([compile("echo.c"), ...args], "hello\nworld\n");
    expect(result).toMatchObject({ status, signal: null, stdout: "HELLO\nWORLD" });
    expect(result.stderr).toMatch(/^end\npatchbay: recorded [^\n]*\n$/);
    const { functions, isEnded } = countTrace(directory);
    expect(isEnded).toBe(true);
    expect(functions.get("traced_upper")).toEqual({ entries: 12, exits: 12, unwound: 0 });
    expect(functions.get("traced_end")).toEqual({ entries: 1, exits: 1, unwound: 0 });
  });

  it.each([1, 2])("waits for who reads its stream %i slowly, as ever", (fd) => {
    const bytes = 1_000_000;
    const program = `head -c ${bytes} /dev/zero >&${fd}`;
    const record = `"$0" "$1" record --prologues -F wmemcpy -q -o "$2" -- sh -c '${program}'`;
    const only = fd === 1 ? "2>/dev/null" : "2>&1 >/dev/null";
    const script = `${record} ${only} | (sleep 2; tr -cd '\\0' | wc -c)`;
    expect(run("sh", ["-c", script, ...startCommand, tracePath()]).trim()).toBe(String(bytes));
  });

  it("is found as a shell finds it, and gets options of its own", async () => {
    const program = compile("echo.c");
    const env = { PATH: `${dirname(program)}:${process.env["PATH"]}` };
    const { result } = await launch([program.replace(/^.*\//, ""), "7", "--json"], "x", env);
    expect(result).toMatchObject({ status: 7, stdout: "X" });
  });

  it("reads and writes files as standard streams", async () => {
    const folder = tempDir("streams");
    writeFileSync(join(folder, "input"), "from a file");
    const { args } = recordArgs([compile("echo.c"), "3"]);
    const script = `"$@" < ${folder}/input > ${folder}/output 2> ${folder}/error; echo $?`;
    expect(run("sh", ["-c", script, "sh", ...startCommand, ...args])).toBe("3\n");
    expect(run("cat", [`${folder}/output`])).toBe("FROM A FILE");
    // The program writes as soon as it runs, whether or not its tracer has said that it does.
    const errors = run("cat", [`${folder}/error`]).split("\n");
    expect(errors).toContain("end");
    expect(errors.filter((line) => line.startsWith("patchbay: recording"))).toHaveLength(1);
  });

  it.each(["", ", however long it takes to die"])(
    "is interrupted together with its tracer by Ctrl-C%s",
    async (slowly) => {
      const { args, directory } = recordArgs([compile("echo.c"), "0"]);
      const tracer = startPatchbayWith({ detached: true }, ...args);
      await tracer.complaint(/^patchbay: recording/);
      if (slowly !== "") starve(Number(/ of process (\d+)/.exec(tracer.stderr)?.[1]));
      tracer.child.stdin?.write("abc\n");
      process.kill(-tracer.pid, "SIGINT");
      const { status, signal } = await tracer.ended;
      expect({ status, signal, stderr: tracer.stderr }).toMatchObject({
        status: 130,
        signal: null,
      });
      // Where it was then may come behind.
      expect(tracer.stderr).toMatch(/; the program was killed by signal 2$/m);
      expect(countTrace(directory).isEnded).toBe(true);
    },
  );
});

/** Leaves a process next to no time: it shares a processor with one that never sleeps. */
function starve(pid: number): Running {
  run("taskset", ["-p", "1", String(pid)]);
  run("chrt", ["--idle", "-p", "0", String(pid)]);
  return new Running("taskset", ["1", "sh", "-c", "while :; do :; done"]);
}

function recordArgs(command: readonly string[]) {
  const directory = tracePath();
  const args = ["record", "-o", directory, "-F", "traced_*", "--", ...command];
  return { args, directory };
}

describe("a program that can't be started", () => {
  const folder = tempDir("commands");
  mkdirSync(join(folder, "directory"));
  writeFileSync(join(folder, "text"), "no program\n");
  writeFileSync(join(folder, "executable-text"), "no program\n");
  writeFileSync(join(folder, "script"), `#!/bin/sh\ntouch ${folder}/has-run\n`);
  writeFileSync(join(folder, "lost-script"), "#!/no/such/interpreter\n");
  for (const name of ["executable-text", "script", "lost-script"]) {
    chmodSync(join(folder, name), 0o755);
  }

  it.each([
    ["no-such-command-anywhere", /no such command/],
    [`${folder}/nothing`, /no such command/],
    [`${folder}/text`, /not executable/],
    [`${folder}/directory`, /not executable|is a directory/],
    [`${folder}/executable-text`, /not an ELF|no ELF/],
    [`${folder}/lost-script`, /its interpreter .* is missing/],
    [`${folder}/script`, /no.*patchable functions/],
    ["/bin/true", /no.*patchable functions/],
    ["", /no such command/],
  ])("%s is refused in one line", async (command, what) => {
    const { result, directory } = await launch([command]);
    expectOneLine(result, what);
    expect(existsSync(directory)).toBe(false);
    expect(existsSync(`${folder}/has-run`)).toBe(false);
  });

  it("because its library is missing", async () => {
    const flags = ["-O2", "-fPIC", "-shared", "-Dmain=count_main"];
    const lost = tempDir("lost");
    run("cp", [compile("count.c", { flags }), `${lost}/libcount.so`]);
    const program = compile("launcher.c", { flags: ["-O2"], more: ["-L", lost, "-lcount"] });
    const { result } = await launch([program]);
    expect(result).toMatchObject({ status: 1, stdout: "" });
    expect(result.stderr).toMatch(
      /\npatchbay: start .*: it ended with status 127 before it began\n$/,
    );
  });

  it("because it is for another processor", async () => {
    const source = join(folder, "other.c");
    writeFileSync(source, "int main(void) { return 0; }\n");
    const program = join(folder, "other");
    run("aarch64-linux-gnu-gcc", [source, "-o", program]);
    const { result } = await launch([program]);
    expectOneLine(result, /a program for AArch64/i);
  });
});

function expectOneLine(result: Finished, what: RegExp): void {
  expect(result).toMatchObject({ status: 1, stdout: "" });
  expect(result.stderr).toMatch(/^patchbay: [^\n]+\n$/);
  expect(result.stderr).toMatch(what);
}

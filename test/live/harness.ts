/**
 * What the live tests share: programs compiled from `test/fixtures/live`, processes that are
 * started, talked to and surely ended, the command line as a user calls it, and the public API as
 * it was built.
 */
import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, onTestFinished } from "vitest";
import type * as Api from "../../src/index.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const built = join(root, "dist/index.js");
if (!existsSync(built)) throw new Error("the live tests run dist/: npm run build");

/** The public API, from the build that is under test. */
export const api: typeof Api = await import(built);

/** Longer and rougher variants of the tests are asked for. */
export const isSoak: boolean = process.env["PATCHBAY_SOAK"] === "1";

/** Longest wait for anything that a program is to do, in ms: a busy machine is no failure. */
const patienceMs = 60_000;

const workRoot = mkdtempSync(join(tmpdir(), "patchbay-live-"));
afterAll(() => rmSync(workRoot, { recursive: true, force: true }));
execFileSync("chmod", ["755", workRoot]);

/** A directory that is there until the test file has ended; traces go into one below it. */
export const tempDir = (name = "dir"): string => mkdtempSync(join(workRoot, `${name}-`));

/** A path for a trace, removed when the test has finished: some are large. */
export function tracePath(): string {
  const folder = tempDir("trace");
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "trace");
}

/** How a fixture is compiled. */
export type Build = {
  /** gcc unless said otherwise. */
  readonly compiler?: string;
  /** Instead of `-O2 -g -fpatchable-function-entry=5`. */
  readonly flags?: readonly string[];
  /** Added behind the flags. */
  readonly more?: readonly string[];
  /** Whether it has threads and the compiler wants to know. */
  readonly threads?: boolean;
};

const defaultFlags = ["-O2", "-g", "-fpatchable-function-entry=5"];

/** Compiles `test/fixtures/live/NAME`; gives the program's path. Same build, same file. */
export function compile(name: string, build: Build = {}): string {
  const { compiler = "gcc", flags = defaultFlags, more = [], threads = true } = build;
  const source = join(root, "test/fixtures/live", name);
  const command = [...flags, ...(threads ? ["-pthread"] : []), source, ...more];
  const key = createHash("sha256")
    .update([compiler, ...command].join("\0"))
    .digest("hex");
  const output = join(workRoot, `${name.replace(/\..*$/, "")}-${key.slice(0, 8)}`);
  if (!existsSync(output)) run(compiler, [...command, "-o", `${output}.new`]);
  if (!existsSync(output)) renameSync(`${output}.new`, output);
  return output;
}

/** Runs a tool to its end; its standard output. Says which tool is missing, if it is. */
export function run(command: string, args: readonly string[]): string {
  try {
    return execFileSync(command, args, { encoding: "utf8", maxBuffer: 1 << 30, stdio: "pipe" });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      throw new Error(`${command} is missing: \`npm test\` installs what is needed`, {
        cause: error,
      });
    }
    throw error;
  }
}

/** How a process ended. A program that a signal killed has the status 128 + its number. */
export type Ending = { readonly status: number | null; readonly signal: NodeJS.Signals | null };

/** A process with its lines of output; killed at the test's end if it is still there. */
export class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ending>;
  /** Lines of standard output that nobody has waited for yet. */
  readonly rest: string[] = [];
  /** All of standard error so far. */
  stderr = "";
  #isOver = false;
  #wake: () => void = () => undefined;

  constructor(command: string, args: readonly string[], options: SpawnOptions = {}) {
    this.child = spawn(command, args, { stdio: "pipe", cwd: root, ...options });
    const { stdin, stdout, stderr } = this.child;
    // A program that has ended reads no more.
    stdin?.on("error", () => undefined);
    stderr?.on("data", (chunk: Buffer) => {
      this.stderr += chunk.toString("utf8");
      this.#wake();
    });
    const lines = stdout === null ? undefined : createInterface({ input: stdout });
    lines?.on("line", (line) => {
      this.rest.push(line);
      this.#wake();
    });
    this.ended = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("close", (status, signal) => {
        this.#isOver = true;
        this.#wake();
        resolve({ status, signal });
      });
    });
    this.ended.catch(() => undefined);
    onTestFinished(() => this.#end());
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The next line that matches; lines before it are dropped. Fails when there won't be any. */
  async line(pattern: RegExp, waitMs: number = patienceMs): Promise<string> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      for (let next = this.rest.shift(); next !== undefined; next = this.rest.shift()) {
        if (pattern.test(next)) return next;
      }
      const left = deadline - performance.now();
      if (this.#isOver || left <= 0) {
        const how = this.#isOver ? "it ended" : `waited ${waitMs} ms`;
        throw new Error(`no line ${pattern} from process ${this.pid}: ${how}; ${this.stderr}`);
      }
      await this.#changed(left);
    }
  }

  /** Waits for a line on standard error; it stays in `stderr`. */
  async complaint(pattern: RegExp): Promise<void> {
    const deadline = performance.now() + patienceMs;
    while (!pattern.test(this.stderr)) {
      const left = deadline - performance.now();
      if (this.#isOver || left <= 0) throw new Error(`no line ${pattern}: ${this.stderr}`);
      await this.#changed(left);
    }
  }

  #changed(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** The next line that is a JSON object, of numbers. */
  async numbers(waitMs?: number): Promise<Readonly<Record<string, number>>> {
    return JSON.parse(await this.line(/^\{/, waitMs));
  }

  /** Writes a line to its standard input. */
  send(text: string): void {
    this.child.stdin?.write(`${text}\n`);
  }

  /** Waits for the end, without more input; gives all that was printed and nobody has read. */
  async finish(): Promise<Finished> {
    this.child.stdin?.end();
    const ending = await this.ended;
    return { ...ending, stdout: this.rest.join("\n"), stderr: this.stderr };
  }

  async #end(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGKILL");
    await this.ended.catch(() => undefined);
  }
}

/** What a process that has ended left to see. */
export type Finished = Ending & { readonly stdout: string; readonly stderr: string };

/** A program to be traced. A shell is its parent: see `attach` for why it is not this process. */
export class Target extends Running {
  #target = 0;

  /** Starts a program and waits for its line "ready". */
  static async start(program: string, ...args: readonly string[]): Promise<Target> {
    const target = await Target.run(program, ...args);
    await target.line(/^ready/);
    return target;
  }

  /** Starts a program. */
  static async run(...command: readonly string[]): Promise<Target> {
    const sayAndRun = 'echo "pid $$"; exec "$0" "$@"';
    const script = `exec 3<&0; sh -c '${sayAndRun}' "$@" <&3 3<&- & wait $!`;
    const target = new Target("sh", ["-c", script, "sh", ...command]);
    target.#target = Number((await target.line(/^pid/)).slice(4));
    onTestFinished(() => target.kill("SIGKILL"));
    return target;
  }

  override get pid(): number {
    return this.#target;
  }

  /** Sends a signal, unless the program has ended. */
  kill(signal: NodeJS.Signals): void {
    if (existsSync(`/proc/${this.#target}`)) process.kill(this.#target, signal);
  }
}

/** Waits until `holds`, looking again every few ms; fails after a long time. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${patienceMs} ms`);
    await sleep(5);
  }
}

const main = join(root, "dist/cli/main.js");

/** The command line without its arguments. */
export const startCommand: readonly [string, string] = [process.execPath, main];

/** `patchbay ARGS` in the background. */
export const startPatchbay = (...args: readonly string[]): Running =>
  startPatchbayWith({}, ...args);

/** The same with options of Node's for the process. */
export const startPatchbayWith = (options: SpawnOptions, ...args: readonly string[]): Running =>
  new Running(process.execPath, [main, ...args], options);

/** `patchbay record ARGS` in the background; waits until it says that it records. */
export async function startRecording(...args: readonly string[]): Promise<Running> {
  const tracer = startPatchbay("record", ...args);
  await tracer.complaint(/^patchbay: recording .*$/m);
  return tracer;
}

/** `patchbay ARGS`, to its end. */
export const patchbay = (...args: readonly string[]): Promise<Finished> =>
  startPatchbay(...args).finish();

/** Names in a directory of /proc, or nothing where it is gone. */
export const listProc = (path: string): readonly string[] =>
  existsSync(path) ? readdirSync(path) : [];

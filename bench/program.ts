/**
 * C programs that benchmarks measure: compiled once, kept in `build/bench`, and driven through
 * their standard input and output.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";

const cache = fileURLToPath(new URL("../build/bench/", import.meta.url));
const programs = new URL("programs/", import.meta.url);

/** The first line of what `command --version` prints; undefined where there is no such command. */
export function versionOf(command: string): string | undefined {
  try {
    const output = execFileSync(command, ["--version"], { stdio: ["ignore", "pipe", "ignore"] });
    return output.toString().split("\n")[0];
  } catch {
    return undefined;
  }
}

export const sourcePath = (name: string): string => fileURLToPath(new URL(name, programs));

/** Makes `name` by `make(path)`, unless it is in the cache with the same `key` already. */
export async function cached(
  name: string,
  key: readonly string[],
  make: (path: string) => Promise<void> | void,
): Promise<string> {
  const hash = createHash("sha256");
  for (const part of key) hash.update(part).update("\0");
  const path = `${cache}${name}-${hash.digest("hex").slice(0, 12)}`;
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  await make(`${path}.new`);
  renameSync(`${path}.new`, path);
  return path;
}

/** Compiles `bench/programs/SOURCE`; the path of the program. */
export function compile(
  source: string,
  name: string,
  flags: readonly string[],
  compiler = "cc",
): Promise<string> {
  const path = sourcePath(source);
  const key = [readFileSync(path, "utf8"), versionOf(compiler) ?? "", ...flags];
  return cached(name, key, (out) => {
    execFileSync(compiler, [...flags, "-o", out, path], {
      stdio: ["ignore", "inherit", "inherit"],
    });
  });
}

/**
 * A program that answers each line of its input by one line, after a first line `pid N`. It is
 * started through a shell that stays: of its own children, Node would collect the stops that
 * ptrace reports.
 */
export class Driven {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #waiting: ((line: string) => void)[] = [];
  readonly #unread: string[] = [];
  readonly #ended: Promise<void>;
  #pid = 0;

  private constructor(command: readonly string[]) {
    const script = '"$@"; exit $?';
    this.#child = spawn("/bin/sh", ["-c", script, "sh", ...command], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const { stdout } = this.#child;
    if (stdout === null) throw new Error("a child with a pipe has a stream");
    this.#lines = createInterface({ input: stdout });
    this.#lines.on("line", (line) => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#unread.push(line);
      else next(line);
    });
    this.#ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("exit", () => {
        for (const waiting of this.#waiting.splice(0)) waiting("");
        resolve();
      });
    });
  }

  static async start(command: readonly string[]): Promise<Driven> {
    const driven = new Driven(command);
    const [word, pid] = (await driven.line()).split(" ");
    if (word !== "pid") throw new Error(`${command.join(" ")} did not start`);
    driven.#pid = Number(pid);
    return driven;
  }

  get pid(): number {
    return this.#pid;
  }

  /** Its next line; empty when it has ended. */
  line(): Promise<string> {
    const unread = this.#unread.shift();
    if (unread !== undefined) return Promise.resolve(unread);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Sends a line and waits for the numbers that answer it. */
  async ask(line: string): Promise<readonly number[]> {
    this.#child.stdin?.write(`${line}\n`);
    const answer = await this.line();
    if (answer === "") throw new Error(`the program ended when it was asked for: ${line}`);
    return answer.split(" ").map(Number);
  }

  /** Ends its input and waits until it has ended. */
  async end(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

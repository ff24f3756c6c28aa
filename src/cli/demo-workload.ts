/** Runs the demo's program and follows what it says of itself; see `demo/workload.c`. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { PatchbayError } from "../index.ts";

/** What the program has done by a moment of the monotonic clock, in nanoseconds. */
type Progress = { readonly ns: number; readonly rounds: number };

export type WorkloadResult = {
  /** Rounds of each thread. */
  readonly rounds: readonly number[];
  readonly checksum: string;
};

/** The monotonic clock that the program reads too, in nanoseconds. */
export const nowNs = (): number => Number(process.hrtime.bigint());

export class Workload {
  readonly #child: ChildProcess;
  readonly #progress: Progress[] = [];
  readonly #ended: Promise<WorkloadResult>;
  #pid: number | undefined;
  #rounds: readonly number[] = [];
  #checksum = "";

  /**
   * Starts the program: for so many rounds, or until it is told to end.
   *
   * A shell stands between it and this process: of its own children, Node collects the stops that
   * ptrace reports.
   */
  constructor(program: readonly string[], rounds: readonly number[] = []) {
    const command = [...program, ...rounds.map(String)];
    this.#child = spawn("/bin/sh", ["-c", '"$@"; exit $?', "sh", ...command], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on("line", (line) => this.#read(line));
    }
    this.#ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (status) => {
        if (status === 0) resolve({ rounds: this.#rounds, checksum: this.#checksum });
        else reject(failed(`it ended with status ${status}`));
      });
    });
    // Whoever does not await the end has other troubles.
    this.#ended.catch(() => undefined);
  }

  #read(line: string): void {
    const [word, ...values] = line.split(" ");
    if (word === "pid") this.#pid = Number(values[0]);
    if (word === "at") this.#progress.push({ ns: Number(values[0]), rounds: Number(values[1]) });
    if (word === "rounds") this.#rounds = values.map(Number);
    if (word === "checksum") this.#checksum = values[0] ?? "";
  }

  /** Its process id, once it is at work. */
  async pid(): Promise<number> {
    for (let tries = 0; tries < 500; tries++) {
      const { exitCode } = this.#child;
      if (exitCode !== null) throw failed(`it ended with status ${exitCode}`);
      if (this.#pid !== undefined && (this.#progress.at(-1)?.rounds ?? 0) > 0) return this.#pid;
      await sleep(20);
    }
    throw failed("it did not begin to work within 10 s");
  }

  /** Rounds in a second between two moments; undefined where too little is known. */
  speed(from: number, to: number): number | undefined {
    const inside = this.#progress.filter(({ ns }) => ns >= from && ns <= to);
    const first = inside[0];
    const last = inside.at(-1);
    if (first === undefined || last === undefined || last.ns === first.ns) return undefined;
    return ((last.rounds - first.rounds) * 1e9) / (last.ns - first.ns);
  }

  /** Tells it to end; what it has done. */
  async end(): Promise<WorkloadResult> {
    this.#child.stdin?.end();
    return this.#ended;
  }

  /** Ends it if it is still there. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.end().catch(() => undefined);
  }
}

export const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

const failed = (why: string): PatchbayError =>
  new PatchbayError({ code: "target-exited", doing: "run the demo's program", why });

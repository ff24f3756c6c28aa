/** Running another program to its end, with a limit on its time and nothing left behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { root } from "./repository.ts";

export type CommandResult = {
  /** It ended by itself with status 0. */
  readonly ok: boolean;
  /** What it printed, both streams as they came; empty where it was shown at once. */
  readonly output: string;
};

export type CommandOptions = {
  readonly timeoutMs: number;
  /** Pass its output through while it runs instead of keeping it. */
  readonly show?: boolean;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
};

const running = new Set<ChildProcess>();

/** Kills a command with all that it started: each runs in a process group of its own. */
function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

for (const [signal, status] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.on(signal, () => {
    for (const child of running) killGroup(child);
    process.exit(status);
  });
}

/** Runs `command` in the repository's top folder, with no input. Never throws for what it does. */
export function runCommand(
  command: readonly [string, ...string[]],
  { timeoutMs, show = false, env = {} }: CommandOptions,
): Promise<CommandResult> {
  const [program, ...parameters] = command;
  const stream = show ? "inherit" : "pipe";
  const plain = show && process.stdout.isTTY ? {} : { NO_COLOR: "1" };
  const child = spawn(program, parameters, {
    cwd: root,
    detached: true,
    env: { ...process.env, ...plain, ...env },
    stdio: ["ignore", stream, stream],
  });
  running.add(child);
  const chunks: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => chunks.push(chunk));
  const timer = setTimeout(() => {
    chunks.push(Buffer.from(`\nkilled after ${timeoutMs / 1000} s: ${command.join(" ")}\n`));
    killGroup(child);
  }, timeoutMs);
  return new Promise((resolve) => {
    const end = (ok: boolean): void => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ ok, output: Buffer.concat(chunks).toString("utf8") });
    };
    child.once("error", (error) => {
      chunks.push(Buffer.from(`${error.message}\n`));
      end(false);
    });
    child.once("close", (status) => end(status === 0));
  });
}

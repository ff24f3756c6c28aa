import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { FileLock } from "./file-lock.ts";

let folder = "";
let other: ChildProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "patchbay-lock-"));
});
afterEach(() => {
  other?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

it("is held by one at a time, and leaves no file", () => {
  const path = join(folder, "lock");
  for (let round = 0; round < 3; round++) {
    const lock = FileLock.take(path);
    expect(lock).toBeDefined();
    expect(FileLock.take(path)).toBeUndefined();
    lock?.[Symbol.dispose]();
    expect(existsSync(path)).toBe(false);
  }
});

it("is free again when its holder is killed", async () => {
  const path = join(folder, "lock");
  const holds = "echo locked; exec sleep 600";
  other = spawn("flock", ["--no-fork", path, "sh", "-c", holds], { stdio: "pipe" });
  await new Promise((resolve) => other?.stdout?.once("data", resolve));
  expect(FileLock.take(path)).toBeUndefined();
  const gone = new Promise((resolve) => other?.once("close", resolve));
  other.kill("SIGKILL");
  await gone;
  using lock = FileLock.take(path);
  expect(lock).toBeDefined();
});

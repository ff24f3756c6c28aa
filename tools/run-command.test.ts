import { describe, expect, it } from "vitest";
import { runCommand } from "./run-command.ts";

const timeoutMs = 20_000;

describe("runCommand", () => {
  it("keeps both streams and the status", async () => {
    const script = "echo out; echo err >&2; exit $CODE";
    const run = (code: string): ReturnType<typeof runCommand> =>
      runCommand(["sh", "-c", script], { timeoutMs, env: { CODE: code } });
    expect(await run("0")).toEqual({ ok: true, output: expect.stringContaining("out\n") });
    expect(await run("3")).toEqual({ ok: false, output: expect.stringContaining("err\n") });
  });

  it("gives no input to wait for", async () => {
    expect(await runCommand(["cat"], { timeoutMs })).toEqual({ ok: true, output: "" });
  });

  it("fails for a program that is not there", async () => {
    const { ok, output } = await runCommand(["./no-such-program"], { timeoutMs });
    expect(ok).toBe(false);
    expect(output).toContain("ENOENT");
  });

  it("kills what takes too long, with its children", async () => {
    // The child has the pipe open too: as long as it lives, there is no end to read.
    const { ok, output } = await runCommand(["sh", "-c", "sleep 60 & wait"], { timeoutMs: 200 });
    expect(ok).toBe(false);
    expect(output).toContain("killed after 0.2 s");
  });
});

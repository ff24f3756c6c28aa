/**
 * A tracer borrows threads of the program for system calls, above all while it attaches. It may be
 * killed at any moment of it: the thread goes on as if nothing had been.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { compile, isSoak, Running, Target } from "./harness.ts";
import { makeRandom, newSeed } from "./random.ts";

const script = fileURLToPath(new URL("borrow-script.mjs", import.meta.url));
const dist = fileURLToPath(new URL("../../dist", import.meta.url));
const activities = ["spin", "sleep", "poll", "pipe", "futex", "stack"];
const kills = isSoak ? 200 : 4;

const borrow = (target: Target, ...args: readonly string[]): Running =>
  new Running(process.execPath, [script, dist, String(target.pid), ...args]);

/** Nothing in the program was disturbed, and it works on. */
async function expectSound(target: Target): Promise<void> {
  target.send("stop");
  const { rounds, wrong } = await target.numbers();
  expect(rounds).toBeGreaterThan(0);
  expect(wrong).toBe(0);
  expect(await target.ended).toEqual({ status: 0, signal: null });
}

describe("a tracer that is killed while it has borrowed a thread", () => {
  it.each(activities)("leaves it as it was after any number of calls: %s", async (activity) => {
    const target = await Target.start(compile("borrow.c"), activity);
    for (const calls of ["0", "1", "3"]) {
      const tracer = borrow(target, calls, "die");
      expect(await tracer.ended).toEqual({ status: null, signal: "SIGKILL" });
      await sleep(5);
    }
    await expectSound(target);
  });

  it.each(activities)("leaves it as it was at random moments: %s", async (activity) => {
    const random = makeRandom(newSeed());
    const target = await Target.start(compile("borrow.c"), activity);
    for (let round = 0; round < kills; round++) {
      const tracer = borrow(target, "2");
      await tracer.line(/^borrowing/);
      await sleep(random.next() * 10);
      tracer.child.kill("SIGKILL");
      await tracer.ended;
    }
    await expectSound(target);
  });
});

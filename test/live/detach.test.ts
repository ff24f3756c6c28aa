/**
 * Attaching and detaching again and again under load: the program's results stay right, and in the
 * end nothing is left of it.
 */
import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { api, compile, isSoak, Target, tempDir } from "./harness.ts";
import { changedTextBytes, stateOf } from "./process-state.ts";

const times = isSoak ? 1000 : 100;

/** Lets the program come to rest, or go on; its results up to then are right. */
async function tell(target: Target, what: "pause" | "go"): Promise<number> {
  target.send(what);
  const { results = 0, wrong } = await target.numbers();
  expect(wrong).toBe(0);
  return results;
}

describe("a program that is attached to and left a hundred times", () => {
  it("works on, and is as it was", async () => {
    const target = await Target.start(compile("endure.c"));
    await tell(target, "go");
    await tell(target, "pause");
    const before = stateOf(target.pid);
    let results = await tell(target, "go");
    const directory = `${tempDir("trace")}/trace`;
    const filter = { include: ["traced_*"] };
    let descriptors = 0;
    for (let n = 0; n < times; n++) {
      await using session = await api.attach(target.pid);
      const exits = n % 4 !== 3;
      const recording = await session.record({ directory, filter, exits, ringBytes: 64 << 10 });
      const { left, refused } = await recording.stop();
      expect({ left, refused }).toEqual({ left: undefined, refused: [] });
      expect(changedTextBytes(target.pid)).toBe(0);
      if (n % 10 === 9) {
        const now = await tell(target, "pause");
        expect(now).toBeGreaterThan(results);
        expect(stateOf(target.pid)).toEqual(before);
        results = await tell(target, "go");
      }
      if (n === 4) descriptors = readdirSync("/proc/self/fd").length;
    }
    await tell(target, "pause");
    expect(stateOf(target.pid)).toEqual(before);
    expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(descriptors);
    expect(readdirSync("/proc/self/task").length).toBeLessThan(40);
  });
});

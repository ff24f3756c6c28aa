/**
 * Whatever a traced function is called with in registers, flags and on the stack, it gets; whatever
 * it returns with, its caller gets.
 */
import { describe, expect, it } from "vitest";
import { api, compile, isSoak, Target, tracePath } from "./harness.ts";
import { countTrace } from "./trace-counts.ts";

/** `PATCHBAY_SEED=n` repeats a run. */
const seed = Number(process.env["PATCHBAY_SEED"] ?? Date.now() % 2 ** 31);
const rounds = isSoak ? 1_000_000 : 10_000;
const threadRounds = isSoak ? 20_000 : 300;
/** Rounds that each begin with enough calls to fill a ring of 4096 bytes before it is drained. */
const fullRounds = 100;
const callsPerFullRound = 1001;

const start = (): Promise<Target> => Target.start(compile("registers.c"));

/** Lets the program make `count` rounds and expects that none of them went wrong. */
async function expectRight(target: Target, how: string, count: number): Promise<void> {
  target.send(`${how} ${count} ${seed}`);
  const result = await target.numbers();
  const complaint = await target.line(/^/);
  expect([`${how}, PATCHBAY_SEED=${seed}`, complaint, result]).toEqual([
    `${how}, PATCHBAY_SEED=${seed}`,
    "",
    { rounds: count, wrong: 0 },
  ]);
}

describe("a function's caller and the function itself", () => {
  it("find a register that was changed on the way", async () => {
    const target = await start();
    target.send(`spoiled 100 ${seed}`);
    expect(await target.numbers()).toEqual({ rounds: 100, wrong: 100 });
    expect(await target.line(/^./)).toBe("at entry: general register 10");
  });

  it.each([
    ["entries and exits", true, 4 << 20],
    ["entries alone", false, 4 << 20],
    ["entries and exits into full rings", true, 4096],
    ["entries alone into full rings", false, 4096],
  ])("agree on all registers while %s are recorded", async (_, exits, ringBytes) => {
    const target = await start();
    const directory = tracePath();
    const filter = { include: ["traced_*"] };
    await using session = await api.attach(target.pid);
    const recording = await session.record({ directory, exits, ringBytes, filter });
    await expectRight(target, "plain", rounds);
    await expectRight(target, "tail", rounds);
    await expectRight(target, "stale", rounds);
    await expectRight(target, "full", fullRounds);
    await expectRight(target, "threads", threadRounds);
    await recording.stop();
    await expectRight(target, "plain", 1000);
    const counts = countTrace(directory);
    const calls = 5 * rounds + callsPerFullRound * fullRounds + threadRounds;
    const escapes = rounds;
    expect(counts.entries + counts.lostEntries).toBe(calls);
    expect(counts.exits + counts.lostExits).toBe(exits ? calls - escapes : 0);
    expect(counts.lost > 0).toBe(ringBytes === 4096);
  });

  it.each([
    ["counted", false],
    ["counted and measured", true],
  ])("agree on all registers while calls are %s", async (_, times) => {
    const target = await start();
    const filter = { include: ["traced_*"] };
    await using session = await api.attach(target.pid);
    const observation = await session.observe({ filter, times });
    expect(observation.times).toBe(times);
    await expectRight(target, "plain", rounds);
    await expectRight(target, "tail", rounds);
    await expectRight(target, "stale", rounds);
    await expectRight(target, "threads", threadRounds);
    const { statistics, missed } = await observation.stop();
    await expectRight(target, "plain", 1000);
    const columns = statistics.map(({ name, calls, returned }) => [name, calls, returned]);
    const probes = 3 * rounds + threadRounds;
    expect([missed, ...columns]).toEqual([
      0,
      ["traced_probe", probes, times ? probes : 0],
      ["traced_tail", rounds, times ? rounds : 0],
      ["traced_escape", rounds, 0],
    ]);
  });

  it.each([
    ["by their arguments", { when: "arg1/u8 > 100 || !(arg4 & 3) && arg8 != arg2" }],
    ["by their results", { when: "ret & 1 && arg2 > 5" }],
    ["by their duration", { minNs: 1e9 }],
    ["now and then", { sample: 3, times: false }],
    ["by a value", { by: ["traced_*@arg2/x"] }],
    ["by a value and no times", { by: ["traced_*@arg22/d"], times: false }],
    ["by what they return", { by: ["traced_*@ret/lu"], when: "arg1/u8 > 20" }],
  ])("agree on all registers while calls are counted %s", async (_, choice) => {
    const target = await start();
    const filter = { include: ["traced_*"] };
    await using session = await api.attach(target.pid);
    const observation = await session.observe({ filter, ...choice });
    // Where returns are hooked for somebody else, too, what is counted takes another way.
    for (const beside of [false, true]) {
      const other = beside ? await session.observe({ filter }) : undefined;
      for (const how of ["plain", "tail", "stale"]) await expectRight(target, how, rounds / 4);
      await expectRight(target, "threads", threadRounds / 4);
      await other?.stop();
    }
    expect((await observation.stop()).missed).toBe(0);
    await expectRight(target, "plain", 1000);
  });

  const values = "traced_*@arg1/s,arg2/p,arg6/u8,fparg1,fparg8/f,arg7/ld,arg22/s,ret/s,fpret";
  it.each([
    ["values", { values: [values] }],
    ["values into full rings", { values: [values], ringBytes: 4096 }],
    ["values into rings that overwrite", { values: [values], flightRecorder: true }],
    ["calls by their arguments", { when: "arg1/u8 > 100 || !(arg4 & 3) && arg8 != arg2" }],
    ["calls by their results", { when: "ret & 1 && arg2 > 5", values: [values] }],
    ["calls by their duration", { minNs: 0, values: [values] }],
    ["long calls alone", { minNs: 1e9 }],
    ["one call in three", { sample: 3 }],
    ["calls of no thread", { threads: { tids: [1] } }],
    ["calls by the coarse clock", { clock: "coarse" }],
  ])("agree on all registers while %s are recorded", async (_, options) => {
    const target = await start();
    const filter = { include: ["traced_*"] };
    await using session = await api.attach(target.pid);
    const recording = await session.record({ directory: tracePath(), filter, ...options });
    // Where returns are hooked for somebody else, too, what is recorded takes another way.
    for (const beside of [false, true]) {
      const other = beside ? await session.observe({ filter }) : undefined;
      for (const how of ["plain", "tail", "stale", "full"]) {
        await expectRight(target, how, how === "full" ? 20 : rounds / 4);
      }
      await expectRight(target, "threads", threadRounds / 4);
      await other?.stop();
    }
    await recording.stop();
    await expectRight(target, "plain", 1000);
  });
});

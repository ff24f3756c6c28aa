/**
 * All functions of SQLite, switched on and off at random by two tracers at once while four threads
 * work, by each of the protocols: what the program is answered stays the same, counts are exact,
 * functions that are off are silent, and the text is the file's in the end, also when a tracer is
 * killed in the middle of it. With PATCHBAY_SOAK=1 for five minutes and 200 times.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { api, compile, isSoak, Running, Target, tracePath } from "./harness.ts";
import { changedAfterKill, changedTextBytes, stateOf } from "./process-state.ts";
import { makeRandom, newSeed, type Random } from "./random.ts";
import { countTrace } from "./trace-counts.ts";

type Recording = Awaited<ReturnType<Awaited<ReturnType<typeof api.attach>>["record"]>>;
type Ops = Awaited<ReturnType<Recording["register"]>>;

const packageFile = createRequire(import.meta.url).resolve("better-sqlite3/package.json");
const sqlite = join(dirname(packageFile), "deps/sqlite3");
const publicApi = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
const stormScript = fileURLToPath(new URL("storm-script.mjs", import.meta.url));

const startProgram = (...flags: readonly string[]): Promise<Target> => {
  const more = [join(sqlite, "sqlite3.c"), "-lm"];
  return Target.start(compile("sqlite-storm.c", { flags: [...flags, `-I${sqlite}`], more }));
};

/** Nothing is inlined, and sites start at any address. */
const dense = ["-O0", "-falign-functions=1", "-fpatchable-function-entry=5"];
const withLiteral = ["-O0", "-falign-functions=8", "-fpatchable-function-entry=13,8"];
/** What the storm changes in turn: rules, sites and dispatch, by which protocols differ. */
const forms = [
  { name: "breakpoints and masks", rules: "intel", flags: dense },
  { name: "single stores", rules: "amd", flags: dense },
  { name: "literals", rules: "intel", flags: withLiteral, dispatch: "call-ops" },
  { name: "lists", rules: "intel", flags: dense, dispatch: "list" },
  { name: "prologues", rules: "amd", flags: ["-O0"], prologues: true },
] as const;
const inUse = isSoak ? forms : forms.slice(0, 1);
const stormMs = isSoak ? 300_000 / forms.length : 4_000;
const kills = isSoak ? 200 : 3;
/** Where many share a machine, two hundred kills take an hour or three. */
const timeoutMs = isSoak ? 14_400_000 : 300_000;
/** What a tracer says on its way, each of which it may take some time for, in ms. */
const stages = [/^attached/, /^recording/, /^storming/] as const;
const stageMs = isSoak ? 600_000 : 60_000;

const handlers = [
  { kind: "record", exits: true },
  { kind: "record", exits: false },
  { kind: "count" },
] as const;

/** One function to all of them, few as likely as many. */
function someOf(random: Random, names: readonly string[]): { readonly include: string[] } {
  const length = Math.floor(names.length ** random.next());
  return { include: Array.from({ length }, () => random.of(names)) };
}

/** Toggles for a while, now and then with everything off: then nothing more is recorded. */
async function storm(recording: Recording, names: readonly string[], random: Random) {
  let ops: Ops[] = [];
  let toggles = 0;
  const until = performance.now() + stormMs;
  while (performance.now() < until) {
    const place = random.below(4);
    const old = ops[place];
    if (old !== undefined) {
      ops[place] = await recording.setFilter(old, someOf(random, names));
    } else ops.push(await recording.register("storm", random.of(handlers), someOf(random, names)));
    if (++toggles % 20 !== 0) continue;
    for (const one of ops) await recording.unregister(one);
    ops = [];
    // Calls that are under way may still end: a grace period has gone by, none has begun since.
    await sleep(100);
    const { events } = await recording.progress();
    await sleep(50);
    expect((await recording.progress()).events - events).toBeLessThan(100);
  }
  for (const one of ops) await recording.unregister(one);
  return toggles;
}

/** The end: all that the program was answered is what it is answered untraced. */
async function expectRight(target: Target, checksum: number | undefined): Promise<void> {
  expect(changedTextBytes(target.pid)).toBe(0);
  target.send("again");
  expect((await target.numbers(timeoutMs))["checksum"]).toBe(checksum);
  await target.finish();
  expect(await target.ended).toEqual({ status: 0, signal: null });
}

describe("a storm over all of SQLite", { timeout: timeoutMs }, () => {
  it.each(inUse)("leaves its answers as they are: $name", async ({ rules, flags, ...form }) => {
    const random = makeRandom(newSeed());
    const target = await startProgram(...flags);
    const prologues = "prologues" in form;
    const directory = tracePath();
    let checksum: number | undefined;
    {
      await using session = await api.attach(target.pid);
      session.useSites({ prologues });
      const names = session.select({ include: ["sqlite3*"] }).map(({ name }) => name);
      expect(names.length).toBeGreaterThan(1000);
      const recording = await session.record({
        directory,
        filter: { include: ["fail"] },
        ...{ flightRecorder: true, ringBytes: 64 << 10, vendorRules: rules, prologues },
      });
      if ("dispatch" in form) await recording.setDispatch(form.dispatch);
      await recording.register("steady", { kind: "count" }, { include: ["counted_step"] });
      const also = [publicApi, String(target.pid), tracePath(), rules, `${random.below(2 ** 31)}`];
      const more = ["sqlite3*", ...(prologues ? ["prologues"] : [])];
      const second = new Running(process.execPath, [stormScript, ...also, ...more]);
      await second.line(/^storming/);
      target.send("begin");
      const toggles = await storm(recording, names, random);
      second.child.kill("SIGTERM");
      await second.ended;
      target.send("pause");
      const own = await target.numbers();
      ({ checksum } = own);
      const counts = await recording.counts();
      expect(counts.find(({ name }) => name === "counted_step")?.calls).toBe(own["steps"]);
      const { protocols, refused } = await recording.stop();
      process.stdout.write(`${form.name}: ${toggles} toggles, ${JSON.stringify(protocols)}\n`);
      expect(refused).toEqual([]);
    }
    await expectRight(target, checksum);
    const trace = countTrace(directory);
    expect(trace).toMatchObject({ backwards: 0, damages: 0, tornBytes: 0, isEnded: true });
  });

  it("ends within two seconds of its tracer's being killed", async () => {
    const random = makeRandom(newSeed());
    const perProgram = 8;
    for (let round = 0; round < kills; round += perProgram) {
      const target = await startProgram(...dense);
      const { descriptors } = stateOf(target.pid);
      target.send("begin");
      for (let i = round; i < Math.min(kills, round + perProgram); i++) {
        const args = [publicApi, `${target.pid}`, tracePath(), random.of(["intel", "amd"])];
        const seed = String(random.below(2 ** 31));
        const tracer = new Running(process.execPath, [stormScript, ...args, seed, "sqlite3*"]);
        for (const stage of stages) await tracer.line(stage, stageMs);
        await sleep(random.next() * 500);
        const changed = await changedAfterKill(tracer, target.pid);
        expect([i, changed]).toEqual([i, 0]);
      }
      expect(stateOf(target.pid).descriptors).toEqual(descriptors);
      target.send("pause");
      await expectRight(target, (await target.numbers(timeoutMs))["checksum"]);
    }
  });
});

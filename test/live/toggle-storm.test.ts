/**
 * Functions that are switched on and off at random while the threads of a program call them: the
 * program computes what it should, counts are exact, and its text is the file's in the end, also
 * when the tracer is killed in the middle of it.
 */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { api, compile, isSoak, patchbay, Running, Target, tracePath, until } from "./harness.ts";
import { changedAfterKill, changedTextBytes, stateOf } from "./process-state.ts";
import { makeRandom, newSeed, type Random } from "./random.ts";
import { countTrace } from "./trace-counts.ts";

type Recording = Awaited<ReturnType<Awaited<ReturnType<typeof api.attach>>["record"]>>;
type Ops = Awaited<ReturnType<Recording["register"]>>;
type Own = Readonly<Record<string, number>>;

const stormed = Array.from({ length: 56 }, (_, n) => `storm_${n >> 3}${n % 8}`);
const toggles = isSoak ? 4_000 : 40;
const timeoutMs = isSoak ? 1_800_000 : 180_000;
/** Most ops at the same time. */
const opsMax = 4;
/** Sites start at any address, so that every protocol has work. */
const dense = { flags: ["-Os", "-g", "-fpatchable-function-entry=5"] };

const startProgram = (): Promise<Target> => Target.start(compile("storm.c", dense));

/** Some of the functions, one to all of them. */
const someOf = (random: Random): readonly string[] => {
  const share = random.next();
  const some = stormed.filter(() => random.next() < share);
  return some.length > 0 ? some : [random.of(stormed)];
};

const handlers = [
  { kind: "record", exits: true },
  { kind: "record", exits: false },
  { kind: "count" },
] as const;

/** One random change of what is traced. */
async function toggle(recording: Recording, ops: Ops[], random: Random, all: boolean) {
  const filter = { include: someOf(random) };
  const place = random.below(opsMax);
  const old = ops[place];
  if (all && random.next() < 0.1) {
    await recording.setEnabled(false);
    await recording.setEnabled(true);
  } else if (old === undefined) {
    ops.push(await recording.register(`storm ${place}`, random.of(handlers), filter));
  } else if (random.next() < 0.4) {
    ops.splice(place, 1);
    await recording.unregister(old);
  } else ops[place] = await recording.setFilter(old, filter);
}

/** Toggles for a while, and takes all of its ops away again. */
async function storm(recording: Recording, random: Random, all: boolean): Promise<void> {
  const ops: Ops[] = [];
  for (let i = 0; i < toggles; i++) await toggle(recording, ops, random, all);
  // The same over and over is carried out as it was the first time.
  const switches = all ? toggles : 0;
  for (let i = 0; i < switches; i++) await recording.setEnabled(i % 2 === 1);
  for (const one of ops) await recording.unregister(one);
}

/** Lets the program pause and say what it has counted; all that it computed has to be right. */
async function pause(target: Target): Promise<Own> {
  target.send("pause");
  const own = await target.numbers();
  expect(own["wrong"]).toBe(0);
  return own;
}

async function countsOf(recording: Recording): Promise<Own> {
  const counts = await recording.counts();
  return Object.fromEntries(counts.map(({ name, calls }) => [name, calls]));
}

/** Calls since `earlier` of the functions that are counted all the time. */
const steadyOf = (counts: Own, earlier: Own = {}): Own =>
  Object.fromEntries(
    Object.entries(counts)
      .filter(([name]) => name.startsWith("steady_"))
      .map(([name, calls]) => [name, calls - (earlier[name] ?? 0)]),
  );

/** No function was seen more often than it was called. */
function expectAtMost(seen: Own, own: Own): void {
  const tooMany = Object.entries(seen).filter(([name, calls]) => calls > (own[name] ?? 0));
  expect(tooMany).toEqual([]);
}

describe("a storm of toggles", { timeout: timeoutMs }, () => {
  it.each(["intel", "amd"] as const)(
    "leaves the program right, by the rules of %s",
    async (rules) => {
      const random = makeRandom(newSeed());
      const target = await startProgram();
      // What its C library keeps of threads that have ended is there before anything is traced.
      target.send("begin");
      const earlier = await pause(target);
      const before = stateOf(target.pid);
      const directory = tracePath();
      await using session = await api.attach(target.pid);
      const recording = await session.record({
        directory,
        filter: { include: ["storm_handler"] },
        flightRecorder: true,
        ringBytes: 64 << 10,
        vendorRules: rules,
      });
      await recording.register("steady", { kind: "count" }, { include: ["steady_*"] });
      target.send("begin");
      await storm(recording, random, false);
      const own = await pause(target);
      const counts = await countsOf(recording);
      expect(steadyOf(counts)).toEqual(steadyOf(own, earlier));
      expect(Object.keys(counts).some((name) => name.startsWith("storm_"))).toBe(true);
      expectAtMost(counts, own);

      target.send("begin");
      await storm(recording, random, true);
      const { protocols, refused } = await recording.stop();
      expect(protocols["cover"]).toBeGreaterThan(0);
      expect(protocols["coverSeveral"]).toBeGreaterThan(0);
      expect((protocols["store"] ?? 0) > 0).toBe(rules === "amd");
      expect([protocols.stop, refused]).toEqual([0, []]);
      const after = await pause(target);
      expect([changedTextBytes(target.pid), stateOf(target.pid)]).toEqual([0, before]);
      await target.finish();
      expect(await target.ended).toEqual({ status: 0, signal: null });

      const trace = countTrace(directory);
      expect(trace).toMatchObject({ backwards: 0, damages: 0, tornBytes: 0, isEnded: true });
      const entries = [...trace.functions].map(([name, one]) => [name, one.entries] as const);
      expectAtMost(Object.fromEntries(entries), after);
    },
  );
});

const publicApi = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
const stormScript = fileURLToPath(new URL("storm-script.mjs", import.meta.url));

describe("a tracer that is killed in a storm", { timeout: timeoutMs }, () => {
  const rounds = isSoak ? 200 : 8;
  /** A dead tracer's memory stays mapped, and a process has room for some dozens of them. */
  const roundsPerProgram = 8;

  it("leaves the program right, and its text the file's within two seconds", async () => {
    const random = makeRandom(newSeed());
    for (let round = 0; round < rounds; round += roundsPerProgram) {
      const target = await startProgram();
      for (let i = 0; i < roundsPerProgram && round + i < rounds; i++) {
        const rules = random.of(["intel", "amd"]);
        const args = [stormScript, publicApi, String(target.pid), tracePath(), rules];
        const tracer = new Running(process.execPath, [...args, String(random.below(2 ** 31))]);
        await tracer.line(/^storming/);
        target.send("begin");
        await new Promise((resolve) => setTimeout(resolve, random.next() * 300));
        const changed = await changedAfterKill(tracer, target.pid);
        expect([round + i, changed]).toEqual([round + i, 0]);
        await pause(target);
      }
      const again = await patchbay(
        ...["record", "-p", String(target.pid), "-o", tracePath(), "-F", "steady_*"],
        ...["--duration", "50ms", "--flight-recorder", "--ring-size", "64K"],
      );
      expect([again.status, again.stderr]).toEqual([0, expect.stringContaining("recorded")]);
      expect(changedTextBytes(target.pid)).toBe(0);
      await target.finish();
      expect(await target.ended).toEqual({ status: 0, signal: null });
    }
  });
});

describe("a tracer that is killed while it attaches", { timeout: timeoutMs }, () => {
  const rounds = isSoak ? 200 : 12;
  const roundsPerProgram = 4;

  it("leaves the program as it was", async () => {
    const random = makeRandom(newSeed());
    for (let round = 0; round < rounds; round += roundsPerProgram) {
      const target = await startProgram();
      target.send("begin");
      for (let i = 0; i < roundsPerProgram; i++) {
        const known = stateOf(target.pid).maps.length;
        const args = [stormScript, publicApi, String(target.pid), tracePath(), "intel", "1"];
        const tracer = new Running(process.execPath, args);
        // What is mapped first is the mirror of the stacks.
        await until("it attaches", () => stateOf(target.pid).maps.length > known);
        await new Promise((resolve) => setTimeout(resolve, random.next() * 50));
        tracer.child.kill("SIGKILL");
        await tracer.ended;
      }
      await until("the text is the file's", () => changedTextBytes(target.pid) === 0);
      await pause(target);
      await target.finish();
      expect(await target.ended).toEqual({ status: 0, signal: null });
    }
  });
});

/**
 * The forms of dispatch in running programs: by each of them counts are the program's own, other
 * ops come and go by a literal alone without a call that nobody sees, and nothing stays behind.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { api, compile, isSoak, patchbay, Running, Target, tracePath, until } from "./harness.ts";
import { changedTextBytes, stateOf } from "./process-state.ts";
import { makeRandom, newSeed } from "./random.ts";
import { countTrace } from "./trace-counts.ts";

const publicApi = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
const stormScript = fileURLToPath(new URL("storm-script.mjs", import.meta.url));

type Own = Readonly<Record<string, number>>;
type Recording = Awaited<ReturnType<Awaited<ReturnType<typeof api.attach>>["record"]>>;
type Ops = Awaited<ReturnType<Recording["register"]>>;

const withLiteral = ["-O2", "-g", "-fpatchable-function-entry=13,8"];
const builds = {
  "no landing pads": [...withLiteral, "-fcf-protection=none"],
  "landing pads": [...withLiteral, "-fcf-protection=branch"],
} as const;
const timeoutMs = isSoak ? 1_800_000 : 180_000;
const toggles = isSoak ? 4_000 : 40;

/** Lets the program pause and say what it has counted; all that it computed has to be right. */
async function pause(target: Target): Promise<Own> {
  target.send("pause");
  const own = await target.numbers();
  expect(own["wrong"]).toBe(0);
  return own;
}

/** A program whose threads have been at work once. */
async function startProgram(flags: readonly string[]): Promise<{ target: Target; earlier: Own }> {
  const target = await Target.start(compile("storm.c", { flags }));
  target.send("begin");
  return { target, earlier: await pause(target) };
}

/** Calls since `earlier` of the functions whose names begin so. */
const callsOf = (prefix: string, counts: Own, earlier: Own = {}): Own =>
  Object.fromEntries(
    Object.entries(counts)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, calls]) => [name, calls - (earlier[name] ?? 0)]),
  );

async function countsOf(recording: Recording): Promise<Own> {
  const counts = await recording.counts();
  return Object.fromEntries(counts.map(({ name, calls }) => [name, calls]));
}

/** Waits until the program has called what is counted. */
async function calling(recording: Recording): Promise<void> {
  while ((await recording.counts()).length < 8) await sleep(5);
}

/** What a process has, but for how the kernel cuts its text into mappings. */
function possessions(pid: number) {
  const state = stateOf(pid);
  return { ...state, maps: state.maps.filter((line) => !line.includes("/storm-")) };
}

const options = { filter: { include: ["storm_handler"] }, flightRecorder: true, ringBytes: 65536 };

describe("dispatch", { timeout: timeoutMs }, () => {
  const forms = ["call-ops", "fused", "list", "thunk"] as const;

  it.each(Object.entries(builds))("counts alike in every form, with %s", async (_, flags) => {
    const started = await startProgram(flags);
    const { target } = started;
    let { earlier } = started;
    const before = possessions(target.pid);
    for (const dispatch of forms) {
      await using session = await api.attach(target.pid);
      const recording = await session.record({ directory: tracePath(), dispatch, ...options });
      await recording.register("a", { kind: "count" }, { include: ["steady_*", "storm_0*"] });
      await recording.register("b", { kind: "count" }, { include: ["steady_*"] });
      await recording.register("c", { kind: "record", exits: false }, { include: ["steady_*"] });
      const found = (await recording.enabledFunctions()).find(({ name }) => name === "storm_00");
      expect(found?.dispatch).toEqual({ form: dispatch });
      target.send("begin");
      await calling(recording);
      const own = await pause(target);
      const counts = await countsOf(recording);
      for (const prefix of ["steady_", "storm_0"]) {
        expect(callsOf(prefix, counts)).toEqual(callsOf(prefix, own, earlier));
      }
      earlier = own;
      const { dispatches, left } = await recording.stop();
      expect([dispatches.forms[dispatch] ?? 0, left]).toEqual([expect.any(Number), undefined]);
      expect([changedTextBytes(target.pid), possessions(target.pid)]).toEqual([0, before]);
    }
    await target.finish();
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });

  it.each(["intel", "amd"] as const)(
    "lets ops come and go without missing a call, by the rules of %s",
    async (vendorRules) => {
      const random = makeRandom(newSeed());
      const { target, earlier } = await startProgram(builds["no landing pads"]);
      const directory = tracePath();
      await using session = await api.attach(target.pid);
      const recording = await session.record({ directory, vendorRules, ...options });
      await recording.register("steady", { kind: "count" }, { include: ["steady_*"] });
      target.send("begin");
      const ops: Ops[] = [];
      for (let i = 0; i < toggles; i++) {
        const old = random.next() < 0.5 ? ops.pop() : undefined;
        if (old !== undefined) await recording.unregister(old);
        else {
          const exits = { kind: "record", exits: false } as const;
          ops.push(await recording.register(`${i}`, exits, { include: ["steady_*", "storm_1*"] }));
        }
      }
      const own = await pause(target);
      expect(callsOf("steady_", await countsOf(recording))).toEqual(
        callsOf("steady_", own, earlier),
      );
      const { protocols } = await recording.stop();
      expect(protocols["literal"]).toBeGreaterThan(0);
      expect(protocols.stop).toBe(0);
      expect(changedTextBytes(target.pid)).toBe(0);
      await target.finish();
      expect(await target.ended).toEqual({ status: 0, signal: null });
      expect(countTrace(directory)).toMatchObject({ backwards: 0, damages: 0, isEnded: true });
    },
  );

  it("goes from form to form while the program runs", async () => {
    const random = makeRandom(newSeed());
    const { target, earlier } = await startProgram(builds["landing pads"]);
    await using session = await api.attach(target.pid);
    const recording = await session.record({ directory: tracePath(), ...options });
    await recording.register("count", { kind: "count" }, { include: ["storm_*", "steady_*"] });
    await recording.register(
      "entries",
      { kind: "record", exits: false },
      { include: ["storm_1*"] },
    );
    await recording.register("calls", { kind: "record", exits: true }, { include: ["storm_2*"] });
    target.send("begin");
    for (let i = 0; i < toggles; i++) {
      const form = random.of([...forms, "idle", "best"] as const);
      await recording.setDispatch(form === "best" ? undefined : form);
    }
    const own = await pause(target);
    const counts = await countsOf(recording);
    for (const [name, calls] of Object.entries(callsOf("st", counts))) {
      expect([name, calls <= (own[name] ?? 0) - (earlier[name] ?? 0)]).toEqual([name, true]);
    }
    await recording.stop();
    expect(changedTextBytes(target.pid)).toBe(0);
    await target.finish();
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });

  const builtWith = [["-O2", "-g", "-fpatchable-function-entry=5"], builds["no landing pads"]];
  it.each(builtWith)("frees code that nobody uses any more, with %s %s %s", async (...flags) => {
    const { target, earlier } = await startProgram(flags);
    await using session = await api.attach(target.pid);
    const recording = await session.record({ directory: tracePath(), ...options });
    await recording.register("steady", { kind: "count" }, { include: ["steady_*"] });
    target.send("begin");
    const mappings: number[] = [];
    const rounds = isSoak ? 10_000 : 120;
    for (let round = 0; round < rounds; round++) {
      // A trigger that never acts: each is another work, which nobody has had before.
      const handler = { kind: "trigger", does: "traceoff", word: 0, mark: round } as const;
      const ops = await recording.register("other", handler, { include: ["steady_*", "storm_0*"] });
      await recording.unregister(ops);
      mappings.push(stateOf(target.pid).maps.length);
    }
    expect(Math.max(...mappings.slice(60)) - Math.max(...mappings.slice(0, 60))).toBeLessThan(9);
    const own = await pause(target);
    const counts = callsOf("steady_", await countsOf(recording));
    // A function without a literal goes from thunk to thunk, and calls in between are not seen.
    if (flags.includes("-fpatchable-function-entry=13,8")) {
      expect(counts).toEqual(callsOf("steady_", own, earlier));
    }
    expect((await recording.stop()).left).toBeUndefined();
    expect(changedTextBytes(target.pid)).toBe(0);
    await target.finish();
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });

  it("puts text and literals back when its tracer is killed", async () => {
    const random = makeRandom(newSeed());
    const { target } = await startProgram(builds["no landing pads"]);
    for (let round = 0; round < (isSoak ? 50 : 4); round++) {
      const args = [stormScript, publicApi, String(target.pid), tracePath(), "intel", `${round}`];
      const tracer = new Running(process.execPath, args);
      await tracer.line(/^storming/);
      target.send("begin");
      await sleep(random.next() * 200);
      tracer.child.kill("SIGKILL");
      await tracer.ended;
      await until("the text is the file's", () => changedTextBytes(target.pid) === 0);
      await pause(target);
    }
    await target.finish();
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });

  it("says why functions have another form than was asked for", async () => {
    const target = await Target.start(compile("storm.c"));
    const { status, stderr } = await patchbay(
      ...["record", "-p", String(target.pid), "-o", tracePath(), "-F", "steady_*"],
      ...["--dispatch", "call-ops", "--no-exits", "--duration", "50ms"],
    );
    expect(status).toBe(0);
    expect(stderr).toMatch(/^patchbay: another dispatch for 8 functions: it has no room for a /m);
  });
});

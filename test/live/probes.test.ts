/** Static probes (USDT): passed as often as the program says, which listens for listeners. */
import { describe, expect, it } from "vitest";
import {
  api,
  type Build,
  compile,
  isSoak,
  patchbay,
  run,
  startRecording,
  Target,
  tracePath,
  until,
} from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

const rounds = 20_000;
/** What `leaf` adds up over all rounds. */
const sum = 105 * ((rounds * (rounds - 1)) / 2);

/** `PATCHBAY_SEED=n` repeats a run. */
const seed = Number(process.env["PATCHBAY_SEED"] ?? Date.now() % 2 ** 31);

type Passed = { readonly probe: string; readonly values?: readonly string[] };
type Ended = { readonly sum: number };
type Shown = { readonly function: string; readonly arguments?: readonly string[] };

const program = (): string => compile("probes.c", { flags: ["-O2", "-g"] });

/** Lets the program run; how often its guarded probe was passed. */
async function passed(target: Target): Promise<number | undefined> {
  target.send(String(rounds));
  const own = await target.numbers();
  expect(own).toMatchObject({ "demo.step@usdt": 2 * rounds, sum });
  return own["demo.guarded@usdt"];
}

describe("static probes", () => {
  it("are recorded each time, and those that are guarded while they are traced", async () => {
    const target = await Target.start(program());
    expect(await passed(target)).toBe(0);
    const directory = tracePath();
    await using session = await api.attach(target.pid);
    const filter = { include: ["demo.*@usdt"] };
    const recording = await session.record({ directory, filter, probes: true });
    const guarded = await passed(target);
    expect(guarded).toBe(2 * rounds);
    const { refused, lost } = await recording.stop();
    expect({ refused, lost }).toEqual({ refused: [], lost: 0 });
    expect(await passed(target)).toBe(0);
    expect(changedTextBytes(target.pid)).toBe(0);
    const { functions } = countTrace(directory);
    const entries = { entries: 2 * rounds, exits: 0, unwound: 0 };
    expect(Object.fromEntries(functions)).toEqual({
      "demo.step@usdt": entries,
      "demo.guarded@usdt": entries,
    });
  });

  it("are not listened to any more when the tracer is killed", async () => {
    const target = await Target.start(program());
    const args = ["-o", tracePath(), "--probes", "-F", "demo.*@usdt", "-p", String(target.pid)];
    const tracer = await startRecording(...args);
    expect(await passed(target)).toBe(2 * rounds);
    tracer.child.kill("SIGKILL");
    await tracer.ended;
    await until("the text is back", () => changedTextBytes(target.pid) === 0);
    expect(await passed(target)).toBe(0);
  });

  it.each<[string, Build, readonly string[]]>([
    ["gcc -O2, also by bad pointers", { flags: ["-O2", "-g"] }, ["bad"]],
    ["gcc -O0", { flags: ["-O0", "-g"] }, []],
    ["clang", { compiler: "clang", flags: ["-O2", "-g", "-Wno-unknown-attributes"] }, []],
  ])("bring their values: %s", async (_, build, more) => {
    const target = await Target.start(compile("probe-values.c", build), ...more);
    const directory = tracePath();
    await using session = await api.attach(target.pid);
    const recording = await session.record({
      directory,
      filter: { include: ["demo.*@usdt"] },
      probes: true,
      values: ["demo.named@usdt@arg1/s,arg2/s"],
    });
    target.send(`${isSoak ? 20_000 : 300} ${seed}`);
    const own: unknown[] = [];
    for (;;) {
      const said: Passed | Ended = JSON.parse(await target.line(/^\{/));
      if ("sum" in said) break;
      own.push({ function: `demo.${said.probe}@usdt`, values: said.values });
    }
    const { refused, lost } = await recording.stop();
    expect({ refused, lost, changed: changedTextBytes(target.pid) }).toEqual({
      ...{ refused: [], lost: 0, changed: 0 },
    });
    const { stdout } = await patchbay("graph", directory, "--json");
    const shown = stdout
      .trim()
      .split("\n")
      .map((line): Shown => JSON.parse(line))
      .map((one) => ({ function: one.function, values: one.arguments }));
    expect([`PATCHBAY_SEED=${seed}`, shown]).toEqual([`PATCHBAY_SEED=${seed}`, own]);
  });

  it("of Python say which functions return", async () => {
    const directory = tracePath();
    const script = "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nprint(fib(12))";
    const { status, stdout } = await patchbay(
      ...["record", "-q", "-o", directory, "--probes", "-F", "python.function__return@usdt"],
      ...["-A", "python.function__return@usdt@arg1/s,arg2/s"],
      ...["--", "/usr/bin/python3.11", "-c", script],
    );
    expect([status, stdout]).toEqual([0, "144"]);
    const graph = await patchbay("graph", directory);
    // As often as the naive recursion calls itself: 2 fib(13) - 1.
    expect(graph.stdout.match(/\("<string>", "fib", 1\)/g)).toHaveLength(465);
  });

  it("are where readelf says", async () => {
    const listing = JSON.parse((await patchbay("sites", "--probes", "--json", program())).stdout);
    const listed = listing.sites.map(({ address }: { address: string }) => BigInt(address));
    const notes = run("readelf", ["-nW", program()]);
    const places = [...notes.matchAll(/Location: (0x[0-9a-f]+)/g)].map(([, at]) => BigInt(at ?? 0));
    expect(new Set(listed)).toEqual(new Set(places));
    expect(places.length).toBe(2);
  });
});

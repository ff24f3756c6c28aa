/**
 * Some calls alone, and their values: what is recorded is what the program says of itself, by the
 * arguments, the results, the durations and the threads of its calls.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { CallOptions } from "../../src/index.ts";
import { api, compile, isSoak, patchbay, run, Target, tracePath } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";

/** `PATCHBAY_SEED=n` repeats a run. */
const seed = Number(process.env["PATCHBAY_SEED"] ?? Date.now() % 2 ** 31);
const count = isSoak ? 200_000 : 2000;

type Call = { readonly arguments: readonly string[]; readonly result: string };
type Totals = { readonly negative: number; readonly big: number; readonly handled: number };
/** What the program says of itself. */
type Own = { readonly calls: readonly Call[]; readonly totals: Totals };

/** Lets the program make its calls. */
async function makeCalls(target: Target): Promise<Own> {
  target.send(`${count} ${seed}`);
  const calls: Call[] = [];
  for (;;) {
    const said: Call | Totals = JSON.parse(await target.line(/^\{/));
    if ("negative" in said) return { calls, totals: said };
    calls.push(said);
  }
}

/** Records all that the program does meanwhile; a line of `graph --json` for each call. */
async function record(
  options: CallOptions & { readonly flightRecorder?: boolean; readonly ringBytes?: number },
  include: readonly string[] = ["traced_*"],
) {
  const target = await Target.start(compile("calls.c"));
  await using session = await api.attach(target.pid);
  const directory = tracePath();
  const recording = await session.record({ directory, filter: { include }, ...options });
  const own = await makeCalls(target);
  const summary = await recording.stop();
  expect(api.readInfo(api.openTrace(directory)).summary.events).toBe(summary.events);
  const { stdout } = await patchbay("graph", directory, "--json");
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  const calls = lines.map((line): Shown => JSON.parse(line));
  return {
    own,
    summary,
    directory,
    calls,
    of: (name: string) => calls.filter((one) => one.function === name),
  };
}

type Shown = {
  readonly function: string;
  readonly arguments?: readonly string[];
  readonly result?: readonly string[];
};

const places = "arg1/s,arg2/d,fparg1,arg3/ld,arg4/u8,fparg2/f,arg5/p,arg6/ld";
const values = [`traced_call@${places}`, "traced_call@ret/d", "traced_half@fparg1,fpret"];
const named = `PATCHBAY_SEED=${seed}`;

/** A line of babeltrace2's for a call of traced_call that brings values. */
const longEvent = new RegExp(
  [
    ' long: .*function = \\( "traced_call" : ',
    'base = \\( "(entry|exit)" : ',
    'form = \\( "values" : ',
    "words = (\\d+), types = (0x\\w+), values = \\[(.*)\\]",
  ].join(".*"),
);

/** The arguments of traced_call as it says them, of the words of an event. */
function decodeArguments(words: readonly bigint[]): readonly string[] {
  const [number = 0n, weight = 0n, big = 0n, byte = 0n, half = 0n, pointer = 0n, seventh = 0n] =
    words.slice(-7);
  const float = (bits: bigint): number =>
    new Float32Array(new BigUint64Array([bits]).buffer)[0] ?? 0;
  const double = (bits: bigint): number =>
    new Float64Array(new BigUint64Array([bits]).buffer)[0] ?? 0;
  const long = (bits: bigint): string => String(BigInt.asIntN(64, bits));
  return [
    decodeText(words.slice(0, -7)),
    String(BigInt.asIntN(32, number)),
    String(double(weight)),
    long(big),
    String(byte & 0xffn),
    String(float(half)),
    `0x${pointer.toString(16)}`,
    long(seventh),
  ];
}

/** A text: how long it is and its flags, and the bytes. */
function decodeText([head = 0n, ...words]: readonly bigint[]): string {
  const [size, flags] = [Number(head & 0xffff_ffffn), Number(head >> 32n)];
  if ((flags & 2) !== 0) return "<unreadable>";
  if ((flags & 4) !== 0) return "NULL";
  const bytes = new Uint8Array(new BigUint64Array(words).buffer).subarray(0, size);
  return `"${new TextDecoder().decode(bytes)}"${(flags & 1) === 0 ? "" : "..."}`;
}

it("records values from the first call on in a program that is at work", async () => {
  const target = await Target.start(compile("count.c"), "calls=0", "pace=10000");
  target.send("begin");
  await using session = await api.attach(target.pid);
  const directory = tracePath();
  const values = ["traced_leaf@arg1", "traced_leaf@ret"];
  const filter = { include: ["traced_*"] };
  const recording = await session.record({ directory, filter, values });
  while ((await recording.progress()).events < 1000) await sleep(5);
  await recording.stop();
  const trace = api.openTrace(directory);
  let calls = 0;
  const bare: string[] = [];
  for (const piece of api.formatGraphJson(trace, { include: ["traced_leaf"] })) {
    for (const line of piece.split("\n")) {
      if (!line.includes('"event":"call"')) continue;
      calls++;
      if (!line.includes('"arguments":')) bare.push(line);
    }
  }
  expect(calls).toBeGreaterThan(100);
  expect(bare.slice(0, 3)).toEqual([]);
  target.send("stop");
  target.send("end");
  expect(await target.ended).toEqual({ status: 0, signal: null });
});

describe("the values of a call", () => {
  it("are those that babeltrace2 reads, field by field", async () => {
    const { own, directory } = await record({ values: values.slice(0, 2) });
    const found: Call[] = [];
    let entered: readonly string[] = [];
    for (const line of run("babeltrace2", [directory]).split("\n")) {
      const event = longEvent.exec(line);
      if (event === null) continue;
      const [, base, size, types, list = ""] = event;
      const words = [...list.matchAll(/0x[0-9A-F]+/g)].map(([word]) => BigInt(word));
      expect(words).toHaveLength(Number(size));
      expect(types).toBe(base === "entry" ? "0x89A18B7E" : "0x7");
      if (base === "entry") entered = decodeArguments(words);
      else found.push({ arguments: entered, result: String(BigInt.asIntN(32, words[0] ?? 0n)) });
    }
    expect([named, found]).toEqual([named, own.calls]);
  });

  it.each([
    ["are those that the program used", {}],
    ["are there where rings overwrite", { flightRecorder: true }],
    ["are there where calls are told by their ends", { minNs: 0 }],
  ])("%s", async (_, options) => {
    const { own, of, summary } = await record({ values, ...options });
    const shown = of("traced_call").map((call) => ({
      arguments: call.arguments,
      result: call.result?.[0],
    }));
    expect([named, shown]).toEqual([named, own.calls]);
    // A handler that comes while held entries are on their way is counted, not recorded.
    const handled = of("traced_signal").length + summary.lost / 2;
    expect(handled).toBe(own.totals.handled);
    expect(summary.lost === 0 || "minNs" in options).toBe(true);
    const halves = of("traced_half").map((call) => [call.arguments?.[0], call.result?.[0]]);
    expect(halves).toEqual(Array.from({ length: 1000 }, (_, i) => [String(i), String(i / 2)]));
  });

  it("are left out where rings are full, or the event with them, and counted then", async () => {
    const { own, of, summary } = await record({ values, ringBytes: 4096 });
    const full = of("traced_call").filter((call) => call.arguments !== undefined);
    const known = new Set(own.calls.map((call) => String(call.arguments)));
    expect(full.filter((call) => !known.has(String(call.arguments)))).toEqual([]);
    expect(of("traced_call").length).toBeLessThanOrEqual(count);
    expect(summary.lost > 0 || of("traced_call").length === count).toBe(true);
  });
});

describe("calls are chosen", () => {
  it("by their results, within the calls around them", async () => {
    const { own, of } = await record({ when: "ret < 0" }, ["traced_call", "traced_outer"]);
    expect([named, of("traced_call").length]).toEqual([named, own.totals.negative]);
    expect(of("traced_outer")).toHaveLength(own.totals.negative);
  });

  it("by arguments and results together", async () => {
    const { own, of } = await record({ when: "arg2/d > 500 && ret/d < 0" }, ["traced_call"]);
    expect([named, of("traced_call").length]).toEqual([named, own.totals.big]);
  });

  it.each([
    ["arg2/d > 500", (call: Call) => Number(call.arguments[1]) > 500],
    ["arg2 < 0", (call: Call) => Number(call.arguments[1]) < 0],
    ["arg4/u8 & 0x81", (call: Call) => (Number(call.arguments[4]) & 0x81) !== 0],
    ["!arg1 || arg1 == 64", (call: Call) => /^(NULL|<)/.test(call.arguments[0] ?? "")],
    ["arg5/p > arg3/u64", (call: Call) => BigInt(call.arguments[6] ?? 0) > unsigned(call)],
    [
      "(arg2/d >= 0 && arg2/d <= 100) || !(arg3/ld > 0)",
      ({ arguments: [, number, , big = "0"] }: Call) =>
        (Number(number) >= 0 && Number(number) <= 100) || BigInt(big) <= 0n,
    ],
  ])("by their arguments: %s", async (when, wants) => {
    const { own, of } = await record({ when, values }, ["traced_call"]);
    const shown = of("traced_call").map((call) => call.arguments);
    const wanted = own.calls.filter(wants).map((call) => call.arguments);
    expect([named, shown]).toEqual([named, wanted]);
  });

  it("by their threads, by number and by name", async () => {
    const byName = await record({ threads: { names: ["nobody*"] } });
    expect(byName.calls).toEqual([]);
    const target = await Target.start(compile("calls.c"));
    await using session = await api.attach(target.pid);
    const directory = tracePath();
    const threads = { tids: [target.pid] };
    const filter = { include: ["traced_half", "traced_call"] };
    const recording = await session.record({ directory, threads, filter });
    await makeCalls(target);
    expect((await recording.stop()).events).toBe(2 * count);
  });

  it("now and then", async () => {
    const { of } = await record({ sample: 10 }, ["traced_call"]);
    // Six standard deviations on either side.
    const spread = 6 * Math.sqrt(count * 0.1 * 0.9);
    expect(Math.abs(of("traced_call").length - count / 10)).toBeLessThan(spread);
  });
});

describe("what a recording has begun without", () => {
  it("can't come to it later", async () => {
    const target = await Target.start(compile("calls.c"));
    await using session = await api.attach(target.pid);
    const filter = { include: ["traced_call"] };
    const recording = await session.record({ directory: tracePath(), filter });
    const parsed = api.parseValueRequest("traced_call@arg1/s,ret/d");
    if (!parsed.ok) throw new Error("the request is one");
    const plain = { kind: "record", exits: true } as const;
    const { values } = parsed.value;
    const when = { kind: "duration", how: ">=", ns: 1e6 } as const;
    for (const [handler, what] of [
      [{ ...plain, values }, "values"],
      [{ ...plain, sample: 3 }, "a choice of calls"],
      [{ ...plain, when }, "a choice of calls"],
      [{ ...plain, threads: true }, "a choice of threads"],
      [{ ...plain, stack: { depth: 4 } }, "stacks"],
    ] as const) {
      const coming = recording.register("later", handler, filter);
      await expect(coming).rejects.toThrow(`it has begun without ${what} (begin it with them`);
    }
    const ops = await recording.register("later", plain, { include: ["traced_half"] });
    await expect(recording.setHandler(ops, { ...plain, values })).rejects.toThrow("without values");
    const own = await makeCalls(target);
    const { events, lost } = await recording.stop();
    expect(events).toBe(2 * (own.calls.length + 1000));
    expect(lost).toBe(0);
  });
});

describe("choices that make no sense", () => {
  it("are refused in one line, and leave the program alone", async () => {
    const target = await Target.start(compile("calls.c"));
    for (const [option, text, why] of [
      ["--if", "arg2 >", "a value like arg1, ret or duration was expected, not the end, at col"],
      ["--if", "arg1 || ret", "arguments go together with the result or the duration by && al"],
      ["-A", "open@arg1/q", "q is no type"],
      ["--min", "often", "a time is written as"],
    ] as const) {
      const args = ["-p", String(target.pid), option, text];
      const { status, stderr } = await patchbay("record", ...args);
      expect([status, stderr.trimEnd().split("\n").length]).toEqual([2, 1]);
      expect(stderr).toContain(why);
    }
    expect(changedTextBytes(target.pid)).toBe(0);
  });
});

const unsigned = (call: Call): bigint => BigInt.asUintN(64, BigInt(call.arguments[3] ?? 0));

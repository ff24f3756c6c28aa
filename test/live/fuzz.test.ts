/**
 * Random sequences of registrations, filters, switches, dispatches, threads and libraries, against
 * a model that any reader can check: which calls must have been seen, and no other.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { api, compile, isSoak, Target, tracePath } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { newSeed } from "./random.ts";
import { countTrace } from "./trace-counts.ts";

type Recording = Awaited<ReturnType<Awaited<ReturnType<typeof api.attach>>["record"]>>;
type Ops = Awaited<ReturnType<Recording["register"]>>;
type Handler = Parameters<Recording["register"]>[1];

const runs = isSoak ? 200 : 4;
const commandsMax = isSoak ? 200 : 40;
const functions = Array.from({ length: 8 }, (_, n) => `f${n}`);
/** What one call of the library's function calls. */
const plugCalls = { plug_work: 1, plug_a: 3, plug_b: 3, plug_c: 3 };

/** One user's wish, as the model has it. */
type Wish = { readonly kind: "count" | "record"; readonly wanted: ReadonlySet<string> };

class Model {
  readonly ops: Wish[] = [];
  isOn = true;
  isLoaded = false;
  readonly counts: Record<string, number> = {};
  readonly entries: Record<string, number> = {};

  /** A function is called: whoever wants it has it once, however many they are. */
  call(name: string, times: number): void {
    if (!this.isOn || times === 0) return;
    const isWanted = (kind: Wish["kind"]): boolean =>
      this.ops.some((one) => one.kind === kind && one.wanted.has(name));
    if (isWanted("count")) this.counts[name] = (this.counts[name] ?? 0) + times;
    if (isWanted("record")) this.entries[name] = (this.entries[name] ?? 0) + times;
  }
}

type Real = {
  readonly target: Target;
  readonly recording: Recording;
  readonly ops: Ops[];
};
type Command = fc.AsyncCommand<Model, Real>;

const command = (
  text: string,
  run: (model: Model, real: Real) => Promise<void>,
  check: (model: Model) => boolean = () => true,
): Command => ({ check, run, toString: () => text });

async function tell({ target }: Real, line: string): Promise<void> {
  target.send(line);
  await target.numbers();
}

/** Words of a filter, and what they name; the library's functions are named before it is there. */
const filters = fc
  .record({
    some: fc.subarray([...functions], { minLength: 1 }),
    not: fc.constantFrom(undefined, "f2", "f6"),
    all: fc.boolean(),
    plug: fc.boolean(),
  })
  .map(({ some, not, all, plug }) => {
    const words = [...(all ? ["f*"] : some), ...(plug ? ["plug_*:mod:plugin-*"] : [])];
    const wanted = new Set(all ? functions : some);
    if (not !== undefined) wanted.delete(not);
    if (plug) for (const name of Object.keys(plugCalls)) wanted.add(name);
    return { include: not === undefined ? words : [...words, `!${not}`], wanted };
  })
  .filter(({ wanted }) => functions.some((name) => wanted.has(name)));

const handlers: readonly Handler[] = [
  { kind: "count" },
  { kind: "record", exits: false },
  { kind: "record", exits: true },
];

const registers = fc
  .record({ handler: fc.constantFrom(...handlers), filter: filters })
  .map(({ handler, filter: { include, wanted } }) =>
    command(`register ${handler.kind} ${include.join(" ")}`, async (model, real) => {
      real.ops.push(await real.recording.register("fuzz", handler, { include }));
      model.ops.push({ kind: handler.kind === "count" ? "count" : "record", wanted });
    }),
  );

const unregisters = fc.nat(9).map((pick) =>
  command(
    `unregister ${pick}`,
    async (model, real) => {
      const index = pick % model.ops.length;
      model.ops.splice(index, 1);
      for (const ops of real.ops.splice(index, 1)) await real.recording.unregister(ops);
    },
    (model) => model.ops.length > 0,
  ),
);

const changes = fc.record({ pick: fc.nat(9), filter: filters }).map(({ pick, filter }) =>
  command(
    `filter ${pick} ${filter.include.join(" ")}`,
    async (model, real) => {
      const index = pick % model.ops.length;
      const [before] = model.ops.splice(index, 1);
      const [ops] = real.ops.splice(index, 1);
      if (before === undefined || ops === undefined) throw new Error("no ops");
      real.ops.push(await real.recording.setFilter(ops, { include: filter.include }));
      model.ops.push({ ...before, wanted: filter.wanted });
    },
    (model) => model.ops.length > 0,
  ),
);

const switches = fc.boolean().map((on) =>
  command(`switch ${on ? "on" : "off"}`, async (model, real) => {
    await real.recording.setEnabled(on);
    model.isOn = on;
  }),
);

const dispatches = fc
  .constantFrom(...(["call-ops", "list", "fused", "thunk", undefined] as const))
  .map((form) => command(`dispatch ${form}`, (_, real) => real.recording.setDispatch(form)));

const calls = fc
  .record({
    how: fc.constantFrom("call", "thread"),
    pick: fc.nat(7),
    times: fc.integer({ min: 1, max: 50 }),
  })
  .map(({ how, pick, times }) =>
    command(`${how} ${pick} ${times}`, async (model, real) => {
      await tell(real, `${how} ${pick} ${times}`);
      model.call(`f${pick}`, times);
    }),
  );

const loads = fc.boolean().map((come) =>
  command(
    come ? "load" : "unload",
    async (model, real) => {
      await tell(real, come ? "load" : "unload");
      model.isLoaded = come;
    },
    (model) => model.isLoaded !== come,
  ),
);

const plugs = fc.integer({ min: 1, max: 20 }).map((times) =>
  command(
    `plug ${times}`,
    async (model, real) => {
      await tell(real, `plug ${times}`);
      for (const [name, each] of Object.entries(plugCalls)) model.call(name, each * times);
    },
    (model) => model.isLoaded,
  ),
);

const library = (): string =>
  compile("plugin.c", {
    flags: ["-O2", "-g", "-fPIC", "-shared", "-fpatchable-function-entry=13,8"],
  });

async function play(commands: Iterable<Command>): Promise<void> {
  const target = await Target.start(compile("fuzz.c", { flags: ["-O2", "-g"] }), library());
  const directory = tracePath();
  const model = new Model();
  {
    await using session = await api.attach(target.pid);
    // The model has no part in what a recording begins with: a function that nobody calls.
    const recording = await session.record({ directory, filter: { include: ["main"] } });
    const real: Real = { target, recording, ops: [] };
    await fc.asyncModelRun(() => ({ model, real }), commands);
    const counts: Record<string, number> = {};
    for (const { name, calls: seen } of await recording.counts()) counts[name] = seen;
    expect(counts).toEqual(model.counts);
    const { lost, left } = await recording.stop();
    expect([lost, left, changedTextBytes(target.pid)]).toEqual([0, undefined, 0]);
  }
  const entries = [...countTrace(directory).functions].map(([name, one]) => [name, one.entries]);
  expect(Object.fromEntries(entries.filter(([, seen]) => seen !== 0))).toEqual(model.entries);
  await target.finish();
  expect(await target.ended).toEqual({ status: 0, signal: null });
}

it("sees every call that somebody wants, and no other", { timeout: 1_800_000 }, async () => {
  const all = [registers, unregisters, changes, switches, dispatches, calls, calls, loads, plugs];
  const sequences = fc.commands<Model, Real, false>(all, { maxCommands: commandsMax, size: "max" });
  await fc.assert(fc.asyncProperty(sequences, play), { seed: newSeed(), numRuns: runs });
});

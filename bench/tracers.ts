/**
 * What a call costs by how many tracers there are: relevant ones, which want the function that is
 * called, and irrelevant ones, which want another. The table that Linux measures its CALL_OPS with
 * (samples/ftrace/ftrace-ops.c, commit baaf553d3bc3).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { costFlags } from "./cost.ts";
import { patchbay } from "./patchbay.ts";
import { compile, Driven } from "./program.ts";
import { type Row, Samples, type Table } from "./table.ts";

type Session = Awaited<ReturnType<typeof patchbay.attach>>;
type Recording = Awaited<ReturnType<Session["record"]>>;
type Handler = Parameters<Recording["register"]>[1];

const rounds = 7;
const callsPerRun = 1_000_000;

/** Relevant and irrelevant ops, in the order of Linux' table. */
const mixes: readonly (readonly [relevant: number, irrelevant: number])[] = [
  ...[0, 1, 2, 10, 100].map((irrelevant) => [0, irrelevant] as const),
  ...[0, 1, 2, 10, 100].map((irrelevant) => [1, irrelevant] as const),
  ...[2, 10, 100].map((relevant) => [relevant, 0] as const),
  [10, 100],
];

const forms = ["list", "call-ops", "fused", "thunk"] as const;
const handlers: readonly (readonly [name: string, handler: Handler])[] = [
  ["a counter", { kind: "count" }],
  ["an event at the entry", { kind: "record", exits: false }],
];

/** The function that is measured, and one that nobody calls. */
const called = { include: ["leaf_literal"] };
const other = { include: ["leaf_other"] };

const nsOf = async (driver: Driven, kind: string): Promise<number> => {
  const [ns = 0, calls = 1] = await driver.ask(`${kind} leaf 1 ${callsPerRun}`);
  return ns / calls;
};

/** Nanoseconds per call over the plain call with these ops, by form of dispatch; medians. */
async function measure(
  driver: Driven,
  recording: Recording,
  handler: Handler,
  [relevant, irrelevant]: readonly [number, number],
): Promise<Row> {
  const ops = [];
  for (let i = 0; i < relevant; i++) {
    ops.push(await recording.register(`relevant ${i}`, handler, called));
  }
  for (let i = 0; i < irrelevant; i++) {
    ops.push(await recording.register(`irrelevant ${i}`, handler, other));
  }
  const samples = new Samples();
  for (let round = 0; round < rounds; round++) {
    for (const form of forms) {
      await recording.setDispatch(form);
      await nsOf(driver, "literal");
      const plain = await nsOf(driver, "plain");
      samples.add(form, (await nsOf(driver, "literal")) - plain);
    }
  }
  for (const one of ops.toReversed()) await recording.unregister(one);
  return {
    relevant,
    irrelevant,
    ...Object.fromEntries(forms.map((form) => [form, samples.median(form)])),
  };
}

async function measureAll(name: string, handler: Handler): Promise<Table> {
  const driver = await Driven.start([await compile("cost.c", "cost", costFlags)]);
  // The rings overwrite and nobody drains them: what is written to disk is small.
  const directory = mkdtempSync(join("/dev/shm", "patchbay-bench-"));
  const rows: Row[] = [];
  try {
    await using session = await patchbay.attach(driver.pid);
    const recording = await session.record({
      directory: join(directory, "trace"),
      filter: { include: ["fib_idle"] },
      flightRecorder: true,
      ringBytes: 64 << 10,
    });
    for (const mix of mixes) rows.push(await measure(driver, recording, handler, mix));
  } finally {
    await driver.end();
    rmSync(directory, { recursive: true });
  }
  return {
    title: `tracers: ns per call over the plain call, each tracer with ${name}`,
    notes: [
      "relevant tracers want the function that is called, irrelevant ones another",
      "list: all tracers are gone through; call-ops: the literal names the one, or the list of all",
      "fused: the literal names a function made for all that want it; thunk: a thunk of the site's",
      `medians of ${rounds} interleaved rounds of ${callsPerRun} calls; ` +
        "time on the processor alone",
      "what several tracers want alike is done once, in each of the forms",
    ],
    rows,
  };
}

export async function run(): Promise<readonly Table[]> {
  const tables: Table[] = [];
  for (const [name, handler] of handlers) tables.push(await measureAll(name, handler));
  return tables;
}

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
import { median, type Row, type Table } from "./table.ts";

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

const handlers: readonly (readonly [name: string, handler: Handler])[] = [
  ["count", { kind: "count" }],
  ["entry", { kind: "record", exits: false }],
  ["entry + exit", { kind: "record", exits: true }],
];

/** The function that is measured, and one that nobody calls. */
const called = { include: ["leaf_entry"] };
const other = { include: ["leaf_both"] };

const nsOf = async (driver: Driven, kind: string): Promise<number> => {
  const [ns = 0, calls = 1] = await driver.ask(`${kind} leaf 1 ${callsPerRun}`);
  return ns / calls;
};

/** Nanoseconds per call, and over the plain call, with these ops; medians. */
async function measure(
  driver: Driven,
  recording: Recording,
  handler: Handler,
  [relevant, irrelevant]: readonly [number, number],
): Promise<{ readonly total: number; readonly over: number }> {
  const ops = [];
  for (let i = 0; i < relevant; i++) {
    ops.push(await recording.register(`relevant ${i}`, handler, called));
  }
  for (let i = 0; i < irrelevant; i++) {
    ops.push(await recording.register(`irrelevant ${i}`, handler, other));
  }
  const totals: number[] = [];
  const overs: number[] = [];
  await nsOf(driver, "entry");
  for (let round = 0; round < rounds; round++) {
    const plain = await nsOf(driver, "plain");
    const total = await nsOf(driver, "entry");
    totals.push(total);
    overs.push(total - plain);
  }
  for (const one of ops.toReversed()) await recording.unregister(one);
  return { total: median(totals), over: median(overs) };
}

export async function run(): Promise<readonly Table[]> {
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
    for (const mix of mixes) {
      const row: Record<string, number> = { relevant: mix[0], irrelevant: mix[1] };
      for (const [name, handler] of handlers) {
        const { total, over } = await measure(driver, recording, handler, mix);
        row[name] = total;
        row[`over${" ".repeat(handlers.findIndex(([one]) => one === name))}`] = over;
      }
      rows.push(row);
    }
  } finally {
    await driver.end();
    rmSync(directory, { recursive: true });
  }
  return [
    {
      title: "tracers: ns per call by the number of tracers",
      notes: [
        "relevant tracers want the function that is called, irrelevant ones another",
        "over: ns over a call of the same function without a site, measured right before",
        `medians of ${rounds} rounds of ${callsPerRun} calls; time on the processor alone`,
        "several tracers of one kind want the same of a function: one thunk serves them all",
      ],
      rows,
    },
  ];
}

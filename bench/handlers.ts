/**
 * What a call costs by what its thunk does: recording, counting, statistics. All beside the
 * untraced call and the hand-written floor for two events, in the same process and the same minute.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { costFlags } from "./cost.ts";
import { patchbay } from "./patchbay.ts";
import { compile, Driven } from "./program.ts";
import { type Row, Samples, type Table } from "./table.ts";

type Session = Awaited<ReturnType<typeof patchbay.attach>>;

const rounds = 9;
const callsPerRun = 2_000_000;
const warmUpCalls = 600_000;
const workloads = ["leaf 1", "fib 1", "leaf 2"] as const;
const filter = { include: ["*_both"] };

/** What is measured, by how it is begun; `stop` ends it. */
const handlers: Readonly<
  Record<string, (session: Session, directory: string) => Promise<{ stop(): Promise<unknown> }>>
> = {
  "record: entry + exit": (session, directory) =>
    session.record({ directory, filter, flightRecorder: true }),
  "record: entry + exit, coarse clock": (session, directory) =>
    session.record({ directory, filter, flightRecorder: true, clock: "coarse" }),
  "record: calls of which an argument says no": (session, directory) =>
    session.record({ directory, filter, flightRecorder: true, when: "arg1 == 987654321" }),
  "record: one call in 1000": (session, directory) =>
    session.record({ directory, filter, flightRecorder: true, sample: 1000 }),
  "record: calls that take a second": (session, directory) =>
    session.record({ directory, filter, flightRecorder: true, minNs: 1e9 }),
  "record: with an argument and the result": (session, directory) =>
    session.record({ directory, filter, flightRecorder: true, values: ["*_both@arg1/ld,ret/ld"] }),
  "record: with a text": (session, directory) =>
    session.record({ directory, filter, flightRecorder: true, values: ["*_both@arg1/s"] }),
  "record: with a pointer that leads to no text": (session, directory) =>
    session.record({ directory, filter, flightRecorder: true, values: ["*_both@arg1/s"] }),
  "stat: calls": (session) => session.observe({ filter, times: false }),
  "stat: calls and times": (session) => session.observe({ filter }),
};
const floor = "floor_both_8";
/** Hand-written code beside which the rows are seen. */
const floors: Readonly<Record<string, string>> = {
  [floor]: "floor: entry + exit, 8 bytes",
  floor_both_coarse: "floor: the same, the time from memory",
};

async function nsPerCall(driver: Driven, kind: string, workload: string): Promise<number> {
  const [ns = 0, calls = 1] = await driver.ask(`${kind} ${workload} ${callsPerRun}`);
  return ns / calls;
}

/** Measures one kind of functions beside the plain call. */
async function measure(driver: Driven, samples: Samples, kind: string, name: string) {
  for (const workload of workloads) {
    if (kind === "text" && workload.startsWith("fib")) continue;
    await driver.ask(`${kind} ${workload} ${warmUpCalls}`);
    const plain = await nsPerCall(driver, "plain", workload);
    const cost = await nsPerCall(driver, kind, workload);
    samples.add(`${name}/${workload}`, cost - plain);
  }
}

export async function run(): Promise<readonly Table[]> {
  const driver = await Driven.start([await compile("cost.c", "cost", costFlags)]);
  // The rings overwrite: what is written to disk is small.
  const directory = mkdtempSync(join("/dev/shm", "patchbay-bench-"));
  const samples = new Samples();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const name of Object.keys(floors)) await measure(driver, samples, name, name);
      for (const [name, begin] of Object.entries(handlers)) {
        const trace = join(directory, "trace");
        await using session = await patchbay.attach(driver.pid);
        const running = await begin(session, trace);
        await measure(driver, samples, name === "record: with a text" ? "text" : "both", name);
        await running.stop();
        rmSync(trace, { recursive: true, force: true });
      }
    }
  } finally {
    rmSync(directory, { recursive: true });
    await driver.end();
  }
  return [tabulate(samples)];
}

function tabulate(samples: Samples): Table {
  const rows = [...Object.keys(floors), ...Object.keys(handlers)].map((name): Row => {
    const row: Record<string, string | number> = { "": floors[name] ?? name };
    workloads.forEach((workload, index) => {
      const cost = samples.median(`${name}/${workload}`);
      row[workload.replace(" 1", "").replace(" 2", ", 2 threads")] = cost;
      row[`x${" ".repeat(index)}`] = cost / samples.median(`${floor}/${workload}`);
    });
    return row;
  });
  return {
    title: "handlers: ns per call over the untraced call",
    notes: [
      "x: times the hand-written floor for an entry and an exit of 8 bytes each",
      `medians of ${rounds} interleaved rounds of ${callsPerRun} calls; ` +
        "time on the processor alone",
    ],
    rows,
  };
}

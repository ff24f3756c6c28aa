/**
 * What a call costs when its function can be traced, and when it is: beside the untraced call and
 * beside hand-written machine code for the same job, in the same process and the same minute.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { patchbay } from "./patchbay.ts";
import { compile, Driven } from "./program.ts";
import { type Row, Samples, type Table } from "./table.ts";

const rounds = 9;
const callsPerRun = 2_000_000;
/** As many as fill a ring, so that none of its pages is touched for the first time. */
const warmUpCalls = 600_000;

const workloads = [
  ["leaf", 1],
  ["fib", 1],
  ["deep", 1],
  ["leaf", 2],
] as const;
type Workload = (typeof workloads)[number];

/** Kinds of functions in the program, by what is measured with them. */
const untraced = [
  "idle",
  "floor_entry_8",
  "floor_entry_16",
  "floor_both_8",
  "floor_both_16",
  "floor_hijack_8",
];

type Tracing = {
  readonly name: string;
  /** The kind of functions that is traced. */
  readonly kind: "entry" | "both";
  readonly exits: boolean;
  readonly flightRecorder: boolean;
};
const tracings: readonly Tracing[] = [
  { name: "entry", kind: "entry", exits: false, flightRecorder: true },
  { name: "entry + exit", kind: "both", exits: true, flightRecorder: true },
  { name: "entry + exit, drained to disk", kind: "both", exits: true, flightRecorder: false },
];

/** Nanoseconds per call over the plain call are kept by kind and workload. */
const keyOf = (name: string, [workload, threads]: Workload): string =>
  `${name}/${workload}/${threads}`;

async function nsPerCall(driver: Driven, kind: string, [name, threads]: Workload): Promise<number> {
  const [ns = 0, calls = 1] = await driver.ask(`${kind} ${name} ${threads} ${callsPerRun}`);
  return ns / calls;
}

/** Measures one kind beside the plain call, both fresh. */
async function measure(
  driver: Driven,
  samples: Samples,
  kind: string,
  name: string,
): Promise<void> {
  for (const workload of workloads) {
    await driver.ask(`${kind} ${workload[0]} ${workload[1]} ${warmUpCalls}`);
    const plain = await nsPerCall(driver, "plain", workload);
    const cost = await nsPerCall(driver, kind, workload);
    samples.add(keyOf("plain", workload), plain);
    samples.add(keyOf(name, workload), cost - plain);
  }
}

async function measureTraced(
  driver: Driven,
  samples: Samples,
  tracing: Tracing,
  directory: string,
): Promise<{ readonly events: number; readonly lost: number }> {
  const { kind, exits, flightRecorder, name } = tracing;
  await using session = await patchbay.attach(driver.pid);
  const recording = await session.record({
    directory,
    filter: { include: [`*_${kind}`] },
    exits,
    flightRecorder,
  });
  await measure(driver, samples, kind, name);
  const { events, lost } = await recording.stop();
  return { events, lost };
}

export const costFlags: readonly string[] = [
  "-O2",
  "-g",
  "-fno-optimize-sibling-calls",
  "-fcf-protection=none",
  "-pthread",
];

export async function run(): Promise<readonly Table[]> {
  const driver = await Driven.start([await compile("cost.c", "cost", costFlags)]);
  const directory = mkdtempSync(join(tmpdir(), "patchbay-bench-"));
  const samples = new Samples();
  const drained = { events: 0, lost: 0 };
  try {
    for (let round = 0; round < rounds; round++) {
      for (const kind of untraced) await measure(driver, samples, kind, kind);
      for (const tracing of tracings) {
        const trace = join(directory, "trace");
        const { events, lost } = await measureTraced(driver, samples, tracing, trace);
        rmSync(trace, { recursive: true });
        if (tracing.flightRecorder) continue;
        drained.events += events;
        drained.lost += lost;
      }
    }
  } finally {
    rmSync(directory, { recursive: true });
    await driver.end();
  }
  return [tabulate(samples, drained)];
}

/** What is measured, beside what it is compared with. */
const comparisons: readonly (readonly [name: string, floor: string | undefined])[] = [
  ["plain", undefined],
  ["idle", undefined],
  ["floor_entry_8", undefined],
  ["floor_entry_16", undefined],
  ["entry", "floor_entry_8"],
  ["floor_both_8", undefined],
  ["floor_both_16", undefined],
  ["floor_hijack_8", undefined],
  ["entry + exit", "floor_both_8"],
  ["entry + exit, drained to disk", "floor_both_8"],
];
const titles: Readonly<Record<string, string>> = {
  plain: "no site, untraced (absolute)",
  idle: "idle site",
  floor_entry_8: "floor: entry, 8 bytes",
  floor_entry_16: "floor: entry, 16 bytes",
  floor_both_8: "floor: entry + exit, 8 bytes",
  floor_both_16: "floor: entry + exit, 16 bytes",
  floor_hijack_8: "hijacked return address, 8 bytes",
};

function tabulate(
  samples: Samples,
  drained: { readonly events: number; readonly lost: number },
): Table {
  const rows = comparisons.map(([name, floor]): Row => {
    const row: Record<string, string | number | undefined> = { "": titles[name] ?? name };
    for (const workload of workloads) {
      const heading = `${workload[0]}${workload[1] === 1 ? "" : `, ${workload[1]} threads`}`;
      const cost = samples.median(keyOf(name, workload));
      row[heading] = cost;
      row[`x${" ".repeat(workloads.indexOf(workload))}`] =
        floor === undefined ? undefined : cost / samples.median(keyOf(floor, workload));
    }
    return row;
  });
  return {
    title: "cost: ns per call over the untraced call",
    notes: [
      "x: times the hand-written floor of 8 bytes an event, measured in the same process",
      `medians of ${rounds} interleaved rounds of ${callsPerRun} calls; ` +
        "time on the processor alone",
      "rings overwrite, but where drained to disk: " +
        `${drained.events} events recorded, ${drained.lost} lost`,
    ],
    rows,
  };
}

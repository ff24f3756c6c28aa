/**
 * What reading a trace costs: events per second and memory of the reader alone, of the statistics,
 * of the graph and of each export, every one in a process of its own. `BENCH_EVENTS=100e6` makes
 * the trace larger than the default.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeSyntheticTrace } from "./synthetic-trace.ts";
import { median, type Row, type Table } from "./table.ts";

const events = Number(process.env["BENCH_EVENTS"] ?? 20e6);
/** For what writes a line or more per event. */
const fewerEvents = Math.min(events, 4e6);
const threads = 4;
const functions = 2000;
const rounds = 3;

const built = new URL("../dist/index.js", import.meta.url).href;

/** What a process does with the trace `trace`; `p` is Patchbay's API. Output is thrown away. */
const jobs: readonly (readonly [name: string, events: number, program: string])[] = [
  ["read, thread by thread", events, "new p.TraceReader(trace, () => counter).readAll();"],
  [
    "read, all by time",
    events,
    'new p.TraceReader(trace, () => counter, { order: "time" }).readAll();',
  ],
  ["info", events, "p.readInfo(trace);"],
  ["report", events, "p.formatReport(p.reportTrace(trace), 20, p.plain);"],
  [
    "graph",
    fewerEvents,
    "for (const text of p.formatGraph(trace, {}, p.plain)) bytes += text.length;",
  ],
  [
    "graph --min 10us",
    fewerEvents,
    "for (const text of p.formatGraph(trace, { minNs: 1e4 }, p.plain)) bytes += text.length;",
  ],
  [
    "graph --tree",
    fewerEvents,
    "for (const text of p.formatTree(trace, {}, p.plain)) bytes += text.length;",
  ],
  ...["chrome", "perfetto", "speedscope", "folded"].map(
    (format) =>
      [
        `export --to ${format}`,
        fewerEvents,
        `for (const piece of p.exporters.get("${format}")(trace, {})) bytes += piece.length;`,
      ] as const,
  ),
];

const program = (work: string): string => `
  const p = await import(${JSON.stringify(built)});
  const counter = {
    entries: 0, time: 0,
    enter() { this.entries++; }, leave(site, start, end, self) { this.time += self; },
    point() {}, orphan() {}, gap() {},
  };
  let bytes = 0;
  const before = process.cpuUsage();
  const start = performance.now();
  const trace = p.openTrace(process.argv[1]);
  ${work}
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  const memory = process.resourceUsage().maxRSS / 1024;
  console.log(JSON.stringify({ seconds, cpu: (user + system) / 1e6, memory, bytes }));`;

type Measured = {
  readonly seconds: number;
  readonly cpu: number;
  readonly memory: number;
  readonly bytes: number;
};

function measure(dir: string, work: string): Measured {
  const args = ["--input-type=module", "-e", program(work), dir];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`a benchmark of reading failed: ${stderr}`);
  return JSON.parse(stdout);
}

function runJob(dir: string, [name, count, work]: (typeof jobs)[number]): Row {
  const runs = Array.from({ length: rounds }, () => measure(dir, work));
  const seconds = median(runs.map((run) => run.seconds));
  const cpu = median(runs.map((run) => run.cpu));
  const bytes = runs[0]?.bytes ?? 0;
  return {
    job: name,
    "M events": count / 1e6,
    "M events/s": count / seconds / 1e6,
    "M events/s of CPU": count / cpu / 1e6,
    "peak MiB": Math.max(...runs.map((run) => run.memory)),
    "bytes/event out": bytes === 0 ? undefined : bytes / count,
  };
}

/** Measures reading; some minutes with 100 million events. */
export async function run(): Promise<readonly Table[]> {
  const home = mkdtempSync(join(tmpdir(), "patchbay-bench-"));
  try {
    const dirs = new Map<number, string>();
    for (const count of new Set([events, fewerEvents])) {
      const dir = join(home, `${count}`);
      writeSyntheticTrace(dir, { seed: 1, events: count, threads, functions });
      dirs.set(count, dir);
    }
    const size = statSync(join(dirs.get(events) ?? "", "thread-1000")).size * threads;
    const rows = jobs.map((job) => runJob(dirs.get(job[1]) ?? "", job));
    return [
      {
        title: "Reading traces",
        notes: [
          `random calls of ${functions} functions in ${threads} threads, ` +
            `${(size / events).toFixed(2)} bytes an event; median of ${rounds} runs`,
          "the start of Node is not in the times, the code's compilation is",
        ],
        rows,
      },
    ];
  } finally {
    rmSync(home, { recursive: true });
  }
}

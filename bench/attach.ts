/**
 * Attaching and switching: how long it takes from the command to the first event, how many
 * functions are enabled in a second, how long all of them take to be switched off and on, and how
 * long the program stands still for it, as the program itself sees it.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openTrace } from "../src/session/open-trace.ts";
import { wallNsAt } from "../src/trace/clock.ts";
import { sessionClock } from "../src/trace/session.ts";
import { TraceReader } from "../src/trace/trace-reader.ts";
import { buildManyFunctions } from "./many-functions.ts";
import { patchbay } from "./patchbay.ts";
import { Driven } from "./program.ts";
import { type Row, Samples, type Table } from "./table.ts";

const rounds = 5;
/** Switches in each direction, for each round. */
const switches = 5;
const functionCounts = [10_000, 100_000];
/** Watched without a tracer for so long, to see what the machine does by itself. */
const quietMs = 300;
const commandLine = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

type Recording = Awaited<ReturnType<Awaited<ReturnType<typeof patchbay.attach>>["record"]>>;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What the program saw of its pauses while `work` went on, in microseconds. */
async function watchPauses<T>(driver: Driven, work: () => Promise<T>) {
  await driver.ask("watch");
  const start = performance.now();
  const value = await work();
  const ms = performance.now() - start;
  const [stopNs = 0, stops = 0, , gapNs = 0] = await driver.ask("pauses");
  return { value, ms, stopUs: stopNs / 1e3, stops, gapUs: gapNs / 1e3 };
}

/** Switches all functions off and on again. */
async function switchOnce(driver: Driven, recording: Recording, samples: Samples): Promise<void> {
  for (const state of ["off", "on"] as const) {
    const done = await watchPauses(driver, () => recording.setEnabled(state === "on"));
    samples.add(`switch ${state}, ms`, done.ms);
    samples.add("stops at a switch", done.stops);
    samples.add("longest gap at a switch, us", done.gapUs);
    await sleep(30);
  }
}

async function attachOnce(
  driver: Driven,
  directory: string,
  exits: boolean,
  samples: Samples,
): Promise<void> {
  const quiet = await watchPauses(driver, () => sleep(quietMs));
  samples.add("untraced: longest gap, us", quiet.gapUs);
  const attached = await watchPauses(driver, () => patchbay.attach(driver.pid));
  const session = attached.value;
  const started = await watchPauses(driver, () => session.record({ directory, exits }));
  samples.add("attach(), ms", attached.ms);
  samples.add("record(), ms", started.ms);
  const recording = started.value;
  const { functions } = await recording.progress();
  samples.add("functions/s", functions / ((attached.ms + started.ms) / 1e3));
  samples.add("longest stop at attach, us", started.stopUs);
  samples.add("stops", started.stops);
  samples.add("longest gap at attach, us", started.gapUs);
  await sleep(50);
  for (let i = 0; i < switches; i++) await switchOnce(driver, recording, samples);
  const ended = await watchPauses(driver, () => recording.stop());
  samples.add("stop(), ms", ended.ms);
  samples.add("longest stop at detach, us", ended.stopUs);
  await session.close();
}

/** Milliseconds from the start of the command to the first event of its trace. */
async function timeToFirstEvent(pid: number, directory: string): Promise<number> {
  const start = performance.timeOrigin + performance.now();
  const parameters = ["record", "-p", String(pid), "-o", directory, "--duration", "100ms", "-q"];
  const child = spawn(process.execPath, [commandLine, ...parameters], { stdio: "ignore" });
  await new Promise((resolve) => child.on("exit", resolve));
  const trace = openTrace(directory);
  using reader = new TraceReader(trace, () => ({
    enter: () => undefined,
    leave: () => undefined,
    point: () => undefined,
    orphan: () => undefined,
    gap: () => undefined,
  }));
  return Number(wallNsAt(sessionClock(trace.session), reader.origin)) / 1e6 - start;
}

const directions = ["entry", "entry + exit"] as const;

async function measure(functions: number, directory: string): Promise<Map<string, Samples>> {
  const driver = await Driven.start([await buildManyFunctions(functions)]);
  const results = new Map(directions.map((name) => [`${functions}, ${name}`, new Samples()]));
  const trace = join(directory, "trace");
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [name, samples] of results) {
        await attachOnce(driver, trace, name.endsWith("exit"), samples);
        rmSync(trace, { recursive: true, force: true });
        samples.add("command to first event, ms", await timeToFirstEvent(driver.pid, trace));
        rmSync(trace, { recursive: true, force: true });
      }
    }
  } finally {
    await driver.end();
  }
  return results;
}

export async function run(): Promise<readonly Table[]> {
  const directory = mkdtempSync(join(tmpdir(), "patchbay-bench-"));
  try {
    const results = new Map<string, Samples>();
    for (const functions of functionCounts) {
      for (const [name, samples] of await measure(functions, directory)) results.set(name, samples);
    }
    const measures = [...results.values()][0]?.names ?? [];
    const rows = measures.map(
      (name): Row => ({
        "": name,
        ...Object.fromEntries([...results].map(([key, samples]) => [key, samples.median(name)])),
      }),
    );
    return [
      {
        title: "attach: all functions of a running program, and switching them",
        notes: [
          `medians of ${rounds} rounds, by number of functions and what is recorded of them`,
          "stops and gaps as a thread of the program sees them that only reads the clock:",
          "it was put to sleep, or held up by interrupts; when other programs had its processor is",
          "not counted",
        ],
        rows,
      },
    ];
  } finally {
    rmSync(directory, { recursive: true });
  }
}

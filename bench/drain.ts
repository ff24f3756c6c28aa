/**
 * Draining: how many events a second get from the rings into files while the program makes as many
 * as it can, how many are lost then, and what part of a processor the tracer takes for it.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { costFlags } from "./cost.ts";
import { patchbay } from "./patchbay.ts";
import { compile, Driven } from "./program.ts";
import { type Row, Samples, type Table } from "./table.ts";

const rounds = 5;
const callsPerRun = 10_000_000;
const ringSizes = [4 << 20, 64 << 20];
/** Files in memory, where the system has such a place: what the tracer can do without a disk. */
const memoryFiles = "/dev/shm";

type Recording = Awaited<ReturnType<Awaited<ReturnType<typeof patchbay.attach>>["record"]>>;

/** Makes calls and waits until the last of their events is in a file, or counted as lost. */
async function fill(driver: Driven, recording: Recording, threads: number, calls: number) {
  const before = await recording.progress();
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const [, made = 0] = await driver.ask(`both leaf ${threads} ${calls}`);
  for (;;) {
    const now = await recording.progress();
    const events = now.events - before.events;
    const lost = now.lost - before.lost;
    if (events + lost >= 2 * made * threads) {
      const seconds = (performance.now() - start) / 1e3;
      const { user, system } = process.cpuUsage(cpuBefore);
      return { events, lost, bytes: now.bytes - before.bytes, seconds, cpu: (user + system) / 1e6 };
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function drainOnce(
  driver: Driven,
  directory: string,
  ringBytes: number,
  threads: number,
  samples: Samples,
): Promise<void> {
  await using session = await patchbay.attach(driver.pid);
  const filter = { include: ["leaf_both"] };
  const recording = await session.record({ directory, filter, ringBytes, threadsMax: 4 });
  // Once around the ring, so that none of its pages is touched for the first time.
  await fill(driver, recording, threads, ringBytes / 16);
  const { events, lost, bytes, seconds, cpu } = await fill(driver, recording, threads, callsPerRun);
  await recording.stop();
  samples.add("M events/s made", (events + lost) / seconds / 1e6);
  samples.add("M events/s drained", events / seconds / 1e6);
  samples.add("MB/s", bytes / seconds / 1e6);
  samples.add("lost, %", (100 * lost) / (events + lost));
  samples.add("processors taken", cpu / seconds);
}

export async function run(): Promise<readonly Table[]> {
  const places = [tmpdir(), ...(existsSync(memoryFiles) ? [memoryFiles] : [])];
  const driver = await Driven.start([await compile("cost.c", "cost", costFlags)]);
  const rows: Row[] = [];
  try {
    for (const place of new Set(places)) {
      for (const ringBytes of ringSizes) {
        for (const threads of [1, 2]) {
          const samples = new Samples();
          for (let round = 0; round < rounds; round++) {
            const directory = mkdtempSync(join(place, "patchbay-bench-"));
            await drainOnce(driver, directory, ringBytes, threads, samples);
            rmSync(directory, { recursive: true });
          }
          const numbers = samples.names.map((name) => [name, samples.median(name)] as const);
          const ring = `${ringBytes >> 20} MiB`;
          rows.push({ "files in": place, ring, threads, ...Object.fromEntries(numbers) });
        }
      }
    }
  } finally {
    await driver.end();
  }
  return [
    {
      title: "drain: a loop around an empty function, entry and exit recorded",
      notes: [`medians of ${rounds} runs of ${callsPerRun} calls a thread, until all is in files`],
      rows,
    },
  ];
}

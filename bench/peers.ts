/**
 * uftrace and the kernel's uprobes beside Patchbay: the same functions, the same loops, every call
 * recorded, in turns. What uftrace needs of the compiler it gets; it starts the program, Patchbay
 * attaches. Uprobes stand at clang's 5-byte no-ops, which the kernel knows how to call from.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { patchbay } from "./patchbay.ts";
import { compile, Driven, versionOf } from "./program.ts";
import { type Row, Samples, type Table } from "./table.ts";
import { defineUprobes, whyNoUprobes } from "./uprobes.ts";

const rounds = 5;
const callsPerRun = 500_000;
const warmUpCalls = 50_000;
const flags = ["-O2", "-g", "-DPEER", "-fno-optimize-sibling-calls", "-fcf-protection=none"];
const workloads = ["leaf 1", "fib 1", "leaf 2"] as const;
const titles = { "leaf 1": "leaf", "fib 1": "fib", "leaf 2": "leaf, 2 threads" } as const;

/** Nanoseconds a call over the plain one, which is measured right before. */
async function measure(driver: Driven, name: string, samples: Samples): Promise<void> {
  const nsPerCall = async (kind: string, workload: string, calls: number): Promise<number> => {
    const [ns = 0, made = 1] = await driver.ask(`${kind} ${workload} ${calls}`);
    return ns / made;
  };
  for (const workload of workloads) {
    await nsPerCall("both", workload, warmUpCalls);
    const plain = await nsPerCall("plain", workload, callsPerRun);
    const traced = await nsPerCall("both", workload, callsPerRun);
    samples.add(`${name}/${workload}`, traced - plain);
  }
}

async function runUftrace(
  program: string,
  parameters: readonly string[],
  directory: string,
  name: string,
  samples: Samples,
): Promise<void> {
  const record = ["record", "-d", directory, "--no-libcall", "--no-event", ...parameters];
  const driver = await Driven.start(["uftrace", ...record, program]);
  try {
    await measure(driver, name, samples);
  } finally {
    await driver.end();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function runUprobes(program: string, samples: Samples): Promise<void> {
  const driver = await Driven.start([program]);
  try {
    using _ = defineUprobes(program, /_both$/);
    await measure(driver, "uprobes", samples);
  } finally {
    await driver.end();
  }
}

/** @param name `moved` where the program has no sites. */
async function runPatchbay(
  program: string,
  directory: string,
  name: "patchbay" | "moved",
  samples: Samples,
): Promise<number> {
  const driver = await Driven.start([program]);
  try {
    await using session = await patchbay.attach(driver.pid);
    const filter = { include: ["*_both"] };
    const recording = await session.record({ directory, filter, prologues: name === "moved" });
    await measure(driver, name, samples);
    const { lost, events } = await recording.stop();
    return lost / (lost + events);
  } finally {
    await driver.end();
    rmSync(directory, { recursive: true, force: true });
  }
}

export async function run(): Promise<readonly Table[]> {
  const uftrace = versionOf("uftrace");
  const noUprobes = whyNoUprobes();
  const home = mkdtempSync(join(tmpdir(), "patchbay-bench-"));
  const directory = join(home, "trace");
  const samples = new Samples();
  let lost = 0;
  try {
    const sites = await compile("cost.c", "peer", [
      ...flags,
      "-fpatchable-function-entry=5",
      "-pthread",
    ]);
    const oneNop = await compile(
      "cost.c",
      "peer-nop5",
      [...flags, "-fpatchable-function-entry=5", "-pthread", "-Wno-unknown-attributes"],
      "clang",
    );
    const unprepared = await compile("cost.c", "peer-plain", [...flags, "-pthread"]);
    const profiled = await compile("cost.c", "peer-pg", [...flags, "-pg", "-pthread"]);
    for (let round = 0; round < rounds; round++) {
      lost = Math.max(lost, await runPatchbay(sites, directory, "patchbay", samples));
      lost = Math.max(lost, await runPatchbay(unprepared, directory, "moved", samples));
      if (noUprobes === undefined) await runUprobes(oneNop, samples);
      if (uftrace === undefined) continue;
      await runUftrace(sites, ["-P", "_both$"], directory, "uftrace -P", samples);
      await runUftrace(profiled, [], directory, "uftrace -pg", samples);
    }
  } finally {
    rmSync(home, { recursive: true });
  }
  const names = [
    ["patchbay", "patchbay, attached"],
    ["moved", "patchbay --prologues, attached (no sites)"],
    ["uftrace -P", "uftrace -P (-fpatchable-function-entry)"],
    ["uftrace -pg", "uftrace (-pg)"],
    ["uprobes", "uprobe and uretprobe, ring in the kernel"],
  ] as const;
  const rows = names.map(([name, title]): Row => {
    const row: Record<string, string | number | undefined> = { "": title };
    workloads.forEach((workload, index) => {
      const cost = samples.median(`${name}/${workload}`);
      row[titles[workload]] = cost;
      row[`x${" ".repeat(index)}`] = cost / samples.median(`patchbay/${workload}`);
    });
    return row;
  });
  return [
    {
      title: "peers: ns per call over the untraced call, entry and exit recorded",
      notes: [
        uftrace ?? "UFTRACE IS NOT INSTALLED: apt install uftrace; its rows are empty",
        ...(noUprobes === undefined ? [] : [`${noUprobes}; their row is empty`]),
        `medians of ${rounds} turns of ${callsPerRun} calls; time on the processor alone`,
        `patchbay lost ${(100 * lost).toFixed(2)} % of its events at the most (they cost less)`,
      ],
      rows,
    },
  ];
}

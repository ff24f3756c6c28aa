/** What the numbers were measured on, in one line: they mean nothing without it. */
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { versionOf } from "./program.ts";

export type Machine = {
  readonly processor: string;
  readonly processors: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly compiler: string;
  /**
   * Programs that wanted a processor in the last minute, on average, before the first benchmark.
   */
  readonly load: number;
};

export function describeMachine(): Machine {
  const family = (name: string): string =>
    new RegExp(`^${name}\\s*: (.*)$`, "m").exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "?";
  return {
    processor: [
      cpus()[0]?.model.trim(),
      `(family ${family("cpu family")}, model ${family("model")})`,
    ].join(" "),
    processors: cpus().length,
    memoryBytes: totalmem(),
    kernel: `Linux ${release().split("-")[0]}`,
    node: `Node ${process.version}`,
    compiler: versionOf("cc") ?? "no C compiler",
    load: loadavg()[0] ?? 0,
  };
}

export const machineLine = (machine: Machine): string =>
  [
    `${machine.processors} x ${machine.processor}`,
    `${Math.round(machine.memoryBytes / 2 ** 30)} GiB`,
    machine.kernel,
    machine.node,
    machine.compiler,
    `load ${machine.load.toFixed(1)}`,
  ].join(", ");

/** Programs for AArch64 and RISC-V that live tests run under qemu-user. */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { expect } from "vitest";
import { segmentFlag, segmentType } from "../../src/elf/constants.ts";
import { parseElf } from "../../src/elf/elf-file.ts";
import { findSites } from "../../src/patch/site.ts";
import { compile, startPatchbay } from "./harness.ts";

/** The machines, and how programs for them get their sites. */
export const machines = [
  ["aarch64", "2"],
  ["riscv64", "8,4"],
] as const;

/** The same with room for a literal before each function. */
export const machinesWithLiterals = [
  ["aarch64", "4,2"],
  ["riscv64", "8,4"],
] as const;

const isC = (name: string): boolean => name.endsWith(".c");

/** Compiles a program; its path. @param more further options of the compiler. */
export const buildFor = (
  machine: string,
  entry: string,
  name = "count.c",
  more: readonly string[] = [],
): string =>
  compile(name, {
    compiler: `${machine}-linux-gnu-${isC(name) ? "gcc" : "g++"}`,
    flags: ["-O2", "-g", `-fpatchable-function-entry=${entry}`],
    more,
  });

/** A recording of a program that ends by itself. */
type Switched = { readonly isEnding: boolean; setEnabled(on: boolean): Promise<void> };

/** Switches it off and on until its program ends; how often. */
export async function toggleToEnd(recording: Switched): Promise<number> {
  let toggles = 0;
  for (; !recording.isEnding && toggles < 10_000; toggles++) {
    try {
      await recording.setEnabled(toggles % 2 === 1);
    } catch (error) {
      // It may end in the midst of it.
      expect(error).toMatchObject({ code: "target-exited" });
      break;
    }
  }
  return toggles;
}

/** Records `exceptions.cc`, which catches all that it throws; the calls that it has made. */
export async function recordExceptions(
  program: string,
  directory: string,
  ...how: readonly string[]
): Promise<readonly number[]> {
  const args = ["-o", directory, "-F", "*_function*", ...how, "--qemu", program, "300"];
  const tracer = startPatchbay("record", ...args);
  tracer.send("begin");
  const { caught, destroyed, ...own } = await tracer.numbers();
  tracer.send("end");
  expect(await tracer.finish()).toMatchObject({ status: 0 });
  expect([caught, destroyed]).toEqual([400, 2400]);
  return Object.values(own);
}

/** A program that runs. */
type RunningProgram = { readonly pid: number; readonly program: string };

/** What is added to addresses of the program's file. */
function biasOf({ pid, program }: RunningProgram): number {
  const lines = readFileSync(`/proc/${pid}/maps`, "latin1").split("\n");
  const start = lines.find((line) => line.endsWith(program));
  if (start === undefined) throw new Error(`process ${pid} does not run ${program}`);
  return Number.parseInt(start, 16);
}

/** Reads memory of a process. */
function readAt(pid: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const memory = openSync(`/proc/${pid}/mem`, "r");
  readSync(memory, bytes, 0, length, at);
  closeSync(memory);
  return bytes;
}

/** Bytes of a program's text in memory that are not those of its file, by their addresses there. */
export function changedText(running: RunningProgram): readonly number[] {
  const elf = parseElf(readFileSync(running.program));
  const bias = biasOf(running);
  const changed: number[] = [];
  for (const { type, flags, offset, fileSize, addr } of elf.segments) {
    if (type !== segmentType.load || (flags & segmentFlag.execute) === 0) continue;
    readAt(running.pid, addr + bias, fileSize).forEach((byte, index) => {
      if (byte !== elf.bytes[offset + index]) changed.push(addr + bias + index);
    });
  }
  return changed;
}

/** The first two bytes of the windows that hold `addresses`; 0 for one that is in no window. */
export function windowsAround(running: RunningProgram, addresses: readonly number[]): number[] {
  const { sites } = findSites(parseElf(readFileSync(running.program)));
  const bias = biasOf(running);
  return addresses.map((address) => {
    const around = sites.find(({ addr, layout }) => {
      const offset = address - bias - Number(addr);
      return offset >= 0 && offset < layout.windowSize;
    });
    return around === undefined
      ? 0
      : readAt(running.pid, Number(around.addr) + bias, 2).readUInt16LE();
  });
}

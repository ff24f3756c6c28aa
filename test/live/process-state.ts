/**
 * What can be seen of a process from outside: its mappings, threads and descriptors, and whether
 * its text is what its files say. Read by these tests' own code, none of Patchbay's.
 */
import { closeSync, openSync, readFileSync, readlinkSync, readSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { listProc, type Running } from "./harness.ts";

/** A process as it was at one moment. */
export type ProcessState = {
  readonly maps: readonly string[];
  readonly threads: number;
  /** Descriptors with what they lead to. */
  readonly descriptors: readonly string[];
  /** Signals blocked, ignored and caught, seccomp, tracer: one line each. */
  readonly status: readonly string[];
};

const statusFields = /^(?:TracerPid|SigBlk|SigIgn|SigCgt|Seccomp|NoNewPrivs):/;

export function stateOf(pid: number): ProcessState {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return {
    maps: readFileSync(`/proc/${pid}/maps`, "utf8").trimEnd().split("\n"),
    threads: listProc(`/proc/${pid}/task`).length,
    descriptors: listProc(`/proc/${pid}/fd`).map((fd) => {
      return `${fd} ${readlinkSync(`/proc/${pid}/fd/${fd}`)}`;
    }),
    status: status.split("\n").filter((line) => statusFields.test(line)),
  };
}

/** Resident memory, in KiB. */
export const residentKb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);

/** Frees what this process does not use any more, so that what it uses can be compared. */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}

type TextMapping = {
  readonly start: number;
  readonly end: number;
  readonly offset: number;
  readonly file: string;
};

function textMappings(pid: number): readonly TextMapping[] {
  const found: TextMapping[] = [];
  for (const line of readFileSync(`/proc/${pid}/maps`, "utf8").split("\n")) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r-x. ([0-9a-f]+) \S+ (\d+) +(\/.*)$/.exec(line);
    if (match === null || match[4] === "0") continue;
    const [, start, end, offset, , file] = match;
    found.push({
      start: Number.parseInt(start ?? "", 16),
      end: Number.parseInt(end ?? "", 16),
      offset: Number.parseInt(offset ?? "", 16),
      file: file ?? "",
    });
  }
  return found;
}

function readAt(path: string, offset: number, length: number): Buffer {
  const fd = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length; ) {
      const got = readSync(fd, bytes, done, length - done, offset + done);
      // A mapping goes on to the end of its last page, with zeroes.
      if (got === 0) break;
      done += got;
    }
    return bytes;
  } finally {
    closeSync(fd);
  }
}

/** How many bytes of text differ from the files that they come from; and there must be text. */
export function changedTextBytes(pid: number): number {
  const mappings = textMappings(pid);
  if (mappings.length === 0) throw new Error(`process ${pid} has no text`);
  let changed = 0;
  for (const { start, end, offset, file } of mappings) {
    const inFile = readAt(file, offset, end - start);
    const inMemory = readAt(`/proc/${pid}/mem`, start, end - start);
    if (inFile.equals(inMemory)) continue;
    inMemory.forEach((byte, index) => {
      if (byte !== inFile[index]) changed++;
    });
  }
  return changed;
}

/** Kills a tracer; the changed bytes that its process still has after two seconds, or no more. */
export async function changedAfterKill(tracer: Running, pid: number): Promise<number> {
  tracer.child.kill("SIGKILL");
  await tracer.ended;
  const killed = performance.now();
  while (changedTextBytes(pid) > 0 && performance.now() - killed < 2_000) await sleep(10);
  return changedTextBytes(pid);
}

/** What can't be attached to, and why: found out before anything is touched. */
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { Machine } from "../elf/elf-file.ts";
import { innerPid, isAlive, kernelThreadFlag, readStat, readStatus } from "../os/proc.ts";
import type { RecordOptions } from "./options.ts";

/** Fails where `pid` is no process that could be traced. */
export function refuseUnattachable(pid: Pid): void {
  const doing = `attach to process ${pid}`;
  const { state, flags } = readStat(pid);
  if ((flags & kernelThreadFlag) !== 0) {
    throw new PatchbayError({ code: "unsupported", doing, why: "it is a thread of the kernel" });
  }
  if (!isAlive(pid)) {
    const why = "it has ended, and its parent has not taken notice yet";
    throw new PatchbayError({ code: "no-such-process", doing, why });
  }
  if (state === "T") {
    throw new PatchbayError({
      code: "unsupported",
      doing,
      why: "it is stopped",
      hint: `continue it: kill -CONT ${pid}`,
    });
  }
  if (pid === process.pid) {
    throw new PatchbayError({ code: "unsupported", doing, why: "no process can trace itself" });
  }
  const status = readStatus(pid);
  const leader = status.get("Tgid");
  if (leader !== String(pid)) {
    throw new PatchbayError({
      code: "no-such-process",
      doing,
      why: `it is a thread of process ${leader}`,
      hint: "attach to that",
    });
  }
  // Node waits for its children, and takes the stops that ptrace reports for their end.
  if (Number(status.get("PPid")) === process.pid) {
    throw new PatchbayError({
      code: "unsupported",
      doing,
      why: "it is a child of this process",
      hint: "start it by launch(), or attach from another process",
    });
  }
}

/** Fails where execs of `pid` can't be followed as `options` want it, found out beforehand. */
export function refuseFollowingExecs(
  pid: Pid,
  joined: number | undefined,
  { triggers = [], startsOff = false, threads }: RecordOptions,
): void {
  const doing = `follow the programs that process ${pid} becomes`;
  if (joined !== undefined) {
    throw new PatchbayError({
      code: "unsupported",
      doing,
      why: `patchbay process ${joined} had attached first, and this one has joined it`,
      hint: "that is for the one that attached first",
    });
  }
  if (innerPid(pid) !== pid) {
    const why = "it is in a container that numbers its processes by itself";
    throw new PatchbayError({ code: "unsupported", doing, why });
  }
  if (triggers.length > 0 || startsOff || threads !== undefined) {
    const why = "triggers and a choice of threads are for one program";
    throw new PatchbayError({ code: "bad-usage", doing, why });
  }
}

/**
 * Fails where threads can't be made to wait before they exec.
 * @param isForOne whether events have what goes with one program alone.
 */
export function refuseWithoutGate(pid: Pid, gate: number | undefined, isForOne: boolean): void {
  const doing = `follow the programs that process ${pid} becomes`;
  if (isForOne) {
    const why = "the coarse clock and stacks are for one program";
    throw new PatchbayError({ code: "bad-usage", doing, why });
  }
  if (gate !== undefined) return;
  const why = "it has no function execve that is known to be a system call and no more";
  throw new PatchbayError({ code: "unsupported", doing, why });
}

/** Fails where the children of `pid` can't be followed, a program of that architecture. */
export const refuseFollowing = (pid: Pid, architecture: Machine): void =>
  refuseOthers(`follow the children of process ${pid}`, architecture);

/** Fails where calls of signal handlers can't be told in `pid`. */
export const refuseSignals = (pid: Pid, architecture: Machine): void =>
  refuseOthers(`tell the calls of signal handlers of process ${pid}`, architecture);

function refuseOthers(doing: string, architecture: Machine): void {
  if (architecture === "x86-64") return;
  throw new PatchbayError({
    code: "unsupported",
    doing,
    why: `that works for x86-64 programs alone, and this is one for ${architecture}`,
  });
}

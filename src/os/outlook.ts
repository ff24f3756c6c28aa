/** Whether a process is about to end, and so has no future that is worth telling of. */
import { type Pid, pid as toPid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { isAlive, listThreads, readStat, readStatus } from "./proc.ts";

/** PF_EXITING and PF_SIGNALED (include/linux/sched.h). */
const endingFlags = 0x4 | 0x400;
const bitOf = (signal: number): bigint => 1n << BigInt(signal - 1);
const kill = bitOf(9);
/** SIGCHLD, SIGCONT, the four that stop, SIGURG and SIGWINCH. */
const harmless = [17, 18, 19, 20, 21, 22, 23, 28].reduce((bits, one) => bits | bitOf(one), 0n);

/**
 * What is to come of a thread: it ends, its process is ended by a signal that is on its way, or
 * neither.
 * @param fields of the thread's /proc/TID/status.
 * @param flags of its /proc/TID/stat.
 */
export function outlook(
  fields: ReadonlyMap<string, string>,
  flags: number,
): "ends" | "is-killed" | "goes-on" {
  const bits = (name: string): bigint => BigInt(`0x${fields.get(name) ?? "0"}`);
  const own = bits("SigPnd");
  const hasEnded = /^[ZX]/.test(fields.get("State") ?? "");
  // One that ends its process' other threads has their SIGKILL wait for them.
  if (hasEnded || (flags & endingFlags) !== 0 || (own & kill) !== 0n) return "ends";
  const kept = bits("SigBlk") | bits("SigIgn") | bits("SigCgt") | harmless;
  return ((own | bits("ShdPnd")) & ~kept) === 0n ? "goes-on" : "is-killed";
}

/** Whether a process is there that is about to end; how, is known only when it has. */
export function isEnding(pid: Pid): boolean {
  if (!isAlive(pid)) return false;
  try {
    const outlooks = listThreads(pid).map((tid) =>
      outlook(readStatus(toPid(tid)), readStat(toPid(tid)).flags),
    );
    return outlooks.every((one) => one === "ends") || outlooks.includes("is-killed");
  } catch (error) {
    // One has gone between two looks: whoever asks once more is told of the others.
    if (error instanceof PatchbayError && error.code === "no-such-process") return isAlive(pid);
    throw error;
  }
}

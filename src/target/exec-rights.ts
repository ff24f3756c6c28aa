/**
 * Programs that run with the rights of their file's owner or group: the kernel gives these to
 * nobody who is traced by a user without such rights (ptracer_capable in Linux).
 */
import { statSync } from "node:fs";
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { ProcessMemory, procFolder } from "../os/proc.ts";
import type { Registers } from "../os/ptrace.ts";

/** S_ISUID and S_ISGID of a file's mode. */
const setId = 0o6000;
const pathBytesMax = 4096;
const execveat = 322n;

/**
 * Whether the program that a thread of `pid` is about to exec, with `registers` at the system call,
 * would lose rights if it were traced by this process.
 */
export function wouldLoseRights(pid: Pid, registers: Registers): boolean {
  if (process.geteuid?.() === 0) return false;
  const isAt = registers.get("orig_rax") === execveat;
  const path = readPath(pid, registers.get(isAt ? "rsi" : "rdi"));
  const descriptor = Number(BigInt.asIntN(32, registers.get("rdi")));
  const folder = isAt && descriptor >= 0 ? `fd/${descriptor}` : "cwd";
  return isSetId(
    `${procFolder(pid)}/${path.startsWith("/") ? `root${path}` : `${folder}/${path}`}`,
  );
}

/** A file that can't be looked at can't be run either. */
function isSetId(path: string): boolean {
  try {
    return (statSync(path).mode & setId) !== 0;
  } catch {
    return false;
  }
}

/** The text at `at`, which ends with a zero; what the kernel will refuse is no path. */
function readPath(pid: Pid, at: bigint): string {
  using memory = new ProcessMemory(pid);
  const bytes: number[] = [];
  try {
    while (bytes.length < pathBytesMax) {
      const byte = memory.read(at + BigInt(bytes.length), 1)[0] ?? 0;
      if (byte === 0) break;
      bytes.push(byte);
    }
  } catch (error) {
    if (!(error instanceof PatchbayError)) throw error;
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

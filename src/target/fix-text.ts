/** Changes the entries of functions, all of them at once, while all threads are held. */
import { type CodeAddr, hex } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { Mapping } from "../os/proc.ts";
import { nap } from "../os/ptrace.ts";
import { leaveWindows } from "./drain.ts";
import { bytesOf, changedText, hexOf, parse, toWindow } from "./fix-description.ts";
import { leaveCode } from "./leave-code.ts";
import type { PatchedFunction } from "./patch-record.ts";
import { stacksOf } from "./pointer-scan.ts";
import type { HeldThreads, TargetProcess } from "./process.ts";
import { findRestorers } from "./signal-frames.ts";
import type { StackWalker } from "./stack-walk.ts";
import type { TextRange } from "./unwinder-registration.ts";
import { moveWindow } from "./version-region.ts";

export type FixText = {
  readonly process: TargetProcess;
  readonly functions: readonly PatchedFunction[];
  /** Where the copy of a function's moved instructions stands. */
  readonly copyAt: (index: number) => CodeAddr;
  readonly isOurCode: (address: bigint) => boolean;
  readonly walker: (maps: readonly Mapping[]) => StackWalker;
};

/** How often it is tried to find nobody in a stub. */
const triesMax = 200;

/**
 * Brings all windows from what they should hold to `next`; where the threads' stacks were then.
 * Fails, with nothing changed, where a window holds something else.
 */
export function rewriteFunctions(
  text: FixText,
  expected: (one: PatchedFunction) => Uint8Array,
  next: readonly Uint8Array[],
): readonly TextRange[] {
  const { process, functions } = text;
  const { memory, pid } = process;
  const restorers = findRestorers(memory, process.maps());
  for (let tries = 0; tries < triesMax; tries++) {
    using threads = process.holdAll();
    const maps = process.maps();
    for (const one of functions) {
      const bytes = expected(one);
      const now = memory.read(parse(one.at), bytes.length);
      if (hexOf(now) !== hexOf(bytes)) throw changedText(pid, one.name, one.at, now);
    }
    if (!isInterrupted(text, threads, maps, tries)) {
      leaveWindows(process, threads, maps, restorers, (pc) => wayOut(text, pc));
      functions.forEach(({ at }, index) => {
        memory.write(parse(at), next[index] ?? new Uint8Array());
      });
      return stacksOf(threads, maps);
    }
    threads.letGo();
    nap(2);
  }
  throw new PatchbayError({
    code: "system",
    doing: `change functions of process ${pid}`,
    why: "a signal handler that interrupted one's entry has not returned",
    hint: "try again",
  });
}

/** Whether held threads are in stubs, or a signal's frame leads back into one. */
function isInterrupted(
  { process, isOurCode, walker }: FixText,
  threads: HeldThreads,
  maps: readonly Mapping[],
  attempt: number,
): boolean {
  if (!leaveCode(threads, process.backEnd.registers.pc, isOurCode, attempt)) return true;
  const walking = walker(maps);
  return threads.tids.some((tid) =>
    walking.walk(threads.readRegisters(tid)).frames.some(isOurCode),
  );
}

/** Where a thread goes on that stands inside of a window. */
function wayOut({ functions, copyAt }: FixText, pc: bigint): bigint | undefined {
  for (const [index, one] of functions.entries()) {
    const at = parse(one.at);
    const size = Math.max(bytesOf(one.displaced).length, one.original.length / 2);
    if (pc <= at || pc >= at + BigInt(size)) continue;
    if (one.displaced === "") return at + BigInt(one.original.length / 2);
    const moved = moveWindow(toWindow(one), copyAt(index));
    const copy = moved.ok ? moved.value.moves.find(({ from }) => from === pc)?.to : undefined;
    if (copy !== undefined) return copy;
    throw new PatchbayError({
      code: "bad-site",
      doing: `change ${one.name}`,
      why: `a thread stands at ${hex(pc)}, where no instruction of it begins`,
    });
  }
  return undefined;
}

/** The gate of jumps (`codegen/x86-64/jump-gate.ts`) for a process. */
import { tid } from "../base/brand.ts";
import type { ThunkPlan } from "../codegen/x86-64/record.ts";
import type { HeldThreads, TargetProcess } from "./process.ts";

type Parts = {
  readonly process: TargetProcess;
  readonly plan: Omit<ThunkPlan, "instances">;
  /** Threads that are held all the time at present. */
  readonly held: () => HeldThreads | undefined;
};

/** Its code; undefined where there is none. */
export function jumpCode(parts: Parts, mangled: boolean): Uint8Array | undefined {
  const { process, plan } = parts;
  const stackEnd = process.maps().find(({ path }) => path === "[stack]")?.end ?? 0n;
  const firstBlock = firstThreadPointer(parts);
  return process.backEnd.jumpGate?.({ ...plan, stackEnd, firstBlock, mangled });
}

/** The first thread's thread pointer; 0 when it has ended. */
function firstThreadPointer({ process, held }: Parts): bigint {
  const first = tid(process.pid);
  const already = held();
  if (already !== undefined) return process.threadPointer(already, first);
  using threads = process.hold(first);
  return threads === undefined ? 0n : process.threadPointer(threads, first);
}

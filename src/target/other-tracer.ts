/**
 * Whether another Patchbay has its hands on a process: its arena is mapped there, and the arena's
 * control page says who made it.
 */
import { type Pid, pid as toPid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { isAlive, ProcessMemory, readMaps } from "../os/proc.ts";
import { nap } from "../os/ptrace.ts";
import { arenaMagic, control } from "../ring/arena.ts";

const arenaPath = "/memfd:patchbay";
/** A dead tracer's agent puts everything back within this time, in ms. */
const rescueMs = 3_000;

/**
 * Fails when a living Patchbay traces `pid`. What one that was killed has left behind is no
 * obstacle once its agent has put the text back; that is waited for.
 */
export function refuseOtherTracer(pid: Pid): void {
  const arenas = readMaps(pid).filter(({ path, offset }) => {
    return path.startsWith(arenaPath) && offset === 0;
  });
  if (arenas.length === 0) return;
  using memory = new ProcessMemory(pid);
  for (const { start } of arenas) {
    const page = memory.read(start, 256);
    const view = new DataView(page.buffer);
    if (view.getBigUint64(control.magic, true) !== arenaMagic) continue;
    const tracer = toPid(view.getUint32(control.tracerPid, true));
    if (isAlive(tracer, Number(view.getBigUint64(control.tracerStart, true)))) {
      throw new PatchbayError({
        code: "already-traced",
        doing: `attach to process ${pid}`,
        why: `patchbay process ${tracer} is tracing it`,
        hint: `end that one first: kill -INT ${tracer}`,
      });
    }
    awaitRescue(pid, memory, start);
  }
}

/** Waits until the agent of a dead tracer is gone. */
function awaitRescue(pid: Pid, memory: ProcessMemory, arena: bigint): void {
  const start = performance.now();
  for (;;) {
    const word = new DataView(memory.read(arena + BigInt(control.agentTid), 4).buffer);
    if (word.getUint32(0, true) === 0) return;
    if (performance.now() - start > rescueMs) {
      throw new PatchbayError({
        code: "already-traced",
        doing: `attach to process ${pid}`,
        why: "the agent of a tracer that has died is still at work in it",
        hint: "try again; a process that is stopped has to be continued first",
      });
    }
    nap(10);
  }
}

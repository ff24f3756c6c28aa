/** Frees what has been out of use for a grace period, while everybody runs. */
import { AgentProgram } from "../codegen/agent-program.ts";
import type { Agent } from "./agent.ts";
import type { CalledSites } from "./called-sites.ts";
import { passGrace } from "./grace.ts";
import type { TargetProcess } from "./process.ts";
import type { ThunkStore } from "./thunk-store.ts";

/** Mappings that are out of use before a grace period is worth its while. */
const retiredMax = 32;

type Parts = {
  readonly process: TargetProcess;
  readonly agent: Agent;
  readonly called: CalledSites;
  readonly thunks: ThunkStore;
  /** Numbers of the works whose thunks sites jump to. */
  readonly inUse: ReadonlySet<number>;
  /** Whether a pc is in generated code. */
  readonly inside: (pc: bigint) => boolean;
  /** Whether nobody runs. */
  readonly isHeld: boolean;
};

/**
 * Frees functions of ops, lists and thunks that no site leads to, once there are many; whether it
 * did.
 */
export function collect({ process, agent, called, thunks, ...parts }: Parts): boolean {
  // Nobody can be seen outside where nobody can be held.
  if (!process.holdsAll && !parts.isHeld) return false;
  called.retireUnused();
  const idle = thunks.idle(parts.inUse);
  if (called.ops.retiredCount + idle.length < retiredMax) return false;
  if (!parts.isHeld && !passGrace(process, parts.inside, agent.tid)) return false;
  const program = new AgentProgram();
  const { munmap } = process.backEnd.syscalls;
  for (const { start, bytes } of [...called.ops.takeRetired(), ...thunks.free(idle)]) {
    program.syscall(munmap, start, bytes);
  }
  agent.run("free code", program);
  return true;
}

/** What happens on the back of a held thread, before there is an agent, or where there is none. */
import { type DataAddr, dataAddr } from "../base/brand.ts";
import type { RestartPlan } from "../codegen/x86-64/record.ts";
import type { Mapping } from "../os/proc.ts";
import type { Mirror } from "./address-space.ts";
import {
  type AgentStart,
  type Arena,
  closeArena,
  findTidOffset,
  type InjectOptions,
  Mapper,
  mapAgentStack,
  mapArena,
  mapForkStamp,
  mapMirror,
  prot,
  type Range,
  type SystemCaller,
  startAgent,
} from "./bootstrap.ts";
import type { HeldThreads, TargetProcess } from "./process.ts";
import { RemoteThread } from "./remote-call.ts";
import { thunkRangesBytes } from "./thunk-ranges.ts";

/** What there is then. */
type BroughtIn = {
  readonly arena: Arena;
  /** Where thunks are: `thunk-ranges.ts`. */
  readonly ranges: DataAddr;
  /** From the thread pointer to the thread's id. */
  readonly tidOffset: number;
  /** Where threads have what the kernel restarts sections by. */
  readonly restart: RestartPlan | undefined;
  /** The stack pointer of the thread that was held. */
  readonly stack: bigint;
  readonly agent: AgentStart;
  readonly mapped: Range[];
  readonly maps: readonly Mapping[];
};

/** What has to happen while a thread is held: memory for the agent, and the agent. */
export function bringInAgent(
  process: TargetProcess,
  { programBytes }: InjectOptions,
  held: HeldThreads | undefined,
): BroughtIn {
  const mapped: Range[] = [];
  const shape = { ringCount: 0, slotCount: 0, programBytes, counterBytes: 0 };
  const maps = process.maps();
  // Assembled before anybody waits for it.
  const agentCode = process.backEnd.agentCode(shape);
  return onHeldThread(process, held, (remote) => {
    const mapper = new Mapper(remote, mapped);
    const agentStack = mapAgentStack(mapper);
    const arena = mapArena(mapper, process, agentStack, { shape, overwrite: false });
    const bytes = BigInt(thunkRangesBytes);
    const ranges = dataAddr(mapper.map("map the list of thunks", 0n, bytes, prot.read));
    const tidOffset = findTidOffset(remote, process, agentStack);
    const restart = remote.findRestart();
    const stack = remote.registers.get(process.backEnd.registers.sp);
    const agent = startAgent(remote, mapper, process, agentStack, arena, agentCode);
    return { arena, ranges, tidOffset, restart, stack, agent, mapped, maps };
  });
}

/** Maps what can wait until nobody is held any more. */
export function mapRest(
  caller: SystemCaller,
  process: TargetProcess,
  { arena, maps, stack, mapped }: BroughtIn,
  { forks = false }: InjectOptions,
): { readonly mirror: Mirror | undefined; readonly forkStamp: DataAddr | undefined } {
  closeArena(caller, arena);
  const mirror = mapMirror(caller, process, maps, stack, mapped);
  return { mirror, forkStamp: forks ? mapForkStamp(new Mapper(caller, mapped)) : undefined };
}

/** Runs `work` on the back of a thread: of `held`, or of one that is held meanwhile. */
export function onHeldThread<T>(
  process: TargetProcess,
  held: HeldThreads | undefined,
  work: (remote: RemoteThread) => T,
): T {
  const threads = held ?? process.holdOne();
  try {
    using remote = new RemoteThread(process, threads, threads.quietest);
    return work(remote);
  } finally {
    if (held === undefined) threads.letGo();
  }
}

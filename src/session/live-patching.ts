/**
 * Replacing functions of a running process: the public way in. A fix that has been brought in
 * stays when this program ends; `listPatches` finds it again, `revertPatch` takes it out.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { pid as toPid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { switchRequest, versionSwitch } from "../codegen/x86-64/version-switch.ts";
import { isAlive, readStat } from "../os/proc.ts";
import { refuseOtherTracer } from "../target/other-tracer.ts";
import { type FoundPatch, findPatches } from "../target/patch-record.ts";
import { PtraceProcess } from "../target/ptrace-process.ts";
import type { HeldUp } from "../target/stack-walk.ts";
import { refuseUnattachable } from "./attachable.ts";
import { type PlanOptions, planFix } from "./fix-plan.ts";
import { findLoader } from "./loader-facts.ts";
import type { PatchHandlers } from "./patch-worker.ts";
import { listModules } from "./process-modules.ts";
import { WorkerClient } from "./worker-rpc.ts";

export type PatchOptions = PlanOptions & {
  /**
   * Wait for nobody: a thread that is inside of an old version goes on in it, and calls new ones
   * meanwhile. For fixes whose functions do not depend on each other.
   */
  readonly immediate?: boolean;
};

/** How a change ended. */
export type PatchOutcome = {
  /** The fix. */
  readonly name: string;
  readonly functions: readonly string[];
  readonly result: "patched" | "reverted" | "cancelled";
  /** Threads that were inside of the version that is left when it began. */
  readonly waitedFor: number;
  /** Whether somebody forced it. */
  readonly forced: boolean;
  readonly ms: number;
  readonly warnings: readonly string[];
  /** What had to stay in the process, and why. */
  readonly left?: string;
};

/** A fix in a process, and how it stands. */
export type PatchState = {
  readonly name: string;
  readonly file: string;
  readonly module: string;
  readonly time: string;
  /** `switching`, or `switching back`: some threads still run the other version. */
  readonly state: "in force" | "switching" | "switching back" | "not in force";
  readonly holding: readonly number[];
  /** What the process that carries out the change has last seen of those. */
  readonly heldUp: readonly HeldUp[];
  /** Process that carries out a change of it at present. */
  readonly owner?: number;
  readonly functions: readonly { readonly name: string; readonly replacement: string }[];
};

const workerUrl = new URL("./patch-worker.js", import.meta.url);
/** To start a worker takes longer than what it does: one that is done waits for the next change. */
let idleWorker: WorkerClient<PatchHandlers> | undefined;

function takeWorker(): WorkerClient<PatchHandlers> {
  const worker = idleWorker ?? new WorkerClient<PatchHandlers>(workerUrl, "patch worker");
  idleWorker = undefined;
  worker.hold(true);
  return worker;
}

/** For workers that have left their process. */
async function giveBack(worker: WorkerClient<PatchHandlers>): Promise<void> {
  if (idleWorker !== undefined) return await worker.end();
  worker.hold(false);
  idleWorker = worker;
}
/** Time between two looks at threads that hold, in ms: it grows from one to the other. */
const lookEveryMs = { first: 5, last: 200 } as const;

/**
 * A change from one version to the other, which may have to wait for threads. `done` settles when
 * it is over.
 */
export class PatchTransition implements AsyncDisposable {
  /** Settles when all threads run the version that was asked for, or the old one is back. */
  readonly done: Promise<PatchOutcome>;
  readonly #worker: WorkerClient<PatchHandlers>;
  readonly #pid: number;
  readonly #startTime: number;
  #heldUp: readonly HeldUp[] = [];
  #wish: "go" | "force" | "cancel" = "go";
  #wake: AbortController = new AbortController();

  /** @internal use `patchProcess` or `revertPatch`. */
  constructor(
    pid: number,
    worker: WorkerClient<PatchHandlers>,
    begin: () => Promise<Begun>,
    warnings: readonly string[],
  ) {
    this.#pid = pid;
    this.#startTime = readStat(toPid(pid)).startTime;
    this.#worker = worker;
    this.done = this.#run(begin, warnings);
    // Whoever does not await the end learns of it by `heldUp`.
    this.done.catch(() => undefined);
  }

  /** The threads that the change waits for, with their stacks. */
  get heldUp(): readonly HeldUp[] {
    return this.#heldUp;
  }

  /** Waits for nobody any more: versions may mix on the stacks of threads that hold. */
  force(): void {
    this.#wish = "force";
    this.#wake.abort();
  }

  /** Goes back to how things were. Threads that are inside of new functions are waited for. */
  cancel(): void {
    if (this.#wish !== "force") this.#wish = "cancel";
    this.#wake.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.done.catch(() => undefined);
  }

  async #run(begin: () => Promise<Begun>, warnings: readonly string[]): Promise<PatchOutcome> {
    try {
      const outcome = await this.#change(begin, warnings);
      await this.#worker.call("leave");
      await giveBack(this.#worker);
      return outcome;
    } catch (error) {
      await this.#worker.end();
      throw error;
    }
  }

  async #change(begin: () => Promise<Begun>, warnings: readonly string[]): Promise<PatchOutcome> {
    const start = performance.now();
    const { name, functions, to, immediate } = await begin();
    let mode = to;
    this.#heldUp = await this.#worker.call("turn", mode, immediate);
    const waitedFor = this.#heldUp.length;
    let forced = false;
    for (let pause: number = lookEveryMs.first; this.#heldUp.length > 0; ) {
      if (this.#wish === "force") {
        forced = true;
        await this.#worker.call("force");
        this.#heldUp = [];
        break;
      }
      if (this.#wish === "cancel" && mode === to) {
        mode = to === "new" ? "old" : "new";
        this.#heldUp = await this.#worker.call("turn", mode, immediate);
        continue;
      }
      await this.#pause(pause);
      pause = Math.min(pause * 2, lookEveryMs.last);
      await this.#look();
    }
    const withdrawn = mode === "old" ? await this.#worker.call("withdraw") : {};
    if (mode === "new") await this.#worker.call("disown");
    return {
      name,
      functions,
      result: mode !== to ? "cancelled" : to === "new" ? "patched" : "reverted",
      waitedFor,
      forced,
      ms: performance.now() - start,
      warnings,
      ...withdrawn,
    };
  }

  async #pause(ms: number): Promise<void> {
    this.#wake = new AbortController();
    if (this.#wish !== "go" && this.#heldUp.length === 0) return;
    await sleep(ms, undefined, { signal: this.#wake.signal }).catch(() => undefined);
  }

  async #look(): Promise<void> {
    if (!isAlive(toPid(this.#pid), this.#startTime)) {
      throw new PatchbayError({
        code: "target-exited",
        doing: `wait for threads of process ${this.#pid}`,
        why: "the process has ended",
      });
    }
    const { heldUp, request } = await this.#worker.call("look");
    this.#heldUp = heldUp;
    if (request === switchRequest.force) this.#wish = "force";
    if (request === switchRequest.cancel && this.#wish === "go") this.#wish = "cancel";
  }
}

/** What was done before the switch is turned. */
type Begun = {
  readonly name: string;
  readonly functions: readonly string[];
  readonly to: "old" | "new";
  readonly immediate: boolean;
};

/** Fails where `pid` can't be patched. */
function refuse(pid: number): void {
  const target = toPid(pid);
  refuseUnattachable(target);
  refuseOtherTracer(target);
}

/**
 * Replaces functions of process `pid` by those of the shared library at `path`. Fails before
 * anything is touched where something speaks against it.
 */
export async function patchProcess(
  pid: number,
  path: string,
  options: PatchOptions = {},
): Promise<PatchTransition> {
  const target = toPid(pid);
  refuse(pid);
  const { modules } = listModules(target);
  using process = new PtraceProcess(target);
  const patches = findPatches(process);
  const { plan, warnings } = planFix(target, modules, process.memory, patches, path, options);
  const loader = findLoader(`patch process ${pid} with ${plan.name}`, target, modules);
  const worker = takeWorker();
  const begin = async (): Promise<Begun> => {
    await worker.call("load", target, loader, plan);
    const functions = plan.functions.map(({ name }) => name);
    return { name: plan.name, functions, to: "new", immediate: options.immediate === true };
  };
  return new PatchTransition(pid, worker, begin, warnings);
}

/** The fixes in process `pid`, the earliest first. */
export function listPatches(pid: number): readonly PatchState[] {
  using process = new PtraceProcess(toPid(pid));
  return findPatches(process).map(describeState);
}

function describeState({ record, mode, holding, heldUp, owner }: FoundPatch): PatchState {
  const { name, file, module, time } = record;
  const settled = mode === "new" ? "in force" : "not in force";
  const switching = mode === "new" ? "switching" : "switching back";
  return {
    name,
    file,
    module,
    time,
    state: holding.length > 0 ? switching : settled,
    holding,
    heldUp,
    ...(owner === undefined ? {} : { owner }),
    functions: record.functions.map((one) => ({ name: one.name, replacement: one.replacement })),
  };
}

export type RevertOptions = Pick<PatchOptions, "immediate"> & {
  /** Which fix; the one that came last unless said otherwise. */
  readonly name?: string;
};

/** The fix that is meant, and its process. */
function findPatch(doing: string, process: PtraceProcess, name: string | undefined): FoundPatch {
  const patches = findPatches(process);
  const found = name === undefined ? patches.at(-1) : patches.find((p) => p.record.name === name);
  if (found !== undefined) return found;
  const names = patches.map(({ record }) => record.name).join(", ");
  throw new PatchbayError({
    code: "no-match",
    doing,
    why: name === undefined ? "there is no fix in it" : `no fix named ${name} is in it`,
    ...(names === "" ? {} : { hint: `there are ${names}` }),
  });
}

/** Takes a fix out of process `pid`: its functions are as they were, byte for byte. */
export async function revertPatch(
  pid: number,
  { name, immediate = false }: RevertOptions = {},
): Promise<PatchTransition> {
  const target = toPid(pid);
  const doing = `revert a fix of process ${pid}`;
  refuse(pid);
  using process = new PtraceProcess(target);
  const { record, owner } = findPatch(doing, process, name);
  if (owner !== undefined) {
    throw new PatchbayError({
      code: "already-traced",
      doing,
      why: `process ${owner} is switching ${record.name}`,
      hint: "--cancel or --force tells it what to do",
    });
  }
  const above = findPatches(process).filter(
    (one) =>
      one.record.time > record.time &&
      one.record.functions.some(({ at }) => record.functions.some((mine) => mine.at === at)),
  );
  if (above.length > 0) {
    const names = above.map((one) => one.record.name).join(", ");
    throw new PatchbayError({
      code: "unsupported",
      doing,
      why: `${names} lies on top of ${record.name}`,
      hint: "revert that first",
    });
  }
  const { modules } = listModules(target);
  const loader = findLoader(doing, target, modules);
  const worker = takeWorker();
  const begin = async (): Promise<Begun> => {
    await worker.call("open", target, loader, record.name);
    const functions = record.functions.map((one) => one.name);
    return { name: record.name, functions, to: "old", immediate };
  };
  return new PatchTransition(pid, worker, begin, []);
}

/**
 * Tells whoever switches a fix to go on without waiting, or to go back. False where nobody does:
 * the change is nobody's, and `revertPatch` takes it up.
 */
export function requestPatch(pid: number, wish: "force" | "cancel", name?: string): boolean {
  using process = new PtraceProcess(toPid(pid));
  const { base, owner } = findPatch(`${wish} a switch in process ${pid}`, process, name);
  if (owner === undefined) return false;
  process.memory.write(base + BigInt(versionSwitch.request), Uint8Array.of(switchRequest[wish]));
  return true;
}

/**
 * The worker that carries out what fixes need of ptrace: all of its calls come from one OS thread,
 * and its waits must not hold up the main thread.
 */
import { ensure } from "../base/assert.ts";
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { FixPlan } from "../target/fix-description.ts";
import type { Loader } from "../target/library.ts";
import { LivePatch, type LivePatchParts } from "../target/live-patch.ts";
import { findPatches, type PatchRecord } from "../target/patch-record.ts";
import { PtraceProcess } from "../target/ptrace-process.ts";
import type { HeldUp } from "../target/stack-walk.ts";
import { walkModules } from "./walk-modules.ts";
import { serve } from "./worker-rpc.ts";

/** Functions that the worker serves. */
export type PatchHandlers = {
  /** Takes over a fix that is in the process. */
  open(pid: Pid, loader: Loader, name: string): PatchRecord;
  /** Loads a fix and makes its functions' entries lead to the switch; the old versions run. */
  load(pid: Pid, loader: Loader, plan: FixPlan): PatchRecord;
  /** Turns the switch; who keeps to the version that is left. */
  turn(mode: "old" | "new", immediate: boolean): readonly HeldUp[];
  /** Another look at those; and what somebody else wants: `switchRequest`. */
  look(): { readonly heldUp: readonly HeldUp[]; readonly request: number };
  /** Nobody keeps to anything any more. */
  force(): void;
  /** Takes the fix out, whose old versions run; what had to stay. */
  withdraw(): { readonly left?: string };
  /** The change is over, and the fix is nobody's. */
  disown(): void;
  /** The process is not needed any more; another `open` or `load` may come. */
  leave(): void;
};

let patch: LivePatch | undefined;
let process: PtraceProcess | undefined;

const parts = (pid: Pid, loader: Loader): LivePatchParts => {
  const opened = new PtraceProcess(pid);
  process = opened;
  return { process: opened, loader, modules: () => walkModules(opened) };
};

const getPatch = (): LivePatch => ensure(patch, "open or load comes first");

const handlers: PatchHandlers = {
  open: (pid, loader, name) => {
    const made = parts(pid, loader);
    const found = findPatches(made.process).find(({ record }) => record.name === name);
    if (found === undefined) {
      const why = `no fix named ${name} is in it`;
      throw new PatchbayError({ code: "no-match", doing: `look at process ${pid}`, why });
    }
    patch = LivePatch.open(made, found);
    patch.own();
    return patch.record;
  },
  load: (pid, loader, plan) => {
    patch = LivePatch.load(parts(pid, loader), plan);
    patch.own();
    try {
      patch.arm();
    } catch (error) {
      patch.discard();
      throw error;
    }
    return patch.record;
  },
  turn: (mode, immediate) => getPatch().turn(mode, immediate),
  look: () => ({ heldUp: getPatch().look(), request: getPatch().request }),
  force: () => getPatch().force(),
  withdraw: () => getPatch().withdraw(),
  disown: () => getPatch().disown(),
  leave: () => {
    process?.[Symbol.dispose]();
    process = undefined;
    patch = undefined;
  },
};

serve(handlers);

/**
 * The worker that makes all ptrace calls: ptrace binds a tracee to one OS thread, and its waits
 * must not hold up the main thread.
 */

import { ensure } from "../base/assert.ts";
import { type CodeAddr, codeAddr, type Pid, pid as toPid, tid as toTid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { backEnds } from "../codegen/back-ends.ts";
import { segmentType } from "../elf/constants.ts";
import { kill } from "../os/libc.ts";
import { isAlive, readAuxv } from "../os/proc.ts";
import { poll, signal, type WaitEvent } from "../os/ptrace.ts";
import type { SpawnOptions } from "../os/spawn.ts";
import { functionAt } from "../symbols/symbol-table.ts";
import { holdAtGate, holdExec } from "../target/exec-hold.ts";
import type { ExecGateFacts } from "../target/gates.ts";
import {
  connectToStub,
  type Emulated,
  type EmulatorOptions,
  holdWaiting,
  launchEmulated,
} from "../target/gdb/launch-emulated.ts";
import type { StubProcess } from "../target/gdb/stub-process.ts";
import {
  type ChangeResult,
  Injection,
  type InjectOptions,
  type RemoveResult,
  type SiteChanges,
  type SiteTable,
  type TargetFacts,
} from "../target/injection.ts";
import type { Instance, InstanceRequest, Instances } from "../target/instances.ts";
import { launchHeld } from "../target/launch.ts";
import type { LoadedLibrary, Loader } from "../target/library.ts";
import type { HeldThreads } from "../target/process.ts";
import { PtraceProcess } from "../target/ptrace-process.ts";
import type { TextRange } from "../target/unwinder-registration.ts";
import type { EmulatedImage } from "./emulated-modules.ts";
import { openProgramFile, type ProgramFile } from "./program-file.ts";
import { walkModules } from "./walk-modules.ts";
import { serve } from "./worker-rpc.ts";

export type ExitStatus =
  | { readonly kind: "running" }
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "killed"; readonly signal: number }
  /** It ended and is not ours to know how. */
  | { readonly kind: "gone" }
  /** It has become another program (exec), which runs. */
  | { readonly kind: "replaced" };

/** What came of an exec: see `Exec`. */
export type HeldExec =
  | { readonly kind: "held" | "failed" }
  | { readonly kind: "let-go"; readonly why: string }
  | { readonly kind: "ended"; readonly exit: ExitStatus };

/** What was brought into a process. */
export type Injected = {
  /** Tells it from what was there before, whose rings may still be read. */
  readonly presence: number;
  /** Whether returns can be hooked. */
  readonly exits: boolean;
};

/** Functions that the worker serves. */
export type TargetHandlers = {
  /** Starts a program and holds it before its first own instruction. */
  launch(command: readonly string[], options: SpawnOptions): Pid;
  /** The same under an emulator, which runs programs of other machines; where its code is. */
  launchEmulated(
    command: readonly string[],
    options: SpawnOptions & EmulatorOptions,
  ): EmulatedImage;
  /** Takes over a program that waits under the stub at `place`. */
  takeOver(place: string, options: EmulatorOptions): EmulatedImage;
  /** Ends talking to a stub, whose program runs on. */
  hangUp(): void;
  inject(pid: Pid, facts: TargetFacts, sites: SiteTable, options: InjectOptions): Injected;
  /** Makes rings and counters for one more user. */
  addInstance(request: InstanceRequest): Instance;
  /** Nothing comes into an instance's rings any more. */
  silenceInstance(presence: number, instance: number): void;
  /** Gives an instance's memory back. */
  releaseInstance(presence: number, instance: number): void;
  /** Lets functions do other work than before. */
  change(changes: SiteChanges): ChangeResult;
  /** A library has come: its sites take these rows. */
  addSites(sites: Uint32Array, part: SiteTable): void;
  /** A library has brought unwinders, which can be called. */
  learnUnwinders(facts: TargetFacts): void;
  /** A library has gone: nothing is written to its sites any more. */
  forgetSites(sites: Uint32Array): void;
  /**
   * Lets threads wait in the loader's function for debuggers, at `at`; the descriptor of the arena
   * with the loader's words, or undefined where they can't wait.
   */
  watchLoader(at: bigint): number | undefined;
  /** Brings in what threads can call before they exec: see `Gates`. */
  openExecGate(): ExecGateFacts | undefined;
  /** The same for what they can call before they fork: its address. */
  openForkGate(): CodeAddr | undefined;
  /** Brings in what threads can call before a longjmp; its address. See `Gates`. */
  openJumpGate(mangled: boolean): CodeAddr | undefined;
  /** Stops a thread that waits at a gate of execs; false when it has ended. */
  holdAtGate(tid: number): boolean;
  /**
   * Lets that thread exec. What comes is held before its first own instruction.
   * @param isOurs the process was started by this one.
   */
  holdExec(pid: Pid, tid: number, isOurs: boolean): HeldExec;
  /** Calls counted so far in an instance, by site. */
  counters(presence: number, instance: number): Float64Array;
  /** Lets a launched program go. */
  release(): void;
  /** Ends a launched program that was never let go. */
  abandon(): void;
  remove(): RemoveResult;
  /** Loads a library whose code has these link addresses, and takes one out. */
  loadLibrary(loader: Loader, path: string, text: TextRange): LoadedLibrary;
  unloadLibrary(handle: bigint): void;
  /** How a launched program is. */
  status(): ExitStatus;
};

let launched: Pid | undefined;
let ended: ExitStatus | undefined;
let held: HeldThreads | undefined;
let stub: StubProcess | undefined;
/** The present one is the last; earlier ones are there until their rings are released. */
let present: Injection | undefined;
const injections = new Map<number, Injection>();
let presences = 0;

const auxEntry = 9;

/**
 * Where a program's own code begins once its C library is up: the entry point of a dynamic
 * program (the loader has set the thread pointer by then), `main` of a static one.
 */
function firstOwnInstruction(program: ProgramFile, entry: bigint): CodeAddr {
  if (program.elf.segments.some((segment) => segment.type === segmentType.interp)) {
    return codeAddr(entry);
  }
  const symbols = program.symbols();
  for (let index = 0; index < symbols.count; index++) {
    const { name, addr } = functionAt(symbols, index);
    if (name === "main") return codeAddr(entry - program.elf.entry + addr);
  }
  throw new PatchbayError({
    code: "unsupported",
    doing: "launch a static program",
    why: "it has no symbol `main`, so it isn't known where its own code begins",
    hint: "start it by itself and attach with -p",
  });
}

/** The same of a process that has just been made by exec. */
function startOf(pid: Pid): CodeAddr {
  const entry = ensure(readAuxv(pid).get(auxEntry), "an entry point in the auxiliary vector");
  return firstOwnInstruction(openProgramFile(`/proc/${pid}/exe`), entry);
}

/** Notes a program that is held under a stub; what there is to know of it. */
function imageOf(path: string, { process, held: thread, entry, sysroot }: Emulated): EmulatedImage {
  stub = process;
  held = thread;
  return { pid: process.pid, path, entry, sysroot };
}

const gone: ExitStatus = { kind: "gone" };
const endOf = (event: WaitEvent): ExitStatus =>
  event.kind === "exited" || event.kind === "killed" ? event : gone;

const getInjection = (): Injection => ensure(present, "inject comes first");
const instancesOf = (presence: number): Instances =>
  ensure(injections.get(presence), `presence ${presence}`).instances;

/** Lets go of what is neither in the process nor read any more. */
function sweep(): void {
  for (const [presence, injection] of injections) {
    if (injection === present || !injection.instances.areReleased) continue;
    injections.delete(presence);
    injection[Symbol.dispose]();
  }
}

const handlers: TargetHandlers = {
  launch: (command, options) => {
    held = launchHeld(command, options, startOf);
    launched = held.pid;
    return held.pid;
  },
  launchEmulated: (command, options) => {
    const path = command[0] ?? "";
    const program = openProgramFile(path);
    const backEnd = backEnds[program.elf.machine];
    const emulated = launchEmulated(command, backEnd, options, (entry) =>
      firstOwnInstruction(program, entry),
    );
    launched = emulated.process.pid;
    return imageOf(path, emulated);
  },
  takeOver: (place, options) => {
    const waiting = connectToStub(place);
    const program = openProgramFile(waiting.path);
    const backEnd = backEnds[program.elf.machine];
    const emulated = holdWaiting(waiting, backEnd, options, (entry) =>
      firstOwnInstruction(program, entry),
    );
    return imageOf(waiting.path, emulated);
  },
  hangUp: () => stub?.hangUp(),
  inject: (pid, facts, sites, options) => {
    present = Injection.into(stub ?? new PtraceProcess(toPid(pid)), facts, sites, options, held);
    injections.set(++presences, present);
    sweep();
    return { presence: presences, exits: present.exits };
  },
  addInstance: (request) => getInjection().instances.add(request),
  silenceInstance: (presence, instance) => instancesOf(presence).silence(instance),
  releaseInstance: (presence, instance) => instancesOf(presence).release(instance),
  change: (changes) => getInjection().change(changes),
  addSites: (sites, part) => getInjection().addSites(sites, part),
  learnUnwinders: (facts) => getInjection().unwinders.learn(facts),
  forgetSites: (sites) => getInjection().forget(sites),
  watchLoader: (at) => getInjection().watchLoader(at),
  openExecGate: () => getInjection().gates.openExecs(),
  openForkGate: () => getInjection().gates.openForks(),
  openJumpGate: (mangled) => getInjection().gates.openJumps(mangled),
  holdAtGate: (tid) => holdAtGate(toTid(tid)),
  holdExec: (pid, tid, isOurs) => {
    const exec = holdExec(pid, toTid(tid), startOf);
    if (exec.kind === "ended") return { kind: "ended", exit: isOurs ? endOf(exec.event) : gone };
    if (exec.kind !== "held") return exec;
    held = exec.held;
    if (isOurs) launched = pid;
    return { kind: "held" };
  },
  counters: (presence, instance) =>
    ensure(injections.get(presence), `presence ${presence}`).counters(instance),
  release: () => {
    present?.released();
    held?.letGo();
    held = undefined;
  },
  abandon: () => {
    if (held === undefined) return;
    if (stub !== undefined) {
      // A program that somebody else has started goes on without us.
      if (launched === undefined) stub.letRun([]);
      else stub.abandon();
      return;
    }
    kill(held.pid, signal.kill);
    held.letGo();
    held = undefined;
  },
  remove: () => {
    const result = getInjection().remove();
    if (result.left === undefined) getInjection().libraries.unloadAll();
    return result;
  },
  loadLibrary: (loader, path, text) =>
    getInjection().libraries.load({ loader, modules: walkModules }, path, text),
  unloadLibrary: (handle) => getInjection().libraries.unload(handle),
  status: () => {
    if (launched === undefined && stub !== undefined && !isAlive(stub.pid)) return { kind: "gone" };
    // How it ended is told once.
    if (launched === undefined || ended !== undefined) return ended ?? { kind: "running" };
    const event = poll(toTid(launched));
    if (event?.kind === "exited" || event?.kind === "killed") ended = event;
    return ended ?? { kind: "running" };
  },
};

serve(handlers);

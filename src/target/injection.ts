/**
 * Patchbay's presence in one process: what it mapped there, what it patched, and how to take all
 * of it away again.
 *
 * One thread is held for a moment to bring the agent in. From then on the agent maps memory and
 * changes text, by protocols that hold nobody; threads are held one at a time to be looked at, and
 * all together when the thunks are to be unmapped. Where a process can't have an agent, all
 * threads are held while text changes.
 */
import { closeSync } from "node:fs";
import { dataAddr, type Pid, type Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { AgentProgram } from "../codegen/agent-program.ts";
import type { ThunkPlan } from "../codegen/x86-64/record.ts";
import { nap } from "../os/ptrace.ts";
import { programOffset } from "../ring/arena.ts";
import type { Mirror } from "./address-space.ts";
import type { Agent } from "./agent.ts";
import {
  type AgentStart,
  type Arena,
  enableSync,
  type InjectOptions,
  mapFlag,
  prot,
  type Range,
  type SystemCaller,
} from "./bootstrap.ts";
import { bringInAgent, mapRest, onHeldThread } from "./bring-in.ts";
import { CalledSites } from "./called-sites.ts";
import { isInRegion } from "./code-region.ts";
import { Gates } from "./gates.ts";
import { Instances, type SystemWork } from "./instances.ts";
import { leaveThere, type RemoveResult } from "./leave-there.ts";
import { leaveThunks } from "./leave-thunks.ts";
import { LoadedLibraries } from "./loaded-libraries.ts";
import type { HeldThreads, TargetProcess } from "./process.ts";
import { RemoteThread } from "./remote-call.ts";
import { Semaphores } from "./semaphores.ts";
import { findRestorers } from "./signal-frames.ts";
import { type ChangeResult, SiteChanger } from "./site-changer.ts";
import type { SiteChanges } from "./site-forms.ts";
import { placeSites, SiteStates, type SiteTable } from "./sites.ts";
import { type FindCopy, TextWriter } from "./text-writer.ts";
import { unwinderTableOffset } from "./thunk-ranges.ts";
import { ThunkStore } from "./thunk-store.ts";
import { type TargetFacts, UnwinderLink } from "./unwinder-link.ts";

export type { InjectOptions } from "./bootstrap.ts";
export type { RemoveResult } from "./leave-there.ts";
export type { ChangeResult } from "./site-changer.ts";
export { type SiteChanges, siteForm } from "./site-forms.ts";
export type { SiteTable } from "./sites.ts";
export type { TargetFacts } from "./unwinder-link.ts";

/** How often removal waits for threads that are inside generated code. */
const removalTries = 200;

type Parts = {
  readonly process: TargetProcess;
  readonly facts: TargetFacts;
  readonly arena: Arena;
  readonly plan: Omit<ThunkPlan, "instances">;
  readonly mirror: Mirror | undefined;
  readonly mapped: Range[];
  readonly agent: AgentStart;
  readonly sites: SiteTable;
  readonly options: InjectOptions;
};

export class Injection {
  readonly pid: Pid;
  /** Whether returns can be hooked; not so when the process has no room for a mirror. */
  readonly exits: boolean;
  /** The rings and counters of its users. */
  readonly instances: Instances;
  readonly #parts: Parts;
  readonly #thunks: ThunkStore;
  readonly #states: SiteStates;
  readonly #writer: TextWriter;
  readonly #semaphores: Semaphores;
  /** Sites that call; undefined without an agent, which alone stores words whole. */
  readonly #called: CalledSites | undefined;
  /** What threads may have to wait at. */
  readonly gates: Gates;
  readonly #changer: SiteChanger;
  readonly unwinders: UnwinderLink;
  readonly #agent: Agent | undefined;
  #libraries: LoadedLibraries | undefined;
  /** A thread that is stopped already and stands for all (a program that was just launched). */
  #held: HeldThreads | undefined;

  private constructor(parts: Parts, held: HeldThreads | undefined) {
    const { process, plan, sites, agent, mapped } = parts;
    this.pid = process.pid;
    this.exits = parts.mirror !== undefined;
    const call: SystemWork = (work) => this.#call(work);
    this.instances = new Instances({ process, mapped, mirror: parts.mirror, call });
    this.#parts = parts;
    this.#held = held;
    this.#states = new SiteStates(sites, process.backEnd);
    this.#agent = agent.ok ? agent.agent : undefined;
    const map = (start: bigint, bytes: number): void => this.#map(start, bytes);
    this.gates = new Gates({ process, arena: parts.arena, plan, map, held: () => this.#held });
    const findCopy: FindCopy = (site, pc) => this.#thunks.findCopy(site, pc);
    this.#semaphores = new Semaphores(process.memory, sites);
    const addToJournal = (program: AgentProgram): void => {
      this.#semaphores.addToJournal(program);
      this.gates.addToJournal(program);
    };
    const hooks = { findCopy, addToJournal };
    this.#writer = new TextWriter(process, this.#states, agent, parts.options.rules, hooks, held);
    const { facts, mirror } = parts;
    const agentTid = (): Tid | undefined => this.#agent?.tid;
    const table = plan.unwinders;
    this.unwinders = new UnwinderLink({ process, facts, mirror, table, agentTid }, held);
    this.#thunks = new ThunkStore({
      process,
      plan: { ...plan, instances: this.instances.plans },
      sites,
      map,
      register: (region) => this.unwinders.register(region),
    });
    this.#called = this.#makeCalled();
    this.#changer = new SiteChanger({
      process,
      table: sites,
      states: this.#states,
      thunks: this.#thunks,
      writer: this.#writer,
      semaphores: this.#semaphores,
      agent: this.#agent,
      called: this.#called,
      exits: this.exits,
      hasFrameWords: (instance) => this.instances.hasFrameWords(instance),
      isGenerated: (pc) => this.#isGenerated(pc),
      isHeld: () => this.#held !== undefined,
    });
  }

  #makeCalled(): CalledSites | undefined {
    const { process, plan, options } = this.#parts;
    const { callOps } = process.backEnd;
    if (callOps === undefined || this.#agent === undefined) return undefined;
    return new CalledSites({
      process,
      code: callOps,
      design: options.design,
      plan: { ...plan, restart: undefined, instances: this.instances.plans },
      map: (start, bytes, protection) => this.#map(start, bytes, protection),
      agent: this.#agent,
      states: this.#states,
    });
  }

  /**
   * Maps what recording needs into `process`, which it owns from then on, and starts the agent.
   * @param exits hook returns too; off when the process has no room for a mirror of its stacks.
   * @param held a thread that is stopped already (a program that was just launched).
   */
  static into(
    process: TargetProcess,
    facts: TargetFacts,
    sites: SiteTable,
    options: InjectOptions,
    held?: HeldThreads,
  ): Injection {
    try {
      const first = bringInAgent(process, options, held);
      const { arena, ranges, tidOffset, restart, mapped } = first;
      const threads = { tidOffset, restart, ticksPerNs: options.ticksPerNs };
      const agent = enableSync(first.agent);
      const finish = (caller: SystemCaller) => mapRest(caller, process, first, options);
      const { mirror, forkStamp } = agent.ok
        ? finish(agent.agent)
        : onHeldThread(process, held, finish);
      const plan = {
        ...threads,
        forkStamp,
        mirrorDelta: mirror?.delta ?? 0n,
        mirrorWindowBits: process.mirrorWindowBits,
        mirrorWindow: mirror?.window ?? 0,
        ranges,
        unwinders: dataAddr(ranges + BigInt(unwinderTableOffset)),
      };
      return new Injection(
        { process, facts, arena, plan, mirror, mapped, agent, sites, options },
        held,
      );
    } catch (error) {
      process[Symbol.dispose]();
      throw error;
    }
  }

  /** The held thread is about to be let go: from now on threads have to be looked for. */
  released(): void {
    this.#held = undefined;
    this.#writer.released();
    this.unwinders.released();
  }

  /**
   * Takes the rows of `part` for `sites`: a library has come. Rows that were another library's, or
   * this one's before it went, are forgotten.
   */
  addSites(sites: Uint32Array, part: SiteTable): void {
    const { sites: table } = this.#parts;
    const moved = sites.filter((site, index) => table.at[site] !== part.at[index]);
    placeSites(table, sites, part);
    this.#thunks.forget(moved);
    this.forget(sites);
  }

  /** The text of `sites` is gone: nothing is written there any more. */
  forget(sites: Uint32Array): void {
    this.#changer.forget(sites);
    this.#called?.forget(sites);
    this.#writer.forget(sites);
  }

  /** Lets the loader, whose function is at `at`, wait: the arena with its words, if it does. */
  watchLoader(at: bigint): number | undefined {
    if (this.#agent === undefined) return undefined;
    const arenaFd = this.gates.watchLoader(this.#agent, at);
    const none = new Uint32Array(0);
    this.#writer.forget(none);
    this.#changer.forget(none);
    this.#states.leaveOut(this.gates.loaderWindow ?? 0);
    return arenaFd;
  }

  /** Lets sites do other work than before; exits are left out where returns can't be hooked. */
  change(changes: SiteChanges): ChangeResult {
    return this.#changer.change(changes);
  }

  /** Whether `pc` is in code that Patchbay brought. */
  #isGenerated(pc: bigint): boolean {
    const isInThunks = this.#thunks.regions.some((region) => isInRegion(region, pc));
    if (isInThunks || this.#called?.ops.isInside(pc) === true) return true;
    return this.gates.isInside(pc);
  }

  /** All mappings of generated code. */
  get #codeRanges(): readonly Range[] {
    return [...this.#thunks.ranges, ...(this.#called?.ops.ranges ?? []), ...this.gates.ranges];
  }

  #map(start: bigint, bytes: number, protection: number = prot.read | prot.exec): void {
    const flags = mapFlag.privateAnonymous | mapFlag.fixedNoReplace;
    const args = [start, BigInt(bytes), BigInt(protection), flags, -1n, 0n];
    this.#call((caller) => caller.syscall("map code", "mmap", ...args));
  }

  /** Runs `work` with the agent, or with a thread that is held meanwhile. */
  #call<T>(work: (caller: SystemCaller) => T): T {
    if (this.#agent !== undefined) return work(this.#agent);
    return onHeldThread(this.#parts.process, this.#held, work);
  }

  /** Calls counted so far in an instance, by site. */
  counters(instance: number): Float64Array {
    return this.instances.counters(instance, this.#parts.sites.count);
  }

  /** Libraries whose functions thunks call. */
  get libraries(): LoadedLibraries {
    const { process, arena } = this.#parts;
    this.#libraries ??= new LoadedLibraries({
      process,
      scratch: arena.at + BigInt(programOffset(arena.shape, 0)),
      agentTid: () => this.#agent?.tid,
      unwatched: (work) => this.gates.whileOpen(work),
      isOurCode: (pc) => this.#isGenerated(pc),
    });
    return this.#libraries;
  }

  /** Takes everything away: text, return addresses, mappings. The process runs on. */
  remove(): RemoveResult {
    this.#semaphores.release();
    this.gates.remove();
    this.#writer.restore();
    if (!this.#parts.process.holdsAll) return leaveThere(this.#writer, this.#agent);
    const { left, pauseMs } = this.#vacate();
    if (left !== undefined) return { left, pauseMs };
    // Nobody is in the thunks, and nobody finds a way there any more: the rest holds one thread.
    if (!this.unwinders.deregister()) {
      return { pauseMs, left: "no thread could be made to take it from the unwinder's list" };
    }
    const { process } = this.#parts;
    const agent = this.#agent;
    if (agent !== undefined) {
      const program = new AgentProgram();
      const { munmap } = process.backEnd.syscalls;
      for (const { start, bytes } of this.#codeRanges) program.syscall(munmap, start, bytes);
      try {
        agent.run("unmap code", program);
      } catch (error) {
        if (!(error instanceof PatchbayError) || error.code !== "system") throw error;
        return { pauseMs, left: error.why };
      }
      agent.quit();
    }
    using threads = process.holdOne();
    using remote = new RemoteThread(process, threads, threads.quietest);
    const ranges = [...this.#parts.mapped, ...(agent === undefined ? this.#codeRanges : [])];
    for (const { start, bytes } of ranges) {
      remote.syscall("unmap", "munmap", start, bytes);
    }
    return { pauseMs };
  }

  /** Gets everybody out of the thunks, with all threads held for a look at their stacks. */
  #vacate(): RemoveResult {
    const { process } = this.#parts;
    const restorers = findRestorers(process.memory, process.maps());
    let pauseMs = 0;
    for (let attempt = 0; attempt < removalTries; attempt++) {
      const start = performance.now();
      using threads = process.holdAll(this.#agent?.tid);
      this.#writer.restoreHeld();
      this.gates.removeHeld();
      const isCalling = this.#libraries?.isInside(threads) === true;
      const isInside = (pc: bigint): boolean => this.#isGenerated(pc);
      const generated = { mirror: this.#parts.mirror, regions: this.#thunks.regions, isInside };
      const gone = !isCalling && leaveThunks(process, threads, restorers, generated, attempt);
      threads.letGo();
      pauseMs = Math.max(pauseMs, performance.now() - start);
      if (gone) return { pauseMs };
      nap(2);
    }
    return { pauseMs, left: "a signal handler that interrupted generated code has not returned" };
  }

  [Symbol.dispose](): void {
    this.#agent?.[Symbol.dispose]();
    this.instances[Symbol.dispose]();
    this.#parts.process[Symbol.dispose]();
    closeSync(this.#parts.arena.fd);
  }
}

/**
 * Writes windows of a process' text: by the agent and the protocols that hold nobody where that is
 * possible, with all threads held where it is not. Keeps the journal, from which the agent puts
 * everything back when this tracer dies.
 */
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { AgentProgram } from "../codegen/agent-program.ts";
import { type ProcessMemory, readMaps } from "../os/proc.ts";
import { chooseLiveProtocol, type VendorRules } from "../patch/protocols/x86-64-live.ts";
import type { Agent } from "./agent.ts";
import type { AgentStart } from "./bootstrap.ts";
import { drainThreads, leaveWindows } from "./drain.ts";
import { findRestorers } from "./signal-frames.ts";
import type { SiteStates } from "./sites.ts";
import { StoppedThreads } from "./stop.ts";
import {
  noProtocols,
  type ProtocolCounts,
  planTextChange,
  type TextChange,
  type TextReader,
  windowFacts,
} from "./text-change.ts";
import { endAround, type Windows, windowBytesMax, writeWindows } from "./text-patch.ts";

export type WriteResult = {
  /** Sites changed by each protocol; `stop`: while all threads were held. */
  readonly protocols: ProtocolCounts & { readonly stop: number };
  /** How long all threads were held, in ms; 0 when they were not. */
  readonly pauseMs: number;
  /** Why threads had to be held although an agent would not hold them. */
  readonly agentless?: string;
};

/** A window that was changed is one instruction, as far as it is executed. */
const noneSeveral = new Uint8Array();

export class TextWriter {
  readonly #pid: Pid;
  readonly #memory: ProcessMemory;
  readonly #states: SiteStates;
  readonly #agent: Agent | undefined;
  readonly #rules: VendorRules;
  #agentless: string | undefined;
  #held: StoppedThreads | undefined;

  /**
   * @param rules whose manual the choice of protocols relies on.
   * @param held a thread that is stopped already and stands for all; see `released`.
   */
  constructor(
    pid: Pid,
    memory: ProcessMemory,
    states: SiteStates,
    agent: AgentStart,
    rules: VendorRules,
    held: StoppedThreads | undefined,
  ) {
    this.#pid = pid;
    this.#memory = memory;
    this.#states = states;
    this.#agent = agent.ok ? agent.agent : undefined;
    this.#agentless = agent.ok ? undefined : agent.why;
    this.#rules = rules;
    this.#held = held;
  }

  /** The held thread is about to be let go. */
  released(): void {
    this.#held = undefined;
  }

  /** Brings the windows of `sites` to their new bytes, by protocols that hold nobody if possible. */
  write(sites: Uint32Array, windows: Windows): WriteResult {
    const several = Uint8Array.from(sites, (site) => this.#states.several[site] ?? 0);
    const hasProtocol = (index: number): boolean =>
      chooseLiveProtocol(windowFacts(windows, index, several), this.#rules) !== undefined;
    const agent = this.#agentless === undefined ? this.#agent : undefined;
    const live = agent === undefined ? [] : [...sites.keys()].filter(hasProtocol);
    const held = [...sites.keys()].filter((index) => agent === undefined || !hasProtocol(index));
    this.#writeJournal(sites);
    let protocols: ProtocolCounts = noProtocols;
    if (agent !== undefined && live.length > 0) {
      const part = pick(windows, live);
      const change = planTextChange(
        part,
        Uint8Array.from(live, (i) => several[i] ?? 0),
        this.#read,
        this.#rules,
      );
      try {
        this.#run(agent, change, part);
        ({ counts: protocols } = change);
      } catch (error) {
        // Text that the agent may not open: nothing was changed, and there is the other way.
        if (!(error instanceof PatchbayError) || error.code !== "system") throw error;
        this.#agentless = error.why;
        held.push(...live);
        held.sort((a, b) => a - b);
      }
    }
    const pauseMs = held.length === 0 ? 0 : this.#writeHeld(pick(windows, held));
    return {
      protocols: { ...protocols, stop: held.length },
      pauseMs,
      ...(this.#agentless === undefined ? {} : { agentless: this.#agentless }),
    };
  }

  readonly #read: TextReader = (address, length) => this.#memory.read(BigInt(address), length);

  #run(agent: Agent, change: TextChange, windows: Windows): void {
    for (const [index, program] of change.programs.entries()) {
      if (index > 0) this.#drain(windows);
      agent.run("patch functions", program);
    }
  }

  /** The old way: all threads are held meanwhile; for how long, in ms. */
  #writeHeld(windows: Windows): number {
    const restorers = findRestorers(this.#memory, readMaps(this.#pid));
    const start = performance.now();
    const threads = this.#held ?? StoppedThreads.all(this.#pid, this.#agent?.tid);
    try {
      const maps = readMaps(this.#pid);
      leaveWindows(threads, this.#memory, maps, restorers, (pc) => endAround(windows, pc));
      writeWindows(this.#memory, windows);
      return performance.now() - start;
    } finally {
      if (this.#held === undefined) threads.letGo();
    }
  }

  /** Gets every thread out of the no-ops of windows whose first byte leads past them by now. */
  #drain(windows: Windows): void {
    const maps = readMaps(this.#pid);
    const restorers = findRestorers(this.#memory, maps);
    const end = (pc: bigint): bigint | undefined => endAround(windows, pc);
    if (this.#held !== undefined) leaveWindows(this.#held, this.#memory, maps, restorers, end);
    else drainThreads(this.#pid, this.#memory, restorers, end, this.#agent?.tid);
  }

  /**
   * What the agent does when this tracer dies: every window gets its compiled bytes back, those
   * that are about to change too.
   */
  #writeJournal(changing: Uint32Array): void {
    for (const site of changing) this.#states.touched[site] = 1;
    const [program] = this.#planRestore().programs;
    if (program !== undefined) this.#agent?.setJournal(program);
  }

  #planRestore(): TextChange {
    const touched = this.#states.touchedSites().filter((site) => this.#hasWayBack(site));
    return planTextChange(
      this.#states.compiled(touched),
      new Uint8Array(touched.length),
      this.#read,
      this.#rules,
    );
  }

  #hasWayBack(site: number): boolean {
    const facts = windowFacts(this.#states.table, site, noneSeveral);
    return chooseLiveProtocol(facts, this.#rules) !== undefined;
  }

  /** Puts the compiled bytes back while everybody runs, and ends the agent. */
  restore(): void {
    const agent = this.#agent;
    if (agent === undefined) return;
    if (this.#agentless === undefined) {
      for (const program of this.#planRestore().programs) agent.run("restore functions", program);
    }
    agent.setJournal(new AgentProgram(1));
    agent.quit();
  }
}

/** The windows at `indices`, in that order. */
function pick(windows: Windows, indices: readonly number[]): Windows {
  const bytes = new Uint8Array(indices.length * windowBytesMax);
  indices.forEach((from, to) => {
    const at = from * windowBytesMax;
    bytes.set(windows.bytes.subarray(at, at + windowBytesMax), to * windowBytesMax);
  });
  return {
    count: indices.length,
    at: Float64Array.from(indices, (index) => windows.at[index] ?? 0),
    size: Uint8Array.from(indices, (index) => windows.size[index] ?? 0),
    bytes,
  };
}

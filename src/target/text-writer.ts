/**
 * Writes windows of a process' text: by the agent and the protocols that hold nobody where that is
 * possible, with all threads held where it is not. Keeps the journal, from which the agent puts
 * everything back when this tracer dies.
 */
import { hex } from "../base/brand.ts";
import { countOutside, gather, indices, pick } from "../base/columns.ts";
import { PatchbayError } from "../base/error.ts";
import { AgentProgram } from "../codegen/agent-program.ts";
import type { FirstChange, VendorRules } from "../patch/protocols/x86-64-live.ts";
import type { Agent } from "./agent.ts";
import type { AgentStart } from "./bootstrap.ts";
import type { Naming } from "./called-sites.ts";
import { drainThreads, leaveWindows } from "./drain.ts";
import type { HeldThreads, TargetProcess } from "./process.ts";
import { findRestorers } from "./signal-frames.ts";
import { byAddress, type SiteStates } from "./sites.ts";
import {
  noProtocol,
  type ProtocolCounts,
  planLiterals,
  type TextChange,
  TextPlanner,
  type TextReader,
} from "./text-change.ts";
import {
  endAround,
  indexAround,
  type Literals,
  pickWindows,
  type Windows,
  windowBytesMax,
  writeLiterals,
  writeWindows,
} from "./text-patch.ts";

export type WriteResult = {
  /**
   * Sites changed by each protocol; `stop`: while all threads were held; `literal`: by their
   * literal alone.
   */
  readonly protocols: ProtocolCounts & { readonly stop: number };
  /** How long all threads were held, in ms; 0 when they were not. */
  readonly pauseMs: number;
  /** Why threads had to be held although an agent would not hold them. */
  readonly agentless?: string;
};

/** `planned`: all that was done to windows, where that can be done again as it is. */
export type Written = WriteResult & { readonly planned: TextChange | undefined };

const noCodes = new Uint8Array(0);

/** Where the instruction at `pc`, in the window of `site`, was copied to; undefined: nowhere. */
export type FindCopy = (site: number, pc: bigint) => bigint | undefined;

/** What others have to say to the writing of text. */
export type WriterHooks = {
  /** For threads that stand in a window whose instructions were moved. */
  readonly findCopy: FindCopy;
  /** Adds to what the agent does when this tracer dies. */
  readonly addToJournal: (program: AgentProgram) => void;
};

export class TextWriter {
  readonly #process: TargetProcess;
  readonly #states: SiteStates;
  readonly #agent: Agent | undefined;
  readonly #planner: TextPlanner;
  readonly #hooks: WriterHooks;
  /** Of each site, the protocol that brings it back from a state that we put there. */
  readonly #protocolBack: Uint8Array;
  /** Whether there is something to put back that the journal does not know yet. */
  #isJournalStale = true;
  /** What others have added to the journal that is in force. */
  #othersInJournal = new AgentProgram(1);
  #agentless: string | undefined;
  #held: HeldThreads | undefined;

  /**
   * @param rules whose manual the choice of protocols relies on.
   * @param held a thread that is stopped already and stands for all; see `released`.
   */
  constructor(
    process: TargetProcess,
    states: SiteStates,
    agent: AgentStart,
    rules: VendorRules,
    hooks: WriterHooks,
    held: HeldThreads | undefined,
  ) {
    this.#process = process;
    this.#states = states;
    this.#agent = agent.ok ? agent.agent : undefined;
    this.#agentless = agent.ok ? undefined : agent.why;
    this.#planner = new TextPlanner(process.backEnd, rules);
    this.#hooks = hooks;
    // A window that was changed is one instruction, as far as it is executed.
    this.#protocolBack = this.#planner.choose(states.table, new Uint8Array(states.table.count));
    this.#held = held;
  }

  /** The held thread is about to be let go. */
  released(): void {
    this.#held = undefined;
  }

  /** The text of `sites` is new, or gone: what stood there is forgotten, and not put back. */
  forget(sites: Uint32Array): void {
    this.#states.forget(sites);
    const windows = this.#states.compiled(sites);
    const back = this.#planner.choose(windows, new Uint8Array(sites.length));
    for (const [index, site] of sites.entries())
      this.#protocolBack[site] = back[index] ?? noProtocol;
    this.#setJournal(() => true);
  }

  /** Whether words are stored while everybody runs. */
  get isLive(): boolean {
    return this.#agent !== undefined && this.#agentless === undefined;
  }

  /**
   * Brings the windows of `sites` to their new bytes, holding nobody where that is possible; before
   * that, the literals of `naming`, of which some may be theirs.
   * @param known what was planned for the same windows in the same text.
   */
  write(sites: Uint32Array, windows: Windows, naming: Naming, known?: TextChange): Written {
    this.#writeJournal(sites, naming.sites);
    const heldFirst = this.#writeLiterals(naming.literals);
    const agent = this.#agentless === undefined ? this.#agent : undefined;
    const codes = known === undefined ? this.#chooseProtocols(sites, windows) : noCodes;
    const all = indices(sites.length);
    let held = agent === undefined ? all : pick(all, (index) => codes[index] === noProtocol);
    const live = held.length === 0 ? all : pick(all, (index) => codes[index] !== noProtocol);
    let change: TextChange | undefined;
    if (agent !== undefined && live.length > 0) {
      const part = pickWindows(windows, live);
      change = known ?? this.#planner.plan(part, pickCodes(codes, live), this.#read);
      try {
        this.#run(agent, change, part);
      } catch (error) {
        // Text that the agent may not open: nothing was changed, and there is the other way.
        if (!(error instanceof PatchbayError) || error.code !== "system") throw error;
        this.#agentless = error.why;
        held = all;
        change = undefined;
      }
    }
    const heldSites = held.map((index) => sites[index] ?? 0);
    const pauseMs = held.length === 0 ? 0 : this.#writeHeld(heldSites, pickWindows(windows, held));
    const literal = heldFirst > 0 ? 0 : countOutside(naming.sites, sites);
    return {
      protocols: { ...change?.counts, ...(literal === 0 ? {} : { literal }), stop: held.length },
      pauseMs: Math.max(pauseMs, heldFirst),
      ...(this.#agentless === undefined ? {} : { agentless: this.#agentless }),
      planned: held.length === 0 && !windows.moved.includes(1) ? change : undefined,
    };
  }

  /** Writes literals; for how long all threads were held, in ms. */
  #writeLiterals(literals: Literals): number {
    if (literals.count === 0) return 0;
    const agent = this.#agentless === undefined ? this.#agent : undefined;
    try {
      agent?.run(
        "point functions at their ops",
        planLiterals(literals, this.#process.backEnd.syscalls.mprotect),
      );
      if (agent !== undefined) return 0;
    } catch (error) {
      if (!(error instanceof PatchbayError) || error.code !== "system") throw error;
      this.#agentless = error.why;
    }
    const start = performance.now();
    const threads = this.#held ?? this.#process.holdAll(this.#agent?.tid);
    try {
      writeLiterals(this.#process.memory, literals);
      return performance.now() - start;
    } finally {
      if (this.#held === undefined) threads.letGo();
    }
  }

  /**
   * No protocol keeps a thread out of several real instructions without keeping others waiting.
   */
  #chooseProtocols(sites: Uint32Array, windows: Windows): Uint8Array {
    const several = new Uint8Array(sites.length);
    gather(this.#states.several, sites, several);
    const firstChanges = this.#firstChanges(sites, windows);
    // From one instruction to another it is the same protocol to and fro.
    const isBack = firstChanges === undefined && !several.includes(1);
    const codes = isBack
      ? pickCodes(this.#protocolBack, sites)
      : this.#planner.choose(windows, several, firstChanges);
    if (this.#process.backEnd.movesLive || !windows.moved.includes(1)) return codes;
    for (let i = 0; i < sites.length; i++) if (windows.moved[i] !== 0) codes[i] = noProtocol;
    return codes;
  }

  /** What becomes of the first instruction of each of `windows`. */
  #firstChanges(
    sites: Uint32Array,
    { bytes: after }: Windows,
  ): ((index: number) => FirstChange) | undefined {
    const { backEnd } = this.#process;
    const { bytes: before } = this.#states;
    if (backEnd.compareFirst === undefined) return undefined;
    return (index) =>
      backEnd.compareFirst?.(
        { bytes: before, from: (sites[index] ?? 0) * windowBytesMax },
        { bytes: after, from: index * windowBytesMax },
      ) ?? "any";
  }

  readonly #read: TextReader = (address, length) =>
    this.#process.memory.read(BigInt(address), length);

  #run(agent: Agent, change: TextChange, windows: Windows): void {
    for (const [index, program] of change.programs.entries()) {
      if (index > 0) this.#drain(windows);
      agent.run("patch functions", program);
    }
  }

  /** The old way: all threads are held meanwhile; for how long, in ms. */
  #writeHeld(sites: Uint32Array, windows: Windows): number {
    const process = this.#process;
    const restorers = findRestorers(process.memory, process.maps());
    const start = performance.now();
    const threads = this.#held ?? process.holdAll(this.#agent?.tid);
    try {
      const maps = process.maps();
      const wayOut = (pc: bigint): bigint | undefined => this.#wayOut(sites, windows, pc);
      leaveWindows(process, threads, maps, restorers, wayOut);
      writeWindows(process.memory, windows);
      this.#states.settle(sites, windows);
      // Only now is it right that the agent puts these back; and nobody has run in between.
      if (windows.moved.includes(1)) this.#setJournal(() => true);
      return performance.now() - start;
    } finally {
      if (this.#held === undefined) threads.letGo();
    }
  }

  /** Where a thread goes on that stands at `pc`, inside of one of `windows`. */
  #wayOut(sites: Uint32Array, windows: Windows, pc: bigint): bigint | undefined {
    const index = indexAround(windows, pc);
    const site = sites[index];
    if (site === undefined) return undefined;
    if (windows.moved[index] === 0) return endAround(windows, pc);
    const copy = this.#hooks.findCopy(site, pc);
    if (copy !== undefined) return copy;
    throw new PatchbayError({
      code: "bad-site",
      doing: `change the function at ${hex(BigInt(windows.at[index] ?? 0))}`,
      why: `a thread stands at ${hex(pc)}, where no instruction of it begins`,
      hint: "leave that function out with -N",
    });
  }

  /** Gets every thread out of the no-ops of windows whose first byte leads past them by now. */
  #drain(windows: Windows): void {
    const process = this.#process;
    if (this.#held === undefined && !process.holdsAll) {
      process.awaitProgress(this.#agent?.tid);
      return;
    }
    const maps = process.maps();
    const restorers = findRestorers(process.memory, maps);
    const end = (pc: bigint): bigint | undefined => endAround(windows, pc);
    if (this.#held !== undefined) leaveWindows(process, this.#held, maps, restorers, end);
    else drainThreads(process, restorers, end, this.#agent?.tid);
  }

  /**
   * What the agent does when this tracer dies: every window gets its compiled bytes back, those
   * that are about to change too, which is right at any time; and every literal. A prologue that
   * takes more than one store may be put back only while a jump stands there: such that are about
   * to change are left out until they have.
   * @param named sites whose literals are about to change.
   */
  #writeJournal(changing: Uint32Array, named: Uint32Array): void {
    const { table, touched } = this.#states;
    const { movesLive } = this.#process.backEnd;
    const leftOut = new Set<number>();
    for (let index = 0; index < changing.length; index++) {
      const site = changing[index] ?? 0;
      if (touched[site] === 0) this.#isJournalStale = true;
      touched[site] = 1;
      if (table.moved[site] === 0) continue;
      this.#isJournalStale = true;
      if (!movesLive) leftOut.add(site);
    }
    for (const site of named) {
      if (this.#states.named[site] === 0) this.#isJournalStale = true;
      this.#states.named[site] = 1;
    }
    const others = new AgentProgram(64);
    this.#hooks.addToJournal(others);
    if (!this.#isJournalStale && others.equals(this.#othersInJournal)) return;
    this.#setJournal((site) => !leftOut.has(site));
  }

  /** @param isKnown whether it is known what stands in the window of a moved prologue. */
  #setJournal(isKnown: (site: number) => boolean): void {
    const { table, several } = this.#states;
    const isDue = (site: number): boolean => {
      const code = this.#protocolBack[site] ?? noProtocol;
      if (code === noProtocol || table.moved[site] === 0 || this.#planner.isOneStore(code)) {
        return code !== noProtocol;
      }
      return several[site] === 0 && isKnown(site);
    };
    // A library that has just gone ends the program: its own functions come last.
    const [program = new AgentProgram(1)] = this.#planRestore(
      (site) => site < table.later && isDue(site),
    ).programs;
    const [later] = this.#planRestore((site) => site >= table.later && isDue(site)).programs;
    const others = new AgentProgram(64);
    this.#hooks.addToJournal(others);
    program.append(others).append(this.#planLiteralsBack((site) => site < table.later));
    if (later !== undefined) program.append(later);
    program.append(this.#planLiteralsBack((site) => site >= table.later));
    this.#agent?.setJournal(program);
    this.#isJournalStale = false;
    this.#othersInJournal = others;
  }

  /** Literals as the compiler left them. They name no ops: nobody has to be waited for. */
  #planLiteralsBack(isDue: (site: number) => boolean = () => true): AgentProgram {
    const { mprotect } = this.#process.backEnd.syscalls;
    return planLiterals(this.#states.compiledLiterals(pick(this.#namedSites(), isDue)), mprotect);
  }

  #namedSites(): Uint32Array {
    const { named } = this.#states;
    const sites = Uint32Array.from(named.keys());
    return byAddress(
      this.#states.table,
      pick(sites, (site) => named[site] === 1),
    );
  }

  #planRestore(isDue: (site: number) => boolean): TextChange {
    const touched = pick(this.#states.touchedSites(), isDue);
    const codes = pickCodes(this.#protocolBack, touched);
    return this.#planner.plan(this.#states.compiled(touched), codes, this.#read);
  }

  /** Whether the site is put back while everybody runs; most prologues are while all are held. */
  #hasWayBack(site: number): boolean {
    const isLive = this.#states.table.moved[site] === 0 || this.#process.backEnd.movesLive;
    return isLive && this.#protocolBack[site] !== noProtocol;
  }

  /** Puts the compiled bytes back while everybody runs, as far as that is possible. */
  restore(): void {
    if (this.#agent === undefined || this.#agentless !== undefined) return;
    try {
      for (const program of this.#planRestore((site) => this.#hasWayBack(site)).programs) {
        this.#agent.run("restore functions", program);
      }
      this.#agent.run("restore functions", this.#planLiteralsBack());
      this.#agent.setJournal(new AgentProgram(1));
    } catch (error) {
      // In a process that is stopped the agent is, too. Should it go on, it does what was done.
      if (!(error instanceof PatchbayError) || error.code !== "system") throw error;
      this.#agentless = error.why;
    }
  }

  /** Whether `restore` has left nothing to `restoreHeld`. */
  get isRestored(): boolean {
    if (!this.isLive) return false;
    return this.#states.touchedSites().every((site) => this.#hasWayBack(site));
  }

  /** Puts back what `restore` could not; all threads are held. */
  restoreHeld(): void {
    const touched = this.#states.touchedSites();
    const { isLive } = this;
    const left = touched.filter((site) => !isLive || !this.#hasWayBack(site));
    if (left.length > 0) writeWindows(this.#process.memory, this.#states.compiled(left));
    if (isLive) return;
    writeLiterals(this.#process.memory, this.#states.compiledLiterals(this.#namedSites()));
  }
}

/** The codes at `places`. */
function pickCodes(codes: Uint8Array, places: Uint32Array): Uint8Array {
  const picked = new Uint8Array(places.length);
  gather(codes, places, picked);
  return picked;
}

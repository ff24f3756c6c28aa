/**
 * The sites that call a trampoline with a literal beside them: which ops each one's literal names,
 * and what has to be written when that changes.
 */
import { AgentProgram } from "../codegen/agent-program.ts";
import { type Work, workKey } from "../codegen/work.ts";
import { encodeLiteral, literalBytes, nopOps } from "../patch/literal.ts";
import type { Agent } from "./agent.ts";
import { prot } from "./bootstrap.ts";
import { type OpsParts, OpsStore } from "./ops-store.ts";
import type { TargetMemory, TargetProcess } from "./process.ts";
import { byAddress, type SiteStates } from "./sites.ts";
import { findDiffering, type Literals, readText, windowBytesMax } from "./text-patch.ts";

const notCalling = -1;
/** Functions kept at least, so that what is switched off and on again is there still. */
const functionsKept = 64;

const pageBytes = 4096n;

type Parts = Omit<OpsParts, "store"> & {
  /** It stores words whole while everybody runs. */
  readonly agent: Agent;
  readonly states: SiteStates;
};

/** Literals to be written, and whose they are. */
export type Naming = { readonly sites: Uint32Array; readonly literals: Literals };

/** No literal is written. */
export const noNaming: Naming = {
  sites: new Uint32Array(0),
  literals: { count: 0, at: new Float64Array(0), halves: new Uint32Array(0) },
};

export class CalledSites {
  readonly ops: OpsStore;
  readonly #process: TargetProcess;
  readonly #agent: Agent;
  readonly #states: SiteStates;
  /** Number of the ops that the site's literal names; `notCalling` for sites that do not call. */
  #opsOf: Int16Array;
  /** Numbers of ops by the works that they do. */
  readonly #numbers = new Map<string, number>();

  constructor({ agent, states, ...parts }: Parts) {
    this.#agent = agent;
    this.#process = parts.process;
    this.ops = new OpsStore({ ...parts, store: (at, value) => this.#store(at, value) });
    this.#states = states;
    this.#opsOf = new Int16Array(states.table.count).fill(notCalling);
  }

  /** The text of `sites` is new, or gone. */
  forget(sites: Uint32Array): void {
    for (const site of sites) this.#opsOf[site] = notCalling;
  }

  /** Whether there was a call at any site. */
  get isUsed(): boolean {
    return this.#numbers.size > 0;
  }

  /** Whether the site's window holds a call. */
  isCalling(site: number): boolean {
    return this.#opsOf[site] !== notCalling;
  }

  /** Where the site's call goes; undefined where no memory in its reach is free. */
  trampoline(site: number): number | undefined {
    const { at, literal } = this.#states.table;
    return this.ops.trampoline(at[site] ?? 0, literal[site] ?? 0);
  }

  /** Those of `sites` before which the compiler's bytes do not stand any more. */
  differing(memory: TargetMemory, sites: Uint32Array): readonly number[] {
    const { at, literal, literals } = this.#states.table;
    const fresh = sites.filter((site) => this.#states.named[site] === 0);
    const windows = {
      count: fresh.length,
      at: Float64Array.from(fresh, (site) => (at[site] ?? 0) - (literal[site] ?? 0)),
      size: new Uint8Array(fresh.length).fill(literalBytes),
      moved: new Uint8Array(fresh.length),
      bytes: new Uint8Array(fresh.length * windowBytesMax),
    };
    fresh.forEach((site, index) => {
      const from = site * literalBytes;
      windows.bytes.set(literals.subarray(from, from + literalBytes), index * windowBytesMax);
    });
    return findDiffering(windows, readText(memory, windows)).map((index) => fresh[index] ?? 0);
  }

  /**
   * Lets the literals of `sites` name what they are to call: the ops that do the work, or none for
   * sites that no longer call. Literals that stay as they are are not among what is to be written.
   * @param workOf the work of a site that is to call; undefined for one that is not.
   */
  name(sites: Uint32Array, workOf: (site: number) => Work | undefined): Naming {
    const next = new Map<number, number>();
    for (const site of sites) {
      const work = workOf(site);
      const ops = work === undefined ? notCalling : this.#numberOf(work);
      if (ops !== this.#opsOf[site]) next.set(site, ops);
    }
    const changed = byAddress(this.#states.table, Uint32Array.from(next.keys()));
    for (const [site, ops] of next) this.#opsOf[site] = ops;
    const literals = this.#states.literals(changed, (site) =>
      encodeLiteral(site, Math.max(this.#opsOf[site] ?? notCalling, nopOps)),
    );
    return { sites: changed, literals };
  }

  #numberOf(work: Work): number {
    const key = workKey(work);
    const number = this.#numbers.get(key) ?? this.ops.numberOf(work);
    this.#numbers.set(key, number);
    return number;
  }

  /** Takes functions out of use that no site calls, once there are many. */
  retireUnused(): void {
    if (this.#numbers.size <= functionsKept) return;
    const inUse = new Set(this.#opsOf);
    this.ops.retireUnused(inUse);
    for (const [key, number] of this.#numbers) if (!inUse.has(number)) this.#numbers.delete(key);
  }

  /** Stores a word of data that threads may be reading. */
  #store(at: bigint, value: bigint): void {
    const { mprotect } = this.#process.backEnd.syscalls;
    const page = at & -pageBytes;
    const program = new AgentProgram();
    program.syscall(mprotect, page, pageBytes, BigInt(prot.read | prot.write));
    program.store(Number(at), 8, Number(value & 0xffff_ffffn), Number(value >> 32n));
    program.syscall(mprotect, page, pageBytes, BigInt(prot.read));
    this.#agent.run("store a word", program);
  }
}

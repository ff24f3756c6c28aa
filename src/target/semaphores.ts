/**
 * Semaphores of static probes: u16 counters of listeners in the program's data. A program looks at
 * one to see whether it should make ready what a probe has to say, so it counts Patchbay while one
 * of its places is traced. Nobody else is expected to change it in the very moment that we do.
 */
import type { AgentProgram } from "../codegen/agent-program.ts";
import type { Mapping } from "../os/proc.ts";
import type { TargetMemory } from "./process.ts";
import type { SiteTable } from "./sites.ts";

const semaphoreBytes = 2;

export class Semaphores {
  readonly #memory: TargetMemory;
  readonly #table: SiteTable;
  /** Sites that are traced, by the address of their semaphore. */
  readonly #listening = new Map<number, Set<number>>();
  /** Addresses where we are counted. */
  readonly #counted = new Set<number>();

  constructor(memory: TargetMemory, table: SiteTable) {
    this.#memory = memory;
    this.#table = table;
  }

  /** Whether a site that was traced has one. */
  get areUsed(): boolean {
    return this.#listening.size > 0;
  }

  /** Notes which of `sites` are to be traced; nothing changes before `apply`. */
  plan(
    sites: Uint32Array,
    isTraced: (site: number) => boolean,
    maps: () => readonly Mapping[],
  ): void {
    for (const site of sites) {
      const address = this.#table.semaphore[site] ?? 0;
      if (address === 0) continue;
      let listening = this.#listening.get(address);
      if (listening === undefined) {
        // A program that can't write it does not look there.
        if (!isWritable(maps(), address)) continue;
        this.#listening.set(address, (listening = new Set()));
      }
      if (isTraced(site)) listening.add(site);
      else listening.delete(site);
    }
  }

  /** Adds to what the agent does when this tracer dies: nobody is counted who does not listen. */
  addToJournal(program: AgentProgram): void {
    for (const address of this.#listening.keys()) {
      const ours = this.#counted.has(address) ? 1 : 0;
      program.store(address, semaphoreBytes, Math.max(0, this.#read(address) - ours));
    }
  }

  /** Brings the counts to what was planned. */
  apply(): void {
    for (const [address, sites] of this.#listening) this.#count(address, sites.size > 0);
  }

  /** Nobody listens any more. */
  release(): void {
    for (const address of this.#listening.keys()) this.#count(address, false);
  }

  #count(address: number, wanted: boolean): void {
    if (wanted === this.#counted.has(address)) return;
    const value = Math.max(0, this.#read(address) + (wanted ? 1 : -1));
    this.#memory.write(BigInt(address), Uint8Array.of(value & 0xff, (value >> 8) & 0xff));
    if (wanted) this.#counted.add(address);
    else this.#counted.delete(address);
  }

  #read(address: number): number {
    const [low = 0, high = 0] = this.#memory.read(BigInt(address), semaphoreBytes);
    return low + 256 * high;
  }
}

const isWritable = (maps: readonly Mapping[], address: number): boolean =>
  maps.some(({ start, end, writable }) => {
    const place = BigInt(address);
    return writable && start <= place && place < end;
  });

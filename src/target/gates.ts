/** What threads of a process may have to wait at: the loader's gate, and that of execs. */
import type { AgentProgram } from "../codegen/agent-program.ts";
import { control } from "../ring/arena.ts";
import type { Agent } from "./agent.ts";
import type { Arena, Range } from "./bootstrap.ts";
import { bringExecGate, type ExecGate } from "./exec-gate.ts";
import { LoaderGate } from "./loader-gate.ts";
import type { TargetProcess } from "./process.ts";

type Parts = {
  readonly process: TargetProcess;
  readonly arena: Arena;
  /** Maps `bytes` at `start` in the target, readable and executable. */
  readonly map: (start: bigint, bytes: number) => void;
};

/** Where the gate of execs is, and the arena (open here) that has its words. */
export type ExecGateFacts = { readonly address: ExecGate["address"]; readonly arenaFd: number };

export class Gates {
  readonly #parts: Parts;
  #loader: LoaderGate | undefined;
  #exec: ExecGate | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Lets the loader, whose function is at `at`, wait: the arena with its words, if it does. */
  watchLoader(agent: Agent, at: bigint): number | undefined {
    this.#loader = LoaderGate.install({ ...this.#parts, agent }, at);
    return this.#loader === undefined ? undefined : this.#parts.arena.fd;
  }

  /** Where the loader's function is patched; undefined where it is not. */
  get loaderWindow(): number | undefined {
    return this.#loader?.at;
  }

  /** Brings in what threads can call before they exec. Nobody calls it yet. */
  openExecs(): ExecGateFacts | undefined {
    this.#exec ??= bringExecGate(this.#parts);
    if (this.#exec === undefined) return undefined;
    return { address: this.#exec.address, arenaFd: this.#parts.arena.fd };
  }

  /** Where their code is. */
  get ranges(): readonly Range[] {
    return [this.#loader, this.#exec].flatMap((gate) => (gate === undefined ? [] : gate.range));
  }

  isInside(pc: bigint): boolean {
    return this.ranges.some(({ start, bytes }) => pc >= start && pc < start + bytes);
  }

  /** Adds what the agent does when this tracer dies: nobody waits any more. */
  addToJournal(program: AgentProgram): void {
    this.#loader?.addToJournal(program);
    if (this.#exec === undefined) return;
    program.store(Number(this.#parts.arena.at) + control.execArmed, 4, 0);
  }

  /** No thread waits for the loader meanwhile. */
  whileOpen<T>(work: () => T): T {
    return this.#loader === undefined ? work() : this.#loader.whileOpen(work);
  }

  /** Lets those go who wait for the loader, and puts its function back. */
  remove(): void {
    this.#loader?.remove();
  }

  /** Puts back what `remove` could not; all threads are held. */
  removeHeld(): void {
    this.#loader?.removeHeld();
  }
}

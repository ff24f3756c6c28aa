/** What threads of a process call on their way: gates of the loader, of execs, forks, jumps. */
import { type CodeAddr, codeAddr } from "../base/brand.ts";
import type { AgentProgram } from "../codegen/agent-program.ts";
import type { ThunkPlan } from "../codegen/x86-64/record.ts";
import { control, pageBytes } from "../ring/arena.ts";
import { findRoomNear } from "./address-space.ts";
import type { Agent } from "./agent.ts";
import type { Arena, Range } from "./bootstrap.ts";
import { jumpCode } from "./jump-gate.ts";
import { LoaderGate } from "./loader-gate.ts";
import type { HeldThreads, TargetProcess } from "./process.ts";

type Parts = {
  readonly process: TargetProcess;
  readonly arena: Arena;
  readonly plan: Omit<ThunkPlan, "instances">;
  /** Maps `bytes` at `start` in the target, readable and executable. */
  readonly map: (start: bigint, bytes: number) => void;
  /** Threads that are held all the time at present. */
  readonly held: () => HeldThreads | undefined;
};

/** A gate that functions of the target can call. */
type CalledGate = { readonly address: CodeAddr; readonly range: Range };

/** Where the gate of execs is, and the arena (open here) that has its words. */
export type ExecGateFacts = { readonly address: CodeAddr; readonly arenaFd: number };

export class Gates {
  readonly #parts: Parts;
  #loader: LoaderGate | undefined;
  #exec: CalledGate | undefined;
  #fork: CalledGate | undefined;
  #jump: CalledGate | undefined;

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
    const { process, arena, plan } = this.#parts;
    const { backEnd } = process;
    this.#exec ??= this.#bring(backEnd.execGate?.(arena.at, plan.forkStamp, plan.tidOffset));
    if (this.#exec === undefined) return undefined;
    return { address: this.#exec.address, arenaFd: arena.fd };
  }

  /** The same for what they can call before they fork. */
  openForks(): CodeAddr | undefined {
    const { process, plan } = this.#parts;
    if (plan.forkStamp === undefined) return undefined;
    this.#fork ??= this.#bring(process.backEnd.forkGate?.(plan.forkStamp, plan.tidOffset));
    return this.#fork?.address;
  }

  /**
   * The same for what they can call before a longjmp.
   * @param mangled whether the C library mangles what is in a jmp_buf.
   */
  openJumps(mangled: boolean): CodeAddr | undefined {
    this.#jump ??= this.#bring(jumpCode(this.#parts, mangled));
    return this.#jump?.address;
  }

  /** Puts a gate's code into the target. */
  #bring(code: Uint8Array | undefined): CalledGate | undefined {
    if (code === undefined) return undefined;
    const { process, arena, map } = this.#parts;
    const { branchReach } = process.backEnd;
    const start = findRoomNear(process.maps(), code.length, arena.at, arena.at, branchReach);
    map(start, pageBytes);
    process.memory.write(start, code);
    return { address: codeAddr(start), range: { start, bytes: BigInt(pageBytes) } };
  }

  /** Where their code is. */
  get ranges(): readonly Range[] {
    const gates = [this.#loader, this.#exec, this.#fork, this.#jump];
    return gates.flatMap((gate) => (gate === undefined ? [] : gate.range));
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

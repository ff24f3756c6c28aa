/**
 * The tracer's end of the agent: starts it, hands it programs, and waits for them to be done.
 * What an agent is: `codegen/x86-64/agent.ts`.
 */

import {
  type CodeAddr,
  codeAddr,
  type DataAddr,
  dataAddr,
  type Pid,
  type Tid,
  tid as toTid,
} from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { AgentProgram } from "../codegen/agent-program.ts";
import type { AgentCode, SyscallName } from "../codegen/back-end.ts";
import { holdWhileAlive, waitWhile, wake } from "../os/futex.ts";
import { errorName } from "../os/libc.ts";
import { MappedFile } from "../os/mapped-file.ts";
import { isAlive, readStat } from "../os/proc.ts";
import { nap } from "../os/ptrace.ts";
import {
  type ArenaShape,
  agentCommand,
  control,
  counterOffset,
  programOffset,
} from "../ring/arena.ts";
import type { TargetProcess } from "./process.ts";
import type { RemoteThread } from "./remote-call.ts";

/** clone(2): a thread that shares all and whose id the kernel keeps in the arena. */
const cloneFlags =
  0x100n | 0x200n | 0x400n | 0x800n | 0x10000n | 0x40000n | 0x80000n | 0x200000n | 0x100000n;
const sigSetmask = 2n;
/** How long the agent may take for one program before we look whether it is still there, in ms. */
const checkMs = 50;
/** Frozen or starved for this long, in ms, it is given up. */
const giveUpMs = 20_000;
/** The same for a process that is stopped: it will not go on by itself. */
const stoppedMs = 500;

export class Agent {
  readonly pid: Pid;
  readonly #process: TargetProcess;
  readonly #shape: ArenaShape;
  readonly #mapped: MappedFile;
  readonly #words: Uint32Array;
  readonly #failure: BigInt64Array;
  readonly #result: BigInt64Array;
  /** The journal area that is in force: 0 none, 1 or 2. */
  #journal = 0;

  private constructor(process: TargetProcess, shape: ArenaShape, arenaFd: number) {
    this.pid = process.pid;
    this.#process = process;
    this.#shape = shape;
    this.#mapped = new MappedFile(arenaFd, 0, counterOffset(shape));
    this.#words = new Uint32Array(this.#mapped.buffer);
    this.#failure = new BigInt64Array(this.#mapped.buffer, control.failure, 1);
    this.#result = new BigInt64Array(this.#mapped.buffer, control.result, 1);
  }

  /**
   * Starts the agent on the back of a held thread. The calling OS thread becomes its owner.
   * @param agentCode its code for the arena's shape.
   * @param code where its code goes: mapped, readable and executable.
   * @param stackTop end of a page of its own, readable and writable.
   */
  static start(
    remote: RemoteThread,
    process: TargetProcess,
    arena: { readonly at: DataAddr; readonly fd: number; readonly shape: ArenaShape },
    agentCode: AgentCode,
    code: CodeAddr,
    stackTop: bigint,
  ): Agent {
    const agent = new Agent(process, arena.shape, arena.fd);
    const { memory, backEnd } = process;
    memory.write(code, agentCode.bytes(arena.at));
    holdWhileAlive(agent.#mapped.address + BigInt(control.owner));
    // The new thread inherits a mask that blocks everything: no signal is ever handled on it.
    const scratch = stackTop - 64n;
    memory.write(scratch, new Uint8Array(16).fill(0xff, 0, 8));
    const mask = (set: bigint, old: bigint): bigint =>
      remote.syscall("block signals", "sigprocmask", sigSetmask, set, old, 8n);
    mask(scratch, scratch + 8n);
    try {
      const tidWord = dataAddr(arena.at + BigInt(control.agentTid));
      const args = backEnd.cloneArguments(cloneFlags, stackTop - 128n, tidWord);
      const clone = codeAddr(code + BigInt(agentCode.clone));
      remote.clone("start the agent", clone, args);
    } finally {
      mask(scratch + 8n, 0n);
    }
    return agent;
  }

  #load(field: number): number {
    return Atomics.load(this.#words, field / 4);
  }

  /** The agent's thread, while it lives. */
  get tid(): Tid | undefined {
    const tid = this.#load(control.agentTid);
    return tid === 0 ? undefined : toTid(tid);
  }

  /** Runs a program in the target and waits until it is done. `doing` names it in errors. */
  run(doing: string, program: AgentProgram): void {
    if (program.isEmpty) return;
    this.#write(0, doing, program);
    this.#command(agentCommand.run);
    this.#awaitIdle(doing);
    const failure = Number(this.#failure[0] ?? 0n);
    if (failure !== 0) {
      throw new PatchbayError({
        code: "system",
        doing: `${doing} in process ${this.pid}`,
        why: errorName(-failure),
      });
    }
  }

  /** One system call in the target that has to succeed; its result. */
  syscall(doing: string, name: SyscallName, ...args: readonly bigint[]): bigint {
    this.run(doing, new AgentProgram().syscall(this.#process.backEnd.syscalls[name], ...args));
    return this.#result[0] ?? 0n;
  }

  /** Puts another program in force for the case that this tracer dies. */
  setJournal(program: AgentProgram): void {
    const next = program.isEmpty ? 0 : this.#journal === 1 ? 2 : 1;
    if (next !== 0) this.#write(next, "write the journal", program);
    Atomics.store(this.#words, control.journal / 4, next);
    this.#journal = next;
  }

  #write(area: number, doing: string, program: AgentProgram): void {
    if (program.bytes > this.#shape.programBytes) {
      throw new PatchbayError({
        code: "unsupported",
        doing,
        why: `${program.bytes} bytes of steps exceed the room of ${this.#shape.programBytes}`,
        hint: "change fewer functions at once",
      });
    }
    new Uint8Array(this.#mapped.buffer, programOffset(this.#shape, area)).set(program.finish());
  }

  #command(command: number): void {
    Atomics.store(this.#words, control.command / 4, command);
    wake(this.#mapped.address + BigInt(control.command));
  }

  #awaitIdle(doing: string): void {
    const address = this.#mapped.address + BigInt(control.command);
    const start = performance.now();
    for (;;) {
      const command = this.#load(control.command);
      if (command === agentCommand.idle) return;
      const waited = performance.now() - start;
      if (!isAlive(this.pid) || this.tid === undefined) {
        throw new PatchbayError({
          code: "target-exited",
          doing: `${doing} in process ${this.pid}`,
          why: "the process has ended",
        });
      }
      if (waited > giveUpMs || (waited > stoppedMs && readStat(this.pid).state === "T")) {
        throw new PatchbayError({
          code: "system",
          doing: `${doing} in process ${this.pid}`,
          why: "its agent thread does not run",
          hint: "is the process stopped or frozen? continue it",
        });
      }
      waitWhile(address, command, checkMs);
    }
  }

  /** Ends the agent's thread; returns when it is gone. */
  quit(): void {
    this.#command(agentCommand.quit);
    for (let tries = 0; this.tid !== undefined && isAlive(this.pid) && tries < 20_000; tries++)
      nap(0.2);
  }

  [Symbol.dispose](): void {
    this.#mapped[Symbol.dispose]();
  }
}

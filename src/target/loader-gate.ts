/**
 * Puts the loader's gate (`codegen/x86-64/loader-gate.ts`) into the dynamic linker of a process,
 * and takes it away.
 */
import type { DataAddr } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { AgentProgram } from "../codegen/agent-program.ts";
import { wake } from "../os/futex.ts";
import { MappedFile } from "../os/mapped-file.ts";
import type { Step } from "../patch/steps.ts";
import { branchSize } from "../patch/x86-64-layouts.ts";
import {
  disableReturnSite,
  enableReturnSite,
  findReturnSite,
  returnSiteBytes,
} from "../patch/x86-64-return-site.ts";
import { control, pageBytes } from "../ring/arena.ts";
import { findRoomNear } from "./address-space.ts";
import type { Agent } from "./agent.ts";
import { prot, type Range } from "./bootstrap.ts";
import type { TargetProcess } from "./process.ts";
import { membarrierCommand } from "./text-change.ts";

type Parts = {
  readonly process: TargetProcess;
  readonly agent: Agent;
  readonly arena: { readonly at: DataAddr; readonly fd: number };
  /** Maps `bytes` at `start` in the target, readable and executable. */
  readonly map: (start: bigint, bytes: number) => void;
};

/** The window of a return, and what stands in it. */
type Window = {
  readonly at: number;
  readonly compiled: Uint8Array;
  readonly jump: Uint8Array;
  /** The mapping that it lies in: opened as a whole, so that the kernel need not cut it. */
  readonly text: Range;
};

export class LoaderGate {
  /** Where its code is. */
  readonly range: Range;
  /** Address of the window that leads to it. */
  readonly at: number;
  readonly #parts: Parts;
  readonly #window: Window;
  readonly #control: MappedFile;
  #isBack = false;
  #isRemoved = false;

  private constructor(parts: Parts, range: Range, window: Window) {
    this.#parts = parts;
    this.range = range;
    this.at = window.at;
    this.#window = window;
    this.#control = new MappedFile(parts.arena.fd, 0, pageBytes);
  }

  /**
   * Installs it in the function at `at`, which does nothing; undefined where that is not so, or
   * there is no code for it. Threads wait from now on.
   */
  static install(parts: Parts, at: bigint): LoaderGate | undefined {
    const { process, map } = parts;
    const { backEnd, memory } = process;
    const code = backEnd.loaderGate?.(parts.arena.at);
    if (code === undefined) return undefined;
    const offset = findReturnSite(memory.read(at, returnSiteBytes), at);
    if (offset === undefined) return undefined;
    const windowAt = at + BigInt(offset);
    const start = findRoomNear(process.maps(), code.length, at, at, backEnd.branchReach);
    const mapping = process.maps().find((one) => one.start <= windowAt && windowAt < one.end);
    if (mapping === undefined) return undefined;
    map(start, pageBytes);
    memory.write(start, code);
    const jump = new Uint8Array(branchSize);
    backEnd.fillJump(Number(windowAt), branchSize, Number(start), jump, 0);
    const compiled = memory.read(windowAt, branchSize);
    const text = { start: mapping.start, bytes: mapping.end - mapping.start };
    const window = { at: Number(windowAt), compiled, jump, text };
    const gate = new LoaderGate(parts, { start, bytes: BigInt(pageBytes) }, window);
    gate.#arm(1);
    const program = new AgentProgram();
    gate.#plan(program, enableReturnSite, jump);
    parts.agent.run("watch the loader", program);
    return gate;
  }

  /** Adds what the agent does when this tracer dies. */
  addToJournal(program: AgentProgram): void {
    const armed = Number(this.#parts.arena.at) + control.loaderArmed;
    program.store(armed, 4, 0);
    this.#plan(program, disableReturnSite, this.#window.compiled);
  }

  /** Nobody waits meanwhile: the thread that we let load a library would wait for us. */
  whileOpen<T>(work: () => T): T {
    if (this.#isRemoved) return work();
    this.#arm(0);
    try {
      return work();
    } finally {
      this.#arm(1);
    }
  }

  /** Lets those go who wait, and puts the function back, unless the agent does not run. */
  remove(): void {
    this.#isRemoved = true;
    this.#arm(0);
    const program = new AgentProgram();
    this.#plan(program, disableReturnSite, this.#window.compiled);
    try {
      this.#parts.agent.run("leave the loader", program);
      this.#isBack = true;
    } catch (error) {
      // In a process that is stopped the agent is, too: `removeHeld` does without it.
      if (!(error instanceof PatchbayError) || error.code !== "system") throw error;
    }
    this.#control[Symbol.dispose]();
  }

  /** Puts back what `remove` could not; all threads are held. */
  removeHeld(): void {
    if (this.#isBack) return;
    const { at, compiled } = this.#window;
    this.#parts.process.memory.write(BigInt(at), compiled);
    this.#isBack = true;
  }

  #arm(armed: number): void {
    Atomics.store(new Uint32Array(this.#control.buffer), control.loaderArmed / 4, armed);
    wake(this.#control.address + BigInt(control.loaderSeen));
  }

  /** Adds the steps of a protocol that brings the window to `bytes`. */
  #plan(program: AgentProgram, steps: readonly Step[], bytes: Uint8Array): void {
    const { mprotect, membarrier } = this.#parts.process.backEnd.syscalls;
    const { at, text } = this.#window;
    const protect = (protection: number): unknown =>
      program.syscall(mprotect, text.start, text.bytes, BigInt(protection));
    protect(prot.read | prot.write | prot.exec);
    for (const step of steps) {
      if (step.op === "sync") program.syscall(membarrier, membarrierCommand.syncCore, 0n, 0n);
      if (step.op !== "write" || step.span.in !== "window") continue;
      const { from, size } = step.span;
      program.storeBytes(at + from, bytes, from, size === "rest" ? branchSize - from : size);
    }
    protect(prot.read | prot.exec);
  }
}

/** Threads that a GDB stub holds: one of an emulator's, or all of a debugger's process. */
import { assert, ensure } from "../../base/assert.ts";
import { hex, type Pid, type Tid } from "../../base/brand.ts";
import { PatchbayError } from "../../base/error.ts";
import type { HeldThreads, RegisterFile, RunUntil } from "../process.ts";
import { StubRegisters } from "./registers.ts";
import type { ThreadId } from "./stop-reply.ts";
import type { StubProcess } from "./stub-process.ts";

const trapSignal = 5;
/** GDB's numbers of SIGILL, SIGFPE, SIGBUS and SIGSEGV: without a handler, they come for ever. */
const faults: ReadonlySet<number> = new Set([4, 8, 10, 11]);
/** Longest wait for a driven thread, in ms. */
const runTimeoutMs = 30_000;
/** Instructions that a thread is let go on for at a time. */
const momentInstructions = 500;

/**
 * A thread that was interrupted in a system call on x86-64 would have that restarted, wherever
 * its pc is; the word is put back with the rest.
 */
function unrestarted(registers: RegisterFile): RegisterFile {
  const isKnown = registers instanceof StubRegisters && registers.has("orig_rax");
  return isKnown ? registers.copy().set("orig_rax", -1n) : registers;
}

export class StubHeld implements HeldThreads {
  readonly pid: Pid;
  readonly tids: readonly Tid[];
  readonly #process: StubProcess;
  readonly #thread: ThreadId;
  /** GDB's numbers of signals that have come meanwhile, to be delivered in the end. */
  readonly #signals: number[];
  /** What the gate's place holds when it is down; absent while it is. */
  #gate: Uint8Array | undefined;
  #isHeld = true;

  constructor(
    process: StubProcess,
    thread: ThreadId,
    tids: readonly Tid[],
    signals: readonly number[] = [],
  ) {
    this.#process = process;
    this.#thread = thread;
    this.pid = process.pid;
    this.tids = tids;
    this.#signals = [...signals];
  }

  get quietest(): Tid {
    return ensure(this.tids[0], "a thread is held");
  }

  /** The protocol's name of a thread. */
  #id(tid: Tid): ThreadId {
    return { ...this.#thread, thread: tid };
  }

  readRegisters(tid: Tid): StubRegisters {
    const { client } = this.#process;
    return new StubRegisters(client.description, client.readRegisters(this.#id(tid)));
  }

  writeRegisters(tid: Tid, registers: RegisterFile): void {
    assert(registers instanceof StubRegisters, "they are those of a thread under a stub");
    this.#process.client.writeRegisters(this.#id(tid), registers.bytes);
  }

  /** A stub tells of signals before they are delivered: they are kept until the end. */
  blockSignals(): void {}

  restartArea(): undefined {}

  giveBack(tid: Tid, original: RegisterFile): void {
    try {
      this.writeRegisters(tid, original);
    } catch {
      // The thread is gone, and its registers with it.
    }
  }

  /** By single steps: no stub lets a thread run for a while and then stops it alone. */
  runOn(tid: Tid): boolean {
    for (let count = 0; count < momentInstructions; count++) {
      if (this.#go(tid, "step", "execute an instruction") === undefined) return false;
    }
    return true;
  }

  /** Lets the thread alone go on until it traps. Undefined when the program has ended. */
  #go(tid: Tid, action: "continue" | "step", doing: string): "trap" | undefined {
    const { client } = this.#process;
    for (;;) {
      client.resume({ action, thread: this.#id(tid) });
      const stop = client.waitStop(runTimeoutMs);
      if (stop === undefined) {
        throw new PatchbayError({
          code: "system",
          doing: `${doing} in process ${this.pid}`,
          why: `the thread has not come back within ${runTimeoutMs / 1000} s`,
        });
      }
      if (stop.kind !== "stopped") return undefined;
      const isOurs = stop.thread === undefined || stop.thread.thread === tid;
      if (isOurs && stop.signal === trapSignal) return "trap";
      if (isOurs && action === "continue" && faults.has(stop.signal)) {
        throw new PatchbayError({
          code: "system",
          doing: `${doing} in process ${this.pid}`,
          why: `the thread got signal ${stop.signal} by what it executed`,
        });
      }
      if (isOurs) this.#signals.push(stop.signal);
      // Another thread of an emulator's has got a signal of its own.
      else client.resume({ action: "continue", signal: stop.signal });
    }
  }

  run(
    doing: string,
    tid: Tid,
    registers: RegisterFile,
    until: RunUntil,
    original: RegisterFile,
  ): StubRegisters {
    const { client, backEnd } = this.#process;
    this.#gate ??= this.#process.raiseGate();
    this.writeRegisters(tid, unrestarted(registers));
    const size = backEnd.syscallInstruction.length;
    const behind = registers.get(backEnd.registers.pc) + BigInt(size);
    // Emulators step over a system call together with what follows it.
    if (until === "syscall") client.insertBreakpoint(behind, size);
    let after: StubRegisters;
    try {
      if (this.#go(tid, "continue", doing) === undefined) {
        throw new PatchbayError({
          code: "target-exited",
          doing: `${doing} in process ${this.pid}`,
          why: "the process has ended",
        });
      }
      after = this.readRegisters(tid);
    } finally {
      if (until === "syscall" && client.stop?.kind === "stopped") {
        client.removeBreakpoint(behind, size);
      }
    }
    const { pc } = backEnd.registers;
    if (until === "syscall" && after.get(pc) !== behind) {
      throw new PatchbayError({
        code: "system",
        doing: `${doing} in process ${this.pid}`,
        why: `the thread stopped at ${hex(after.get(pc))} instead of ${hex(behind)}`,
      });
    }
    this.writeRegisters(tid, original);
    return after;
  }

  letGo(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    if (this.#process.client.stop?.kind !== "stopped") return;
    if (this.#gate !== undefined) this.#process.lowerGate(this.#gate);
    this.#process.letRun(this.#signals);
  }

  [Symbol.dispose](): void {
    this.letGo();
  }
}

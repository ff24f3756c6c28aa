/** A process that runs on this machine's processors, reached by ptrace and /proc. */
import { assert } from "../base/assert.ts";
import { type CodeAddr, codeAddr, type Pid, type Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { BackEnd } from "../codegen/back-end.ts";
import { backEnds } from "../codegen/back-ends.ts";
import { listThreads, type Mapping, ProcessMemory, readMaps } from "../os/proc.ts";
import type { HeldThreads, RegisterFile, TargetProcess } from "./process.ts";
import { StoppedThreads } from "./stop.ts";
import { WayBack } from "./way-back.ts";

export class PtraceProcess implements TargetProcess {
  readonly pid: Pid;
  readonly backEnd: BackEnd = backEnds["x86-64"];
  readonly memory: ProcessMemory;
  /** 2 TiB, the top of which holds every stack. */
  readonly mirrorWindowBits = 41;
  readonly holdsAll = true;

  #wayBack: { readonly found: WayBack | undefined } | undefined;

  constructor(pid: Pid) {
    this.pid = pid;
    this.memory = new ProcessMemory(pid);
  }

  roomForRings(): bigint {
    return 0n;
  }

  maps(): readonly Mapping[] {
    return readMaps(this.pid);
  }

  threads(): readonly Tid[] {
    return listThreads(this.pid);
  }

  holdAll(except?: Tid): StoppedThreads {
    return StoppedThreads.all(this.pid, except);
  }

  holdOne(): StoppedThreads {
    // Looked for before anybody waits for it.
    this.#findWayBack();
    return StoppedThreads.one(this.pid);
  }

  borrow(threads: HeldThreads, tid: Tid, original: RegisterFile): bigint | undefined {
    assert(threads instanceof StoppedThreads, "they are held by ptrace");
    return threads.cover(tid, original, this.#findWayBack());
  }

  /** Looked for once: what it consists of belongs to the C library, which stays. */
  #findWayBack(): WayBack | undefined {
    this.#wayBack ??= { found: WayBack.find(this.memory, this.maps()) };
    return this.#wayBack.found;
  }

  hold(tid: Tid): StoppedThreads | undefined {
    return StoppedThreads.oneIfThere(this.pid, tid);
  }

  /** One that a `ret` follows, or else the vdso's, which nothing of the program's own follows. */
  syscallGate(): CodeAddr {
    const wayBack = this.#findWayBack();
    if (wayBack !== undefined) return wayBack.gate;
    const { syscallInstruction } = this.backEnd;
    for (const mapping of this.maps()) {
      if (mapping.path !== "[vdso]") continue;
      const image = this.memory.read(mapping.start, Number(mapping.end - mapping.start));
      const at = Buffer.from(image.buffer).indexOf(syscallInstruction);
      if (at >= 0) return codeAddr(mapping.start + BigInt(at));
    }
    throw new PatchbayError({
      code: "unsupported",
      doing: "prepare system calls in the process",
      why: "it has no vdso with a system call instruction",
      hint: "boot without vdso=0",
    });
  }

  threadPointer(held: HeldThreads, tid: Tid): bigint {
    return held.readRegisters(tid).get(this.backEnd.registers.thread);
  }

  awaitProgress(): void {
    assert(!this.holdsAll, "where threads can be held, they are looked at");
  }

  [Symbol.dispose](): void {
    this.memory[Symbol.dispose]();
  }
}

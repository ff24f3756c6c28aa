/**
 * Unwinders that come with a library while a process is traced (a plugin that brings the first C++
 * code along) are told of the thunks, as those are that were there at first. It has to wait until
 * the loader has relocated the library: before that, nothing in it can be called.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { ProcessMemory } from "../os/proc.ts";
import { slotNames } from "../patch/x86-64-slots.ts";
import type { Module } from "./process-modules.ts";
import { targetFacts } from "./target-facts.ts";
import type { TargetHandlers } from "./target-worker.ts";
import type { WorkerClient } from "./worker-rpc.ts";

/** How often and how long the loader is looked at, in ms; constructors may wait for input. */
const everyMs = 2;
const patienceMs = 20_000;

type Parts = { readonly pid: Pid; readonly target: WorkerClient<TargetHandlers> };

export class LaterUnwinders {
  readonly #parts: Parts;
  #isOver = false;
  #work: Promise<void> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The library has been mapped. Gives no promise: the loader goes on meanwhile. */
  arrive(module: Module): void {
    if (targetFacts([module]).unwinders.length === 0) return;
    this.#work = this.#work.then(() => this.#introduce(module));
  }

  /** No more calls are made into the process. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#work;
  }

  async #introduce(module: Module): Promise<void> {
    const deadline = performance.now() + patienceMs;
    while (!this.#isOver && performance.now() < deadline) {
      try {
        if (isRelocated(this.#parts.pid, module)) {
          await this.#parts.target.call("learnUnwinders", targetFacts([module]));
          return;
        }
      } catch (error) {
        // No thread was at a safe point, or the library or the process has gone.
        if (!(error instanceof PatchbayError)) throw error;
      }
      await sleep(everyMs);
    }
  }
}

/**
 * Whether the loader has been through the library's relocations. It begins with what is relative
 * and ends with the slots of functions; none of these is then as the file has it.
 */
function isRelocated(pid: Pid, { program, bias }: Module): boolean {
  const { elf } = program;
  using memory = new ProcessMemory(pid);
  for (const slot of slotNames(elf).keys()) {
    const segment = elf.segments.find(({ addr, fileSize }) => {
      const from = slot - addr;
      return from >= 0 && from + 8 <= fileSize;
    });
    if (segment === undefined) continue;
    const at = segment.offset + (slot - segment.addr);
    const view = new DataView(elf.bytes.buffer, elf.bytes.byteOffset, elf.bytes.byteLength);
    const before = view.getBigUint64(at, true);
    // A weak symbol that nobody defines leaves a slot at 0.
    if (before !== 0n && memory.readU64(BigInt(slot) + bias) === before) return false;
  }
  return true;
}

/**
 * Keeps a process' unwinders informed of generated code, on threads that hold none of their locks.
 */
import type { CodeAddr, Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { nap } from "../os/ptrace.ts";
import type { Mirror } from "./address-space.ts";
import type { CodeRegion } from "./code-region.ts";
import type { HeldThreads, TargetProcess } from "./process.ts";
import { RemoteThread } from "./remote-call.ts";
import {
  deregisterFrames,
  isAtSafePoint,
  type Registration,
  registerFrames,
  type TextRange,
  type Unwinder,
  unwinderObjectBytes,
} from "./unwinder-registration.ts";

/** What the process is like, as its files say. */
export type TargetFacts = {
  /** The copies of libgcc's unwinder in it. */
  readonly unwinders: readonly Unwinder[];
  /** Functions that a thread must not be in when it is made to call an unwinder. */
  readonly locking: readonly TextRange[];
};

/** How often a thread at a safe point is looked for. */
const safePointTries = 500;

export type UnwinderParts = {
  readonly process: TargetProcess;
  readonly facts: TargetFacts;
  readonly mirror: Mirror | undefined;
  /** The agent, which makes no calls. */
  readonly agentTid: () => Tid | undefined;
};

export class UnwinderLink {
  readonly #parts: UnwinderParts;
  readonly #registrations: Registration[] = [];
  #held: HeldThreads | undefined;
  #returnTrap: CodeAddr | undefined;

  constructor(parts: UnwinderParts, held: HeldThreads | undefined) {
    this.#parts = parts;
    this.#held = held;
  }

  /** The held thread is about to be let go. */
  released(): void {
    this.#held = undefined;
  }

  /** Tells the unwinders of the process about a region's frames. */
  register(region: CodeRegion): void {
    const { facts, process, mirror } = this.#parts;
    const { frames } = region;
    if (frames === undefined || mirror === undefined || facts.unwinders.length === 0) return;
    this.#returnTrap = region.returnTrap;
    const used = this.#registrations.length;
    const register = (threads: HeldThreads, tid: Tid): void => {
      using remote = new RemoteThread(process, threads, tid);
      // The mirror's first page mirrors nothing: no stack lies that low.
      const objects = mirror.base + BigInt(used * unwinderObjectBytes);
      const made = registerFrames(remote, facts.unwinders, frames, objects, region.returnTrap);
      this.#registrations.push(...made);
    };
    if (this.#held !== undefined) {
      register(this.#held, this.#held.quietest);
      return;
    }
    if (!this.#atSafePoint(register)) {
      throw new PatchbayError({
        code: "system",
        doing: `tell the unwinder of process ${process.pid} about generated code`,
        why: "no thread came to a point where it holds no lock of the C library",
        hint: "try again, or record entries alone (--no-exits)",
      });
    }
  }

  /** Whether a held thread can be made to call an unwinder. */
  #isSafe(threads: HeldThreads, tid: Tid): boolean {
    const { process, facts, mirror } = this.#parts;
    const registers = threads.readRegisters(tid);
    return isAtSafePoint(process, registers, process.maps(), facts.locking, mirror);
  }

  /** Runs `work` on the first thread that is found at a safe point; whether there was one. */
  #atSafePoint(work: (threads: HeldThreads, tid: Tid) => void): boolean {
    for (let tries = 0; tries < safePointTries; tries++) {
      for (const tid of this.#parts.process.threads()) {
        if (tid === this.#parts.agentTid()) continue;
        using threads = this.#parts.process.hold(tid);
        if (threads === undefined || !this.#isSafe(threads, tid)) continue;
        work(threads, tid);
        return true;
      }
      nap(1);
    }
    return false;
  }

  /** Takes all registrations back, which nobody needs any more; whether that could be done. */
  deregister(): boolean {
    const { process } = this.#parts;
    const trap = this.#returnTrap;
    if (trap === undefined || this.#registrations.length === 0) return true;
    return this.#atSafePoint((threads, tid) => {
      using remote = new RemoteThread(process, threads, tid);
      deregisterFrames(remote, this.#registrations, trap);
      this.#registrations.length = 0;
    });
  }
}

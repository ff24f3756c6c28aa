/**
 * Keeps a process' unwinders informed of generated code, on threads that hold none of their locks.
 */
import { assert } from "../base/assert.ts";
import { codeAddr, type DataAddr, dataAddr, type Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { stubStride, unwinderRow, unwinderStubs } from "../codegen/x86-64/personality.ts";
import type { Mirror } from "./address-space.ts";
import type { CodeRegion } from "./code-region.ts";
import type { HeldThreads, TargetProcess } from "./process.ts";
import { RemoteThread } from "./remote-call.ts";
import { atSafePoint } from "./safe-point.ts";
import {
  deregisterFrames,
  isAtSafePoint,
  type Registration,
  registerFrames,
  registrationBytes,
  type TextRange,
  type Unwinder,
} from "./unwinder-registration.ts";

/** What the process is like, as its files say. */
export type TargetFacts = {
  /** The copies of unwinders in it. */
  readonly unwinders: readonly Unwinder[];
  /** Functions that a thread must not be in when it is made to call an unwinder. */
  readonly locking: readonly TextRange[];
};

export type UnwinderParts = {
  readonly process: TargetProcess;
  readonly facts: TargetFacts;
  readonly mirror: Mirror | undefined;
  /** Address of the table of unwinders: `codegen/x86-64/personality.ts`. */
  readonly table: DataAddr;
  /** The agent, which makes no calls. */
  readonly agentTid: () => Tid | undefined;
};

export class UnwinderLink {
  readonly #parts: UnwinderParts;
  readonly #unwinders: Unwinder[] = [];
  readonly #locking: TextRange[];
  /** Those that hook returns. */
  readonly #regions: CodeRegion[] = [];
  readonly #registrations: Registration[] = [];
  #held: HeldThreads | undefined;

  constructor(parts: UnwinderParts, held: HeldThreads | undefined) {
    this.#parts = parts;
    this.#locking = [...parts.facts.locking];
    this.#held = held;
    for (const unwinder of parts.facts.unwinders) this.#add(unwinder);
  }

  /** The held thread is about to be let go. */
  released(): void {
    this.#held = undefined;
  }

  /** Tells the unwinders of the process about a region's frames. */
  register(region: CodeRegion): void {
    if (region.returnOffset === undefined) return;
    this.#regions.push(region);
    this.#tell(this.#unwinders, [region]);
  }

  /** Tells unwinders that have come since about all that there is. */
  learn(facts: TargetFacts): void {
    this.#locking.push(...facts.locking);
    const known = new Set(this.#unwinders.map(({ register }) => register));
    const fresh = facts.unwinders.filter(({ register }) => !known.has(register));
    for (const unwinder of fresh) this.#add(unwinder);
    this.#tell(fresh, this.#regions);
  }

  /** From now on `unwinder` can tell the personality routine of its number where a frame is. */
  #add(unwinder: Unwinder): void {
    const { process, table } = this.#parts;
    const index = this.#unwinders.push(unwinder) - 1;
    if (index >= unwinderStubs || unwinder.context === undefined) return;
    const { getIp, setIp, setGr, resume, getCfa } = unwinder.context;
    const row = new Uint8Array(new BigUint64Array([getIp, setIp, setGr, resume, getCfa]).buffer);
    process.memory.write(table + BigInt(index * unwinderRow.bytes), row);
  }

  #tell(unwinders: readonly Unwinder[], regions: readonly CodeRegion[]): void {
    if (unwinders.length === 0 || regions.length === 0) return;
    const { process } = this.#parts;
    const work = (threads: HeldThreads, tid: Tid): void => {
      using remote = new RemoteThread(process, threads, tid);
      for (const region of regions) {
        for (const unwinder of unwinders) this.#tellOne(remote, region, unwinder);
      }
    };
    if (this.#held !== undefined) {
      work(this.#held, this.#held.quietest);
      return;
    }
    if (!this.#atSafePoint(work)) {
      throw new PatchbayError({
        code: "system",
        doing: `tell the unwinder of process ${process.pid} about generated code`,
        why: "no thread came to a point where it holds no lock of the C library",
        hint: "try again, or record entries alone (--no-exits)",
      });
    }
  }

  #tellOne(remote: RemoteThread, region: CodeRegion, unwinder: Unwinder): void {
    const { process, mirror } = this.#parts;
    assert(mirror !== undefined, "returns are hooked where there is a mirror");
    const index = this.#unwinders.indexOf(unwinder);
    const canTell = index < unwinderStubs && unwinder.context !== undefined;
    const stubs = canTell ? region.personality : undefined;
    const image = process.backEnd.thunkFrames(
      codeAddr(BigInt(region.thunks)),
      region.stride * region.count,
      mirror.delta,
      stubs === undefined ? undefined : codeAddr(stubs + BigInt(index * stubStride)),
    );
    // The mirror's first pages mirror nothing: no stack lies that low.
    const used = this.#registrations.length * registrationBytes;
    const at = dataAddr(mirror.base + BigInt(used));
    const { returnTrap } = region;
    const made = registerFrames(remote, process.memory, unwinder, image, at, returnTrap);
    this.#registrations.push(made);
  }

  /** Whether a held thread can be made to call an unwinder. */
  #isSafe(threads: HeldThreads, tid: Tid): boolean {
    const { process, mirror } = this.#parts;
    const registers = threads.readRegisters(tid);
    return isAtSafePoint(process, registers, process.maps(), this.#locking, mirror);
  }

  /** Runs `work` on the first thread that is found at a safe point; whether there was one. */
  #atSafePoint(work: (threads: HeldThreads, tid: Tid) => void): boolean {
    const { process, agentTid } = this.#parts;
    const isSafe = (threads: HeldThreads, tid: Tid): boolean => this.#isSafe(threads, tid);
    return atSafePoint(process, agentTid(), isSafe, work);
  }

  /** Takes all registrations back, which nobody needs any more; whether that could be done. */
  deregister(): boolean {
    const { process } = this.#parts;
    const trap = this.#regions[0]?.returnTrap;
    if (trap === undefined || this.#registrations.length === 0) return true;
    return this.#atSafePoint((threads, tid) => {
      using remote = new RemoteThread(process, threads, tid);
      const maps = process.maps();
      // An unwinder that was unloaded has taken its list along.
      const left = this.#registrations.filter(({ unwinder: { deregister: at } }) =>
        maps.some(({ start, end, executable }) => executable && start <= at && at < end),
      );
      deregisterFrames(remote, left, trap);
      this.#registrations.length = 0;
    });
  }
}

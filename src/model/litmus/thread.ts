/**
 * Runs one thread by itself, in every way that its reads and fetches could turn out. Nothing is
 * ordered here: which combinations of traces are executions is for the axioms to say.
 *
 * What a fetch returns decides what is executed, so fetches of code that anybody stores to are
 * enumerated like reads.
 */

import { ensure } from "../../base/assert.ts";
import type { Effect, TrapCause } from "../../isa/effects.ts";
import type { Candidates, Stored } from "./candidates.ts";
import { Choices, Cut } from "./choices.ts";
import { isCircle, type Visit } from "./circles.ts";
import { evaluate, plain, type Scope, type Tainted } from "./evaluate.ts";
import { EventLog } from "./event-log.ts";
import { bytesOfValue, type Image } from "./image.ts";
import type { Decoded } from "./isa.ts";
import type { Liveness } from "./liveness.ts";
import { type Executing, MemoryUnit } from "./memory-unit.ts";
import { refusal } from "./test-file.ts";
import type { FaultType, Trace } from "./trace.ts";

/** Limits and habits of a run. */
export type ThreadOptions = {
  /** Bytes of a naturally aligned block that a fetch sees at one moment. */
  readonly fetchBytes: number;
  /** How often one thread may execute the instruction at one address before its trace is cut. */
  readonly visitsMax: number;
  /** Registers that are there beside those of the initial state: CTR_EL0. */
  readonly registers: ReadonlyMap<string, bigint>;
  /** Registers that can still be read, while nobody changes the code. */
  readonly live: Liveness;
};

const exceptions: Readonly<Record<TrapCause, FaultType | undefined>> = {
  illegal: "UndefinedInstruction",
  syscall: "SupervisorCall",
  breakpoint: "Breakpoint",
  hypercall: undefined,
  monitorcall: undefined,
};

/** What a block of code may hold, as far as the instruction uses it. */
type FetchOption = { readonly bytes: readonly number[]; readonly recorded: boolean };

/** One run of one thread. */
class Run {
  readonly #image: Image;
  readonly #thread: number;
  readonly #candidates: Candidates;
  readonly #choices: Choices;
  readonly #options: ThreadOptions;
  readonly #log: EventLog;
  readonly #memory: MemoryUnit;
  readonly #registers = new Map<string, Tainted>();
  readonly #visits = new Map<bigint, Visit[]>();
  #pc: bigint;

  constructor(
    image: Image,
    thread: number,
    candidates: Candidates,
    choices: Choices,
    options: ThreadOptions,
  ) {
    this.#image = image;
    this.#thread = thread;
    this.#candidates = candidates;
    this.#choices = choices;
    this.#options = options;
    this.#log = new EventLog(image);
    this.#memory = new MemoryUnit(image, thread, candidates, choices, this.#log);
    this.#pc = ensure(image.entry(thread, "main"), "the thread's first instruction");
    for (const [name, value] of [...options.registers, ...(image.registers[thread] ?? [])]) {
      this.#registers.set(name, plain(value));
    }
  }

  /** Stores so far; also of a run that was cut. */
  get stores(): readonly Stored[] {
    const thread = this.#thread;
    return this.#log.events.flatMap(({ kind, address, bytes, value }) =>
      kind === "write" ? [{ thread, address, bytes, value }] : [],
    );
  }

  run(): Trace {
    while (this.#pc >= 0n && !this.#image.isEnd(this.#pc)) this.#step();
    const { steps, events, fences, faults } = this.#log;
    const registers = new Map([...this.#registers].map(([name, { value }]) => [name, value]));
    return { thread: this.#thread, steps, events, fences, faults, registers };
  }

  #step(): void {
    const pc = this.#pc;
    this.#visit(pc);
    this.#log.begin(pc);
    if (!this.#image.isCode(pc)) {
      this.#enterException("MMU:Translation", pc, pc, pc);
      return;
    }
    const decoded = this.#fetch(pc);
    this.#log.name(decoded?.text ?? "not an instruction");
    if (decoded === undefined) this.#enterException("UndefinedInstruction", pc, pc);
    else this.#execute(decoded, pc);
  }

  /** Ends a run that goes in circles, or that has come by too often. */
  #visit(pc: bigint): void {
    const earlier = this.#visits.get(pc) ?? [];
    const now: Visit = {
      registers: new Map(this.#registers),
      live: this.#options.live(pc),
      events: this.#log.events.length,
      faults: this.#log.faults.length,
      isReserved: this.#memory.isReserved,
    };
    if (earlier.some((visit) => isCircle(visit, now, this.#log.events))) throw new Cut(false);
    if (earlier.length >= this.#options.visitsMax) throw new Cut(true);
    this.#visits.set(pc, [...earlier, now]);
  }

  /** Fetches block by block until an instruction is complete; `undefined`: the bytes are none. */
  #fetch(pc: bigint): Decoded | undefined {
    const block = BigInt(this.#options.fetchBytes);
    let bytes: readonly number[] = [];
    for (;;) {
      const at = pc + BigInt(bytes.length);
      const count = this.#bytesThere(at, Number(block - (at % block)));
      if (count === 0) return undefined;
      const options = this.#fetchOptions(pc, bytes, at, count);
      const option = ensure(options[this.#choices.choose(options.length)], "an option");
      const fresh = option.bytes.slice(bytes.length);
      if (option.recorded) this.#log.addFetch(at, fresh.length, fresh);
      bytes = option.bytes;
      const decoding = this.#image.decode(bytes, pc);
      if (decoding === "illegal") return undefined;
      if (decoding !== "incomplete") return decoding;
    }
  }

  #bytesThere(at: bigint, count: number): number {
    for (let there = count; there > 0; there--) {
      if (this.#image.bytesAt(at, there) !== undefined) return there;
    }
    return 0;
  }

  /** What the block at `at` may hold, told apart only by the bytes that the instruction uses. */
  #fetchOptions(
    pc: bigint,
    before: readonly number[],
    at: bigint,
    count: number,
  ): readonly FetchOption[] {
    const found = new Map<string, FetchOption>();
    for (const { value } of this.#memory.valuesAt(at, count)) {
      const bytes = [...before, ...bytesOfValue(value, count)];
      const decoding = this.#image.decode(bytes, pc);
      const used = typeof decoding === "string" ? bytes.length : decoding.size;
      const recorded = this.#candidates.isStoredTo(at, used - before.length);
      const kept = bytes.slice(0, used);
      found.set(kept.join(), { bytes: kept, recorded });
    }
    return [...found.values()];
  }

  #execute(decoded: Decoded, pc: bigint): void {
    const temps = new Map<string, Tainted>();
    const writes = new Map<string, Tainted>();
    const scope: Scope = {
      register: (name) => this.#registers.get(name) ?? plain(0n),
      temps,
      pc,
      picks: decoded.picks,
    };
    const executing: Executing = { decoded, scope, temps };
    let next = pc + BigInt(decoded.size);
    for (const effect of decoded.effects) {
      switch (effect.kind) {
        case "let":
          temps.set(effect.temp, evaluate(effect.value, scope));
          break;
        case "set":
          writes.set(effect.reg, evaluate(effect.value, scope));
          break;
        case "jump":
          next = this.#jump(effect, scope) ?? next;
          break;
        case "trap":
          if (!this.#isTaken(effect.when, scope)) break;
          this.#commit(writes);
          this.#trap(effect.cause, pc, next);
          return;
        case "barrier":
          this.#log.addFence(effect.barrier);
          break;
        case "cache":
          this.#maintain(effect, scope);
          break;
        case "hint":
          if (effect.name === "clrex") this.#memory.clearReservation();
          break;
        default: {
          const fault = this.#memory.access(effect, executing);
          if (fault === undefined) break;
          this.#enterException("MMU:Translation", pc, pc, fault);
          return;
        }
      }
    }
    this.#commit(writes);
    this.#pc = decoded.returns ? this.#return() : next;
  }

  #commit(writes: ReadonlyMap<string, Tainted>): void {
    for (const [name, value] of writes) this.#registers.set(name, value);
  }

  /** Whether a condition holds; everything after it depends on it by control. */
  #isTaken(when: (Effect & { kind: "jump" })["when"], scope: Scope): boolean {
    if (when === undefined) return true;
    const { value, pick } = evaluate(when, scope);
    this.#log.control |= pick;
    return value !== 0n;
  }

  #jump(effect: Effect & { kind: "jump" }, scope: Scope): bigint | undefined {
    if (!this.#isTaken(effect.when, scope)) return undefined;
    const target = evaluate(effect.target, scope);
    this.#log.control |= target.pick;
    return BigInt.asUintN(8 * this.#image.isa.pointerBytes, target.value);
  }

  #trap(cause: TrapCause, pc: bigint, next: bigint): void {
    const type = exceptions[cause];
    if (type === undefined) this.#log.refuse("calls of a hypervisor or monitor are not modelled");
    // Arm ARM D1.4, "Preferred return address": the next instruction for SVC, else this one.
    const { breakpointReturnsBehind } = this.#image.isa;
    const behind = type === "Breakpoint" && breakpointReturnsBehind === true;
    this.#enterException(type, pc, behind || type === "SupervisorCall" ? next : pc);
  }

  /** Goes on in the thread's handler; without one, the thread ends here with a fault. */
  #enterException(type: FaultType, pc: bigint, returnTo: bigint, address?: bigint): void {
    this.#log.faults.push({ pc, type, address });
    this.#log.addFence({ name: "exception" });
    this.#memory.clearReservation();
    this.#registers.set("elr_el1", plain(returnTo));
    this.#pc = this.#image.entry(this.#thread, "handler") ?? -1n;
  }

  /** ERET: context synchronisation (Arm ARM D1.4), then the address in ELR_EL1. */
  #return(): bigint {
    const { value, pick } = this.#registers.get("elr_el1") ?? plain(0n);
    this.#log.addFence({ name: "exception" });
    this.#log.control |= pick;
    this.#memory.clearReservation();
    return value;
  }

  #maintain(effect: Effect & { kind: "cache" }, scope: Scope): void {
    const { fn } = effect;
    const at = effect.addr === undefined ? plain(0n) : evaluate(effect.addr, scope);
    const bytes = effect.addr === undefined ? 0 : 1;
    const place = { address: at.value, bytes, addressOn: at.on, addressPick: at.pick };
    switch (fn) {
      case "dc cvau":
      case "dc cvac":
      case "dc civac":
        this.#log.add({ kind: "clean", ...place });
        return;
      case "ic ivau":
      case "ic ialluis":
      case "ic iallu":
        // IC IALLU concerns this PE alone: `value` tells the two apart.
        this.#log.add({ kind: "invalidate", value: fn === "ic iallu" ? 1n : 0n, ...place });
        return;
      case "clflush":
      case "clflushopt":
      case "clwb":
        return;
      default:
        this.#log.refuse(`${fn} is not modelled`);
    }
  }
}

/** All traces of a thread. */
export type Traces = {
  readonly traces: readonly Trace[];
  /** Some were cut because a loop goes on. */
  readonly cut: boolean;
  /** What the thread stores, also in runs that could not go on to their end. */
  readonly stored: readonly Stored[];
  /** Most stores of one run. */
  readonly storesMax: number;
};

/** More traces of one thread than this: refused, not searched. */
const tracesMax = 10_000;

/** Every trace of `thread` with the values that `candidates` knows (it is not changed). */
export function runThread(
  image: Image,
  thread: number,
  candidates: Candidates,
  options: ThreadOptions,
): Traces {
  const choices = new Choices();
  const traces: Trace[] = [];
  const stored: Stored[] = [];
  let storesMax = 0;
  let cut = false;
  do {
    const run = new Run(image, thread, candidates, choices, options);
    try {
      traces.push(run.run());
    } catch (error) {
      if (!(error instanceof Cut)) throw error;
      cut ||= error.looping;
    }
    stored.push(...run.stores);
    storesMax = Math.max(storesMax, run.stores.length);
    if (traces.length > tracesMax) {
      throw refusal(
        image.test.source,
        1,
        `thread ${thread} has more than ${tracesMax} ways to run`,
      );
    }
  } while (choices.advance());
  return { traces, cut, stored, storesMax };
}

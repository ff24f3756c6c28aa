/**
 * Runs a litmus test on the memory of the protocols' checker: threads execute in program order, one
 * instruction at a time; stores and cache operations take effect at moments of their own; fetches
 * see what `Bank` lets them see on that machine. It is the world that `patchbay verify` explores,
 * with the instructions of a litmus test in the place of a patching protocol.
 */
import { assert, ensure } from "../../src/base/assert.ts";
import { applyAtomic, type Barrier, type Effect } from "../../src/isa/effects.ts";
import { evaluate, plain, type Scope, type Tainted } from "../../src/model/litmus/evaluate.ts";
import { bytesOfValue, type Image } from "../../src/model/litmus/image.ts";
import type { Decoded } from "../../src/model/litmus/isa.ts";
import { describeState, type FinalState } from "../../src/model/litmus/outcome.ts";
import type { Place } from "../../src/model/litmus/test-file.ts";
import type { FaultType } from "../../src/model/litmus/trace.ts";
import type { Machine } from "../../src/model/machine.ts";
import { LitmusMemory, type State, type Thread, withThread } from "./litmus-memory.ts";

const stepsMax = 60;

/** Threads are shared between states, and so are their keys. */
const threadKeys = new WeakMap<Thread, string>();

const keyOfThread = (thread: Thread): string => {
  const known = threadKeys.get(thread);
  if (known !== undefined) return known;
  const { pc, registers, pending, faults, steps } = thread;
  const parts = [
    pc,
    [...registers].join(" "),
    pending.map(({ id, at, value, after }) => `${id}:${at}=${value}<${after.join()}`).join(" "),
    faults.map((fault) => `${fault.pc}${fault.type}`).join(" "),
    steps,
  ];
  const key = parts.join("|");
  threadKeys.set(thread, key);
  return key;
};

const keyOf = ({ threads, code, data, memory }: State): string =>
  [...threads.map(keyOfThread), code, data, [...memory].join(" ")].join("/");

class Explorer {
  readonly #image: Image;
  readonly #machine: Machine;
  readonly #memory: LitmusMemory;
  readonly #outcomes = new Set<string>();
  readonly #places: readonly Place[];
  readonly #withFaults: boolean;

  constructor(image: Image, machine: Machine, places: readonly Place[], withFaults: boolean) {
    this.#image = image;
    this.#machine = machine;
    this.#places = places;
    this.#withFaults = withFaults;
    this.#memory = new LitmusMemory(image, machine);
  }

  run(): ReadonlySet<string> {
    const threads = this.#image.registers.map((registers, thread): Thread => {
      const pc = ensure(this.#image.entry(thread, "main"), "an entry");
      return { pc, registers, pending: [], issued: 0, faults: [], steps: 0 };
    });
    const stack: State[] = [{ threads, code: 0, data: 0, memory: new Map() }];
    const seen = new Set<string>();
    for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
      const key = keyOf(state);
      if (seen.has(key)) continue;
      seen.add(key);
      assert(seen.size < 400_000, "too many states");
      stack.push(...this.#successors(state));
    }
    return this.#outcomes;
  }

  #successors(state: State): State[] {
    const found: State[] = [];
    let over = true;
    for (const [index, thread] of state.threads.entries()) {
      for (const event of thread.pending) {
        over = false;
        const waits = event.after.some((id) => thread.pending.some((other) => other.id === id));
        if (!waits) found.push(this.#memory.takeEffect(state, index, event));
      }
      if (thread.pc < 0n || this.#image.isEnd(thread.pc)) continue;
      over = false;
      if (thread.steps < stepsMax) found.push(...this.#step(state, index));
    }
    if (over) this.#finish(state);
    return found;
  }

  #finish(state: State): void {
    const traces = state.threads.map(({ registers, faults }, thread) => ({
      ...{ thread, registers, faults, steps: [], events: [], fences: [] },
    }));
    const memoryAt: FinalState["memoryAt"] = (at, bytes) => this.#memory.current(state, at, bytes);
    const final = { traces, memoryAt };
    this.#outcomes.add(describeState(this.#image, this.#places, this.#withFaults, final));
  }

  // ------------------------------------------------------------------------- executing

  #step(state: State, index: number): State[] {
    const thread = ensure(state.threads[index], "a thread");
    const { pc } = thread;
    const begun = withThread(state, index, { steps: thread.steps + 1 });
    if (!this.#image.isCode(pc)) return [this.#except(begun, index, "MMU:Translation", pc, pc, pc)];
    return this.#fetches(begun, index, pc).flatMap(([decoded, fetched]) =>
      decoded === undefined
        ? [this.#except(fetched, index, "UndefinedInstruction", pc, pc)]
        : this.#execute(fetched, index, decoded, pc),
    );
  }

  /** Every instruction that the thread may get at `pc`; `undefined`: bytes that are none. */
  #fetches(state: State, hart: number, pc: bigint): [Decoded | undefined, State][] {
    const found: [Decoded | undefined, State][] = [];
    const { code } = this.#memory;
    const extend = (bytes: readonly number[], bank: number): void => {
      const at = pc + BigInt(bytes.length);
      const decoding = bytes.length === 0 ? "incomplete" : this.#image.decode(bytes, pc);
      const index = this.#memory.blockAt(code, at);
      const block = code.blocks[index];
      if (decoding !== "incomplete" || block === undefined) {
        const decoded = typeof decoding === "string" ? undefined : decoding;
        found.push([decoded, { ...state, code: bank }]);
        return;
      }
      for (const sight of code.sights(bank, hart, index)) {
        extend([...bytes, ...sight.bytes.slice(Number(at - block.at))], sight.bank);
      }
    };
    extend([], state.code);
    return found;
  }

  #execute(state: State, index: number, decoded: Decoded, pc: bigint): State[] {
    type Draft = { state: State; temps: Map<string, Tainted>; next: bigint; ended: boolean };
    const { registers } = ensure(state.threads[index], "a thread");
    let drafts: Draft[] = [
      { state, temps: new Map(), next: pc + BigInt(decoded.size), ended: false },
    ];
    const writes: ((draft: Draft) => void)[] = [];
    for (const effect of decoded.effects) {
      drafts = drafts.flatMap((draft) => {
        if (draft.ended) return [draft];
        const scope: Scope = {
          register: (name) => plain(registers.get(name) ?? 0n),
          ...{ temps: draft.temps, pc, picks: false },
        };
        return this.#apply(draft.state, index, effect, scope).map((done) => ({
          state: done.state,
          temps: new Map([...draft.temps, ...(done.temps ?? [])]),
          next: done.next ?? draft.next,
          ended: done.ended === true,
        }));
      });
      if (effect.kind === "set")
        writes.push((draft) => this.#set(draft, index, effect, registers, pc));
    }
    return drafts.map((draft) => {
      if (draft.ended) return draft.state;
      for (const write of writes) write(draft);
      const returns = decoded.returns ? registers.get("elr_el1") : undefined;
      const next = withThread(draft.state, index, { pc: returns ?? draft.next });
      return decoded.returns ? this.#memory.sync(next, index) : next;
    });
  }

  #set(
    draft: { state: State; temps: Map<string, Tainted> },
    index: number,
    effect: Effect & { kind: "set" },
    before: ReadonlyMap<string, bigint>,
    pc: bigint,
  ): void {
    const scope: Scope = {
      register: (name) => plain(before.get(name) ?? 0n),
      ...{ temps: draft.temps, pc, picks: false },
    };
    const thread = ensure(draft.state.threads[index], "a thread");
    const registers = new Map(thread.registers).set(
      effect.reg,
      evaluate(effect.value, scope).value,
    );
    draft.state = withThread(draft.state, index, { registers });
  }

  /** One effect, in every way that it can go. */
  #apply(
    state: State,
    index: number,
    effect: Effect,
    scope: Scope,
  ): { state: State; temps?: [string, Tainted][]; next?: bigint; ended?: boolean }[] {
    const value = (e: Parameters<typeof evaluate>[0]): bigint => evaluate(e, scope).value;
    const thread = ensure(state.threads[index], "a thread");
    switch (effect.kind) {
      case "let":
        return [{ state, temps: [[effect.temp, plain(value(effect.value))]] }];
      case "load":
        if (!this.#memory.isMapped(value(effect.addr), effect.bytes))
          return this.#abort(state, index);
        return this.#memory
          .loads(state, index, value(effect.addr), effect.bytes)
          .map(([v, after]) => ({
            state: after,
            temps: [[effect.into, plain(v)]],
          }));
      case "store": {
        const at = value(effect.addr);
        if (!this.#memory.isMapped(at, effect.bytes)) return this.#abort(state, index);
        return [
          { state: this.#memory.issueStore(state, index, at, effect.bytes, value(effect.value)) },
        ];
      }
      case "atomic": {
        if (thread.pending.length > 0) return [];
        const at = value(effect.addr);
        const old = this.#memory.current(state, at, effect.bytes);
        const expected = effect.expected === undefined ? undefined : value(effect.expected);
        const next = applyAtomic(effect.fn, 8 * effect.bytes, old, value(effect.operand), expected);
        const content = next === undefined ? undefined : bytesOfValue(next, effect.bytes);
        const after = content === undefined ? state : this.#memory.storeNow(state, at, content);
        return [{ state: after, temps: [[effect.into, plain(old)]] }];
      }
      case "cache": {
        const kind = effect.fn.startsWith("ic") ? "invalidate" : "clean";
        const at = effect.addr === undefined ? 0n : value(effect.addr);
        const bytes = effect.addr === undefined ? 0 : 1;
        return [{ state: this.#memory.issue(state, index, kind, at, bytes, 0n) }];
      }
      case "barrier":
        return this.#fence(state, index, effect.barrier).map((after) => ({ state: after }));
      case "jump":
        if (effect.when !== undefined && value(effect.when) === 0n) return [{ state }];
        return [{ state, next: BigInt.asUintN(64, value(effect.target)) }];
      case "trap": {
        if (effect.when !== undefined && value(effect.when) === 0n) return [{ state }];
        const type = effect.cause === "breakpoint" ? "Breakpoint" : "UndefinedInstruction";
        return [{ state: this.#except(state, index, type, thread.pc, thread.pc), ended: true }];
      }
      default:
        return [{ state }];
    }
  }

  #abort(state: State, index: number): { state: State; ended: true }[] {
    const { pc } = ensure(state.threads[index], "a thread");
    return [{ state: this.#except(state, index, "MMU:Translation", pc, pc), ended: true }];
  }

  /** No successor: the barrier still waits. */
  #fence(state: State, index: number, barrier: Barrier): State[] {
    const { pending } = ensure(state.threads[index], "a thread");
    const waiting = pending.some(({ kind }) => kind === "store");
    switch (barrier.name) {
      case "dsb":
        return pending.length > 0 ? [] : [state];
      case "dmb":
      case "mfence":
        return barrier.name === "dmb" && barrier.access === "ld" ? [state] : waiting ? [] : [state];
      case "fence": {
        if (barrier.pred.write && waiting) return [];
        return [barrier.succ.read ? this.#memory.orderLoads(state, index) : state];
      }
      case "isb":
        return [this.#memory.sync(state, index)];
      case "fence.i":
      case "serialize":
        return waiting ? [] : [this.#memory.sync(state, index)];
      default:
        return [state];
    }
  }

  #except(
    state: State,
    index: number,
    type: FaultType,
    pc: bigint,
    returnTo: bigint,
    address?: bigint,
  ): State {
    const thread = ensure(state.threads[index], "a thread");
    const faults = [...thread.faults, { pc, type, address }];
    const handler = this.#image.entry(index, "handler");
    const registers = new Map(thread.registers).set("elr_el1", returnTo);
    const next = withThread(state, index, { faults, registers, pc: handler ?? -1n });
    return this.#machine.trapSyncs ? this.#memory.sync(next, index) : next;
  }
}

/** Final states of a laid-out test on a machine of the checker, as `runLitmus` prints them. */
export const runOnChecker = (
  image: Image,
  machine: Machine,
  places: readonly Place[],
  withFaults: boolean,
): ReadonlySet<string> => new Explorer(image, machine, places, withFaults).run();

/**
 * Memory of the protocols' checker for a litmus test: banks of code and data, what a thread has
 * issued and what has taken effect.
 */
import { assert, ensure } from "../../src/base/assert.ts";
import { bytesOfValue, type Image, valueOfBytes } from "../../src/model/litmus/image.ts";
import type { Fault } from "../../src/model/litmus/trace.ts";
import type { Machine } from "../../src/model/machine.ts";
import { Bank, type BlockStore } from "../../src/model/memory.ts";

/** Something that a thread has issued and that has not taken effect yet. */
export type Pending = {
  readonly kind: "store" | "clean" | "invalidate";
  readonly at: bigint;
  readonly bytes: number;
  readonly value: bigint;
  /** Position in the thread's order of issue; events of `after` come first. */
  readonly id: number;
  readonly after: readonly number[];
};

export type Thread = {
  readonly pc: bigint;
  readonly registers: ReadonlyMap<string, bigint>;
  readonly pending: readonly Pending[];
  readonly issued: number;
  readonly faults: readonly Fault[];
  readonly steps: number;
};

export type State = {
  readonly threads: readonly Thread[];
  readonly code: number;
  /** Of the data bank, where loads may be stale; else `memory` counts. */
  readonly data: number;
  readonly memory: ReadonlyMap<bigint, number>;
};

const dataBlockBytes = 8n;

const covers = (a: { at: bigint; bytes: number }, b: { at: bigint; bytes: number }): boolean =>
  a.at < b.at + BigInt(b.bytes) && b.at < a.at + BigInt(a.bytes);

export const withThread = (state: State, index: number, change: Partial<Thread>): State => {
  const threads = state.threads.map((t, i) => (i === index ? { ...t, ...change } : t));
  return { ...state, threads };
};

export class LitmusMemory {
  readonly #image: Image;
  readonly #machine: Machine;
  readonly code: Bank;
  readonly #data: Bank;
  readonly #stores = new Map<string, number>();

  constructor(image: Image, machine: Machine) {
    this.#image = image;
    this.#machine = machine;
    this.code = new Bank(machine, image.threads, this.#codeBlocks(), "code");
    this.#data = new Bank(machine, image.threads, this.#dataBlocks(), "data");
  }

  #codeBlocks(): { at: bigint; initial: Uint8Array }[] {
    const size = this.#machine.fetchAtom;
    const blocks = new Map<bigint, { at: bigint; initial: Uint8Array }>();
    for (const { thread, role } of this.#image.test.columns) {
      const start = this.#image.entry(thread, role) ?? 0n;
      for (let pc = start; this.#image.isCode(pc); pc++) {
        const at = pc - (pc % BigInt(size));
        if (blocks.has(at)) continue;
        const initial = new Uint8Array(size);
        for (let i = 0; i < size; i++) {
          initial[i] = this.#image.bytesAt(at + BigInt(i), 1)?.[0] ?? 0;
        }
        blocks.set(at, { at, initial });
      }
    }
    return [...blocks.values()];
  }

  /** Words that registers point to at the beginning; enough for the tests that are run here. */
  #dataBlocks(): { at: bigint; initial: Uint8Array }[] {
    const found = new Map<bigint, { at: bigint; initial: Uint8Array }>();
    for (const address of this.#image.registers.flatMap((file) => [...file.values()])) {
      const at = address - (address % dataBlockBytes);
      const initial = this.#image.isCode(at) ? undefined : this.#image.bytesAt(at, 8);
      if (initial !== undefined) found.set(at, { at, initial });
    }
    return [...found.values()];
  }

  blockAt(bank: Bank, at: bigint): number {
    return bank.blocks.findIndex((b) => at >= b.at && at < b.at + BigInt(b.initial.length));
  }

  #isIn(bank: Bank, at: bigint): boolean {
    return this.blockAt(bank, at) >= 0;
  }

  /** Memory as it is now. */
  current(state: State, at: bigint, count: number): bigint {
    const bytes = Array.from({ length: count }, (_, i) => this.#byteNow(state, at + BigInt(i)));
    return valueOfBytes(Uint8Array.from(bytes));
  }

  #byteNow(state: State, at: bigint): number {
    for (const [bank, id] of [
      [this.code, state.code],
      [this.#data, state.data],
    ] as const) {
      const index = this.blockAt(bank, at);
      const block = bank.blocks[index];
      if (block === undefined || (bank === this.#data && !this.#machine.staleData)) continue;
      return bank.current(id, index)[Number(at - block.at)] ?? 0;
    }
    return state.memory.get(at) ?? this.#image.bytesAt(at, 1)?.[0] ?? 0;
  }

  #storeTo(bank: Bank, id: number, at: bigint, content: Uint8Array): number {
    const parts = new Map<number, { offset: number; bytes: number[] }>();
    content.forEach((byte, i) => {
      const index = this.blockAt(bank, at + BigInt(i));
      const block = bank.blocks[index];
      if (block === undefined) return;
      const part = parts.get(index) ?? { offset: Number(at + BigInt(i) - block.at), bytes: [] };
      part.bytes.push(byte);
      parts.set(index, part);
    });
    // Over several blocks: at one moment where it is aligned or inside of one atom.
    const { storeAtom } = this.#machine;
    const isAligned = at % BigInt(content.length) === 0n;
    const isInAtom = storeAtom > 0 && Number(at % BigInt(storeAtom)) + content.length <= storeAtom;
    const store = [...parts].map(([block, { offset, bytes }]): BlockStore => {
      return { block, offset, bytes: Uint8Array.from(bytes) };
    });
    assert(isAligned || isInAtom || store.length < 2, "a part of a store has one moment");
    const key = `${bank === this.code} ${at} ${content.join()}`;
    const known = this.#stores.get(key) ?? bank.addStore(store);
    this.#stores.set(key, known);
    return bank.store(id, known);
  }

  takeEffect(state: State, index: number, event: Pending): State {
    const thread = ensure(state.threads[index], "a thread");
    const pending = thread.pending.filter((other) => other.id !== event.id);
    const next = withThread(state, index, { pending });
    if (event.kind !== "store") {
      const blocks = event.bytes === 0 ? this.code.blocks.map((_, i) => i) : [];
      const block = this.blockAt(this.code, event.at);
      let { code } = next;
      for (const b of block >= 0 ? [block] : blocks) code = this.code[event.kind](code, b);
      return { ...next, code };
    }
    return this.storeNow(next, event.at, bytesOfValue(event.value, event.bytes));
  }

  storeNow(state: State, at: bigint, content: Uint8Array): State {
    if (this.#isIn(this.code, at)) {
      return { ...state, code: this.#storeTo(this.code, state.code, at, content) };
    }
    if (this.#machine.staleData) {
      return { ...state, data: this.#storeTo(this.#data, state.data, at, content) };
    }
    const memory = new Map(state.memory);
    for (const [i, byte] of content.entries()) memory.set(at + BigInt(i), byte);
    return { ...state, memory: new Map([...memory].toSorted(([a], [b]) => (a < b ? -1 : 1))) };
  }

  /** What a load may return, and the state afterwards. */
  loads(state: State, index: number, at: bigint, bytes: number): [bigint, State][] {
    const own = state.threads[index]?.pending.findLast(
      (p) => p.kind === "store" && covers(p, { at, bytes }),
    );
    if (own !== undefined) {
      assert(own.at === at && own.bytes >= bytes, "a load of a part of two stores");
      return [[BigInt.asUintN(8 * bytes, own.value), state]];
    }
    const block = this.blockAt(this.#data, at);
    const found = this.#data.blocks[block];
    if (!this.#machine.staleData || found === undefined) {
      return [[this.current(state, at, bytes), state]];
    }
    return this.#data.sights(state.data, index, block).map((sight) => {
      const from = Number(at - found.at);
      return [valueOfBytes(sight.bytes.slice(from, from + bytes)), { ...state, data: sight.bank }];
    });
  }

  isMapped(at: bigint, bytes: number): boolean {
    return this.#image.bytesAt(at, bytes) !== undefined;
  }

  /** A store, in as many parts as it has moments: one where it is aligned or inside of one atom. */
  issueStore(state: State, index: number, at: bigint, bytes: number, value: bigint): State {
    const atom = BigInt(this.#machine.storeAtom || bytes);
    const first = at - (at % atom) + atom - at;
    if (first >= BigInt(bytes)) return this.issue(state, index, "store", at, bytes, value);
    const size = Number(first);
    const before = state.threads[index]?.pending.map(({ id }) => id) ?? [];
    const low = this.issue(state, index, "store", at, size, value);
    const rest = value >> (8n * first);
    return this.issue(low, index, "store", at + first, bytes - size, rest, before);
  }

  issue(
    state: State,
    index: number,
    kind: Pending["kind"],
    at: bigint,
    bytes: number,
    content: bigint,
    inFront?: readonly number[],
  ): State {
    const thread = ensure(state.threads[index], "a thread");
    const inOrder = this.#machine.storeOrder === "program";
    const line = { at, bytes };
    const found = thread.pending.flatMap((other) =>
      inOrder || (other.kind === "store" && kind !== "invalidate" && covers(other, line))
        ? [other.id]
        : [],
    );
    const value = BigInt.asUintN(8 * bytes, content);
    const after = found.filter((id) => inFront?.includes(id) !== false);
    const event: Pending = { kind, at, bytes, value, id: thread.issued, after };
    return withThread(state, index, {
      pending: [...thread.pending, event],
      issued: thread.issued + 1,
    });
  }

  sync(state: State, hart: number): State {
    const code = this.code.sync(state.code, hart);
    return this.orderLoads({ ...state, code }, hart);
  }

  orderLoads(state: State, hart: number): State {
    return this.#machine.staleData ? { ...state, data: this.#data.sync(state.data, hart) } : state;
  }
}

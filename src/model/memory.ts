/**
 * Memory as incoherent fetch sees it. A `Bank` is a group of blocks (each fetched at one moment, or
 * read as one word of data) with, for every hart, which of a block's versions it may still see.
 *
 * A bank's state is one number: the structure behind it is interned, so that states of the
 * explorer stay a few words wide, and every operation is computed once per distinct state.
 *
 * How versions are kept depends on the machine:
 * - `now`: one value per block.
 * - `versions`: per block its values since the oldest one that any hart may still fetch, and per
 * hart
 *   the first of them that it may. With maintenance by address (Arm) also how far the block was
 *   pushed to the point of unification, and from where the instruction caches refill.
 * - `log`: the order of all stores to the bank, and per hart the moment that its fetches have
 *   reached (in-order fetch: Ziccid, DIC = IDC = 1).
 */
import { assert, ensure } from "../base/assert.ts";
import { hexBytes } from "../base/brand.ts";
import type { Machine } from "./machine.ts";

/** One block of a bank. */
export type Block = {
  readonly at: bigint;
  /** Its bytes at the beginning; owned by the bank from then on. */
  readonly initial: Uint8Array;
};

/** Bytes that one store leaves in one block. */
export type BlockStore = {
  readonly block: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
};

/** One thing that a fetch or a load may see. */
export type Sight = {
  readonly bytes: Uint8Array;
  /** Number of the value in its bank: equal bytes have equal numbers. */
  readonly value: number;
  /** The bank afterwards (fetches in order leave a trace). */
  readonly bank: number;
  /** A newer version was there. */
  readonly stale: boolean;
};

type Versions = {
  readonly values: readonly number[];
  /** Per hart: index in `values` of the oldest that it may fetch. */
  readonly floors: readonly number[];
  /** Index of the version at the point of unification, and of the oldest that caches refill. */
  readonly unified: number;
  readonly refill: number;
};

type BankState =
  | { readonly kind: "versions"; readonly blocks: readonly Versions[] }
  | {
      readonly kind: "log";
      readonly base: readonly number[];
      readonly log: readonly (readonly [block: number, value: number])[];
      readonly moments: readonly number[];
    };

/** The state as text: one text for one state. */
function keyOf(state: BankState): string {
  if (state.kind === "log") {
    const log = state.log.map(([block, value]) => `${block}:${value}`).join();
    return `${state.base.join()}|${log}|${state.moments.join()}`;
  }
  let key = "";
  for (const { values, floors, unified, refill } of state.blocks) {
    key += `${values.join()}|${floors.join()}|${unified}|${refill};`;
  }
  return key;
}

/** What the packed keys of the explorer's memo leave for a bank's states. */
const STATES_MAX = 1 << 24;

export class Bank {
  readonly blocks: readonly Block[];
  readonly use: "code" | "data";
  readonly #machine: Machine;
  readonly #kind: "now" | "versions" | "log";
  readonly #order: Machine["fetchOrder"];
  readonly #values: Uint8Array[] = [];
  readonly #valueIds = new Map<string, number>();
  readonly #states: BankState[] = [];
  readonly #ids = new Map<string, number>();
  readonly #stores: (readonly BlockStore[])[] = [];
  readonly #storeMemo: number[][] = [];
  readonly #syncMemo: number[][];
  readonly #sights = new Map<number, readonly Sight[]>();

  /**
   * @param harts number of harts that fetch from the bank.
   * @param use `data`: words that are loaded, stale only where the machine's loads may be.
   */
  constructor(machine: Machine, harts: number, blocks: readonly Block[], use: "code" | "data") {
    this.#machine = machine;
    this.blocks = blocks;
    this.use = use;
    const coherent = machine.fetch === "now" || (use === "data" && !machine.staleData);
    this.#kind = coherent
      ? "now"
      : use === "code" && machine.fetchOrder === "program"
        ? "log"
        : "versions";
    this.#order = use === "data" ? "location" : machine.fetchOrder;
    this.#syncMemo = Array.from({ length: harts }, () => []);
    const values = blocks.map((block) => this.#valueOf(block.initial));
    const none = Array.from({ length: harts }, () => 0);
    const first: BankState =
      this.#kind === "log"
        ? { kind: "log", base: values, log: [], moments: none }
        : {
            kind: "versions",
            blocks: values.map((value) => ({
              values: [value],
              floors: none,
              unified: 0,
              refill: 0,
            })),
          };
    this.#intern(first);
  }

  #valueOf(bytes: Uint8Array): number {
    const key = hexBytes(bytes);
    const known = this.#valueIds.get(key);
    if (known !== undefined) return known;
    this.#values.push(bytes.slice());
    this.#valueIds.set(key, this.#values.length - 1);
    return this.#values.length - 1;
  }

  #intern(state: BankState): number {
    const canonical = state.kind === "log" ? dropOldLog(state) : this.#canonical(state);
    const key = keyOf(canonical);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#states.length;
    assert(id < STATES_MAX, "a bank has too many states");
    this.#states.push(canonical);
    this.#ids.set(key, id);
    return id;
  }

  /** Drops the versions that nobody can see any more. */
  #canonical(state: BankState & { kind: "versions" }): BankState {
    const blocks = state.blocks.map((block): Versions => {
      const current = block.values.length - 1;
      const { unified, refill } = this.#cacheIndexes(block);
      const floors = this.#kind === "now" ? block.floors.map(() => current) : block.floors;
      const oldest = this.#kind === "now" ? current : Math.min(...floors, refill);
      return {
        values: block.values.slice(oldest),
        floors: floors.map((floor) => floor - oldest),
        unified: Math.max(unified - oldest, 0),
        refill: Math.max(refill - oldest, 0),
      };
    });
    return { kind: "versions", blocks };
  }

  /**
   * Where the caches stand, with IDC and DIC (and machines without maintenance) taken into account.
   */
  #cacheIndexes(block: Versions): { unified: number; refill: number } {
    const current = block.values.length - 1;
    const { dic, idc } = this.#machine.caches ?? { dic: true, idc: true };
    const unified = idc ? current : block.unified;
    return { unified, refill: dic ? unified : block.refill };
  }

  #state(id: number): BankState {
    return ensure(this.#states[id], `bank state ${id}`);
  }

  #value(id: number): Uint8Array {
    return ensure(this.#values[id], `value ${id}`);
  }

  /** The bytes of a block as memory has them now (borrowed). */
  current(id: number, block: number): Uint8Array {
    return this.#value(this.#currentValue(this.#state(id), block));
  }

  #currentValue(state: BankState, block: number): number {
    if (state.kind === "versions") {
      return ensure(state.blocks[block]?.values.at(-1), `block ${block}`);
    }
    const last = state.log.findLast(([b]) => b === block);
    return ensure(last?.[1] ?? state.base[block], `block ${block}`);
  }

  /** Makes a store known; the number is what `store` takes. */
  addStore(store: readonly BlockStore[]): number {
    this.#stores.push(store);
    this.#storeMemo.push([]);
    return this.#stores.length - 1;
  }

  /** The bank after store `store` has become visible. */
  store(id: number, store: number): number {
    const memo = ensure(this.#storeMemo[store], `store ${store}`);
    return (memo[id] ??= this.#applyStore(this.#state(id), store));
  }

  #applyStore(state: BankState, store: number): number {
    let next = state;
    for (const { block, offset, bytes } of ensure(this.#stores[store], `store ${store}`)) {
      const old = this.#currentValue(next, block);
      const merged = this.#value(old).slice();
      merged.set(bytes, offset);
      const value = this.#valueOf(merged);
      if (value !== old) next = append(next, block, value);
    }
    return this.#intern(next);
  }

  /** The bank after `hart` has synchronised: ISB, FENCE.I, a serialising instruction. */
  sync(id: number, hart: number): number {
    const memo = ensure(this.#syncMemo[hart], `hart ${hart}`);
    return (memo[id] ??= this.#intern(this.#synced(this.#state(id), hart)));
  }

  #synced(state: BankState, hart: number): BankState {
    if (state.kind === "log") {
      const moments = state.moments.map((m, h) => (h === hart ? state.log.length : m));
      return { ...state, moments };
    }
    const blocks = state.blocks.map((block) => {
      const { refill } = this.#cacheIndexes(block);
      const floors = block.floors.map((floor, h) => (h === hart ? Math.max(floor, refill) : floor));
      return { ...block, floors };
    });
    return { kind: "versions", blocks };
  }

  /** The bank after the line of `block` was cleaned to the point of unification. */
  clean(id: number, block: number): number {
    return this.#maintain(id, block, (b) => ({ ...b, unified: b.values.length - 1 }));
  }

  /** The bank after the line of `block` was dropped from the instruction caches. */
  invalidate(id: number, block: number): number {
    return this.#maintain(id, block, (b) => ({ ...b, refill: this.#cacheIndexes(b).unified }));
  }

  #maintain(id: number, block: number, change: (versions: Versions) => Versions): number {
    const state = this.#state(id);
    if (state.kind === "log") return id;
    return this.#intern({
      kind: "versions",
      blocks: state.blocks.map((b, index) => (index === block ? change(b) : b)),
    });
  }

  /** What a fetch (or load) of `block` by `hart` may see, oldest first. */
  sights(id: number, hart: number, block: number): readonly Sight[] {
    const key = (id * 64 + block) * 8 + hart;
    const known = this.#sights.get(key);
    if (known !== undefined) return known;
    const state = this.#state(id);
    const found =
      state.kind === "log"
        ? this.#logSights(state, hart, block)
        : this.#versionSights(state, id, hart, block);
    this.#sights.set(key, found);
    return found;
  }

  #versionSights(
    state: BankState & { kind: "versions" },
    id: number,
    hart: number,
    index: number,
  ): readonly Sight[] {
    const block = ensure(state.blocks[index], `block ${index}`);
    const current = block.values.length - 1;
    const found = new Map<string, Sight>();
    for (let v = block.floors[hart] ?? 0; v <= current; v++) {
      const value = ensure(block.values[v], "version");
      const bank = this.#order === "none" ? id : this.#raiseFloor(state, hart, index, v);
      const stale = value !== block.values[current];
      const key = `${value} ${bank}`;
      if (!found.has(key)) found.set(key, { bytes: this.#value(value), value, bank, stale });
    }
    return [...found.values()];
  }

  /** The bank after `hart` has seen version `floor` of a block: it sees no older one any more. */
  #raiseFloor(
    state: BankState & { kind: "versions" },
    hart: number,
    index: number,
    floor: number,
  ): number {
    const blocks = state.blocks.map((block, i) => {
      if (i !== index) return block;
      return { ...block, floors: block.floors.map((old, h) => (h === hart ? floor : old)) };
    });
    return this.#intern({ kind: "versions", blocks });
  }

  #logSights(state: BankState & { kind: "log" }, hart: number, block: number): readonly Sight[] {
    const current = this.#currentValue(state, block);
    const sights: Sight[] = [];
    const see = (value: number, moment: number): void => {
      const moments = state.moments.map((m, h) => (h === hart ? moment : m));
      const bank = this.#intern({ ...state, moments });
      sights.push({ bytes: this.#value(value), value, bank, stale: value !== current });
    };
    const start = ensure(state.moments[hart], `hart ${hart}`);
    const past = state.log.slice(0, start).findLast(([b]) => b === block);
    see(ensure(past?.[1] ?? state.base[block], `block ${block}`), start);
    state.log.forEach(([b, value], index) => {
      if (b === block && index >= start) see(value, index + 1);
    });
    return sights;
  }
}

const append = (state: BankState, block: number, value: number): BankState => {
  if (state.kind === "log") return { ...state, log: [...state.log, [block, value]] };
  const blocks = state.blocks.map((b, index) =>
    index === block ? { ...b, values: [...b.values, value] } : b,
  );
  return { kind: "versions", blocks };
};

/** Folds the stores that every hart's fetches are past into the base. */
const dropOldLog = (state: BankState & { kind: "log" }): BankState => {
  const passed = Math.min(...state.moments);
  const base = state.base.slice();
  for (const [block, value] of state.log.slice(0, passed)) base[block] = value;
  return {
    kind: "log",
    base,
    log: state.log.slice(passed),
    moments: state.moments.map((moment) => moment - passed),
  };
};

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { MachineName } from "../patch/verdicts.ts";
import { machines } from "./machine.ts";
import { Bank } from "./memory.ts";

const HARTS = 2;
const BLOCKS = 2;

type Action =
  | { readonly do: "store"; readonly block: number; readonly value: number }
  | { readonly do: "sync"; readonly hart: number }
  | { readonly do: "fetch"; readonly hart: number; readonly block: number; readonly pick: number }
  | { readonly do: "clean" | "invalidate"; readonly block: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    do: fc.constant("store" as const),
    block: fc.nat(BLOCKS - 1),
    value: fc.nat(3),
  }),
  fc.record({ do: fc.constant("sync" as const), hart: fc.nat(HARTS - 1) }),
  fc.record({
    do: fc.constant("fetch" as const),
    hart: fc.nat(HARTS - 1),
    block: fc.nat(BLOCKS - 1),
    pick: fc.nat(7),
  }),
  fc.record({
    do: fc.constantFrom("clean" as const, "invalidate" as const),
    block: fc.nat(BLOCKS - 1),
  }),
);

/**
 * The same memory, kept the plain way: the whole history of stores, and of each hart the moment
 * from which it may still see each block.
 */
class Naive {
  readonly #machine = machines["strong"];
  readonly #name: MachineName;
  readonly #history: { block: number; value: number }[] = [];
  readonly #from: number[][] = Array.from({ length: HARTS }, () => [0, 0]);
  readonly #unified: number[] = [0, 0];
  readonly #refill: number[] = [0, 0];

  constructor(name: MachineName) {
    this.#name = name;
    this.#machine = machines[name];
  }

  #valueAt(block: number, moment: number): number {
    const past = this.#history.slice(0, moment).findLast((store) => store.block === block);
    return past?.value ?? 0;
  }

  store(block: number, value: number): void {
    if (this.#valueAt(block, this.#history.length) !== value) this.#history.push({ block, value });
  }

  clean(block: number): void {
    this.#unified[block] = this.#history.length;
  }

  invalidate(block: number): void {
    this.#refill[block] = this.#pushed(block);
  }

  /** The moment of the version that caches get at least when they refill. */
  #pushed(block: number): number {
    return this.#machine.caches?.idc === false ? (this.#unified[block] ?? 0) : this.#history.length;
  }

  sync(hart: number): void {
    const { caches } = this.#machine;
    for (let block = 0; block < BLOCKS; block++) {
      const moment = caches?.dic === false ? (this.#refill[block] ?? 0) : this.#pushed(block);
      const floors = this.#from[hart] ?? [];
      floors[block] = Math.max(floors[block] ?? 0, moment);
    }
  }

  /** Values that a fetch may see, oldest first, each with the first moment that it is seen at. */
  sights(hart: number, block: number): { value: number; moment: number }[] {
    const now = this.#history.length;
    const from = this.#machine.fetch === "now" ? now : (this.#from[hart]?.[block] ?? 0);
    const seen: { value: number; moment: number }[] = [];
    for (let moment = from; moment <= now; moment++) {
      const value = this.#valueAt(block, moment);
      if (seen.at(-1)?.value !== value || moment === from) seen.push({ value, moment });
    }
    return seen;
  }

  fetch(hart: number, block: number, moment: number): void {
    const floors = this.#from[hart] ?? [];
    if (this.#machine.fetchOrder === "location") floors[block] = moment;
    if (this.#machine.fetchOrder === "program") floors.fill(moment);
  }

  get name(): string {
    return this.#name;
  }
}

function makeBank(name: MachineName): Bank {
  const blocks = Array.from({ length: BLOCKS }, (_, i) => ({
    at: BigInt(0x1000 + 64 * i),
    initial: Uint8Array.of(0),
  }));
  return new Bank(machines[name], HARTS, blocks, "code");
}

function runBoth(name: MachineName, actions: readonly Action[]): void {
  const bank = makeBank(name);
  const naive = new Naive(name);
  let id = 0;
  for (const step of actions) {
    switch (step.do) {
      case "store": {
        const { block, value } = step;
        const bytes = Uint8Array.of(value);
        id = bank.store(id, bank.addStore([{ block, offset: 0, bytes }]));
        naive.store(block, value);
        break;
      }
      case "sync":
        id = bank.sync(id, step.hart);
        naive.sync(step.hart);
        break;
      case "clean":
      case "invalidate":
        id = bank[step.do](id, step.block);
        naive[step.do](step.block);
        break;
      default: {
        const { hart, block, pick } = step;
        const sights = bank.sights(id, hart, block);
        const expected = naive.sights(hart, block);
        const values = new Set(sights.map(({ bytes }) => bytes[0]));
        expect(values).toEqual(new Set(expected.map(({ value }) => value)));
        if (sights.length === expected.length) {
          const chosen = pick % expected.length;
          id = sights[chosen]?.bank ?? id;
          naive.fetch(hart, block, expected[chosen]?.moment ?? 0);
        }
      }
    }
  }
}

describe("Bank", () => {
  const names: readonly MachineName[] = [
    "strong",
    "x86-intel",
    "x86-observed",
    "riscv-ziccif",
    "riscv-ziccid",
    "armv8-dic0-idc0",
    "armv8-dic0-idc1",
    "armv8-dic1-idc1",
  ];
  it.each(names)("shows each hart what the whole history allows, on %s", (name) => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 25 }), (actions) => runBoth(name, actions)),
    );
  });

  it("forgets versions that nobody can see", () => {
    const bank = makeBank("riscv-ziccif");
    let id = 0;
    for (const value of [1, 2, 3]) {
      const bytes = Uint8Array.of(value);
      id = bank.store(id, bank.addStore([{ block: 0, offset: 0, bytes }]));
    }
    expect(bank.sights(id, 0, 0)).toHaveLength(4);
    id = bank.sync(bank.sync(id, 0), 1);
    expect(bank.sights(id, 0, 0)).toHaveLength(1);
    // What is left is the state that a bank with this one value has.
    const fresh = bank.store(0, bank.addStore([{ block: 0, offset: 0, bytes: Uint8Array.of(3) }]));
    expect(bank.sync(bank.sync(fresh, 0), 1)).toBe(id);
  });
});

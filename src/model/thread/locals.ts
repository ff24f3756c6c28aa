/**
 * Local states as small numbers, and the moves of each. Local states are interned and their moves
 * are computed once per distinct reading of memory, so that executing real instructions costs the
 * explorer nothing in the long run.
 */
import { assert, ensure, unreachable } from "../../base/assert.ts";
import { codeOf } from "../violations.ts";
import { type World, wordValue } from "../world.ts";
import { executeFetched, fetchAll } from "./fetch.ts";
import { type Arm, handleTrap } from "./handler.ts";
import { siteOf } from "./land.ts";
import { type Draft, draft, type Local, outside, type Reading, type SiteLocal } from "./local.ts";
import { atCall } from "./registers.ts";
import { stepTrampoline, wordToLoad } from "./trampoline.ts";

/** A draft with its successor as a number. */
export type Move = Omit<Draft, "to" | "trail"> & {
  readonly next: number;
  /** 0, or the violation that this move is. */
  readonly violation: number;
};

/** What the packed keys of the explorer's memo leave for local states. */
const LOCALS_MAX = 1 << 24;

const keyOf = (local: Local): string =>
  JSON.stringify(local, (_, value: unknown) =>
    typeof value === "bigint" ? value.toString(16) : value,
  );

export class Locals {
  readonly #world: World;
  readonly #arms: readonly Arm[];
  readonly #locals: Local[] = [];
  readonly #ids: Map<string, number> = new Map();
  readonly #entered: number[] = [];
  readonly #executed: Map<string, Move> = new Map();
  readonly #keepTrails: boolean;
  /** Trails of all that was executed to the site's end, when they are kept. */
  readonly trails: Set<string> = new Set();
  /** The number of `outside`. */
  readonly outside: number;

  /** @param keepTrails keep what was executed at which offset (for properties of sequences). */
  constructor(world: World, arms: readonly Arm[], keepTrails: boolean) {
    this.#world = world;
    this.#arms = arms;
    this.#keepTrails = keepTrails;
    this.outside = this.#intern(outside);
  }

  get(id: number): Local {
    return ensure(this.#locals[id], `local state ${id}`);
  }

  #intern(local: Local): number {
    const key = keyOf(local);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    assert(this.#locals.length < LOCALS_MAX, "too many local states");
    this.#locals.push(local);
    this.#ids.set(key, this.#locals.length - 1);
    return this.#locals.length - 1;
  }

  /** The state at the beginning of a call of the function that site `site` belongs to. */
  enter(site: number): number {
    const known = this.#entered[site];
    if (known !== undefined) return known;
    const pc = siteOf(this.#world, site).at;
    const cpu = atCall(this.#world.kit);
    const id = this.#intern({ at: "site", site, pc, cpu, called: false, trail: "" });
    this.#entered[site] = id;
    return id;
  }

  /** Between two instructions of a window, or in the handler of a trap there. */
  isInside(id: number): boolean {
    const local = this.get(id);
    if (local.at !== "site") return local.at === "handler";
    return local.pc !== siteOf(this.#world, local.site).at;
  }

  /** The state that a return from a trap makes of this one (see `TrapReturn`), or the same. */
  afterTrapReturn(id: number, bankState: (bank: number) => number): number {
    const rule = this.#world.design.trapReturn;
    const local = this.get(id);
    if (rule === undefined || local.at !== "site") return id;
    const site = siteOf(this.#world, local.site);
    if (local.pc !== site.at + BigInt(rule.offset)) return id;
    if (rule.by !== "address") {
      const word = this.#readWindow(local.site, bankState(site.bank), rule.offset);
      if ((word & rule.by.mask) >>> 0 !== rule.by.match) return id;
    }
    return this.#intern({ ...local, pc: site.at, trail: "" });
  }

  /** Four bytes of a window as memory has them now, read as data. */
  #readWindow(index: number, bankState: number, offset: number): number {
    const site = siteOf(this.#world, index);
    const bank = ensure(this.#world.banks[site.bank], "bank");
    const bytes = new Uint8Array(Number(site.end - site.at));
    for (const [i, block] of bank.blocks.entries()) {
      if (block.at < site.at || block.at >= site.end) continue;
      bytes.set(bank.current(bankState, i), Number(block.at - site.at));
    }
    return Number(wordValue(bytes.slice(offset, offset + 4)));
  }

  /** What the state reads before it can move. */
  reading(id: number): Reading {
    const local = this.get(id);
    switch (local.at) {
      case "outside":
        return { of: "nothing" };
      case "handler":
        return { of: "trap" };
      case "site":
        return { of: "bank", bank: siteOf(this.#world, local.site).bank };
      case "code": {
        const word = wordToLoad(this.#world, local);
        return word === undefined ? { of: "nothing" } : { of: "bank", bank: word.bank };
      }
      default:
        return unreachable(local);
    }
  }

  /**
   * Everything that the thread can do next on `hart`.
   * @param reading state of the bank that it reads, or number of the armed trap (0: none).
   * @param answered syncs that the hart has answered, for trails.
   */
  moves(id: number, hart: number, reading: number, answered: number): readonly Move[] {
    const local = this.get(id);
    if (local.at === "site") return this.#executeSite(id, local, hart, reading, answered);
    return this.#drafts(local, hart, reading).map((made) => this.#settle(made));
  }

  /** Instructions are executed once per thread's state and bytes, whatever banks they come from. */
  #executeSite(
    id: number,
    local: SiteLocal,
    hart: number,
    bank: number,
    answered: number,
  ): readonly Move[] {
    return fetchAll(this.#world, local, hart, bank).map((fetched) => {
      const { bytes, stale, raced, listed } = fetched;
      const flags = (stale ? 1 : 0) | (raced ? 2 : 0) | (listed ? 4 : 0);
      const key = `${id} ${answered} ${flags} ${bytes.join()}`;
      let move = this.#executed.get(key);
      if (move === undefined) {
        const trails = { kept: this.#keepTrails, answered };
        move = this.#settle(executeFetched(this.#world, local, fetched, trails));
        this.#executed.set(key, move);
      }
      return { ...move, bank: fetched.bank };
    });
  }

  #drafts(local: Exclude<Local, { at: "site" }>, hart: number, reading: number): readonly Draft[] {
    const world = this.#world;
    switch (local.at) {
      case "outside":
        return world.sites.map((_, site) =>
          draft(this.get(this.enter(site)), `calls function ${site + 1}`),
        );
      case "code":
        return stepTrampoline(world, local, hart, reading);
      case "handler":
        return [handleTrap(world, local, this.#arms[reading - 1])];
      default:
        return unreachable(local);
    }
  }

  #settle({ to, trail, ...rest }: Draft): Move {
    if (trail !== "") this.trails.add(trail);
    if ("violation" in to) return { ...rest, next: this.outside, violation: codeOf(to.violation) };
    return { ...rest, next: this.#intern(to), violation: 0 };
  }
}

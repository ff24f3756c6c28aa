/**
 * The search for the cheapest safe list of steps. A prefix of a protocol that is broken stays
 * broken whatever follows, so prefixes grow step by step, cheapest first, and each is explored from
 * the states in which its own prefix could leave the system. Two prefixes that leave the same set
 * of states are worth the same: the dearer one is dropped. Only syncs are made more than once.
 *
 * What comes out is a candidate for one change of the site; it counts only when the whole check,
 * with all its changes and adversities, finds it safe.
 */
import { assert, ensure } from "../../base/assert.ts";
import { type Check, checkId, type Protocol } from "../../patch/protocol.ts";
import type { Step } from "../../patch/steps.ts";
import { type Finding, prepareChange, runCheck } from "../check.ts";
import { explore } from "../explorer.ts";
import type { Program } from "../program.ts";
import { W } from "../state.ts";
import type { System } from "../system.ts";
import { alphabetOf, type Macro } from "./alphabet.ts";
import { doesComplete } from "./complete.ts";
import { minimise } from "./necessity.ts";

export type Repair = {
  /** The question that the repair answers. */
  readonly check: string;
  /** The protocol that was found. */
  readonly protocol: Protocol;
  readonly cost: number;
  /** Its proof: the check with the found protocol in the place of the broken one. */
  readonly proof: Finding;
  /** Prefixes that were explored. */
  readonly tried: number;
};

export type RepairFailure = { readonly check: string; readonly tried: number };

type Prefix = {
  readonly macros: readonly Macro[];
  readonly cost: number;
  /** Every state that the system can be in behind it. */
  readonly states: readonly Int32Array[];
  readonly armed: boolean;
};

/** More prefixes than any repair of the table has needed. */
const PREFIXES_MAX = 20_000;
/** Stores in one protocol, and states behind one prefix. */
const WRITES_MAX = 4;
const STATES_MAX = 50_000;

/** Searches for a safe list for the change from `from` to `to` of the check's design. */
export function repair(check: Check, from = "idle", to = "a"): Repair | RepairFailure {
  const search = new Search(check, from, to);
  return search.run();
}

class Search {
  readonly #check: Check;
  readonly #change: ReturnType<typeof prepareChange>;
  readonly #alphabet: readonly { readonly macro: Macro; readonly program: Program }[];
  /** Cost of the cheapest prefix that leaves a set of states. */
  readonly #reached: Map<string, number> = new Map();
  #tried = 0;

  constructor(check: Check, from: string, to: string) {
    this.#check = check;
    this.#change = prepareChange(check, from, to);
    this.#alphabet = alphabetOf(check.design).map((macro) => ({
      macro,
      program: this.#change.compile(macro.steps),
    }));
  }

  run(): Repair | RepairFailure {
    const empty = this.#change.compile([]);
    const first = this.#explore(empty, this.#systemOf(empty).initial());
    const queue: Prefix[] = [];
    if (first !== undefined) queue.push({ macros: [], cost: 0, states: first, armed: false });
    while (queue.length > 0 && this.#tried < PREFIXES_MAX) {
      const cheapest = queue.reduce((best, p, i) => {
        return p.cost < ensure(queue[best], "prefix").cost ? i : best;
      }, 0);
      const prefix = ensure(queue.splice(cheapest, 1)[0], "prefix");
      const found = this.#finish(prefix);
      if (found !== undefined) return found;
      queue.push(...this.#extend(prefix));
    }
    return { check: checkId(this.#check), tried: this.#tried };
  }

  #systemOf(program: Program): System {
    return this.#change.system(program);
  }

  /** Every one-step continuation that breaks nothing and leads somewhere new. */
  #extend(prefix: Prefix): Prefix[] {
    const next: Prefix[] = [];
    const last = prefix.macros.at(-1);
    const writes = prefix.macros.filter(({ kind }) => kind === "write").length;
    for (const { macro, program } of this.#alphabet) {
      if (macro.kind === "sync") {
        if (last === undefined || last.kind === "sync") continue;
      } else if (prefix.macros.includes(macro)) continue;
      if (macro.kind === "write" && writes === WRITES_MAX) continue;
      if (macro.kind === "untrap" && !prefix.armed) continue;
      const states = this.#explore(program, prefix.states);
      if (states === undefined) continue;
      const key = keyOf(states);
      const cost = prefix.cost + macro.cost;
      if (cost >= (this.#reached.get(key) ?? Number.POSITIVE_INFINITY)) continue;
      this.#reached.set(key, cost);
      const armed = macro.kind === "trap" || (prefix.armed && macro.kind !== "untrap");
      next.push({ macros: [...prefix.macros, macro], cost, states, armed });
    }
    return next;
  }

  /** The states behind a piece of program, from these; `undefined` where it breaks something. */
  #explore(program: Program, from: readonly Int32Array[]): readonly Int32Array[] | undefined {
    this.#tried++;
    const system = this.#systemOf(program);
    const model = {
      width: system.width,
      initial: () => from,
      actions: system.actions.bind(system),
      step: system.step.bind(system),
      isGoal: () => true,
      withinBounds: () => true,
    };
    const found = explore(model, { statesMax: STATES_MAX, progress: false });
    if (found.violation !== undefined || !found.exhaustive) return undefined;
    const behind: Int32Array[] = [];
    const state = new Int32Array(system.width);
    for (let index = 0; index < found.states; index++) {
      found.visited.read(index, state);
      if (state[W.patchers] !== program.lines.length || state[W.patchers + 1] !== 0) continue;
      const reset = state.slice();
      reset[W.patchers] = 0;
      behind.push(reset);
    }
    // Nobody gets behind it: a wait that never ends.
    return behind.length === 0 ? undefined : behind;
  }

  /** A prefix that completes the change, if the whole check finds it safe. */
  #finish(prefix: Prefix): Repair | undefined {
    const steps = prefix.macros.flatMap((macro) => macro.steps);
    if (steps.length === 0 || prefix.armed) return undefined;
    const protocol = this.#protocolOf(steps);
    const check: Check = { ...this.#check, protocol, expected: "safe", reason: "repaired" };
    if (!doesComplete(check)) return undefined;
    const proof = runCheck(check);
    // A wanted change is one that later calls see: a protocol that never tells anybody is not it.
    if (proof.verdict !== "safe" || proof.marks.includes("late")) return undefined;
    const reduced = minimise(protocol, [check]).protocol;
    return {
      check: checkId(this.#check),
      protocol: reduced,
      cost: prefix.cost,
      proof: runCheck({ ...check, protocol: reduced }),
      tried: this.#tried,
    };
  }

  #protocolOf(steps: readonly Step[]): Protocol {
    const { protocol } = this.#check;
    const title = `repair of ${protocol.id}`;
    return {
      id: `${protocol.id}/repaired`,
      title,
      enable: steps,
      disable: steps,
      retire: protocol.retire,
    };
  }
}

/**
 * A name for a set of states: its size and two sums over hashes of its members. That two sets share
 * it by accident would lose a candidate, never let a wrong one pass.
 */
function keyOf(states: readonly Int32Array[]): string {
  let [a, b] = [0, 0];
  for (const state of states) {
    let [x, y] = [0x811c9dc5, 0x1b873593];
    for (const word of state) {
      x = Math.imul(x ^ word, 0x01000193);
      y = Math.imul(y + word, 0x85ebca6b) ^ (y >>> 13);
    }
    a = (a + (x >>> 0)) % Number.MAX_SAFE_INTEGER;
    b = (b + (y >>> 0)) % Number.MAX_SAFE_INTEGER;
  }
  assert(states.length > 0, "a set of states");
  return `${states.length} ${a} ${b}`;
}

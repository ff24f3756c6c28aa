/**
 * Which registers a thread can still read, by address: found in the code as it is laid out, going
 * backwards along the branches until nothing changes. Registers outside of that set can hold
 * anything without a difference to how the thread goes on and to what its end shows.
 */

import { ensure } from "../../base/assert.ts";
import type { Effect } from "../../isa/effects.ts";
import { evaluate, plain } from "./evaluate.ts";
import type { Image } from "./image.ts";

/** Names of registers at an address; `undefined`: all of them. */
export type Liveness = (pc: bigint) => ReadonlySet<string> | undefined;

/** The reservation of a load-exclusive, which counts as a register here. */
export const reservation = "(reservation)";

type Flow = {
  readonly uses: ReadonlySet<string>;
  readonly sets: ReadonlySet<string>;
  /** Addresses that may be next; ends of the thread too. */
  readonly next: readonly bigint[];
  /** It may end the thread with a fault. */
  readonly faults: boolean;
};

const bytesMax = 15;

/** Adds the names of registers, or of temporaries, that an effect or an expression reads. */
function addNames(part: unknown, op: "reg" | "temp", names: Set<string>): void {
  if (typeof part !== "object" || part === null) return;
  if ("op" in part && part.op === op && "name" in part) names.add(String(part.name));
  for (const inner of Object.values(part)) addNames(inner, op, names);
}

/** The target of a direct jump; `undefined` where it is read or computed. */
function targetOf({ target }: Effect & { kind: "jump" }, pc: bigint): bigint | undefined {
  const names = new Set<string>();
  for (const op of ["reg", "temp"] as const) addNames(target, op, names);
  if (names.size > 0) return undefined;
  const scope = { register: () => plain(0n), temps: new Map(), pc, picks: false };
  return BigInt.asUintN(64, evaluate(target, scope).value);
}

/** How an instruction goes on; `undefined` where that can't be told from its bytes. */
function flowAt(image: Image, pc: bigint): Flow | undefined {
  let count = 1;
  let decoded = image.decode([], pc);
  for (; decoded === "incomplete" && count <= bytesMax; count++) {
    const bytes = image.bytesAt(pc, count);
    if (bytes === undefined) return undefined;
    decoded = image.decode([...bytes], pc);
  }
  if (typeof decoded === "string" || decoded.returns) return undefined;
  const uses = new Set<string>();
  const sets = new Set<string>();
  const next: bigint[] = [];
  let falls = true;
  let faults = false;
  for (const effect of decoded.effects) {
    addNames(effect, "reg", uses);
    if (effect.kind === "set") sets.add(effect.reg);
    if (effect.kind === "storeExclusive") uses.add(reservation);
    if (effect.kind === "load" && effect.exclusive === true) sets.add(reservation);
    if (effect.kind === "jump") {
      const target = targetOf(effect, pc);
      if (target === undefined) return undefined;
      next.push(target);
    }
    if ((effect.kind === "jump" || effect.kind === "trap") && effect.when === undefined) {
      falls = false;
    }
    faults ||= !["set", "let", "jump", "barrier", "hint"].includes(effect.kind);
  }
  if (falls) next.push(pc + BigInt(decoded.size));
  return { uses, sets, next, faults };
}

/** Every instruction that can be reached from `entry`; `undefined` where a way is not known. */
function flowsFrom(image: Image, entry: bigint): Map<bigint, Flow> | undefined {
  const flows = new Map<bigint, Flow>();
  const open = [entry];
  for (let pc = open.pop(); pc !== undefined; pc = open.pop()) {
    if (flows.has(pc) || !image.isCode(pc)) continue;
    const flow = flowAt(image, pc);
    if (flow === undefined) return undefined;
    flows.set(pc, flow);
    open.push(...flow.next);
  }
  return flows;
}

/**
 * Finds what is live in a thread.
 * @param shown registers that the final state shows of it.
 */
export function findLive(image: Image, thread: number, shown: ReadonlySet<string>): Liveness {
  const everything: Liveness = () => undefined;
  if (image.entry(thread, "handler") !== undefined) return everything;
  const entry = ensure(image.entry(thread, "main"), "the thread's first instruction");
  const flows = flowsFrom(image, entry);
  if (flows === undefined) return everything;
  const live = new Map<bigint, Set<string>>([...flows.keys()].map((pc) => [pc, new Set()]));
  for (let changed = true; changed; ) {
    changed = false;
    for (const [pc, { uses, sets, next, faults }] of flows) {
      const own = ensure(live.get(pc), "an instruction");
      const behind = next.flatMap((to) => [...(live.get(to) ?? shown)]);
      const names = [...uses, ...behind.filter((name) => !sets.has(name))];
      for (const name of faults ? [...names, ...shown] : names) {
        if (own.has(name)) continue;
        own.add(name);
        changed = true;
      }
    }
  }
  return (pc) => live.get(pc);
}

/**
 * The table of ten orders of P5: in which orders a remote hart can answer its three fences and
 * execute the two instructions, and what it executes then. Claimed by hand in the proposal, found
 * here, with the trap return that replays AUIPC and without it.
 */
import { ensure } from "../base/assert.ts";
import type { Design } from "../patch/design.ts";
import { rv64AuipcPair, rv64ReplayAddress } from "../patch/designs/riscv.ts";
import { replay } from "../patch/protocols/p5-auipc-replay.ts";
import type { MachineName } from "../patch/verdicts.ts";
import { buildSystem } from "./check.ts";
import { explore } from "./explorer.ts";
import type { System } from "./system.ts";

/** What a hart executes at the two slots. */
export type Pair = "old" | "updated" | "mixed";

export type OrderVerdict =
  | "as claimed"
  | "happens, and is safe"
  | "happens, and is unsafe"
  | "never happens";

export type OrderRow = {
  /** `ff0f4`: f is a fence that the hart answers, 0 and 4 are the slots that it executes. */
  readonly order: string;
  readonly claim: string;
  /** What is executed in this order; empty when the order does not happen. */
  readonly found: readonly Pair[];
  /** The same when trap returns do not replay. */
  readonly foundWithoutReplay: readonly Pair[];
  readonly verdict: OrderVerdict;
  readonly expected: OrderVerdict;
};

/** The proposal's claims in its order, and what we expect of each. */
const claims: readonly (readonly [order: string, claim: string, expected: OrderVerdict])[] = [
  ["fff04", "updated", "as claimed"],
  ["ff0f4", "impossible", "as claimed"],
  // The new AUIPC may be fetched before the third fence.
  ["ff04f", "impossible", "happens, and is safe"],
  ["f0ff4", "impossible", "as claimed"],
  ["f0f4f", "impossible", "as claimed"],
  ["f04ff", "impossible", "as claimed"],
  ["0fff4", "impossible", "as claimed"],
  ["0ff4f", "impossible", "as claimed"],
  ["0f4ff", "impossible", "as claimed"],
  ["04fff", "old", "as claimed"],
];

/** Fences of the three-step scheme. */
const FENCES = 3;

/** The site calls A at first and B afterwards, so that both instructions change once. */
const fromCall = (design: Design): Design => ({
  ...design,
  states: { ...design.states, idle: ensure(design.states["a"], "state a") },
});

/** Text of the two instructions of a state. */
function pairOf(system: System, state: string): string {
  const { world } = system;
  const site = ensure(world.sites[0], "a site");
  const bytes = ensure(world.design.states[state], state).window(site.at, world.targets);
  return [0, 4]
    .map((offset) => ensure(world.isa.decode(bytes, offset), "an instruction"))
    .map((insn, index) => world.isa.format(insn, site.at + BigInt(4 * index)))
    .join(";");
}

/** What was executed in which order, of every pass through the whole site. */
function explorePasses(
  design: Design,
  machine: MachineName,
): readonly { readonly order: string; readonly pair: Pair }[] {
  const history = [{ to: "b", free: false }];
  const check = { protocol: replay, design: fromCall(design), machine, adversities: [], history };
  const system = buildSystem({ ...check, expected: "safe", reason: "" }, true);
  explore(system, { statesMax: 1_000_000, progress: false, keepGoing: true });
  const [old, updated] = [pairOf(system, "idle"), pairOf(system, "b")];
  return [...system.locals.trails].flatMap((trail) => {
    const entries = trail.split(";").slice(0, -1);
    const [first = [], second = []] = entries.slice(-2).map((entry) => entry.split("|"));
    if (first[1] !== "0" || second[1] !== "4") return [];
    const before = Number(first[0]);
    const between = Number(second[0]) - before;
    const behind = FENCES - before - between;
    const order = `${"f".repeat(before)}0${"f".repeat(between)}4${"f".repeat(behind)}`;
    const executed = `${first[2]};${second[2]}`;
    const pair = executed === old ? "old" : executed === updated ? "updated" : "mixed";
    return [{ order, pair }];
  });
}

/** Explores the scheme with every fence counted, and fills the table in. */
export function tabulateOrders(machine: MachineName = "riscv-ziccif"): readonly OrderRow[] {
  const withReplay = explorePasses(rv64ReplayAddress, machine);
  const without = explorePasses(rv64AuipcPair, machine);
  const pairsIn = (passes: typeof withReplay, order: string): Pair[] => [
    ...new Set(passes.filter((pass) => pass.order === order).map(({ pair }) => pair)),
  ];
  return claims.map(([order, claim, expected]) => {
    const found = pairsIn(withReplay, order);
    const foundWithoutReplay = pairsIn(without, order);
    return { order, claim, found, foundWithoutReplay, verdict: judge(claim, found), expected };
  });
}

function judge(claim: string, found: readonly Pair[]): OrderVerdict {
  if (found.includes("mixed")) return "happens, and is unsafe";
  if (found.length === 0) return claim === "impossible" ? "as claimed" : "never happens";
  return found.length === 1 && found[0] === claim ? "as claimed" : "happens, and is safe";
}

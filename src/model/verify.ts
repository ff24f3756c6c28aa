/**
 * The whole table: every check, every computation, the orders of P5, and what they mean for the
 * sources' claims. Pure but for the clock that is handed in.
 */
import { type Check, checkId, type Family } from "../patch/protocol.ts";
import { families } from "../patch/protocols/families.ts";
import type { Adversity, Verdict } from "../patch/verdicts.ts";
import { type Computation, computeAll } from "./arithmetic.ts";
import { type Finding, historyOf, runCheck } from "./check.ts";
import { type Claim, claims } from "./claims.ts";
import { computeSwitches, switchFamily } from "./consistency.ts";
import { machines } from "./machine.ts";
import { type OrderRow, tabulateOrders } from "./orders.ts";

/** A check and what came out, as `--json` has it. */
export type VerifyRow = {
  readonly id: string;
  readonly family: string;
  readonly protocol: string;
  readonly title: string;
  readonly design: string;
  readonly machine: string;
  readonly adversities: readonly string[];
  /** Where the site lies, in bytes from its alignment. */
  readonly phase: number;
  /** States that the site goes through. */
  readonly history: readonly string[];
  readonly verdict: Finding["verdict"];
  readonly expected: Verdict;
  readonly asExpected: boolean;
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  readonly milliseconds: number;
  /** `exhaustive`, or the bound that ended the search. */
  readonly search: "exhaustive" | "bounded";
  /** Calls that begin after the change is done run the new code; absent when it is not safe. */
  readonly prompt?: boolean;
  /** What the verdict rests on. */
  readonly assumptions: readonly string[];
  readonly reason: string;
  /** What happened sometimes: the verdict is not about nothing. */
  readonly reached: readonly string[];
};

export type ClaimRow = Omit<Claim, "checks" | "computations"> & {
  /** All checks and computations that settle it came out as expected. */
  readonly settled: boolean;
  readonly settledBy: readonly string[];
};

export type VerifyReport = {
  readonly ok: boolean;
  readonly rows: readonly VerifyRow[];
  readonly computations: readonly Computation[];
  readonly orders: readonly OrderRow[];
  readonly claims: readonly ClaimRow[];
  readonly states: number;
  readonly milliseconds: number;
};

export type VerifyOptions = {
  /** Families (`P5`) or protocols (`P5/replay`); all when it is empty. */
  readonly names: readonly string[];
  /** Families beside the built-in ones: a user's own. */
  readonly families?: readonly Family[];
  /** Milliseconds; any origin. */
  readonly now: () => number;
  readonly onRow?: (row: VerifyRow) => void;
};

const adversityTexts: Readonly<Record<Adversity, string>> = {
  preemption: "the thread is preempted anywhere and resumed on any hart",
  interrupts: "interrupt handlers call the function",
  nmi: "non-maskable handlers call the function",
  "two-patchers": "two patchers, one lock",
  "two-sites": "a batch of two sites",
  retarget: "disabled and enabled with another target",
  modify: "changed from one target to another",
  free: "what is not needed any more is freed after the retire steps",
  "idle-loop": "the thread is an idle loop",
  "firmware-fences": "syncs are carried out by firmware",
};

/** Whether a name that a user gave selects a protocol. */
const selects = (name: string, family: string, protocol: string): boolean =>
  name.toLowerCase() === family.toLowerCase() || name.toLowerCase() === protocol.toLowerCase();

/** Checks that the names select, with their families; `undefined`: a name that selects nothing. */
export function selectChecks(
  names: readonly string[],
  from: readonly Family[] = families,
): readonly { readonly family: string; readonly check: Check }[] | undefined {
  const all = from.flatMap(({ id, checks }) => checks.map((check) => ({ family: id, check })));
  if (names.length === 0) return all;
  const isKnown = (name: string): boolean =>
    name.toUpperCase() === switchFamily ||
    all.some(({ family, check }) => selects(name, family, check.protocol.id));
  if (!names.every(isKnown)) return undefined;
  return all.filter(({ family, check }) =>
    names.some((name) => selects(name, family, check.protocol.id)),
  );
}

/** Runs everything that is selected. */
export function verify(options: VerifyOptions): VerifyReport {
  const begin = options.now();
  const selected = selectChecks(options.names, options.families) ?? [];
  const rows: VerifyRow[] = [];
  for (const { family, check } of selected) {
    const row = toRow(family, runTimed(check, options.now));
    rows.push(row);
    options.onRow?.(row);
  }
  const own = options.families !== undefined;
  const isAll = options.names.length === 0 && !own;
  const wanted = (id: string): boolean =>
    isAll || options.names.some((name) => id.toLowerCase().startsWith(`${name.toLowerCase()}/`));
  const computations = own
    ? []
    : [computeAll, computeSwitches].flatMap((compute) => compute()).filter(({ id }) => wanted(id));
  const orders = !own && wanted("P5/orders") ? tabulateOrders() : [];
  const settled = own ? [] : settleClaims(rows, computations, orders);
  const ok =
    rows.every((row) => row.asExpected) &&
    computations.every(({ found, expected }) => found === expected) &&
    orders.every(({ verdict, expected }) => verdict === expected) &&
    settled.every((row) => row.settled);
  return {
    ok,
    rows,
    computations,
    orders,
    claims: settled,
    states: rows.reduce((sum, row) => sum + row.states, 0),
    milliseconds: options.now() - begin,
  };
}

type Timed = { readonly finding: Finding; readonly milliseconds: number };

export function runTimed(check: Check, now: () => number): Timed {
  const begin = now();
  const finding = runCheck(check);
  return { finding, milliseconds: now() - begin };
}

export function toRow(family: string, { finding, milliseconds }: Timed): VerifyRow {
  const { check, verdict } = finding;
  const history = check.history ?? historyOf(check.adversities);
  return {
    id: checkId(check),
    family,
    protocol: check.protocol.id,
    title: check.protocol.title,
    design: check.design.id,
    machine: check.machine,
    adversities: check.adversities,
    phase: check.phase ?? 0,
    history: ["idle", ...history.map(({ to }) => to)],
    verdict,
    expected: check.expected,
    asExpected: verdict === check.expected,
    states: finding.states,
    transitions: finding.transitions,
    depth: finding.depth,
    milliseconds,
    search: finding.exhaustive ? "exhaustive" : "bounded",
    ...(verdict === "safe" ? { prompt: !finding.marks.includes("late") } : {}),
    assumptions: [
      machines[check.machine].summary,
      ...check.adversities.map((name) => adversityTexts[name]),
    ],
    reason: check.reason,
    reached: finding.marks,
  };
}

/** Claims whose checks and computations were all run. */
function settleClaims(
  rows: readonly VerifyRow[],
  computations: readonly Computation[],
  orders: readonly OrderRow[],
): readonly ClaimRow[] {
  const outcomes = new Map<string, boolean>(rows.map((row) => [row.id, row.asExpected]));
  for (const { id, found, expected } of computations) outcomes.set(id, found === expected);
  if (orders.length > 0) {
    const asExpected = orders.every(({ verdict, expected }) => verdict === expected);
    outcomes.set("P5/orders", asExpected);
  }
  return claims.flatMap(({ checks, computations: ids, ...rest }) => {
    const settledBy = [...checks.map(checkId), ...ids];
    if (settledBy.length === 0 || !settledBy.every((id) => outcomes.has(id))) return [];
    return [{ ...rest, settled: settledBy.every((id) => outcomes.get(id) === true), settledBy }];
  });
}

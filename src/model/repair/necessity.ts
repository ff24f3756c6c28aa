/**
 * Which steps of a safe protocol are needed: each is taken out, and the checks that hold with it
 * are run without it.
 */
import { ensure } from "../../base/assert.ts";
import { type Check, checkId, type Protocol } from "../../patch/protocol.ts";
import { describeStep, type Step } from "../../patch/steps.ts";
import { historyOf, runCheck } from "../check.ts";
import { doesComplete } from "./complete.ts";

type Role = "enable" | "disable" | "modify" | "retire";
const roles: readonly Role[] = ["enable", "disable", "modify", "retire"];

/** What happens to a protocol without one of its steps. */
export type Necessity =
  /** A check finds a violation. */
  | { readonly kind: "unsafe"; readonly verdict: string; readonly check: string }
  /** The site does not end up in the state that was asked for. */
  | { readonly kind: "incomplete" }
  /** It is safe, but calls behind the change may still run the old code. */
  | { readonly kind: "late"; readonly check: string }
  | { readonly kind: "not needed" };

export type StepNecessity = {
  /** Which lists of the protocol it is in: one list can serve several. */
  readonly roles: readonly Role[];
  readonly index: number;
  readonly step: Step;
  readonly text: string;
  readonly without: Necessity;
};

/** Lists of a protocol; those that are one and the same array are one. */
function listsOf(protocol: Protocol): { roles: Role[]; steps: readonly Step[] }[] {
  const lists: { roles: Role[]; steps: readonly Step[] }[] = [];
  for (const role of roles) {
    const steps = protocol[role];
    if (steps === undefined) continue;
    const same = lists.find((list) => list.steps === steps);
    if (same === undefined) lists.push({ roles: [role], steps });
    else same.roles.push(role);
  }
  return lists;
}

/** The protocol without one step, in every list that shares it. */
export function withoutStep(protocol: Protocol, of: readonly Role[], index: number): Protocol {
  const list = ensure(protocol[ensure(of[0], "a role")], "a list");
  const rest = list.filter((_, i) => i !== index);
  return { ...protocol, ...Object.fromEntries(of.map((role) => [role, rest])) };
}

/** Small checks first: most steps are missed by those already. */
const bySize = (checks: readonly Check[]): readonly Check[] =>
  checks.toSorted((a, b) => a.adversities.length - b.adversities.length);

/**
 * Tries every step of `protocol` on `checks`, which are checks of it that are expected to be safe.
 * The cost is one exploration per step and check, at worst.
 */
export function tryWithoutEach(
  protocol: Protocol,
  checks: readonly Check[],
): readonly StepNecessity[] {
  const sorted = bySize(checks);
  const prompt = new Set(sorted.filter((c) => isPrompt(c, protocol)).map(checkId));
  // What is done before things are freed is only missed where something is freed.
  const frees = checks.some((check) => historyFrees(check));
  const lists = listsOf(protocol).filter(({ roles: [first] }) => frees || first !== "retire");
  return lists.flatMap((list) =>
    list.steps.map((step, index): StepNecessity => {
      const reduced = withoutStep(protocol, list.roles, index);
      const without = judge(reduced, sorted, prompt);
      return { roles: list.roles, index, step, text: describeStep(step), without };
    }),
  );
}

const historyFrees = (check: Check): boolean =>
  (check.history ?? historyOf(check.adversities)).some(({ free }) => free);

function isPrompt(check: Check, protocol: Protocol): boolean {
  const finding = runCheck({ ...check, protocol });
  return finding.verdict === "safe" && !finding.marks.includes("late");
}

/** How the reduced protocol fares. `prompt`: ids of checks whose whole protocol is prompt. */
function judge(
  reduced: Protocol,
  checks: readonly Check[],
  prompt: ReadonlySet<string>,
): Necessity {
  let late: Necessity | undefined;
  for (const original of checks) {
    const check = { ...original, protocol: reduced };
    if (!doesComplete(check)) return { kind: "incomplete" };
    const { verdict, marks } = runCheck(check);
    if (verdict !== "safe") return { kind: "unsafe", verdict, check: checkId(original) };
    const id = checkId(original);
    if (prompt.has(id) && marks.includes("late")) late ??= { kind: "late", check: id };
  }
  return late ?? { kind: "not needed" };
}

/** Steps that can go, one after the other, while every check stays safe (and prompt). */
export function minimise(
  protocol: Protocol,
  checks: readonly Check[],
): { readonly protocol: Protocol; readonly removed: readonly string[] } {
  const removed: string[] = [];
  let now = protocol;
  for (;;) {
    const spare = tryWithoutEach(now, checks)
      .filter(({ without }) => without.kind === "not needed")
      .toSorted((a, b) => rank(a.step) - rank(b.step))[0];
    if (spare === undefined) return { protocol: now, removed };
    removed.push(`${spare.text} (${spare.roles.join(", ")})`);
    now = withoutStep(now, spare.roles, spare.index);
  }
}

/** What is taken out first: waits, then syncs, then the rest. */
const rank = (step: Step): number => {
  if (step.op === "stop" || step.op === "quiesce" || step.op === "drain") return 0;
  return step.op === "sync" ? 1 : 2;
};

/**
 * Protocols as values, and the checks that say what each is worth: on which design, machine and
 * under which adversities it is safe, and where it breaks.
 */
import { hex } from "../base/brand.ts";
import type { Design } from "./design.ts";
import type { Step } from "./steps.ts";
import type { Adversity, MachineName, Verdict } from "./verdicts.ts";

/** A way to change sites of one kind. */
export type Protocol = {
  /** `P7/int3`, or a name of its user's own. */
  readonly id: string;
  /** What is done, in one line. */
  readonly title: string;
  /** From `idle` to a state that calls. */
  readonly enable: readonly Step[];
  /** Back to `idle`. */
  readonly disable: readonly Step[];
  /** From one state that calls to another; `enable` where it is absent. */
  readonly modify?: readonly Step[];
  /** After a state was left, before what it used is freed. */
  readonly retire: readonly Step[];
};

/** One change in the life of a site. */
export type Change = { readonly to: string; readonly free: boolean };

/** A question to the checker, with the answer that is expected. */
export type Check = {
  readonly protocol: Protocol;
  readonly design: Design;
  readonly machine: MachineName;
  readonly adversities: readonly Adversity[];
  /** States that the site goes through; by the adversities where it is absent. */
  readonly history?: readonly Change[];
  /** Bytes from the site's natural alignment: where it lies in its block, line or page. */
  readonly phase?: number;
  /** Addresses for code of the design, where a check needs them at a certain distance. */
  readonly places?: Readonly<Record<string, bigint>>;
  readonly expected: Verdict;
  /** Why, in a sentence. */
  readonly reason: string;
};

/** Everything about one way of patching: its variants, its checks, its page in docs/protocols. */
export type Family = {
  /** `P7`. */
  readonly id: string;
  readonly title: string;
  /** Where it was published. */
  readonly source: string;
  readonly checks: readonly Check[];
};

/** Name of a check, unique in the table: protocol, design, machine, adversities, phase. */
export function checkId(check: Check): string {
  const parts = [check.protocol.id, check.design.id, check.machine];
  if (check.adversities.length > 0) parts.push(check.adversities.join("+"));
  if (check.phase !== undefined) parts.push(`phase ${check.phase}`);
  for (const [name, at] of Object.entries(check.places ?? {})) parts.push(`${name} at ${hex(at)}`);
  if (check.history !== undefined) parts.push(check.history.map((c) => c.to).join("-"));
  return parts.join(" ");
}

/** One check per machine and set of adversities. */
export function checksFor(
  common: Omit<Check, "machine" | "adversities">,
  machines: readonly MachineName[],
  adversities: readonly (readonly Adversity[])[],
): readonly Check[] {
  return machines.flatMap((machine) =>
    adversities.map((set) => ({ ...common, machine, adversities: set })),
  );
}

/** Ops of Patchbay's own: functions that call a gate before they do what they are for. */
import { type Handler, makeOps } from "../ftrace/ops.ts";
import { SiteSet } from "../ftrace/site-set.ts";
import type { CataloguedFunction } from "./catalogue.ts";
import type { Tracing } from "./tracing.ts";

type Gate = {
  readonly name: string;
  readonly functions: readonly CataloguedFunction[];
  /** What names them: an ops that names no functions would have them all. */
  readonly glob: string;
  readonly handler: Extract<Handler, { kind: "direct" }>;
};

/** Lets functions call a gate. `doing` says so in errors. */
export function callGate(
  tracing: Tracing,
  doing: string,
  { name, functions, glob, handler }: Gate,
): Promise<void> {
  const sites = new SiteSet(functions.map(({ id }) => id));
  const filter = { terms: [{ kind: "name", glob, remove: false }] as const, sites };
  return tracing.exchange(doing, [], [makeOps(name, handler, { filter })]);
}

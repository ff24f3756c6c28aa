/** What generated code does for ops: their handlers as actions, an update as works. */
import { PatchbayError } from "../base/error.ts";
import { type Action, makeWork, WorkList } from "../codegen/work.ts";
import type { Ops } from "../ftrace/ops.ts";
import type { Update } from "../ftrace/registry.ts";
import type { SiteChanges } from "../target/injection.ts";
import type { CataloguedFunction } from "./catalogue.ts";
import { atProbe } from "./probe-values.ts";

/**
 * What has to be done at the sites of an update: few different works, and each site's index.
 * @param functions by their sites.
 */
export function worksOf(
  { sites, sets, set }: Update,
  functions: readonly CataloguedFunction[],
): Pick<SiteChanges, "works" | "work"> {
  const list = new WorkList();
  const actions = sets.map((ops) => ops.map(actionOf));
  const numbers = new Int32Array(sets.length).fill(-1);
  const work = new Uint16Array(sites.length);
  for (let index = 0; index < work.length; index++) {
    const one = set[index] ?? 0;
    if (numbers[one] === -1) numbers[one] = list.intern(makeWork(actions[one] ?? []));
    work[index] = numbers[one] ?? 0;
  }
  // What a probe names is each place's own.
  const wantsOperands = sets.map((ops) => ops.some(({ handler }) => "operands" in handler));
  if (wantsOperands.includes(true)) {
    const ofPlaces = new Map<string, number>();
    for (const [index, site] of sites.entries()) {
      const operands = functions[site]?.site.inside?.operands;
      const number = set[index] ?? 0;
      if (operands === undefined || wantsOperands[number] !== true) continue;
      const key = `${number} ${JSON.stringify(operands)}`;
      const those = actions[number] ?? [];
      const known = ofPlaces.get(key) ?? list.intern(makeWork(atProbe(those, operands)));
      ofPlaces.set(key, known);
      work[index] = known;
    }
  }
  return { works: list.all, work };
}

/** What generated code does for an ops. */
export function actionOf({ handler, name, instance }: Ops): Action {
  switch (handler.kind) {
    case "record": {
      const { operands: _, ...record } = handler;
      return { ...record, instance };
    }
    case "trigger":
      return { ...handler, instance };
    case "count":
      return { kind: "count", instance };
    case "statistics":
      return { ...handler, instance, exits: handler.exits ?? true };
    case "direct":
      return handler;
    case "replace":
      throw new PatchbayError({
        code: "unsupported",
        doing: `let ${name} work`,
        why: `handlers of kind ${handler.kind} can't be carried out in a process yet`,
      });
    default:
      return handler satisfies never;
  }
}

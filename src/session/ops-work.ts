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
  update: Update,
  functions: readonly CataloguedFunction[],
): Pick<SiteChanges, "works" | "work"> {
  const list = new WorkList();
  // Sites that the same ops want come with the same few lists of ops: work each out once.
  const numbers = new Map<string, number>();
  const opsNumbers = new Map<Ops, number>();
  const numberOf = (ops: Ops): number => {
    const number = opsNumbers.get(ops) ?? opsNumbers.size;
    opsNumbers.set(ops, number);
    return number;
  };
  const work = Uint16Array.from(update, ({ ops, site }) => {
    const wantsOperands = ops.some(({ handler }) => "operands" in handler);
    const inside = wantsOperands ? functions[site]?.site.inside : undefined;
    const operands = inside?.operands ?? [];
    const key = ops.map(numberOf).join() + (inside === undefined ? "" : JSON.stringify(operands));
    const number = numbers.get(key) ?? list.intern(makeWork(atProbe(ops.map(actionOf), operands)));
    numbers.set(key, number);
    return number;
  });
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
      return { kind: "direct", target: handler.target };
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

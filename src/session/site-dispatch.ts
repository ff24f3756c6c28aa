/** Which form of dispatch each site of an update gets: `ftrace/dispatch.ts` on what the site is. */
import { PatchbayError } from "../base/error.ts";
import { backEnds } from "../codegen/back-ends.ts";
import { hooksReturn, makeWork } from "../codegen/work.ts";
import {
  type Dispatch,
  type DispatchForm,
  pickDispatch,
  type SiteDesign,
} from "../ftrace/dispatch.ts";
import { type Ops, opsWants } from "../ftrace/ops.ts";
import type { Update } from "../ftrace/registry.ts";
import { type SiteChanges, siteForm } from "../target/injection.ts";
import type { Catalogue } from "./catalogue.ts";
import { actionOf } from "./ops-work.ts";
import type { Module } from "./process-modules.ts";

/** Why ops can't be called by a common trampoline; undefined where they can. */
function needsThunk(ops: Ops): string | undefined {
  if (ops.handler.kind === "direct") return `${ops.name} calls a function, from a thunk`;
  return hooksReturn(actionOf(ops))
    ? `${ops.name} hooks its return, by a thunk of its own`
    : undefined;
}

/** The dispatch of each site of `update`, in its order. */
export function dispatchesOf(
  update: Update,
  { functions }: Catalogue,
  forced: DispatchForm | undefined,
): readonly Dispatch[] {
  const needs = new Map<Ops, string | undefined>();
  const needOf = (ops: Ops): string | undefined => {
    if (!needs.has(ops)) needs.set(ops, needsThunk(ops));
    return needs.get(ops);
  };
  return update.map(({ site, ops }) =>
    pickDispatch(
      {
        count: ops.length,
        needsThunk: ops.map(needOf).find((why) => why !== undefined),
        noLiteral: functions[site]?.noLiteral,
      },
      forced,
    ),
  );
}

const formOf = (form: DispatchForm): number => {
  if (form === "list") return siteForm.list;
  return form === "thunk" || form === "idle" ? siteForm.thunk : siteForm.call;
};

/** The same as the target layer takes it, with the list of all ops if a site walks it. */
export function toSiteForms(
  dispatches: readonly Dispatch[],
  ops: readonly Ops[],
  siteCount: number,
  forced: DispatchForm | undefined,
): Pick<SiteChanges, "forms" | "list"> {
  const forms = Uint8Array.from(dispatches, ({ form }) => formOf(form));
  const isWalked = forced === "list" || forms.includes(siteForm.list);
  if (!isWalked) return { forms };
  const list = ops
    .filter((one) => needsThunk(one) === undefined)
    .map((one) => ({
      work: makeWork([actionOf(one)]),
      wanted: Uint8Array.from({ length: siteCount }, (_, site) => (opsWants(one, site) ? 1 : 0)),
    }));
  return { forms, list };
}

/** The design that was asked for; fails where the program's machine has none such. */
export function checkDesign(
  modules: readonly Module[],
  asked: SiteDesign = "call-ops",
): SiteDesign {
  const { machine = "x86-64" } = modules[0]?.program.elf ?? {};
  const designs = backEnds[machine].callOps?.designs ?? [];
  if (designs.includes(asked)) return asked;
  throw new PatchbayError({
    code: "unsupported",
    doing: `let sites call by ${asked}`,
    why: `on ${machine} there is ${designs.join(", ")}`,
  });
}

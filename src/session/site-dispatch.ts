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
import { actionOf } from "./ops-work.ts";
import type { Module } from "./process-modules.ts";

/** Why ops can't be called by a common trampoline; undefined where they can. */
function needsThunk(ops: Ops): string | undefined {
  if (ops.handler.kind === "direct") return `${ops.name} calls a function, from a thunk`;
  return hooksReturn(actionOf(ops))
    ? `${ops.name} hooks its return, by a thunk of its own`
    : undefined;
}

/** Dispatches that occur, and of each site of an update, in its order, which one it has. */
export type Dispatches = { readonly kinds: readonly Dispatch[]; readonly kind: Uint16Array };

/**
 * The dispatch of each site of `update`.
 * @param noLiterals by site, why it can't call with a literal beside it; undefined where it can.
 */
export function dispatchesOf(
  { sites, sets, set }: Update,
  noLiterals: readonly (string | undefined)[],
  forced: DispatchForm | undefined,
): Dispatches {
  const needs = sets.map((ops) => ops.map(needsThunk).find((why) => why !== undefined));
  const kinds: Dispatch[] = [];
  /** By set: numbers of dispatches by what keeps a site from having a literal. */
  const numbers = sets.map(() => new Map<string | undefined, number>());
  const kind = new Uint16Array(sites.length);
  const numberOf = (one: number, noLiteral: string | undefined): number => {
    const known = numbers[one]?.get(noLiteral);
    if (known !== undefined) return known;
    const facts = { count: sets[one]?.length ?? 0, needsThunk: needs[one], noLiteral };
    const number = kinds.push(pickDispatch(facts, forced)) - 1;
    numbers[one]?.set(noLiteral, number);
    return number;
  };
  // Neighbours mostly are alike.
  let lastSet = -1;
  let last: string | undefined;
  let number = 0;
  for (let index = 0; index < kind.length; index++) {
    const one = set[index] ?? 0;
    const noLiteral = noLiterals[sites[index] ?? 0];
    if (one !== lastSet || noLiteral !== last) number = numberOf(one, noLiteral);
    lastSet = one;
    last = noLiteral;
    kind[index] = number;
  }
  return { kinds, kind };
}

const formOf = (form: DispatchForm): number => {
  if (form === "list") return siteForm.list;
  return form === "thunk" || form === "idle" ? siteForm.thunk : siteForm.call;
};

/** The same as the target layer takes it, with the list of all ops if a site walks it. */
export function toSiteForms(
  { kinds, kind }: Dispatches,
  ops: readonly Ops[],
  siteCount: number,
  forced: DispatchForm | undefined,
): Pick<SiteChanges, "forms" | "list"> {
  const formOfKind = kinds.map(({ form }) => formOf(form));
  const forms = new Uint8Array(kind.length);
  for (let index = 0; index < forms.length; index++) {
    forms[index] = formOfKind[kind[index] ?? 0] ?? siteForm.thunk;
  }
  const isWalked = forced === "list" || formOfKind.includes(siteForm.list);
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

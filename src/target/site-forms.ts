/** What sites are to do, and in which form each reaches it. */
import {
  hooksReturn,
  insideFunction,
  type Work,
  withoutExits,
  withoutFrameWords,
} from "../codegen/work.ts";
import type { CalledSites } from "./called-sites.ts";
import type { ListedOps } from "./ops-store.ts";
import type { SiteTable } from "./sites.ts";
import type { ThunkStore } from "./thunk-store.ts";

/** Sites and what is to be done at each from now on. */
export type SiteChanges = {
  /** In any order. */
  readonly sites: Uint32Array;
  /** The works that occur. */
  readonly works: readonly Work[];
  /** Of each site, as an index of `works`. */
  readonly work: Uint16Array;
  /** How each site reaches its work, one of `siteForm`; all by thunks where it is absent. */
  readonly forms?: Uint8Array;
  /** The list of all ops, where a site walks it. */
  readonly list?: readonly ListedOps[];
};

/**
 * How a site reaches its work: by a thunk of its own, by a call with a literal beside it where that
 * can be, or (by either) through the list of all ops.
 */
export const siteForm = { thunk: 0, call: 1, list: 2 } as const;

type Means = {
  readonly table: SiteTable;
  readonly thunks: ThunkStore;
  /** Whether returns can be hooked. */
  readonly exits: boolean;
  /** Whether frames have words for an instance. */
  readonly hasFrameWords: (instance: number) => boolean;
  /** Absent where no site calls. */
  readonly called: CalledSites | undefined;
};

/** By site: the number of its work in the thunk store, and 1 where it is to call. */
export function planForms(
  { sites, works, work, forms }: SiteChanges,
  { table, thunks, exits, hasFrameWords, called }: Means,
): { readonly workOf: Uint16Array; readonly calls: Uint8Array } {
  const full = works.map((one) => thunks.intern(withoutFrameWords(one, hasFrameWords)));
  const entries = works.map((one) => thunks.intern(withoutExits(one)));
  const inside = works.map((one) => thunks.intern(insideFunction(one)));
  const isWalked = called !== undefined && forms?.includes(siteForm.list) === true;
  const walk = isWalked ? thunks.intern([{ kind: "list", at: called.ops.listWord }]) : 0;
  const isCallable = works.map((one) => !one.some(hooksReturn));
  const workOf = new Uint16Array(table.count);
  const calls = new Uint8Array(table.count);
  for (let index = 0; index < sites.length; index++) {
    const site = sites[index] ?? 0;
    const number = work[index] ?? 0;
    const isInside = table.inside[site] === 1;
    const hooks = exits && table.entriesOnly[site] === 0;
    const kind = (isInside ? inside : hooks ? full : entries)[number] ?? 0;
    const form = isInside ? siteForm.thunk : (forms?.[index] ?? siteForm.thunk);
    workOf[site] = kind !== 0 && form === siteForm.list && walk !== 0 ? walk : kind;
    const isCaller = called !== undefined && form !== siteForm.thunk && isCallable[number] === true;
    calls[site] = kind !== 0 && isCaller && (table.literal[site] ?? 0) > 0 ? 1 : 0;
  }
  return { workOf, calls };
}

/** Makes what sites are to go to, before any of them does. */
import { distinct, pick } from "../base/columns.ts";
import type { CalledSites } from "./called-sites.ts";
import type { ThunkStore } from "./thunk-store.ts";

/**
 * Makes thunks and trampolines for `sites` (ascending); those of them that a branch reaches no free
 * memory from.
 * @param workOf by site, the number of its work in `thunks`; 0 for none.
 * @param calls by site, 1 where it is to call.
 */
export function prepareTargets(
  { thunks, called }: { readonly thunks: ThunkStore; readonly called: CalledSites | undefined },
  sites: Uint32Array,
  workOf: Uint16Array,
  calls: Uint8Array,
): readonly number[] {
  const far = new Set<number>();
  for (const kind of distinct(workOf)) {
    if (kind === 0) continue;
    const those = pick(sites, (site) => workOf[site] === kind && calls[site] === 0);
    if (those.length === 0) continue;
    for (const site of thunks.prepare(kind, those)) far.add(site);
  }
  if (!calls.includes(1)) return [...far];
  for (const site of sites) {
    if (calls[site] === 1 && called?.trampoline(site) === undefined) far.add(site);
  }
  return [...far];
}

/** Sites that are offered when they are asked for, beside those that compilers left. */
import type { SiteList } from "../patch/site.ts";
import type { Module } from "./process-modules.ts";

export type MoreSites = {
  /**
   * Functions that were compiled without a site: their first instructions are moved out of the
   * way. All threads are held for a moment each time that some are switched on or off.
   */
  readonly prologues?: boolean;
  /** What the program calls in its libraries, as `NAME@plt`; threads are held likewise. */
  readonly libcalls?: boolean;
  /** Static probes (USDT), as `PROVIDER.NAME@usdt`; threads are held likewise. */
  readonly probes?: boolean;
  /** Where threads come by that exec: not to be traced, but to wait at. */
  readonly execs?: boolean;
  /** The function that forks: not to be traced, but to note when that was. */
  readonly forks?: boolean;
};

/** Whether all that `asked` asks for is in `there`; forks are followed without their gate, too. */
export const hasAll = (there: MoreSites, asked: MoreSites): boolean =>
  (there.prologues === true || asked.prologues !== true) &&
  (there.libcalls === true || asked.libcalls !== true) &&
  (there.probes === true || asked.probes !== true) &&
  (there.execs === true || asked.execs !== true);

/** Whether it asks for sites that can be traced. */
export const offersMore = ({ prologues, libcalls, probes }: MoreSites): boolean =>
  prologues === true || libcalls === true || probes === true;

/**
 * The lists of sites of a target's modules, each with its module; the program comes first.
 * @param jumps those where threads come by that leave functions by longjmp, too.
 */
export function siteLists(
  modules: readonly Module[],
  { prologues = false, libcalls = false, probes = false, execs = false, forks = false }: MoreSites,
  jumps = false,
): readonly { readonly module: Module; readonly lists: readonly SiteList[] }[] {
  return modules.map((module, index) => {
    const { program } = module;
    const lists = [program.sites()];
    if (prologues) lists.push(program.prologues());
    if (libcalls && index === 0) lists.push(program.libcalls());
    if (probes) lists.push(program.probes());
    if (execs) lists.push(withoutKnown(program.execs(), lists));
    if (forks) lists.push(withoutKnown(program.forks(), lists));
    if (jumps) lists.push(withoutKnown(program.jumps(), lists));
    return { module, lists };
  });
}

/** Sites of `list` whose places none of `known` has. */
function withoutKnown(list: SiteList, known: readonly SiteList[]): SiteList {
  const taken = new Set(known.flatMap(({ sites }) => sites.map(({ addr }) => addr)));
  return { ...list, sites: list.sites.filter(({ addr }) => !taken.has(addr)) };
}

/** The options that ask for more sites than compilers left: the same for each verb. */
import type { Command } from "commander";
import type { MoreSites } from "../index.ts";

/** Adds them to a verb; its parsed options have them as `MoreSites`. */
export const addSiteOptions = (command: Command): Command =>
  command
    .option("--prologues", "functions that were compiled without sites, too", false)
    .option("--libcalls", "calls of functions in libraries, too, as NAME@plt", false)
    .option("--probes", "static probes (USDT), too, as PROVIDER.NAME@usdt", false);

/** Those of a verb's parsed options. */
export const moreSites = ({ prologues, libcalls, probes }: Required<MoreSites>): MoreSites => ({
  prologues,
  libcalls,
  probes,
});

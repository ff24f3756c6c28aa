/** The options that ask for more sites than compilers left: the same for each verb. */
import type { Command } from "commander";
import type { MoreSites } from "../index.ts";

/** Adds them to a verb; `parsed` has them as `MoreSites`. */
export const addSiteOptions = (command: Command): Command =>
  command
    .option(
      "--prologues",
      "functions that were compiled without sites, too; holds all threads for a moment",
      false,
    )
    .option(
      "--libcalls",
      "calls of functions in libraries, too, as NAME@plt; holds likewise",
      false,
    );

/** Those of a verb's parsed options. */
export const moreSites = ({ prologues = false, libcalls = false }: MoreSites): MoreSites => ({
  prologues,
  libcalls,
});

/** `patchbay info`: what a trace holds. */
import type { Command } from "commander";
import { formatInfo, openTrace, readInfo } from "../../index.ts";
import { paintFor, writeJson, writeLines } from "../output.ts";

type Flags = { readonly json: boolean };

export function registerInfo(program: Command): void {
  program
    .command("info")
    .description("what was recorded, where, how it ended and what was lost")
    .argument("<dir>", "a trace")
    .option("--json", "print JSON", false)
    .action(run);
}

function run(dir: string, flags: Flags): void {
  const info = readInfo(openTrace(dir));
  if (flags.json) writeJson(info);
  else writeLines(formatInfo(info, paintFor(process.stdout)));
}

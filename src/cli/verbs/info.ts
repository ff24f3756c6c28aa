/** `patchbay info`: what a trace holds. */
import type { Command } from "commander";
import { formatInfo, formatOpenCalls, openTrace, readInfo, readOpenCalls } from "../../reading.ts";
import { paintFor, writeJson, writeLines } from "../output.ts";

type Flags = { readonly open: boolean; readonly json: boolean };

export function registerInfo(program: Command): void {
  program
    .command("info")
    .description("what was recorded, where, how it ended and what was lost")
    .argument("<dir>", "a trace")
    .option("--open", "the calls that each thread was in at the end; reads all of the trace", false)
    .option("--json", "print JSON", false)
    .action(run);
}

function run(dir: string, flags: Flags): void {
  const trace = openTrace(dir);
  if (flags.open) {
    const threads = readOpenCalls(trace);
    if (flags.json) writeJson(threads);
    else writeLines(formatOpenCalls(threads));
    return;
  }
  const info = readInfo(trace);
  if (flags.json) writeJson(info);
  else writeLines(formatInfo(info, paintFor(process.stdout)));
}

/** `patchbay diff`: which functions take longer in one trace than in another. */
import type { Command } from "commander";
import { diffTraces, formatDiff, openTrace } from "../../reading.ts";
import { paintFor, writeJson, writeLines } from "../output.ts";
import { addSelection, type SelectionFlags, selectionOf } from "../trace-options.ts";

type Flags = SelectionFlags & { readonly all: boolean; readonly json: boolean };

export function registerDiff(program: Command): void {
  const command = program
    .command("diff")
    .description("which functions take longer in trace B than in trace A, beyond their noise")
    .argument("<a>", "a trace")
    .argument("<b>", "the trace to compare with it");
  addSelection(command)
    .option("--all", "list functions too that did not change", false)
    .option("--json", "print JSON", false)
    .action(run);
}

function run(a: string, b: string, flags: Flags): void {
  const rows = diffTraces(openTrace(a), openTrace(b), selectionOf(flags));
  if (flags.json) writeJson(rows);
  else writeLines(formatDiff(rows, flags.all, paintFor(process.stdout)));
}

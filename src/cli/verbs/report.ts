/** `patchbay report`: statistics per function. */
import { type Command, Option } from "commander";
import {
  formatReport,
  openTrace,
  type ReportOrder,
  reportOrders,
  reportTrace,
} from "../../reading.ts";
import { paintFor, writeJson, writeLines } from "../output.ts";
import { addSelection, count, type SelectionFlags, selectionOf } from "../trace-options.ts";

type Flags = SelectionFlags & {
  readonly sort: ReportOrder;
  readonly limit: number;
  readonly perThread: boolean;
  readonly json: boolean;
};

export function registerReport(program: Command): void {
  const command = program
    .command("report")
    .description("statistics of each function: calls, total, self, mean, min, max, quantiles")
    .argument("<dir>", "a trace");
  addSelection(command)
    .addOption(
      new Option("-s, --sort <key>", "greatest first")
        .choices(Object.keys(reportOrders))
        .default("total"),
    )
    .addOption(
      new Option("-n, --limit <count>", "show so many functions")
        .argParser(count)
        .default(1_000_000, "all"),
    )
    .option("--per-thread", "a table for each thread", false)
    .option("--json", "print JSON", false)
    .action(run);
}

function run(dir: string, flags: Flags): void {
  const report = reportTrace(openTrace(dir), { ...selectionOf(flags), ...flags });
  if (flags.json) writeJson(report);
  else writeLines(formatReport(report, flags.limit, paintFor(process.stdout)));
}

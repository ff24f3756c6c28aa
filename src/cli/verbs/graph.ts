/** `patchbay graph`: the calls as they nest. */
import type { Command } from "commander";
import {
  formatGraph,
  formatGraphJson,
  formatTree,
  formatTreeJson,
  openTrace,
} from "../../reading.ts";
import { paintFor, writeAll } from "../output.ts";
import {
  addSelection,
  count,
  duration,
  type SelectionFlags,
  selectionOf,
} from "../trace-options.ts";

type Flags = SelectionFlags & {
  readonly depth?: number;
  readonly min?: number;
  readonly from?: number;
  readonly to?: number;
  readonly perThread: boolean;
  readonly time: boolean;
  readonly tree: boolean;
  readonly json: boolean;
};

export function registerGraph(program: Command): void {
  const command = program
    .command("graph")
    .description("the call graph with durations, as it happened")
    .argument("<dir>", "a trace");
  addSelection(command)
    .option("-D, --depth <count>", "only so many levels of calls", count)
    .option("--min <time>", "only calls that took so long, and what they lie in", duration)
    .option("--from <time>", "only what happens so long after the trace's beginning", duration)
    .option("--to <time>", "only what happens before that", duration)
    .option("--per-thread", "one thread after the other, not all by time", false)
    .option("--time", "say when each call began or ended", false)
    .option("--tree", "add calls up by the path that leads to them", false)
    .option("--json", "print one JSON object a line", false)
    .action(run);
}

function run(dir: string, flags: Flags): void {
  const options = {
    ...selectionOf(flags),
    depth: flags.depth,
    minNs: flags.min,
    fromNs: flags.from,
    toNs: flags.to,
    perThread: flags.perThread,
    times: flags.time,
  };
  const trace = openTrace(dir);
  const paint = paintFor(process.stdout);
  if (flags.tree) {
    writeAll(flags.json ? formatTreeJson(trace, options) : formatTree(trace, options, paint));
  } else {
    writeAll(flags.json ? formatGraphJson(trace, options) : formatGraph(trace, options, paint));
  }
}

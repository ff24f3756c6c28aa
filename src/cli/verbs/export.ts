/** `patchbay export`: a trace in other tools' formats. */
import { closeSync, openSync } from "node:fs";
import { type Command, Option } from "commander";
import { exporters, openTrace, PatchbayError } from "../../index.ts";
import { writeAll, writePiece } from "../output.ts";
import { addSelection, type SelectionFlags, selectionOf } from "../trace-options.ts";

type Flags = SelectionFlags & {
  readonly to: string;
  readonly output?: string;
  readonly perThread: boolean;
};

export function registerExport(program: Command): void {
  const command = program
    .command("export")
    .description("convert a trace to another tool's format")
    .argument("<dir>", "a trace")
    .addOption(
      new Option("-t, --to <format>", "the format")
        .choices([...exporters.keys()])
        .makeOptionMandatory(),
    )
    .option("-o, --output <file>", "write to this file instead of standard output");
  addSelection(command)
    .option("--per-thread", "folded, svg: keep threads apart", false)
    .action(run);
}

function run(dir: string, flags: Flags): void {
  const exporter = exporters.get(flags.to);
  if (exporter === undefined) return;
  const options = { ...selectionOf(flags), perThread: flags.perThread };
  const pieces = exporter(openTrace(dir), options);
  if (flags.output === undefined) writeAll(pieces);
  else writeFile(flags.output, pieces);
}

function writeFile(path: string, pieces: Iterable<Uint8Array>): void {
  const fail = (cause: unknown): PatchbayError =>
    new PatchbayError({
      code: "io",
      doing: `write ${path}`,
      why: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  let fd: number;
  try {
    fd = openSync(path, "w");
  } catch (error) {
    throw fail(error);
  }
  try {
    for (const piece of pieces) {
      try {
        writePiece(fd, piece);
      } catch (error) {
        throw fail(error);
      }
    }
  } finally {
    closeSync(fd);
  }
}

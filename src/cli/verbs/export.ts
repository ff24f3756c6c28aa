/** `patchbay export`: a trace in other tools' formats. */
import { closeSync, openSync } from "node:fs";
import { type Command, Option } from "commander";
import {
  exporters,
  openTrace,
  PatchbayError,
  withFiles,
  writeParquet,
  writeUftrace,
} from "../../reading.ts";
import { writeAll, writePiece } from "../output.ts";
import { addSelection, type SelectionFlags, selectionOf } from "../trace-options.ts";

type Flags = SelectionFlags & {
  readonly to: string;
  readonly output?: string;
  readonly perThread: boolean;
  readonly stacks: boolean;
};

/** The formats that are directories of files. */
const directories = new Map([
  ["parquet", writeParquet],
  ["uftrace", writeUftrace],
]);

export function registerExport(program: Command): void {
  const command = program
    .command("export")
    .description("convert a trace to another tool's format")
    .argument("<dir>", "a trace")
    .addOption(
      new Option("-t, --to <format>", "the format")
        .choices([...exporters.keys(), ...directories.keys()])
        .makeOptionMandatory(),
    )
    .option(
      "-o, --output <file>",
      "write to this file instead of standard output; parquet, uftrace: directory",
    );
  addSelection(command)
    .option("--per-thread", "folded, svg: keep threads apart", false)
    .option("--stacks", "folded: stacks that record --stack took, by how often", false)
    .action(run);
}

function run(dir: string, flags: Flags): void {
  const options = { ...selectionOf(flags), perThread: flags.perThread, stacks: flags.stacks };
  if (flags.stacks && flags.to !== "folded") {
    throw new PatchbayError({
      code: "bad-usage",
      doing: `export to ${flags.to}`,
      why: "recorded stacks can be exported as folded stacks alone",
      hint: "--to folded --stacks",
    });
  }
  const write = directories.get(flags.to);
  if (write !== undefined) {
    write(openTrace(dir), wantsDirectory(flags), options);
    return;
  }
  const exporter = exporters.get(flags.to);
  if (exporter === undefined) return;
  const pieces = exporter(openTrace(dir), options);
  if (flags.output === undefined) writeAll(pieces);
  else writeFile(flags.output, pieces);
}

function wantsDirectory({ to, output }: Flags): string {
  if (output !== undefined) return output;
  throw new PatchbayError({
    code: "bad-usage",
    doing: `export to ${to}`,
    why: "it makes several files",
    hint: "name a directory for them: -o DIR",
  });
}

function writeFile(path: string, pieces: Iterable<Uint8Array>): void {
  const fd = withFiles(`write to ${path}`, () => openSync(path, "w"));
  try {
    for (const piece of pieces) writePiece(fd, piece, path);
  } finally {
    closeSync(fd);
  }
}

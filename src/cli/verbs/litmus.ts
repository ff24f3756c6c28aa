/** `patchbay litmus`: runs litmus tests for instruction fetch on the machine models. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { type LitmusResult, litmusMachines, PatchbayError, runLitmus } from "../../index.ts";
import { withFiles } from "../../reading.ts";
import { paintFor, writeLines } from "../output.ts";

type Flags = { readonly machine?: string; readonly json: boolean; readonly witness: boolean };

export function registerLitmus(program: Command): void {
  const names = litmusMachines.map(({ name }) => name).join(", ");
  program
    .command("litmus")
    .description("run litmus tests in herd's format: final states, verdict, witnesses")
    .argument("<file...>", "tests for AArch64, RISCV or X86_64")
    .option("-m, --machine <name>", `all, or one of ${names}`)
    .option("-w, --witness", "draw an execution of every state that the condition asks for", false)
    .option("--json", "print one JSON object per test and machine", false)
    .action(run);
}

function read(file: string): string {
  return withFiles(`read litmus test ${file}`, () => readFileSync(file, "utf8"));
}

/**
 * Runs every file; those that can't be run are refused at once. They make the status 1, and so do
 * those that are not decided.
 */
function run(files: readonly string[], flags: Flags): void {
  let unanswered = 0;
  for (const file of files) {
    try {
      const machine = flags.machine === undefined ? {} : { machine: flags.machine };
      const results = runLitmus(read(file), {
        ...{ fileName: file, witnesses: flags.witness },
        ...machine,
      });
      for (const result of results) {
        print(file, result, flags);
        if (result.verdict === "Undecided") unanswered++;
      }
    } catch (error) {
      if (!(error instanceof PatchbayError) || error.code === "bad-usage") throw error;
      unanswered++;
      if (flags.json) writeLines([JSON.stringify({ file, refused: error.toJSON() })]);
      else process.stderr.write(`patchbay: ${error.message}\n`);
    }
  }
  if (unanswered > 0) process.exitCode = 1;
}

function print(file: string, result: LitmusResult, { json, witness }: Flags): void {
  if (json) {
    writeLines([JSON.stringify({ file, ...result })]);
    return;
  }
  const paint = paintFor(process.stdout);
  const { name, machine, verdict, positive, negative, states, warnings } = result;
  const count = `${positive} of ${positive + negative} final states`;
  writeLines([
    `${paint("heading", name)} on ${machine}: ${paint("strong", verdict)} (${count})`,
    ...states.flatMap((state) => [
      `${state.holds ? "  * " : "    "}${state.text || "(nothing is observed)"}`,
      ...(witness && state.holds && state.witness !== undefined
        ? ["", ...state.witness.split("\n").map((line) => `      ${line}`), ""]
        : []),
    ]),
    ...warnings.map((warning) => `    ${paint("warning", "warning")}: ${warning}`),
  ]);
}

/** `patchbay ctl`: commands for whoever traces a process, from scripts. */
import type { Command } from "commander";
import { control, PatchbayError } from "../../index.ts";
import { writeJson, writeLines } from "../output.ts";
import { parsePid } from "../units.ts";

type Options = { readonly pid?: string; readonly json: boolean };

export function registerCtl(program: Command): void {
  program
    .command("ctl")
    .description(
      "command the patchbay process that traces a process; `ctl -p PID help` lists verbs",
    )
    .argument("<verb...>", "a verb of `patchbay attach`, with its words")
    .option("-p, --pid <pid>", "the process that is traced")
    .option("--json", "print the answer as JSON", false)
    .passThroughOptions()
    .action(run);
}

async function run(words: readonly string[], { pid: text, json }: Options): Promise<void> {
  const pid = parsePid(text);
  if (pid === undefined) {
    throw new PatchbayError({
      code: "bad-usage",
      doing: "command who traces a process",
      why: "it is not said which process",
      hint: "patchbay ctl -p PID VERB",
    });
  }
  await using connection = await control(pid);
  const { lines, value } = await connection.execute(words, process.cwd());
  if (json) writeJson(value);
  else writeLines(lines);
}

/** `patchbay verify`: checks patching protocols on machines with incoherent instruction fetch. */
import type { Command } from "commander";
import { isProtocolFile, runOnFiles } from "../own-protocols.ts";
import { type VerifyFlags, verifyFamilies } from "../verify-actions.ts";

export function registerVerify(program: Command): void {
  program
    .command("verify")
    .description("check patching protocols by exhaustion; status 1 where a verdict is unexpected")
    .argument("[protocol...]", "P5, P5/replay, or a file that exports checks of your own")
    .option("--list", "print what there is, and check nothing", false)
    .option("--trace", "print the shortest counterexample as lanes", false)
    .option("--html <file>", "write the shortest counterexample as a page that plays")
    .option("--svg <file>", "write the shortest counterexample as a picture")
    .option("--repair", "drop steps that are not needed, or search for a safe protocol", false)
    .option("--json", "print one JSON value", false)
    .action(run);
}

function run(names: readonly string[], flags: VerifyFlags): void {
  const files = names.filter(isProtocolFile);
  const rest = names.filter((name) => !isProtocolFile(name));
  if (files.length > 0) runOnFiles(files, rest, flags);
  else verifyFamilies(rest, undefined, flags);
}

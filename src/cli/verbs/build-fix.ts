/** `patchbay build-fix`: makes a fix from two versions of a source file. */
import type { Command } from "commander";
import { buildFix } from "../../index.ts";
import { writeJson } from "../output.ts";

type Options = {
  readonly output?: string;
  readonly for?: string;
  readonly cc?: string;
  readonly source?: string;
  readonly json: boolean;
};

export function registerBuildFix(program: Command): void {
  program
    .command("build-fix")
    .description("make a fix for `patch` from two versions of a source file")
    .argument("<old>", "the source file as the program was built from it")
    .argument("<new>", "the same with the change")
    .argument("[flags...]", "behind --: the compiler's options that it was built with")
    .option("-o, --output <fix.so>", "the library; the new file's name with .so")
    .option("--for <program>", "refuse any other build than this file")
    .option("--cc <compiler>", "the compiler; gcc")
    .option("--source <name>", "the source file's name in the program, where it has another one")
    .option("--json", "print what the fix changes as JSON", false)
    .action(run);
}

async function run(
  oldPath: string,
  newPath: string,
  flags: readonly string[],
  { output, for: target, cc, source, json }: Options,
): Promise<void> {
  const built = await buildFix(oldPath, newPath, {
    flags,
    ...(output === undefined ? {} : { output }),
    ...(target === undefined ? {} : { program: target }),
    ...(cc === undefined ? {} : { compiler: cc }),
    ...(source === undefined ? {} : { source }),
  });
  if (json) {
    writeJson(built);
    return;
  }
  const { path, changed, added } = built;
  const more = added.length === 0 ? "" : `, with ${added.join(", ")}, which is new`;
  process.stderr.write(`patchbay: ${path} replaces ${changed.join(", ")}${more}\n`);
}

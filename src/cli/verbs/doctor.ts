/** `patchbay doctor`: what this machine allows, and how to fix what it does not. */
import type { Command } from "commander";
import { diagnose } from "../../index.ts";

export function registerDoctor(program: Command): void {
  program
    .command("doctor")
    .description("say what this machine allows a tracer, and how to fix what it does not")
    .option("--json", "print JSON", false)
    .action(({ json }: { readonly json: boolean }) => {
      const found = diagnose();
      if (json) process.stdout.write(`${JSON.stringify(found)}\n`);
      for (const one of json ? [] : found) {
        const fix = one.fix === undefined ? "" : `\n${" ".repeat(20)}to fix it: ${one.fix}`;
        process.stdout.write(`${one.name.padEnd(11)} ${one.state.padEnd(8)}${one.found}${fix}\n`);
      }
      if (found.some(({ state }) => state === "missing")) process.exitCode = 1;
    });
}

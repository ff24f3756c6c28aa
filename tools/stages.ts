/** The stages that `npm run check` and `npm test` have in common, and how one is reported. */
import { checkRepositoryLayers } from "./layers.ts";
import { formatProblem, type Problem } from "./repository.ts";
import { type CommandResult, runCommand } from "./run-command.ts";
import { checkRepositoryTidiness } from "./tidy.ts";

export type Stage = {
  readonly name: string;
  readonly run: () => CommandResult | Promise<CommandResult>;
};

/** A development dependency's program. */
export const installed = (name: string): string => `node_modules/.bin/${name}`;

/** Commands that have to succeed one after the other. */
export const commandStage = (
  name: string,
  ...commands: readonly (readonly [string, ...string[]])[]
): Stage => ({
  name,
  run: async () => {
    const outputs: string[] = [];
    for (const command of commands) {
      const { ok, output } = await runCommand(command, { timeoutMs: 300_000 });
      outputs.push(output);
      if (!ok) return { ok, output: outputs.join("") };
    }
    return { ok: true, output: outputs.join("") };
  },
});

const problemStage = (name: string, check: () => readonly Problem[]): Stage => ({
  name,
  run: () => {
    const problems = check();
    return { ok: problems.length === 0, output: problems.map(formatProblem).join("\n") };
  },
});

/** The checks that need no program to run, fastest first as far as one doesn't explain another. */
export const gates: readonly Stage[] = [
  commandStage("format", [installed("biome"), "check", "--error-on-warnings", "."]),
  commandStage("lint", [installed("oxlint"), "--type-aware"]),
  commandStage(
    "types",
    [installed("tsc"), "-p", "tsconfig.json"],
    [installed("tsc"), "-p", "tsconfig.pure.json"],
    [installed("tsc"), "-p", "ui/tsconfig.json"],
  ),
  problemStage("layers", checkRepositoryLayers),
  problemStage("tidy", checkRepositoryTidiness),
];

/** Runs a stage and prints its one line, with its output below if it failed. */
export async function runStage({ name, run }: Stage): Promise<boolean> {
  const startMs = performance.now();
  const { ok, output } = await run();
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(`${name.padEnd(10)} ${ok ? "ok    " : "failed"} ${seconds.padStart(6)} s`);
  if (!ok) console.log(output.trimEnd());
  return ok;
}

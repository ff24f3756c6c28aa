/** `patchbay patches`: the fixes in a process, and how they stand. */
import type { Command } from "commander";
import { listPatches, PatchbayError, type PatchState, plural, requestPatch } from "../../index.ts";
import { writeJson, writeLines } from "../output.ts";
import { wantPid, whereThreadsAre } from "../transition.ts";
import { parsePid } from "../units.ts";

type Options = {
  readonly pid?: string;
  readonly force: boolean;
  readonly cancel: boolean;
  readonly json: boolean;
};

export function registerPatches(program: Command): void {
  program
    .command("patches")
    .description("list the fixes in a process; tell one that is being switched what to do")
    .argument("[name]", "for --force and --cancel: which fix")
    .option("-p, --pid <pid>", "the process")
    .option("--force", "let the switch that waits go on without waiting", false)
    .option("--cancel", "let the switch that waits go back", false)
    .option("--json", "print them as JSON", false)
    .action(run);
}

function run(name: string | undefined, options: Options): void {
  const pid = wantPid("list fixes", parsePid(options.pid));
  if (options.force || options.cancel) {
    const wish = options.force ? "force" : "cancel";
    if (requestPatch(pid, wish, name)) return;
    throw new PatchbayError({
      code: "no-match",
      doing: `${wish} a switch in process ${pid}`,
      why: "nobody is switching it",
      hint: "`patchbay revert` takes a fix out whose switch was left unfinished",
    });
  }
  const patches = listPatches(pid);
  if (options.json) writeJson(patches);
  else writeLines(patches.length === 0 ? ["no fixes"] : patches.flatMap(describe));
}

function describe(patch: PatchState): readonly string[] {
  const { name, file, time, state, holding, heldUp, functions, owner } = patch;
  const lines = functions.map((one) => `  ${one.name} -> ${one.replacement}`);
  if (holding.length === 0) return [`${name}: ${state}; ${file}, since ${time}`, ...lines];
  const who =
    owner === undefined
      ? "  nobody sees to it any more: `patchbay revert` takes the fix out"
      : `  process ${owner} sees to it: --cancel or --force tells it what to do`;
  return [
    `${name}: ${state}, waits for ${plural(holding.length, "thread")}; ${file}, since ${time}`,
    ...lines,
    ...whereThreadsAre(heldUp),
    who,
  ];
}

/** `patchbay revert`: takes a fix out of a process; its functions are as they were. */
import type { Command } from "commander";
import { revertPatch } from "../../index.ts";
import { follow, wantPid } from "../transition.ts";
import { parseDuration, parsePid } from "../units.ts";

type Options = {
  readonly pid?: string;
  readonly immediate: boolean;
  readonly forceAfter?: number;
  readonly json: boolean;
};

export function registerRevert(program: Command): void {
  program
    .command("revert")
    .description("take a fix out of a process: its functions are as they were")
    .argument("[name]", "which fix; the one that came last unless said otherwise")
    .option("-p, --pid <pid>", "the process")
    .option("--immediate", "wait for no thread that is inside of a new version", false)
    .option("--force-after <time>", "wait no longer than 500ms, 2s, 1m", parseDuration)
    .option("--json", "print how it ended as JSON", false)
    .action(run);
}

async function run(name: string | undefined, options: Options): Promise<void> {
  const pid = wantPid("revert a fix", parsePid(options.pid));
  const { immediate } = options;
  const transition = await revertPatch(pid, {
    immediate,
    ...(name === undefined ? {} : { name }),
  });
  await follow(transition, options);
}

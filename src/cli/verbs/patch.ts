/** `patchbay patch`: replaces functions of a running process by those of a shared library. */
import type { Command } from "commander";
import { patchProcess } from "../../index.ts";
import { collect } from "../trace-options.ts";
import { follow, wantPid } from "../transition.ts";
import { parseDuration, parsePid } from "../units.ts";

type Options = {
  readonly pid?: string;
  readonly map?: readonly string[];
  readonly name?: string;
  readonly immediate: boolean;
  readonly stack: boolean;
  readonly forceAfter?: number;
  readonly json: boolean;
};

export function registerPatch(program: Command): void {
  program
    .command("patch")
    .description("replace functions of a running process; they stay replaced until `revert`")
    .argument("<fix.so>", "shared library with the new functions: docs/live-patching.md")
    .option("-p, --pid <pid>", "the process")
    .option("--map <old=new>", "replace OLD by the library's NEW (repeatable)", collect)
    .option("--name <name>", "what the fix is known by; the file's name without .so")
    .option("--immediate", "wait for no thread that is inside of an old version", false)
    .option("--stack", "on top of another fix that replaces the same functions", false)
    .option("--force-after <time>", "wait no longer than 500ms, 2s, 1m", parseDuration)
    .option("--json", "print how it ended as JSON", false)
    .action(run);
}

async function run(path: string, options: Options): Promise<void> {
  const pid = wantPid(`patch a process with ${path}`, parsePid(options.pid));
  const { map, name, immediate, stack } = options;
  const transition = await patchProcess(pid, path, {
    immediate,
    stack,
    ...(map === undefined ? {} : { map }),
    ...(name === undefined ? {} : { name }),
  });
  await follow(transition, options);
}

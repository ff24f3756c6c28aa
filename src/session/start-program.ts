/** Starting a program that is to be traced: on this machine's processors, or under an emulator. */
import type { Pid } from "../base/brand.ts";
import type { SpawnOptions } from "../os/spawn.ts";
import { shareStreams } from "../os/standard-streams.ts";
import type { EmulatorOptions } from "../target/gdb/launch-emulated.ts";
import { checkCommand, findProgram } from "./command.ts";
import { listEmulatedModules } from "./emulated-modules.ts";
import { listModules, type ModuleList } from "./process-modules.ts";
import type { TargetHandlers } from "./target-worker.ts";
import type { WorkerClient } from "./worker-rpc.ts";

/** How a program is started: its output, and whether an emulator runs it. */
export type LaunchOptions = SpawnOptions & {
  /** Under qemu-user, which runs programs of other instruction sets. */
  readonly emulated?: EmulatorOptions;
};

/** Fails where `command` can't be started, before anything is. */
export function checkProgram(command: readonly string[], options: LaunchOptions): void {
  if (options.emulated === undefined) checkCommand(command, pathOf(options));
  else findProgram(command[0] ?? "", pathOf(options));
}

const pathOf = ({ env }: LaunchOptions): string => (env ?? process.env)["PATH"] ?? "";

/** A program that is held before its first own instruction. */
export type HeldProgram = { readonly pid: Pid; readonly list: ModuleList };

/** Takes over a program that waits under the stub at `place`. */
export async function takeOver(
  worker: WorkerClient<TargetHandlers>,
  place: string,
  options: EmulatorOptions,
): Promise<HeldProgram> {
  const image = await worker.call("takeOver", place, options);
  return { pid: image.pid, list: listEmulatedModules(image) };
}

/** Starts `command`, held before its first own instruction; what it consists of. */
export async function startProgram(
  worker: WorkerClient<TargetHandlers>,
  command: readonly string[],
  options: LaunchOptions,
): Promise<HeldProgram> {
  const { emulated, ...spawn } = options;
  shareStreams();
  if (emulated === undefined) {
    const pid = await worker.call("launch", command, spawn);
    return { pid, list: listModules(pid) };
  }
  const [name = "", ...args] = command;
  const path = findProgram(name, pathOf(options));
  const image = await worker.call("launchEmulated", [path, ...args], { ...spawn, ...emulated });
  return { pid: image.pid, list: listEmulatedModules(image) };
}

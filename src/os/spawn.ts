/**
 * Starts a program that waits before its first instruction. The program is a child of this
 * process that Node does not know of: a library that waits for its children would take the stops
 * that ptrace reports for exits.
 *
 * Nothing of ours can run between fork and exec, so a shell is started that stops itself and then
 * becomes the program.
 */
import { type Pid, pid as toPid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import {
  errorName,
  posixSpawn,
  spawnActionsDup,
  spawnActionsInit,
  spawnActionsOpen,
  spawnAttributesDefault,
  spawnAttributesFlags,
  spawnAttributesInit,
  spawnAttributesMask,
} from "./libc.ts";

/** Where the program's output goes: to ours, or to files. */
export type SpawnOptions = {
  readonly env?: Readonly<Record<string, string>>;
  /** File for standard output; made or truncated. Ours when absent. */
  readonly stdout?: string;
  readonly stderr?: string;
};

/** More than any C library's posix_spawnattr_t and posix_spawn_file_actions_t need, in bytes. */
const opaqueBytes = 512;
const spawnSetSignalDefault = 0x04;
const spawnSetSignalMask = 0x08;
const openWriteCreateTruncate = 0o1101;

const must = (result: number, doing: string): void => {
  if (result !== 0) throw new PatchbayError({ code: "system", doing, why: errorName(result) });
};

/** Starts `command`, which stops itself (SIGSTOP) before it becomes the program. */
export const spawnStopped = (command: readonly string[], options: SpawnOptions = {}): Pid =>
  spawnBy('kill -STOP $$; exec "$@"', command, options);

/** Starts `command` as a child that Node does not know of. */
export const spawnUnknown = (command: readonly string[], options: SpawnOptions = {}): Pid =>
  spawnBy('exec "$@"', command, options);

function spawnBy(script: string, command: readonly string[], options: SpawnOptions): Pid {
  const doing = `start ${command[0] ?? "nothing"}`;
  const actions = new Uint8Array(opaqueBytes);
  const attributes = new Uint8Array(opaqueBytes);
  must(spawnActionsInit(actions), doing);
  must(spawnAttributesInit(attributes), doing);
  // Node marks its own standard streams close-on-exec; a dup2 to itself takes the mark away.
  for (const fd of [0, 1, 2]) must(spawnActionsDup(actions, fd, fd), doing);
  if (options.stdout !== undefined) {
    must(spawnActionsOpen(actions, 1, options.stdout, openWriteCreateTruncate, 0o644), doing);
  }
  if (options.stderr !== undefined) {
    must(spawnActionsOpen(actions, 2, options.stderr, openWriteCreateTruncate, 0o644), doing);
  }
  // Node ignores SIGPIPE and may block signals; the program starts as from a shell.
  must(spawnAttributesFlags(attributes, spawnSetSignalDefault | spawnSetSignalMask), doing);
  must(spawnAttributesDefault(attributes, new Uint8Array(128).fill(0xff)), doing);
  must(spawnAttributesMask(attributes, new Uint8Array(128)), doing);
  const child = new Int32Array(1);
  const argv = ["/bin/sh", "-c", script, "sh", ...command, null];
  const env = Object.entries(options.env ?? process.env).map(([name, value]) => `${name}=${value}`);
  must(posixSpawn(child, "/bin/sh", actions, attributes, argv, [...env, null]), doing);
  return toPid(child[0] ?? 0);
}

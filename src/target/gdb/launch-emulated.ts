/**
 * Starts a program of another instruction set under qemu-user, whose GDB stub holds it, and runs
 * it to where it can be traced from its first own instruction on.
 */
import { existsSync, mkdtempSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, isAbsolute, join } from "node:path";
import { type CodeAddr, codeAddr, type Pid, pid as toPid, tid as toTid } from "../../base/brand.ts";
import { PatchbayError } from "../../base/error.ts";
import type { BackEnd } from "../../codegen/back-end.ts";
import type { Machine } from "../../elf/elf-file.ts";
import { kill } from "../../os/libc.ts";
import { executablePath, readStatus } from "../../os/proc.ts";
import { nap, poll, signal } from "../../os/ptrace.ts";
import { type SpawnOptions, spawnUnknown } from "../../os/spawn.ts";
import { StreamSocket } from "../../os/stream-socket.ts";
import { GdbClient } from "./client.ts";
import type { StubHeld } from "./stub-held.ts";
import { StubProcess } from "./stub-process.ts";

/** Longest wait for the emulator to listen, and for the program to come to its own code, in ms. */
const startTimeoutMs = 60_000;
const trapSignal = 5;

export type EmulatorOptions = {
  /** The emulator; `qemu-aarch64` and the like, looked for on the PATH, unless it is said. */
  readonly emulator?: string;
  /** Where the program's libraries are; a Debian cross compiler's, unless it is said. */
  readonly sysroot?: string;
};

/** Machines that are emulated; this one's programs are traced as they are. */
type Emulable = Exclude<Machine, "x86-64">;

const emulators: Readonly<Record<Emulable, string>> = {
  aarch64: "qemu-aarch64",
  riscv64: "qemu-riscv64",
};

/** Where Debian's cross packages put the C library of a machine. */
const sysroots: Readonly<Record<Emulable, string>> = {
  aarch64: "/usr/aarch64-linux-gnu",
  riscv64: "/usr/riscv64-linux-gnu",
};

/** Refuses programs of this machine, whose injected code an emulator is not known to run. */
function emulable(machine: Machine, program: string): Emulable {
  if (machine !== "x86-64") return machine;
  throw new PatchbayError({
    code: "unsupported",
    doing: `trace ${program} under an emulator`,
    why: "it is a program of this machine",
    hint: "start it without the emulator: patchbay record -- COMMAND",
  });
}

/** The emulator's path; fails in one line with what to install. */
function findEmulator(machine: Emulable, options: EmulatorOptions): string {
  const name = options.emulator ?? emulators[machine];
  const folders = name.includes("/") ? [""] : (process.env["PATH"] ?? "").split(delimiter);
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new PatchbayError({
    code: "missing-tool",
    doing: `start a program for ${machine}`,
    why: `${name} is missing`,
    hint: "apt-get install qemu-user",
  });
}

/** The sysroot, where there is any: static programs do without. */
function findSysroot(machine: Emulable, options: EmulatorOptions): string | undefined {
  if (options.sysroot !== undefined) return options.sysroot;
  const usual = process.env["QEMU_LD_PREFIX"] ?? sysroots[machine];
  return existsSync(usual) ? usual : undefined;
}

/** A program that was started, held, and what has to be done when all is over. */
export type Emulated = {
  readonly process: StubProcess;
  readonly held: StubHeld;
  /** Where the program's entry point is. */
  readonly entry: CodeAddr;
  readonly sysroot: string | undefined;
};

/**
 * Starts `command`, a program of `backEnd`'s, and holds it at the address that `stopAt` names.
 * @param stopAt is told where the program was loaded to, by its auxiliary vector's entry point.
 */
export function launchEmulated(
  command: readonly string[],
  backEnd: BackEnd,
  options: SpawnOptions & EmulatorOptions,
  stopAt: (entry: CodeAddr) => CodeAddr,
): Emulated {
  const machine = emulable(backEnd.name, command[0] ?? "");
  const emulator = findEmulator(machine, options);
  const sysroot = findSysroot(machine, options);
  const folder = mkdtempSync(join(tmpdir(), "patchbay-stub-"));
  const place = join(folder, "stub");
  const prefix = sysroot === undefined ? [] : ["-L", sysroot];
  const pid = spawnUnknown([emulator, "-g", place, ...prefix, ...command], options);
  try {
    const client = new GdbClient(connectTo(place, pid, command[0] ?? ""));
    return { ...holdAtStart(client, pid, backEnd, stopAt, command[0] ?? ""), sysroot };
  } catch (error) {
    kill(pid, signal.kill);
    throw error;
  } finally {
    // Connected sockets need their name no more.
    rmSync(folder, { recursive: true, force: true });
  }
}

/** AT_ENTRY and AT_EXECFN (include/uapi/linux/auxvec.h). */
const entryKey = 9;
const fileNameKey = 31;
const fileNameBytesMax = 4096;

/** Runs a program that is held before its loader has run to where `stopAt` says. */
function holdAtStart(
  client: GdbClient,
  pid: Pid,
  backEnd: BackEnd,
  stopAt: (entry: CodeAddr) => CodeAddr,
  program: string,
): Omit<Emulated, "sysroot"> {
  const entry = codeAddr(client.auxiliaryVector().get(entryKey) ?? 0n);
  const process = new StubProcess({ pid, client, backEnd, entry });
  runTo(process, stopAt(entry), program);
  return { process, held: process.adopt(), entry };
}

/** A program that waits under a stub, and the emulator that runs it. */
export type Waiting = { readonly client: GdbClient; readonly pid: Pid; readonly path: string };

/** Connects to a qemu-user of this machine that waits for it (`qemu-aarch64 -g 1234 PROGRAM`). */
export function connectToStub(place: string): Waiting {
  const client = new GdbClient(() => new StreamSocket(place));
  const doing = `trace the program at ${place}`;
  const thread = client.currentThread()?.thread ?? 0;
  const leader = thread === 0 ? undefined : leaderOf(thread);
  if (leader === undefined || !basename(executablePath(leader)).startsWith("qemu-")) {
    client[Symbol.dispose]();
    throw new PatchbayError({
      code: "unsupported",
      doing,
      why: "the stub is not that of a qemu-user on this machine",
      hint: "programs of this machine are traced without a debugger: -p PID",
    });
  }
  const address = client.auxiliaryVector().get(fileNameKey) ?? 0n;
  const name = readName(client, address);
  const path = isAbsolute(name) ? name : join(readlinkSync(`/proc/${leader}/cwd`), name);
  return { client, pid: leader, path };
}

/** The process that a thread of this machine belongs to. */
function leaderOf(thread: number): Pid | undefined {
  try {
    return toPid(Number(readStatus(toPid(thread)).get("Tgid")));
  } catch (error) {
    if (error instanceof PatchbayError) return undefined;
    throw error;
  }
}

/** A name of the program's, which ends at a zero or where no more can be read. */
function readName(client: GdbClient, address: bigint): string {
  const bytes: number[] = [];
  while (bytes.length < fileNameBytesMax) {
    const [byte = 0] = client.readMemory(address + BigInt(bytes.length), 1);
    if (byte === 0) break;
    bytes.push(byte);
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

/** Holds a program that waits under a stub where its own code begins. */
export function holdWaiting(
  { client, pid, path }: Waiting,
  backEnd: BackEnd,
  options: EmulatorOptions,
  stopAt: (entry: CodeAddr) => CodeAddr,
): Emulated {
  const sysroot = findSysroot(emulable(backEnd.name, path), options);
  return { ...holdAtStart(client, pid, backEnd, stopAt, path), sysroot };
}

/** Connects as soon as the emulator listens. */
function connectTo(place: string, pid: Pid, program: string): () => StreamSocket {
  return () => {
    const start = performance.now();
    for (;;) {
      try {
        return new StreamSocket(place);
      } catch (error) {
        const isEarly = error instanceof PatchbayError && error.code === "system";
        const ended = poll(toTid(pid));
        if (ended !== undefined) {
          throw new PatchbayError({
            code: "target-exited",
            doing: `start ${program}`,
            why: "the emulator has ended before it began; it says why above",
            hint: "a dynamic program needs its libraries: --sysroot DIR",
          });
        }
        if (!isEarly || performance.now() - start > startTimeoutMs) throw error;
        nap(2);
      }
    }
  };
}

/** Runs the program up to `at`; signals that come before are its own. */
function runTo(process: StubProcess, at: CodeAddr, program: string): void {
  const { client, backEnd } = process;
  const size = backEnd.syscallInstruction.length;
  client.insertBreakpoint(at, size);
  let deliver = 0;
  for (;;) {
    client.resume({ action: "continue", signal: deliver });
    const stop = client.waitStop(startTimeoutMs);
    if (stop?.kind === "stopped" && stop.signal === trapSignal) break;
    if (stop?.kind !== "stopped") {
      throw new PatchbayError({
        code: "target-exited",
        doing: `start ${program}`,
        why: stop === undefined ? "it does not come to its own code" : "it ended before it began",
      });
    }
    deliver = stop.signal;
  }
  client.removeBreakpoint(at, size);
}

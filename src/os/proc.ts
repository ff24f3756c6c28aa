/**
 * What /proc says of a process. Everything here may race with the process; callers that need a
 * consistent picture stop its threads first.
 */
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  writeSync,
} from "node:fs";
import { hex, type Pid, type Tid, pid as toPid, tid as toTid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";

/** One line of /proc/PID/maps. `end` is exclusive. */
export type Mapping = {
  readonly start: bigint;
  readonly end: bigint;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
  readonly shared: boolean;
  /** Offset in the mapped file, in bytes. */
  readonly offset: number;
  readonly inode: number;
  /** Path of the file as the kernel knows it, "[stack]" and the like, or "". */
  readonly path: string;
};

const gone = (doing: string): PatchbayError =>
  new PatchbayError({ code: "no-such-process", doing, why: "no such process" });

/** Runs `read` and turns the ways in which /proc says no into Patchbay's errors. */
function readProc<T>(doing: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ESRCH") throw gone(doing);
    if (code === "EACCES" || code === "EPERM") {
      throw new PatchbayError({
        code: "no-permission",
        doing,
        why: "permission denied",
        hint: "run as the same user or as root",
        cause: error,
      });
    }
    throw error;
  }
}

const mapsLine = /^([0-9a-f]+)-([0-9a-f]+) (.)(.)(.)(.) ([0-9a-f]+) [0-9a-f:]+ (\d+) *(.*)$/;

export function parseMaps(text: string): readonly Mapping[] {
  const mappings: Mapping[] = [];
  for (const line of text.split("\n")) {
    const match = mapsLine.exec(line);
    if (match === null) continue;
    const [, start, end, r, w, x, p, offset, inode, path] = match;
    mappings.push({
      start: BigInt(`0x${start}`),
      end: BigInt(`0x${end}`),
      readable: r === "r",
      writable: w === "w",
      executable: x === "x",
      shared: p === "s",
      offset: Number.parseInt(offset ?? "0", 16),
      inode: Number(inode),
      path: path ?? "",
    });
  }
  return mappings;
}

export const readMaps = (pid: Pid): readonly Mapping[] =>
  readProc(`read the mappings of process ${pid}`, () =>
    parseMaps(readFileSync(`${procFolder(pid)}/maps`, "utf8")),
  );

/** How often the list of threads is read again when it ends before its time. */
const listTries = 1000;

/**
 * Threads in the order of their birth; all that were there when it was called, as far as they
 * still are. The kernel ends the list where the thread that it has come to exits meanwhile
 * (`next_tid`, fs/proc/base.c), so that it is shorter then than it has to be.
 */
export const listThreads = (pid: Pid): readonly Tid[] =>
  readProc(`list the threads of process ${pid}`, () => {
    let names: readonly string[] = [];
    for (let tries = 0; tries < listTries; tries++) {
      const { threads } = readStat(pid);
      names = readdirSync(`/proc/${pid}/task`);
      if (names.length >= threads) break;
    }
    return names.map((name) => toTid(Number(name)));
  });

/** All processes that /proc shows. */
export const listProcesses = (): readonly Pid[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => toPid(Number(name)));

/** Whether a process maps the memory file with this inode; not so if one may not look. */
export function mapsFile(pid: Pid, inode: number): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/maps`, "utf8");
    return text.includes("/memfd:") && parseMaps(text).some((one) => one.inode === inode);
  } catch {
    return false;
  }
}

/** Whether a thread is there; as a zombie, too. */
export const isThread = (pid: Pid, tid: Tid): boolean => existsSync(`/proc/${pid}/task/${tid}`);

/** Whether a thread has ended, though it may still be listed. */
export function isZombie(tid: Tid): boolean {
  try {
    const { state } = readStat(toPid(tid));
    return state === "Z" || state === "X";
  } catch (error) {
    if (error instanceof PatchbayError && error.code === "no-such-process") return true;
    throw error;
  }
}

/** Fields of /proc/PID/status, e.g. `TracerPid`. */
export const readStatus = (pid: Pid): ReadonlyMap<string, string> =>
  readProc(`read the status of process ${pid}`, () => {
    const fields = new Map<string, string>();
    for (const line of readFileSync(`/proc/${pid}/status`, "utf8").split("\n")) {
      const colon = line.indexOf(":");
      if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
    }
    return fields;
  });

/** The number by which a process knows itself: that of the innermost namespace of process ids. */
export const innerPid = (pid: Pid): number =>
  Number(/(\d+)$/.exec(readStatus(pid).get("NSpid") ?? "")?.[1] ?? pid);

export type ProcessStat = {
  /** R, S, D, T, t, Z or X. */
  readonly state: string;
  /** How many threads there are, zombies included. */
  readonly threads: number;
  /** In clock ticks since boot. */
  readonly startTime: number;
  /** PF_* of include/linux/sched.h. */
  readonly flags: number;
};

/** PF_KTHREAD. */
export const kernelThreadFlag = 0x0020_0000;

export const readStat = (pid: Pid): ProcessStat =>
  readProc(`read the state of process ${pid}`, () => {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return {
      state: fields[0] ?? "?",
      threads: Number(fields[17]),
      startTime: Number(fields[19]),
      flags: Number(fields[6]),
    };
  });

/** Time that a thread has run so far, in ns; undefined when it is gone. */
export function runTimeNs(pid: Pid, tid: Tid): bigint | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "utf8");
    return BigInt(text.split(" ")[0] ?? "0");
  } catch {
    return undefined;
  }
}

/** Whether a thread sleeps in the kernel, or is gone: it is neither running nor ready to. */
export function isAsleep(pid: Pid, tid: Tid): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/task/${tid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2)[0] !== "R";
  } catch {
    return true;
  }
}

/**
 * Whether the process (the one that started at `startTime`, if given) is there and no zombie. Its
 * first thread may have ended while others go on.
 */
export function isAlive(pid: Pid, startTime?: number): boolean {
  try {
    const stat = readStat(pid);
    if (startTime !== undefined && stat.startTime !== startTime) return false;
    return (stat.state !== "Z" && stat.state !== "X") || stat.threads > 1;
  } catch {
    return false;
  }
}

/** Whether a process has memory: one that is ending has none, before it is told how it ended. */
export function hasMemory(pid: Pid): boolean {
  try {
    return readMaps(pid).length > 0;
  } catch {
    return false;
  }
}

/**
 * Where /proc tells of a process: `/proc/PID`, or the same of another thread when the first one has
 * ended, whose own memory and files are gone then.
 */
export function procFolder(pid: Pid): string {
  const folder = `/proc/${pid}`;
  if (!existsSync(folder) || readStat(pid).state !== "Z") return folder;
  const living = listThreads(pid).find((tid) => !isZombie(tid));
  return living === undefined ? folder : `${folder}/task/${living}`;
}

/** Name of a thread (16 bytes at the most), or undefined when it is gone. */
export function threadName(pid: Pid, tid: Tid): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/task/${tid}/comm`, "utf8").trimEnd();
  } catch {
    return undefined;
  }
}

export const executablePath = (pid: Pid): string =>
  readProc(`read the executable of process ${pid}`, () => readlinkSync(`${procFolder(pid)}/exe`));

export const commandLine = (pid: Pid): readonly string[] =>
  readProc(`read the command line of process ${pid}`, () => {
    const parts = readFileSync(`${procFolder(pid)}/cmdline`, "utf8").split("\0");
    return parts.slice(0, -1);
  });

/** The auxiliary vector: AT_* type to value (include/uapi/linux/auxvec.h). */
export const readAuxv = (pid: Pid): ReadonlyMap<number, bigint> =>
  readProc(`read the auxiliary vector of process ${pid}`, () => {
    const bytes = readFileSync(`${procFolder(pid)}/auxv`);
    const entries = new Map<number, bigint>();
    for (let at = 0; at + 16 <= bytes.length; at += 16) {
      entries.set(Number(bytes.readBigUInt64LE(at)), bytes.readBigUInt64LE(at + 8));
    }
    return entries;
  });

/** The processors' vendor as CPUID gives it ("GenuineIntel"); "" where it isn't told. */
export const cpuVendor = (): string =>
  /^vendor_id\s*:\s*(\S+)/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";

/**
 * The memory of a process through /proc/PID/mem: reads and writes whatever is mapped, writes
 * through page protections too. Stays valid for the same process image until closed; its stores
 * are not single-copy atomic. User addresses lie below 2^47 and so fit a number exactly.
 */
export class ProcessMemory {
  readonly #pid: Pid;
  readonly #fd: number;

  constructor(pid: Pid) {
    this.#pid = pid;
    this.#fd = readProc(`open the memory of process ${pid}`, () =>
      openSync(`${procFolder(pid)}/mem`, "r+"),
    );
  }

  /** `length` bytes at `address`, in a buffer of the caller's own. */
  read(address: bigint, length: number): Uint8Array {
    const buffer = new Uint8Array(length);
    this.readInto(address, buffer);
    return buffer;
  }

  readInto(address: bigint, buffer: Uint8Array): void {
    this.#transfer(`read ${buffer.length} bytes`, address, buffer, readSync);
  }

  /** Writes `bytes` (borrowed) to `address`. */
  write(address: bigint, bytes: Uint8Array): void {
    this.#transfer(`write ${bytes.length} bytes`, address, bytes, writeSync);
  }

  /** The same; processors look for changes of text by themselves. */
  writeText(address: bigint, bytes: Uint8Array): void {
    this.write(address, bytes);
  }

  /** Whether the image that this was opened for is still there, and not replaced by exec. */
  isThere(address: bigint): boolean {
    try {
      this.read(address, 1);
      return true;
    } catch (error) {
      if (error instanceof PatchbayError && error.code === "target-exited") return false;
      throw error;
    }
  }

  readU64(address: bigint): bigint {
    const bytes = this.read(address, 8);
    return new DataView(bytes.buffer).getBigUint64(0, true);
  }

  #transfer(
    what: string,
    address: bigint,
    buffer: Uint8Array,
    move: (fd: number, buffer: Uint8Array, at: number, length: number, position: number) => number,
  ): void {
    const doing = `${what} at ${hex(address)} of process ${this.#pid}`;
    for (let done = 0; done < buffer.length; ) {
      let moved: number;
      try {
        moved = move(this.#fd, buffer, done, buffer.length - done, Number(address) + done);
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
        if (code === "ESRCH") throw gone(doing);
        throw new PatchbayError({ code: "system", doing, why: code, cause: error });
      }
      if (moved === 0) {
        throw new PatchbayError({ code: "target-exited", doing, why: "the process has ended" });
      }
      done += moved;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Whether a thread of process `pid` has a filter of system calls (seccomp). */
export function filtersSyscalls(pid: Pid): boolean {
  return listThreads(pid).some((tid) => {
    try {
      const status = readFileSync(`${procFolder(pid)}/task/${tid}/status`, "utf8");
      return /^Seccomp:\s*[1-9]/m.test(status);
    } catch {
      // The thread has ended meanwhile.
      return false;
    }
  });
}

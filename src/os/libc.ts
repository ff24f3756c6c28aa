/**
 * The C library, called through koffi. Every foreign call of Patchbay is declared here, so that
 * the binding could be exchanged for a small native addon without touching another file.
 *
 * Calls return what the C function returns; `errno()` is valid right after a failed call. All
 * calls are synchronous: ptrace(2) binds a tracee to one OS thread.
 */
import koffi from "koffi";
import { type ErrorCode, PatchbayError } from "../base/error.ts";

/** The process itself: whichever C library it runs on. */
const libc = koffi.load(null);
const declare = <T extends (...args: never[]) => unknown>(prototype: string): T =>
  libc.func(prototype) as unknown as T;

/** ptrace with a plain word as data (options, signals, values to poke). */
export const ptraceWord: (request: number, tid: number, addr: bigint, data: bigint) => number =
  declare("long ptrace(long request, int tid, uintptr_t addr, uintptr_t data)");

/** ptrace with a buffer as data, which the kernel reads or fills. */
export const ptraceBuffer: (
  request: number,
  tid: number,
  addr: bigint,
  data: Uint8Array,
) => number = declare("long ptrace(long request, int tid, uintptr_t addr, _Inout_ uint8_t *data)");

/** `status` receives the wait status in element 0. */
export const waitpid: (pid: number, status: Int32Array, options: number) => number = declare(
  "int waitpid(int pid, _Inout_ int *status, int options)",
);

const mmapRaw: (
  addr: bigint,
  length: bigint,
  prot: number,
  flags: number,
  fd: number,
  offset: bigint,
) => bigint | number = declare(
  "uintptr_t mmap(uintptr_t addr, size_t length, int prot, int flags, int fd, int64_t offset)",
);

/** mmap(2); `mapFailed` when it fails. */
export const mmap = (...args: Parameters<typeof mmapRaw>): bigint =>
  BigInt.asUintN(64, BigInt(mmapRaw(...args)));
/** MAP_FAILED. */
export const mapFailed: bigint = 0xffff_ffff_ffff_ffffn;

export const munmap: (addr: bigint, length: bigint) => number = declare(
  "int munmap(uintptr_t addr, size_t length)",
);
export const mprotect: (addr: bigint, length: bigint, prot: number) => number = declare(
  "int mprotect(uintptr_t addr, size_t length, int prot)",
);
export const kill: (pid: number, signal: number) => number = declare("int kill(int pid, int sig)");
/** fcntl(2) with a number as its third argument. */
export const fcntl: (fd: number, operation: number, value: number) => number = declare(
  "int fcntl(int fd, int operation, long value)",
);
export const flock: (fd: number, operation: number) => number = declare(
  "int flock(int fd, int operation)",
);

export const posixSpawn: (
  pid: Int32Array,
  path: string,
  fileActions: Uint8Array,
  attributes: Uint8Array,
  argv: readonly (string | null)[],
  envp: readonly (string | null)[],
) => number = declare(
  "int posix_spawn(_Inout_ int *pid, const char *path, _In_ uint8_t *actions, " +
    "_In_ uint8_t *attr, const char **argv, const char **envp)",
);
export const spawnAttributesInit: (attributes: Uint8Array) => number = declare(
  "int posix_spawnattr_init(_Inout_ uint8_t *attr)",
);
export const spawnAttributesFlags: (attributes: Uint8Array, flags: number) => number = declare(
  "int posix_spawnattr_setflags(_Inout_ uint8_t *attr, short flags)",
);
export const spawnAttributesMask: (attributes: Uint8Array, set: Uint8Array) => number = declare(
  "int posix_spawnattr_setsigmask(_Inout_ uint8_t *attr, _In_ uint8_t *set)",
);
export const spawnAttributesDefault: (attributes: Uint8Array, set: Uint8Array) => number = declare(
  "int posix_spawnattr_setsigdefault(_Inout_ uint8_t *attr, _In_ uint8_t *set)",
);
export const spawnActionsInit: (actions: Uint8Array) => number = declare(
  "int posix_spawn_file_actions_init(_Inout_ uint8_t *actions)",
);
export const spawnActionsDup: (actions: Uint8Array, fd: number, as: number) => number = declare(
  "int posix_spawn_file_actions_adddup2(_Inout_ uint8_t *actions, int fd, int as)",
);
export const spawnActionsOpen: (
  actions: Uint8Array,
  fd: number,
  path: string,
  flags: number,
  mode: number,
) => number = declare(
  "int posix_spawn_file_actions_addopen(_Inout_ uint8_t *actions, int fd, const char *path, " +
    "int flags, int mode)",
);

export const socket: (domain: number, type: number, protocol: number) => number = declare(
  "int socket(int domain, int type, int protocol)",
);
/** @param address a `struct sockaddr` as it is in memory. */
export const connect: (fd: number, address: Uint8Array, length: number) => number = declare(
  "int connect(int fd, _In_ uint8_t *address, uint32_t length)",
);
/** @param fds `struct pollfd`s: an int of the descriptor, two shorts of events each. */
export const poll: (fds: Uint8Array, count: bigint, timeoutMs: number) => number = declare(
  "int poll(_Inout_ uint8_t *fds, unsigned long count, int timeout)",
);
/** close(2), for descriptors that Node has not opened: it complains of them in workers. */
export const close: (fd: number) => number = declare("int close(int fd)");
/** @param time receives seconds and nanoseconds. */
export const clockGetTime: (clock: number, time: BigInt64Array) => number = declare(
  "int clock_gettime(int clock, _Inout_ int64_t *time)",
);

type Syscall = (
  number: number,
  a: bigint,
  b: bigint,
  c: bigint,
  d: bigint,
  e: bigint,
  f: bigint,
) => number;

/** Any system call by its number. */
export const syscall: Syscall & {
  /** The same on a thread of the pool, for calls that wait; never for ptrace. */
  readonly async: (...args: [...Parameters<Syscall>, done: (error: unknown) => void]) => void;
} = declare(
  "long syscall(long n, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e, " +
    "uintptr_t f)",
);

/** Bytes at `address`, which must stay mapped while the returned buffer is used; not copied. */
export const viewMemory = (address: bigint, length: number): ArrayBuffer =>
  koffi.view(address, length);

/** `bytes` of this process' memory at a fixed place; kept for good. */
export function allocateFixed(bytes: number): {
  readonly address: bigint;
  readonly buffer: ArrayBuffer;
} {
  const address = mmap(0n, BigInt(bytes), 3, 0x22, -1, 0n);
  return { address, buffer: viewMemory(address, bytes) };
}

/** Calls machine code at `address` that takes nothing and returns a u64. */
export const callU64 = (address: bigint): bigint =>
  BigInt.asUintN(64, BigInt(koffi.call(address, nullaryU64) as number | bigint));
const nullaryU64 = koffi.proto("uint64_t patchbay_nullary()");

export const errno = (): number => koffi.errno();

/** Names of the errors that Patchbay meets, by number (x86-64, AArch64 and RISC-V alike). */
const errorNames: Readonly<Record<number, string>> = {
  1: "operation not permitted",
  2: "no such file or directory",
  3: "no such process",
  4: "interrupted",
  5: "input/output error",
  9: "bad file descriptor",
  10: "no child process",
  11: "resource temporarily unavailable",
  12: "out of memory",
  13: "permission denied",
  14: "bad address",
  16: "busy",
  17: "already there",
  22: "invalid argument",
  23: "too many open files in the system",
  24: "too many open files",
  28: "no space left on device",
  38: "not supported by this kernel",
  95: "not supported",
  111: "connection refused",
  122: "disk quota exceeded",
};

export const errorName = (number: number): string => errorNames[number] ?? `errno ${number}`;

const codeOf = (number: number): ErrorCode => {
  if (number === 3) return "no-such-process";
  if (number === 1 || number === 13) return "no-permission";
  if (number === 28 || number === 122) return "disk-full";
  return "system";
};

/** The error of a system call that failed with `number`, in the words of `doing`. */
export const systemError = (doing: string, number: number, hint?: string): PatchbayError =>
  new PatchbayError({
    code: codeOf(number),
    doing,
    why: errorName(number),
    ...(hint === undefined ? {} : { hint }),
  });

/**
 * Loads a shared library into a process by calling its C library's dlopen on a thread that holds
 * none of the locks which dlopen takes: one whose stack leads through none of the functions that
 * hold them, and whose program counter is in code of the program's own or in a system call that
 * waits.
 */
import { type CodeAddr, hex, type Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { Mapping } from "../os/proc.ts";
import type { HeldThreads, RegisterFile, TargetMemory, TargetProcess } from "./process.ts";
import { RemoteThread } from "./remote-call.ts";
import { atSafePoint } from "./safe-point.ts";
import type { StackWalker } from "./stack-walk.ts";
import type { TextRange } from "./unwinder-registration.ts";

/** The C library's functions for loading, in the process. */
export type Loader = {
  readonly open: CodeAddr;
  readonly close: CodeAddr;
  /** Tells why, where there is one that does. */
  readonly error: CodeAddr | undefined;
  /** What to open with: all symbols at once, for nobody else. */
  readonly flags: bigint;
  /** Code of the C library and of the dynamic loader: a thread in it may hold any lock. */
  readonly libraries: readonly TextRange[];
  /** Functions that hold the loader's or the allocator's locks while they call others. */
  readonly locking: readonly TextRange[];
};

/** A loaded library. */
export type LoadedLibrary = {
  /** What dlopen returned: its `struct link_map`, owned by the loader. */
  readonly handle: bigint;
  /** Added to a link address to get the address in the process. */
  readonly bias: bigint;
};

/** Functions of C libraries that hold locks which dlopen takes while they call other functions. */
export const loaderLockHolders: readonly string[] = (
  "malloc free calloc realloc memalign aligned_alloc posix_memalign valloc reallocarray " +
  "malloc_trim mallinfo mallinfo2 malloc_stats malloc_info " +
  "dlopen dlmopen dlclose dlsym dlvsym dladdr dladdr1 dlinfo dlerror dl_iterate_phdr " +
  "_dl_find_object __libc_dlopen_mode __libc_dlsym __libc_dlclose " +
  "exit quick_exit at_quick_exit atexit __cxa_atexit __cxa_finalize __cxa_thread_atexit_impl " +
  "fork _Fork vfork posix_spawn posix_spawnp system popen " +
  "pthread_create pthread_exit pthread_cancel __tls_get_addr " +
  "setlocale newlocale iconv_open gconv_open getaddrinfo gethostbyname " +
  "_Unwind_Find_FDE __register_frame_info __deregister_frame_info"
).split(" ");

/** System calls that wait for the world: no lock is held over them (unistd_64.h). */
const waitingCalls: ReadonlySet<bigint> = new Set(
  [
    0, 1, 7, 17, 18, 19, 20, 23, 24, 34, 35, 42, 43, 44, 45, 46, 47, 61, 128, 130, 202, 230, 232,
    247, 270, 271, 281, 288, 295, 296, 299, 307, 327, 328, 426, 441, 449,
  ].map(BigInt),
);

/** Stack that a library's initialisers may need, in bytes. */
const stackRoom = 64n << 10n;
const pathBytesMax = 4096;
const errorBytesMax = 1024;

export type LibraryParts = {
  readonly process: TargetProcess;
  readonly loader: Loader;
  /** How stacks are walked; made anew for each look, since what is mapped changes. */
  readonly walker: (maps: readonly Mapping[]) => StackWalker;
  /** `pathBytesMax` bytes for a path, in readable memory that is ours. */
  readonly scratch: bigint;
  /** An `int3`, for calls to return to. */
  readonly returnTrap: CodeAddr;
  /** Makes no calls. */
  readonly agent?: Tid | undefined;
};

const inside = (ranges: readonly TextRange[], address: bigint): boolean =>
  ranges.some(({ start, end }) => address >= start && address < end);

/** Whether a held thread can be made to call into the loader. */
function canLoad(
  { process, loader, walker }: LibraryParts,
  registers: RegisterFile,
  maps: readonly Mapping[],
): boolean {
  const pc = registers.get("rip");
  const stack = registers.get("rsp");
  const mapping = maps.find(({ start, end }) => start <= stack && stack < end);
  if (mapping === undefined || !mapping.writable) return false;
  if (mapping.path !== "[stack]" && stack - mapping.start < stackRoom) return false;
  if (inside(loader.libraries, pc)) {
    const [first, second] = process.memory.read(pc - 2n, 2);
    const isCall = first === 0x0f && second === 0x05;
    if (!isCall || !waitingCalls.has(registers.get("orig_rax"))) return false;
  }
  const { frames, guesses = [] } = walker(maps).walk(registers);
  return ![...frames, ...guesses].some((address) => inside(loader.locking, address));
}

/** Runs `work` with a thread that can call into the loader. */
function withLoader<T>(
  parts: LibraryParts,
  doing: string,
  work: (call: (what: string, target: CodeAddr, ...args: readonly bigint[]) => bigint) => T,
): T {
  const { process, returnTrap, agent } = parts;
  const { pid } = process;
  let result: { readonly value: T } | undefined;
  const use = (threads: HeldThreads, tid: Tid): void => {
    using remote = new RemoteThread(process, threads, tid);
    result = {
      value: work((what, target, ...args) => remote.call(what, target, args, returnTrap)),
    };
  };
  const isSafe = (threads: HeldThreads, tid: Tid): boolean =>
    canLoad(parts, threads.readRegisters(tid), process.maps());
  if (!atSafePoint(process, agent, isSafe, use) || result === undefined) {
    throw new PatchbayError({
      code: "system",
      doing: `${doing} process ${pid}`,
      why: "no thread came to a point where it holds no lock of the C library",
      hint: "try again; a process whose threads are all stopped or stuck can't load anything",
    });
  }
  return result.value;
}

function readText(memory: TargetMemory, address: bigint): string {
  const bytes = new Uint8Array(errorBytesMax);
  let count = 0;
  while (count < errorBytesMax) {
    const [byte = 0] = memory.read(address + BigInt(count), 1);
    if (byte === 0) break;
    bytes[count++] = byte;
  }
  return new TextDecoder().decode(bytes.subarray(0, count)).replaceAll("\n", " ");
}

/** Loads the library at `path`, a path as the process sees it. */
export function loadLibrary(parts: LibraryParts, path: string): LoadedLibrary {
  const { process, loader, scratch } = parts;
  const { pid, memory } = process;
  const doing = `load ${path} into`;
  const bytes = new TextEncoder().encode(`${path}\0`);
  if (bytes.length > pathBytesMax) {
    throw new PatchbayError({ code: "bad-usage", doing: `${doing} ${pid}`, why: "long path" });
  }
  memory.write(scratch, bytes);
  const loaded = withLoader(parts, doing, (call) => {
    const handle = call(doing, loader.open, scratch, loader.flags);
    if (handle !== 0n) return { handle };
    const message = loader.error === undefined ? 0n : call("ask why", loader.error);
    return { why: message === 0n ? "dlopen failed" : readText(memory, message) };
  });
  if ("why" in loaded) {
    throw new PatchbayError({
      code: "unsupported",
      doing: `${doing} process ${pid}`,
      why: loaded.why ?? "dlopen failed",
    });
  }
  // The public beginning of struct link_map (link.h), of glibc and of musl: l_addr.
  return { handle: loaded.handle, bias: memory.readU64(loaded.handle) };
}

/** Takes back one `loadLibrary`. */
export function unloadLibrary(parts: LibraryParts, handle: bigint): void {
  const doing = `unload the library at ${hex(handle)} from`;
  const result = withLoader(parts, doing, (call) => call(doing, parts.loader.close, handle));
  if (Number(BigInt.asIntN(32, result)) !== 0) {
    throw new PatchbayError({
      code: "system",
      doing: `${doing} process ${parts.process.pid}`,
      why: "dlclose refused",
    });
  }
}

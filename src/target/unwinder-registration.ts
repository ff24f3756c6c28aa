/**
 * Tells the process' unwinders about generated code, so that C++ exceptions, backtrace() and
 * pthread_cancel get through hooked frames.
 *
 * libgcc keeps a list of frame descriptions that programs register (`__register_frame_info`,
 * libgcc/unwind-dw2-fde.c). The call is made on the back of a thread that holds none of the locks
 * it takes: one that is not inside of the functions that take them too.
 */
import { type CodeAddr, codeAddr, type DataAddr, hex } from "../base/brand.ts";
import type { Mapping } from "../os/proc.ts";
import type { Mirror } from "./address-space.ts";
import type { RegisterFile, TargetProcess } from "./process.ts";
import type { RemoteThread } from "./remote-call.ts";

/** One copy of libgcc's unwinder in the process. */
export type Unwinder = {
  /** `__register_frame_info(begin, object)`. */
  readonly register: CodeAddr;
  /** `__deregister_frame_info(begin)`. */
  readonly deregister: CodeAddr;
};

/** Frames that were registered with one unwinder. */
export type Registration = { readonly unwinder: Unwinder; readonly frames: DataAddr };

/** Bytes that libgcc's `struct object` takes, with room to spare. */
export const unwinderObjectBytes = 128;

/** Code of a function: [start, end). */
export type TextRange = { readonly start: bigint; readonly end: bigint };

/** Functions that hold the locks of libgcc's list, or of malloc, which newer versions call. */
export const lockingFunctions: readonly string[] = [
  "_Unwind_Find_FDE",
  "__register_frame_info",
  "__register_frame_info_bases",
  "__register_frame",
  "__deregister_frame_info",
  "__deregister_frame_info_bases",
  "__deregister_frame",
  "malloc",
  "free",
  "calloc",
  "realloc",
  "memalign",
  "aligned_alloc",
  "posix_memalign",
];

/** A locking function and all that it calls use less stack than this, in bytes. */
const scanBytes = 4096;

/**
 * Whether a held thread can be made to call into libgcc: neither its pc nor an address near the
 * top of its stack lies in `locking`. What is left over on the stack can only err to the safe side.
 * @param mirror where the return addresses of hooked functions are.
 */
export function isAtSafePoint(
  { memory, backEnd }: TargetProcess,
  registers: RegisterFile,
  maps: readonly Mapping[],
  locking: readonly TextRange[],
  mirror: Mirror | undefined,
): boolean {
  const isLocking = (address: bigint): boolean =>
    locking.some(({ start, end }) => address >= start && address < end);
  if (isLocking(registers.get(backEnd.registers.pc))) return false;
  const stack = registers.get(backEnd.registers.sp);
  const mapping = maps.find(({ start, end }) => start <= stack && stack < end);
  if (mapping === undefined) return false;
  const left = Number(mapping.end - stack);
  const size = Math.min(scanBytes, left) & ~7;
  const words = (at: bigint) => new BigUint64Array(memory.read(at, size).buffer);
  if (words(stack).some(isLocking)) return false;
  if (mirror === undefined) return true;
  const isMirrored = Number(stack >> BigInt(mirror.windowBits)) === mirror.window;
  return !isMirrored || !words(stack + mirror.delta).some(isLocking);
}

/** Registers `frames` with every unwinder; `objects` is zeroed memory for their records. */
export function registerFrames(
  remote: RemoteThread,
  unwinders: readonly Unwinder[],
  frames: DataAddr,
  objects: bigint,
  returnTo: CodeAddr,
): readonly Registration[] {
  return unwinders.map((unwinder, index) => {
    const object = objects + BigInt(index * unwinderObjectBytes);
    const doing = `register generated code with the unwinder at ${hex(unwinder.register)}`;
    remote.call(doing, unwinder.register, [frames, object], returnTo);
    return { unwinder, frames };
  });
}

/** Takes registrations back. */
export function deregisterFrames(
  remote: RemoteThread,
  registrations: readonly Registration[],
  returnTo: CodeAddr,
): void {
  for (const { unwinder, frames } of registrations) {
    const doing = "take generated code from an unwinder's list";
    remote.call(doing, codeAddr(unwinder.deregister), [frames], returnTo);
  }
}

/**
 * Tells the process' unwinders about generated code, so that C++ exceptions, backtrace() and
 * pthread_cancel get through hooked frames.
 *
 * libgcc keeps a list of frame descriptions that programs register (`__register_frame_info`,
 * libgcc/unwind-dw2-fde.c), and so does LLVM's libunwind (`__unw_add_dynamic_fde`,
 * libunwind/src/libunwind.cpp). The call is made on the back of a thread that holds none of the
 * locks it takes: one that is not inside of the functions that take them too.
 */
import { assert } from "../base/assert.ts";
import { type CodeAddr, type DataAddr, dataAddr, hex } from "../base/brand.ts";
import type { FrameImage } from "../codegen/frame-description.ts";
import type { Mapping } from "../os/proc.ts";
import type { Mirror } from "./address-space.ts";
import type { RegisterFile, TargetMemory, TargetProcess } from "./process.ts";
import type { RemoteThread } from "./remote-call.ts";

/** One copy of an unwinder in the process. */
export type Unwinder = {
  /** What it takes: an .eh_frame image and memory for a record of its own, or a single FDE. */
  readonly takes: "image" | "fde";
  /** `__register_frame_info(begin, object)`, or `__unw_add_dynamic_fde(fde)`. */
  readonly register: CodeAddr;
  /** `__deregister_frame_info(begin)`, or `__unw_remove_dynamic_fde(fde)`. */
  readonly deregister: CodeAddr;
  /** What is asked of it for each frame that is left; without it that is not recorded. */
  readonly context: UnwinderContext | undefined;
};

/** Addresses of an unwinder's functions, by their names in `unwinderRow`. */
export type UnwinderContext = {
  readonly getIp: CodeAddr;
  readonly setIp: CodeAddr;
  readonly setGr: CodeAddr;
  readonly resume: CodeAddr;
  readonly getCfa: CodeAddr;
};

/** Frames that were registered with one unwinder, by what it was given. */
export type Registration = { readonly unwinder: Unwinder; readonly frames: DataAddr };

/**
 * Memory for one registration: the frame description, and behind it libgcc's `struct object`, with
 * room to spare.
 */
export const registrationBytes = 256;
const objectOffset = 128;

/** Code of a function: [start, end). */
export type TextRange = { readonly start: bigint; readonly end: bigint };

/** Functions that hold the locks of unwinders' lists, or of malloc, which some of them call. */
export const lockingFunctions: readonly string[] = [
  "_Unwind_Find_FDE",
  "__register_frame_info",
  "__register_frame_info_bases",
  "__register_frame",
  "__deregister_frame_info",
  "__deregister_frame_info_bases",
  "__deregister_frame",
  "__unw_add_dynamic_fde",
  "__unw_remove_dynamic_fde",
  "unw_init_local",
  "unw_step",
  "unw_set_reg",
  "unw_iterate_dwarf_unwind_cache",
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

/**
 * Tells `unwinder` about the frames in `image`.
 * @param at zeroed memory for it, `registrationBytes` long.
 */
export function registerFrames(
  remote: RemoteThread,
  memory: TargetMemory,
  unwinder: Unwinder,
  image: FrameImage,
  at: DataAddr,
  returnTo: CodeAddr,
): Registration {
  assert(image.bytes.length <= objectOffset, "a frame description has its place");
  memory.write(at, image.bytes);
  const isImage = unwinder.takes === "image";
  const frames = isImage ? at : dataAddr(at + BigInt(image.fde));
  const doing = `register generated code with the unwinder at ${hex(unwinder.register)}`;
  const args = isImage ? [frames, at + BigInt(objectOffset)] : [frames];
  remote.invoke(doing, unwinder.register, args, returnTo);
  return { unwinder, frames };
}

/** Takes registrations back. */
export function deregisterFrames(
  remote: RemoteThread,
  registrations: readonly Registration[],
  returnTo: CodeAddr,
): void {
  for (const { unwinder, frames } of registrations) {
    const doing = "take generated code from an unwinder's list";
    remote.invoke(doing, unwinder.deregister, [frames], returnTo);
  }
}

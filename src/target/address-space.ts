/** Finding room in a process' address space. Nothing here touches the process. */
import { PatchbayError } from "../base/error.ts";
import type { Mapping } from "../os/proc.ts";

/** Lowest address that a program can map (vm.mmap_min_addr), and the end of user space. */
const lowest = 0x10000n;
const userEnd = 0x7fff_ffff_f000n;
/** Room left above the heap so that brk can grow, in bytes. */
const heapRoom = 1n << 30n;

type Gap = { readonly start: bigint; readonly end: bigint };

const pageUp = (value: bigint): bigint => (value + 4095n) & ~4095n;

/** Unmapped ranges, ascending. Room below a stack and above the heap is theirs to grow into. */
function gaps(maps: readonly Mapping[]): readonly Gap[] {
  const found: Gap[] = [];
  let from = lowest;
  for (const mapping of maps) {
    const stack = mapping.path === "[stack]";
    const end = stack ? mapping.start - (1n << 30n) : mapping.start;
    if (end > from) found.push({ start: from, end });
    from = mapping.end + (mapping.path === "[heap]" ? heapRoom : 0n);
  }
  if (userEnd > from) found.push({ start: from, end: userEnd });
  return found;
}

/**
 * Room for `size` bytes that every address in [`first`, `last`] can branch to and be branched to
 * from; the room below is preferred, then the room nearest.
 * @param reach how far a branch gets, in bytes.
 */
export function findRoomNear(
  maps: readonly Mapping[],
  size: number,
  first: bigint,
  last: bigint,
  reach: bigint,
): bigint {
  const found = findRoomWithin(maps, size, first, last, reach);
  if (found !== undefined) return found;
  throw new PatchbayError({
    code: "unsupported",
    doing: "place generated code near the program's",
    why: `no ${pageUp(BigInt(size))} bytes are free within ${reach >> 20n} MiB of its text`,
  });
}

/** The same; undefined where there is none. */
export function findRoomWithin(
  maps: readonly Mapping[],
  size: number,
  first: bigint,
  last: bigint,
  reach: bigint,
): bigint | undefined {
  const wanted = pageUp(BigInt(size));
  const low = last - reach;
  const high = first + reach;
  const candidates: bigint[] = [];
  for (const gap of gaps(maps)) {
    const start = gap.start > low ? pageUp(gap.start) : pageUp(low < 0n ? 0n : low);
    const end = (gap.end < high ? gap.end : high) & ~4095n;
    if (end - start < wanted) continue;
    candidates.push(gap.end <= first ? end - wanted : start);
  }
  const below = candidates.filter((at) => at < first).at(-1);
  return below ?? candidates[0];
}

/** The lowest room for `bytes` at `from` or above it; 0 when there is none. */
export function findRoomAbove(maps: readonly Mapping[], from: bigint, bytes: bigint): bigint {
  for (const gap of gaps(maps)) {
    const start = pageUp(gap.start < from ? from : gap.start);
    if (gap.end - start >= bytes) return start;
  }
  return 0n;
}

/** The mirror of the stacks' window: `delta` is added to a stack slot's address to get its own. */
export type Mirror = {
  readonly base: bigint;
  readonly bytes: bigint;
  readonly delta: bigint;
  /** The bits of an address above `windowBits` that all mirrored stacks share. */
  readonly window: number;
  readonly windowBits: number;
};

/**
 * A slot and its mirror must not have the same low twelve bits: processors compare no more than
 * these to find out whether a load depends on a store before it, and a thunk uses both slots at
 * once. (Measured: without the shift a traced call costs twice as much.) Half a page keeps the
 * slots of the next frames away too.
 */
const mirrorShift = 2048n;
const pageBytes = 4096n;

/** Smaller windows than this, in bits, are filled by a single recording's rings. */
const roomyWindowBits = 36;

/**
 * Room for the mirror of the window that stacks lie in; undefined when there is none.
 * @param stack a thread's stack pointer. The thread may be on a stack of another kind (a signal
 *   handler's, a coroutine's), so the first thread's stack tells where stacks are, if it is known
 *   and the window is large enough for those of others beside it.
 * @param windowBits the window spans 2 to the power of this, in bytes.
 */
export function findMirror(
  maps: readonly Mapping[],
  stack: bigint,
  windowBits: number,
): Mirror | undefined {
  const size = 1n << BigInt(windowBits);
  const bytes = size + pageBytes;
  const first = maps.find(({ path }) => path === "[stack]");
  const inside = windowBits >= roomyWindowBits && first !== undefined ? first.start : stack;
  const windowStart = inside & ~(size - 1n);
  const base = findRoomBelow(maps, windowStart, bytes, size);
  if (base === undefined) return undefined;
  const window = Number(inside >> BigInt(windowBits));
  return { base, bytes, delta: base - windowStart + mirrorShift, window, windowBits };
}

/**
 * Where a recording's rings go, which are gigabytes: where the kernel likes, or, where the mirrored
 * window is small (an emulator's), below it, so that the stacks of later threads find room in it.
 */
export function findArenaRoom(
  maps: readonly Mapping[],
  mirror: Mirror | undefined,
  bytes: bigint,
): bigint {
  if (mirror === undefined || mirror.windowBits >= roomyWindowBits) return 0n;
  const windowStart = BigInt(mirror.window) << BigInt(mirror.windowBits);
  return findRoomBelow(maps, windowStart, pageUp(bytes), pageBytes) ?? 0n;
}

/** Further words for each stack slot: `deltas` are added to its address to get them. */
export type FrameWords = {
  readonly base: bigint;
  readonly bytes: bigint;
  readonly deltas: readonly bigint[];
};

/** Where in a page the words are, one after the other: apart from the stack's and the mirror's. */
const wordShifts = [1024n, 3072n, 512n, 2560n, 1536n, 3584n];

/** Room for `count` further words of each slot that `mirror` mirrors; undefined without. */
export function findFrameWords(
  maps: readonly Mapping[],
  { window, windowBits }: Mirror,
  count: number,
): FrameWords | undefined {
  const size = 1n << BigInt(windowBits);
  const bytes = size * BigInt(count) + pageBytes;
  const windowStart = BigInt(window) * size;
  const base = findRoomBelow(maps, windowStart, bytes, size);
  if (base === undefined) return undefined;
  const deltas = Array.from({ length: count }, (_, i) => {
    const shift = wordShifts[i % wordShifts.length] ?? 0n;
    return base - windowStart + size * BigInt(i) + shift;
  });
  return { base, bytes, deltas };
}

/** The highest unmapped `bytes` below `limit`, at a multiple of `alignment`. */
function findRoomBelow(
  maps: readonly Mapping[],
  limit: bigint,
  bytes: bigint,
  alignment: bigint,
): bigint | undefined {
  for (const gap of gaps(maps).toReversed()) {
    const end = gap.end < limit ? gap.end : limit;
    const base = (end - bytes) & ~(alignment - 1n);
    if (base >= gap.start) return base;
  }
  return undefined;
}

/**
 * The protocols by which the live engine changes x86-64 windows while everybody runs. The engine
 * carries out these very lists; the checker runs them too (`patchbay verify LIVE`).
 *
 *     store   xx xx xx xx xx  ─►  yy yy yy yy yy        one store, in one aligned 8 bytes
 *     cover   xx xx xx xx xx  ─►  a9 xx xx xx xx  ─►  a9 yy yy yy yy  ─►  yy yy yy yy yy
 *     skip    xx xx xx .. xx  ─►  eb nn xx .. xx  ─►  eb nn yy .. yy  ─►  yy yy yy .. yy
 *     spin    xx xx xx .. xx  ─►  eb fe xx .. xx  ─►  eb fe yy .. yy  ─►  yy yy yy .. yy
 *
 * `a9 imm32` is `test eax, imm32`: one instruction of five bytes whatever the other four are,
 * harmless at a function's entry because no caller passes flags there. With it, one byte turns any
 * five bytes into one instruction; no trap is needed, and no alignment. Where the window held
 * several instructions (gcc's five one-byte no-ops), a thread may stand behind the first of them:
 * it executes the rest as they were, and the drain waits for that.
 *
 * Why a store may be seen as old or new but not as a mixture: Intel SDM volume 3, section 9.1.1
 * (aligned 8 bytes are atomic) and AMD APM volume 2, section 7.6.1 (asynchronous modification
 * within a naturally aligned quadword). Why every sync is there: 9.1.3, cross-modifying code.
 */
import {
  drain,
  literal,
  membarrierSync,
  type Step,
  toBytes,
  toNew,
  toSkip,
  window,
  write,
  writePieces,
} from "../steps.ts";

export type LiveProtocolName = "store" | "cover" | "coverSeveral" | "skip" | "spin";

/** First byte of `test eax, imm32` (Intel SDM volume 2, TEST). */
export const coverByte = 0xa9;
/** Bytes of that instruction: the windows that it can cover. */
export const coverSize = 5;

const store: readonly Step[] = [write(window(0, "rest"), toNew), membarrierSync];

const behindCover: readonly Step[] = [
  writePieces(window(1, "rest"), toNew),
  membarrierSync,
  write(window(0, 1), toNew),
  membarrierSync,
];
const coverFirst: readonly Step[] = [write(window(0, 1), toBytes(coverByte)), membarrierSync];

const skip: readonly Step[] = [
  write(window(0, 2), toSkip),
  membarrierSync,
  writePieces(window(2, "rest"), toNew),
  membarrierSync,
  write(window(0, 2), toNew),
  membarrierSync,
];

/** `jmp` to itself: who comes to the window waits there until its new bytes stand. */
const spinBytes = [0xeb, 0xfe] as const;
const spin: readonly Step[] = [
  write(window(0, 2), toBytes(...spinBytes)),
  membarrierSync,
  writePieces(window(2, "rest"), toNew),
  membarrierSync,
  write(window(0, 2), toNew),
  membarrierSync,
];

/** The steps of each protocol, from any one-instruction state to any other. */
export const liveProtocols: Readonly<Record<LiveProtocolName, readonly Step[]>> = {
  store,
  cover: [...coverFirst, ...behindCover],
  /** For a window that holds several instructions before. */
  coverSeveral: [...coverFirst, drain, ...behindCover],
  skip,
  /** From one instruction to several that nobody may pass by: a prologue that is put back. */
  spin,
};

/**
 * Literals of CALL_OPS change before the windows that lead to them. A literal that another one
 * replaces while its site goes on calling is all of a change: one store of data, which no
 * processor sees in part (SDM 9.1.1, APM 7.3.2), and which needs no sync. What it named is in use
 * until a grace period has passed.
 */
export const liveLiteral: readonly Step[] = [write(literal, toNew)];

/**
 * Whose manual is relied on: Intel promises that one byte of an instruction is seen whole, AMD an
 * aligned quadword. Other vendors are taken as Intel.
 */
export type VendorRules = "intel" | "amd";

/**
 * What becomes of the first of a window's two instructions: it stays; it comes, and what the second
 * one is to be relies on it; or anything else, which the second one bears with.
 */
export const firstChanges = ["any", "kept", "needed"] as const;
export type FirstChange = (typeof firstChanges)[number];

/** What is known of a window that is to change. */
export type WindowFacts = {
  /** Its first byte's place in its aligned 8 bytes. */
  readonly offset: number;
  readonly size: number;
  /** It may hold several instructions now. */
  readonly several: boolean;
  /** The instructions of a function without a site: none of them may be left out. */
  readonly moved: boolean;
  /** On ISAs whose windows are two instructions. */
  readonly first: FirstChange;
};

/**
 * The protocol for a window by the verdicts of the checks in `live.ts`; undefined where none is
 * safe without holding the threads.
 */
export function chooseLiveProtocol(
  { offset, size, several, moved }: WindowFacts,
  rules: VendorRules,
): LiveProtocolName | undefined {
  if (moved) return several ? undefined : chooseWayBack(offset, size);
  if (several) return size === coverSize ? "coverSeveral" : undefined;
  if (rules === "amd" && offset + size <= 8) return "store";
  if (size === coverSize) return "cover";
  return rules === "amd" && offset < 7 ? "skip" : undefined;
}

/**
 * How a prologue is put back that nobody can be held for, because the tracer has died. By the rules
 * of Intel, neither is promised; processors are not known to do less than AMD promises.
 */
function chooseWayBack(offset: number, size: number): LiveProtocolName | undefined {
  if (offset + size <= 8) return "store";
  return offset < 7 ? "spin" : undefined;
}

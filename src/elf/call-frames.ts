/**
 * Unwinding by `.eh_frame`: from the registers in a function to those in its caller.
 *
 * Source: DWARF 5, section 6.4; System V ABI for x86-64, section 3.7 (register numbers); Linux
 * Standard Base Core, "Exception Frames" (augmentations).
 */
import type { ElfFile } from "./elf-file.ts";
import {
  type FrameIndex,
  type Frames,
  findFrameIndex,
  findFrames,
  readCommon,
} from "./frame-entries.ts";
import { evaluateFrameExpression, type FrameState } from "./frame-expression.ts";
import { type Row, type Rule, runTo } from "./frame-rules.ts";

/** DWARF's numbers of x86-64 registers that unwinding is about; 16 is the return address. */
export const frameRegister = { rbx: 3, rbp: 6, rsp: 7, returnAddress: 16, count: 17 } as const;

/** Registers by DWARF number; undefined: not known in this frame. */
export type FrameRegisters = readonly (bigint | undefined)[];

/** What a step to the caller found. */
export type Unwound =
  /** `interrupted`: the frame is a signal's, and its caller was stopped, not calling. */
  | { readonly kind: "caller"; readonly registers: FrameRegisters; readonly interrupted: boolean }
  /** The outermost frame: nobody called it. */
  | { readonly kind: "outermost" }
  /** No description covers the code, or it says what can't be followed. */
  | { readonly kind: "unknown" };

type Entry = {
  readonly start: number;
  readonly size: number;
  readonly cie: number;
  readonly program: number;
  readonly end: number;
};

/** Index of the last of `count` ascending values that is at most `wanted`; -1 where none is. */
function lastAtMost(count: number, value: (index: number) => number, wanted: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value(middle) <= wanted) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The frame descriptions of one file. */
export class CallFrames {
  readonly #frames: Frames | undefined;
  readonly #index: FrameIndex | undefined;
  #entries: readonly Entry[] | undefined;

  constructor(elf: ElfFile) {
    this.#frames = elf.debugOnly ? undefined : findFrames(elf);
    this.#index = elf.debugOnly ? undefined : findFrameIndex(elf);
  }

  /** Whether there is a description of the code at link address `addr`. */
  covers(addr: number): boolean {
    return this.#find(addr) !== undefined;
  }

  /**
   * Whether rbp points to the frame of the code at `addr`, so that the caller's rbp and the return
   * address are there; undefined where nothing says so: no description covers it.
   */
  keepsFramePointer(addr: number): boolean | undefined {
    const frames = this.#frames;
    const entry = this.#find(addr);
    if (frames === undefined || entry === undefined) return undefined;
    try {
      const cfa = runTo(frames, entry, readCommon(frames, entry.cie), addr)?.cfa;
      return cfa?.kind === "register" && cfa.register === frameRegister.rbp && cfa.offset === 16;
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  /** Whether the file has any descriptions. */
  get isEmpty(): boolean {
    return this.#frames === undefined;
  }

  /** The description of the code at `addr`: by the linker's index, or by reading all of them. */
  #find(addr: number): Entry | undefined {
    const frames = this.#frames;
    if (frames === undefined) return undefined;
    let entry: Entry | undefined;
    if (this.#index !== undefined) {
      const at = this.#index.descriptionOf(addr) - frames.addr;
      entry = at >= 0 && at + 8 <= frames.view.byteLength ? readEntry(frames, at) : undefined;
    } else {
      this.#entries ??= readEntries(frames);
      const entries = this.#entries;
      const last = lastAtMost(entries.length, (i) => entries[i]?.start ?? 0, addr);
      entry = entries[last];
    }
    return entry !== undefined && addr >= entry.start && addr < entry.start + entry.size
      ? entry
      : undefined;
  }

  /**
   * The caller's registers.
   * @param addr link address of the instruction; for a caller, of the last byte of its call.
   * @param registers in the frame.
   */
  unwind(
    addr: number,
    registers: FrameRegisters,
    word: (address: bigint) => bigint | undefined,
  ): Unwound {
    const frames = this.#frames;
    const entry = this.#find(addr);
    if (frames === undefined || entry === undefined) return { kind: "unknown" };
    try {
      const common = readCommon(frames, entry.cie);
      const row = runTo(frames, entry, common, addr);
      if (row === undefined) return { kind: "unknown" };
      return applyRow(frames, row, registers, word, common.isSignal);
    } catch (error) {
      // A description that is cut off: nothing that can be followed.
      if (error instanceof RangeError) return { kind: "unknown" };
      throw error;
    }
  }
}

function readEntries(frames: Frames): readonly Entry[] {
  const found: Entry[] = [];
  const { view } = frames;
  for (let at = 0; at + 8 <= view.byteLength; ) {
    const length = view.getUint32(at, true);
    if (length === 0 || length === 0xffffffff || at + 4 + length > view.byteLength) break;
    const entry = view.getUint32(at + 4, true) === 0 ? undefined : readEntry(frames, at);
    if (entry !== undefined) found.push(entry);
    at += 4 + length;
  }
  return found.sort((a, b) => a.start - b.start);
}

/** The description at `at`, which is no CIE. */
function readEntry(frames: Frames, at: number): Entry | undefined {
  const { view } = frames;
  const length = view.getUint32(at, true);
  const cie = at + 4 - view.getUint32(at + 4, true);
  const common = readCommon(frames, cie);
  const start = frames.seek(at + 8).pointer(common.encoding);
  const size = frames.pointer(common.encoding & 0x0f);
  if (start === undefined || size === undefined) return undefined;
  if (common.hasAugmentation) {
    const skipped = frames.uleb();
    frames.seek(frames.at + skipped);
  }
  return { start, size, cie, program: frames.at, end: at + 4 + length };
}

function applyRow(
  frames: Frames,
  { cfa: cfaRule, rules }: Row,
  registers: FrameRegisters,
  word: (address: bigint) => bigint | undefined,
  isSignal: boolean,
): Unwound {
  const state: FrameState = { register: (number) => registers[number], word };
  const evaluate = (place: { at: number; end: number }, initial?: bigint) =>
    evaluateFrameExpression(frames.seek(place.at), place.end, state, initial);
  const base = cfaRule.kind === "register" ? registers[cfaRule.register] : evaluate(cfaRule);
  if (base === undefined) return { kind: "unknown" };
  const cfa = cfaRule.kind === "register" ? base + BigInt(cfaRule.offset) : base;
  const callersValue = (rule: Rule): bigint | undefined => {
    switch (rule.kind) {
      case "offset":
        return word(cfa + BigInt(rule.offset));
      case "valOffset":
        return cfa + BigInt(rule.offset);
      case "register":
        return registers[rule.register];
      case "expression": {
        const at = evaluate(rule, cfa);
        return at === undefined ? undefined : word(at);
      }
      case "valExpression":
        return evaluate(rule, cfa);
      default:
        return undefined;
    }
  };
  const { returnAddress, rsp, count } = frameRegister;
  if (rules.get(returnAddress)?.kind === "undefined") return { kind: "outermost" };
  const caller: (bigint | undefined)[] = [...registers];
  caller.length = count;
  caller[rsp] = cfa;
  for (const [register, rule] of rules) {
    if (register < count && rule.kind !== "same") caller[register] = callersValue(rule);
  }
  if (!rules.has(returnAddress) || caller[returnAddress] === undefined) return { kind: "unknown" };
  return { kind: "caller", registers: caller, interrupted: isSignal };
}

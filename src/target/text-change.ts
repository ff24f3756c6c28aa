/**
 * Turns windows from one state to another while the process runs: which protocol each window
 * takes, and the agent's programs that carry the protocols out.
 *
 * All windows of a batch go through the phases together and share their syncs:
 *
 * | protocol | phase 1                          | phase 2            | phase 3              |
 * | -------- | -------------------------------- | ------------------ | -------------------- |
 * | store    |                                  |                    | 8 bytes, aligned     |
 * | cover    | first byte := `a9`               | the other 4 bytes  | first byte           |
 * | skip     | first 2 bytes := `eb`, size - 2  | the other bytes    | first 2 bytes        |
 *
 * `a9 xx xx xx xx` is `test eax, imm32`: five bytes, harmless at a function's entry (it sets
 * flags, which no caller passes) whatever the other four are. So one byte makes any window of
 * five bytes a single instruction whose rest can be replaced, without a trap. Where the compiler
 * left several no-ops, a thread may stand between them: phase 1 is followed by a drain.
 */
import { AgentProgram } from "../codegen/agent-program.ts";
import { syscallNumber } from "./remote-call.ts";
import { type Windows, windowBytesMax } from "./text-patch.ts";

/** How one window is changed. */
export type ChangeProtocol = "store" | "cover" | "skip";

/** Programs for the agent; run in order, with a drain between where `drain` says so. */
export type TextChange = {
  readonly first: AgentProgram;
  readonly drain: boolean;
  readonly second: AgentProgram;
  readonly counts: Readonly<Record<ChangeProtocol, number>>;
};

const testEaxImmediate = 0xa9;
const jumpShort = 0xeb;
const coverBytes = 5;
/** membarrier(2). */
export const membarrierCommand = { syncCore: 0x20n, registerSyncCore: 0x40n } as const;
export const sysMembarrier = 324;

const protReadExec = 5n;
const protReadWriteExec = 7n;
/** Text is opened for stores in runs of at most this many bytes, without gaps of `gapBytes`. */
const runBytesMax = 2 << 20;
const gapBytes = 16 << 10;
const pageBytes = 4096;

/**
 * The protocol for a window, or undefined where none is safe without holding the threads.
 * @param offset of the window in its aligned 8 bytes.
 * @param several the window may hold several instructions now.
 */
export function chooseProtocol(
  offset: number,
  size: number,
  several: boolean,
): ChangeProtocol | undefined {
  if (offset + size <= 8 && !several) return "store";
  if (size === coverBytes) return "cover";
  return offset < 7 && !several ? "skip" : undefined;
}

const sync = (program: AgentProgram): AgentProgram =>
  program.syscall(sysMembarrier, membarrierCommand.syncCore, 0n, 0n);

/** The windows' bytes now, by their aligned 8 bytes; stores to one word have to be merged. */
export type TextReader = (address: number, length: number) => Uint8Array;

/**
 * Plans the change of `windows` (ascending) at `indices` to the bytes of state `to`.
 * @param several per window, 1 where it may hold several instructions now.
 * @param read the text as it stands, for the bytes around windows that are stored as 8.
 */
export function planTextChange(
  windows: Windows,
  indices: Uint32Array,
  to: "on" | "off",
  several: Uint8Array,
  read: TextReader,
): TextChange {
  const expected = indices.length * 4 + 1024;
  const plan = new Plan(windows, windows[to], indices);
  const counts = { store: 0, cover: 0, skip: 0 };
  let drain = false;
  indices.forEach((window, index) => {
    const isSeveral = several[window] === 1;
    const offset = (windows.at[window] ?? 0) % 8;
    const protocol = chooseProtocol(offset, windows.size[window] ?? 0, isSeveral);
    if (protocol === undefined) return;
    counts[protocol]++;
    drain ||= isSeveral;
    plan.protocols[index] = protocolCodes[protocol];
  });
  const first = new AgentProgram(expected);
  const second = drain ? new AgentProgram(expected) : first;
  if (counts.cover + counts.skip > 0) {
    plan.emit(first, "cover");
    sync(first);
    plan.emit(second, "tail");
    sync(second);
  }
  plan.emit(second, "head", read);
  sync(second);
  return { first, drain, second: drain ? second : new AgentProgram(1), counts };
}

const protocolCodes: Readonly<Record<ChangeProtocol, number>> = { store: 1, cover: 2, skip: 3 };
type Phase = "cover" | "tail" | "head";

class Plan {
  /** A protocol's code for each of the indices; 0: the window is left alone. */
  readonly protocols: Uint8Array;
  readonly #windows: Windows;
  readonly #target: Uint8Array;
  readonly #indices: Uint32Array;

  constructor(windows: Windows, target: Uint8Array, indices: Uint32Array) {
    this.protocols = new Uint8Array(indices.length);
    this.#windows = windows;
    this.#target = target;
    this.#indices = indices;
  }

  /** Adds one phase for all windows, page run by page run. */
  emit(program: AgentProgram, phase: Phase, read?: TextReader): void {
    const { mprotect } = syscallNumber;
    for (let from = 0; from < this.#indices.length; ) {
      const to = this.#endOfRun(from);
      const start = Math.floor(this.#at(from) / pageBytes) * pageBytes;
      const end = this.#at(to - 1) + this.#size(to - 1);
      const length = Math.ceil((end - start) / pageBytes) * pageBytes;
      const words = read === undefined ? undefined : new Words(read, start, length);
      program.syscall(mprotect, BigInt(start), BigInt(length), protReadWriteExec);
      for (let index = from; index < to; index++) this.#store(program, index, phase, words);
      words?.store(program);
      program.syscall(mprotect, BigInt(start), BigInt(length), protReadExec);
      from = to;
    }
  }

  #at(index: number): number {
    return this.#windows.at[this.#indices[index] ?? 0] ?? 0;
  }

  #size(index: number): number {
    return this.#windows.size[this.#indices[index] ?? 0] ?? 0;
  }

  #endOfRun(from: number): number {
    let to = from + 1;
    while (to < this.#indices.length) {
      if (this.#at(to) - this.#at(to - 1) > gapBytes) break;
      if (this.#at(to) - this.#at(from) > runBytesMax) break;
      to++;
    }
    return to;
  }

  #store(program: AgentProgram, index: number, phase: Phase, words: Words | undefined): void {
    const protocol = this.protocols[index] ?? 0;
    if (protocol === 0) return;
    const at = this.#at(index);
    const size = this.#size(index);
    const from = (this.#indices[index] ?? 0) * windowBytesMax;
    const bytes = this.#target.subarray(from, from + size);
    // A word that is stored as a whole has to hold what its other windows go to as well.
    words?.set(at, bytes, protocol === protocolCodes.store);
    if (protocol === protocolCodes.store) return;
    const headSize = protocol === protocolCodes.cover ? 1 : 2;
    const head = (bytes[0] ?? 0) + (headSize === 2 ? 256 * (bytes[1] ?? 0) : 0);
    const away = headSize === 1 ? testEaxImmediate : jumpShort + 256 * (size - 2);
    if (phase === "tail") program.storeBytes(at + headSize, bytes.subarray(headSize));
    else program.store(at, headSize, phase === "cover" ? away : head);
  }
}

/** Aligned words of a page run that are stored as a whole: windows that share one are merged. */
class Words {
  readonly #text: Uint8Array;
  readonly #start: number;
  readonly #changed = new Set<number>();

  constructor(read: TextReader, start: number, length: number) {
    this.#text = read(start, length).slice();
    this.#start = start;
  }

  /** @param asWhole the window lies within one word, which is to be stored. */
  set(at: number, bytes: Uint8Array, asWhole: boolean): void {
    this.#text.set(bytes, at - this.#start);
    if (asWhole) this.#changed.add(Math.floor((at - this.#start) / 8));
  }

  store(program: AgentProgram): void {
    const halves = new Uint32Array(this.#text.buffer);
    for (const word of this.#changed) {
      program.store(this.#start + word * 8, 8, halves[word * 2] ?? 0, halves[word * 2 + 1] ?? 0);
    }
  }
}

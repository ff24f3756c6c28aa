/**
 * Carries a protocol of `patch/` out on a batch of windows: the steps become programs for the
 * agent. Windows of one batch may follow different protocols; their writes are lined up between
 * the syncs, the last ones together, so that a hundred thousand sites share three syncs.
 */
import { assert } from "../base/assert.ts";
import { AgentProgram } from "../codegen/agent-program.ts";
import {
  chooseLiveProtocol,
  type LiveProtocolName,
  liveProtocols,
  type VendorRules,
  type WindowFacts,
} from "../patch/protocols/x86-64-live.ts";
import type { InnerStep, Step } from "../patch/steps.ts";
import { syscallNumber } from "./remote-call.ts";
import { type Windows, windowBytesMax } from "./text-patch.ts";

/** Windows changed by each protocol. */
export type ProtocolCounts = Readonly<Record<LiveProtocolName, number>>;
export const noProtocols: ProtocolCounts = {
  store: 0,
  cover: 0,
  coverSeveral: 0,
  skip: 0,
  spin: 0,
};

/** Programs for the agent, to be run in order; threads are drained between two of them. */
export type TextChange = {
  readonly programs: readonly AgentProgram[];
  readonly counts: ProtocolCounts;
};

/** membarrier(2). */
export const membarrierCommand = { syncCore: 0x20n, registerSyncCore: 0x40n } as const;
export const sysMembarrier = 324;

const protReadExec = 5n;
const protReadWriteExec = 7n;
/** Text is opened for stores in runs of neighbouring pages, of at most this many bytes. */
const runBytesMax = 2 << 20;
const pageBytes = 4096;
const jumpShort = 0xeb;

type WriteStep = Extract<InnerStep, { op: "write" }>;
/** The writes of a protocol between two syncs, and whether a drain comes before the next ones. */
type Segment = { readonly writes: readonly WriteStep[]; readonly drain: boolean };

/** A protocol cut at its syncs. Each segment but a drain's ends with one. */
function segmentsOf(steps: readonly Step[]): readonly Segment[] {
  const segments: { writes: WriteStep[]; drain: boolean }[] = [];
  let writes: WriteStep[] = [];
  for (const step of steps) {
    if (step.op === "write") writes.push(step);
    else if (step.op === "sync") {
      assert(step.by === "membarrier" && step.wait, "the agent syncs by membarrier and waits");
      segments.push({ writes, drain: false });
      writes = [];
    } else if (step.op === "drain") {
      const last = segments.at(-1);
      assert(last !== undefined && writes.length === 0, "a drain follows a sync");
      last.drain = true;
    } else throw new Error(`the agent can't carry out ${step.op}`);
  }
  assert(writes.length === 0, "a protocol ends with a sync");
  return segments;
}

const names: readonly LiveProtocolName[] = ["store", "cover", "coverSeveral", "skip", "spin"];
const segments = names.map((name) => segmentsOf(liveProtocols[name]));
const segmentsMax = Math.max(...segments.map((list) => list.length));
/** Segment of protocol `code` that is carried out in phase `phase`: the last ones together. */
const segmentIn = (code: number, phase: number): Segment | undefined => {
  const list = segments[code];
  return list?.[phase - segmentsMax + list.length];
};

/** The text as it stands. */
export type TextReader = (address: number, length: number) => Uint8Array;

/** What the choice of a protocol depends on. */
export const windowFacts = (
  { at, size, moved }: Pick<Windows, "at" | "size" | "moved">,
  index: number,
  several: Uint8Array,
): WindowFacts => ({
  offset: (at[index] ?? 0) % 8,
  size: size[index] ?? 0,
  several: several[index] === 1,
  moved: (moved[index] ?? 0) > 0,
});

/**
 * Plans the change of `windows` to their bytes.
 * @param several per window, 1 where it may hold several instructions now; what has no protocol
 * by `chooseLiveProtocol` must not be among the windows.
 * @param read the text as it stands, for the bytes around windows that are stored as 8.
 */
export function planTextChange(
  windows: Windows,
  several: Uint8Array,
  read: TextReader,
  rules: VendorRules,
): TextChange {
  const counts = { ...noProtocols };
  const codes = new Uint8Array(windows.count);
  for (let index = 0; index < windows.count; index++) {
    const name = chooseLiveProtocol(windowFacts(windows, index, several), rules);
    assert(name !== undefined, "windows without a protocol are left out");
    codes[index] = names.indexOf(name);
    counts[name]++;
  }
  const plan = new Plan({ windows, codes, read });
  const wordsExpected = windows.count * 4 + 1024;
  const programs: AgentProgram[] = [];
  let program: AgentProgram | undefined;
  for (let phase = 0; phase < segmentsMax; phase++) {
    const now = names.flatMap((name, code) => (counts[name] > 0 ? [segmentIn(code, phase)] : []));
    if (now.every((segment) => segment === undefined)) continue;
    if (program === undefined) programs.push((program = new AgentProgram(wordsExpected)));
    plan.emit(program, phase);
    program.syscall(sysMembarrier, membarrierCommand.syncCore, 0n, 0n);
    if (now.some((segment) => segment?.drain)) program = undefined;
  }
  return { programs, counts };
}

type Parts = {
  readonly windows: Windows;
  /** Index into `names` for each window. */
  readonly codes: Uint8Array;
  readonly read: TextReader;
};

class Plan {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Adds one phase for all windows, page run by page run. */
  emit(program: AgentProgram, phase: number): void {
    const { windows, codes, read } = this.#parts;
    const { mprotect } = syscallNumber;
    for (let from = 0; from < windows.count; ) {
      const to = this.#endOfRun(from);
      const start = Math.floor(this.#at(from) / pageBytes) * pageBytes;
      const end = this.#at(to - 1) + (windows.size[to - 1] ?? 0);
      const length = Math.ceil((end - start) / pageBytes) * pageBytes;
      const isDue = codes.subarray(from, to).some((code) => segmentIn(code, phase) !== undefined);
      if (isDue) {
        const words = phase === segmentsMax - 1 ? new Words(read, start, length) : undefined;
        program.syscall(mprotect, BigInt(start), BigInt(length), protReadWriteExec);
        for (let index = from; index < to; index++) this.#write(program, index, phase, words);
        words?.store(program);
        program.syscall(mprotect, BigInt(start), BigInt(length), protReadExec);
      }
      from = to;
    }
  }

  #at(index: number): number {
    return this.#parts.windows.at[index] ?? 0;
  }

  #endOfRun(from: number): number {
    let to = from + 1;
    while (to < this.#parts.windows.count) {
      const size = this.#parts.windows.size[to - 1] ?? 0;
      const lastPage = Math.floor((this.#at(to - 1) + size - 1) / pageBytes);
      // A page without a window may not be mapped at all.
      if (Math.floor(this.#at(to) / pageBytes) > lastPage + 1) break;
      if (this.#at(to) - this.#at(from) > runBytesMax) break;
      to++;
    }
    return to;
  }

  /** Adds what one window's protocol writes in this phase. */
  #write(program: AgentProgram, index: number, phase: number, words: Words | undefined): void {
    const { windows, codes } = this.#parts;
    const segment = segmentIn(codes[index] ?? 0, phase);
    if (segment === undefined) return;
    const at = this.#at(index);
    const size = windows.size[index] ?? 0;
    const bytes = windows.bytes.subarray(index * windowBytesMax, index * windowBytesMax + size);
    for (const { span, content, store } of segment.writes) {
      assert(span.in === "window", "the live protocols write windows alone");
      const spanSize = span.size === "rest" ? size - span.from : span.size;
      const whole = spanSize > 2 && store === "single";
      // A word that is stored as a whole has to hold what its other windows go to as well.
      words?.set(at, bytes, whole);
      if (whole) continue;
      const value = contentBytes(content, bytes, span.from, spanSize);
      const [low = 0, high = 0] = value;
      if (store === "pieces") program.storeBytes(at + span.from, value);
      else program.store(at + span.from, spanSize === 1 ? 1 : 2, low + 256 * high);
    }
  }
}

/** The bytes that a write leaves in its span; borrowed from the window's new bytes where it can. */
function contentBytes(
  content: WriteStep["content"],
  bytes: Uint8Array,
  from: number,
  size: number,
): Uint8Array {
  switch (content.of) {
    case "new":
      return bytes.subarray(from, from + size);
    case "bytes":
      return Uint8Array.from(content.bytes);
    case "skip":
      return Uint8Array.of(jumpShort, bytes.length - from - 2);
    default:
      throw new Error(`the agent can't write ${content.of}`);
  }
}

/** Aligned words of a page run that are stored as a whole: windows that share one are merged. */
class Words {
  readonly #text: Uint8Array<ArrayBuffer>;
  readonly #start: number;
  readonly #changed = new Set<number>();

  constructor(read: TextReader, start: number, length: number) {
    this.#text = Uint8Array.from(read(start, length));
    this.#start = start;
  }

  /** @param whole the window lies within one word, which is to be stored. */
  set(at: number, bytes: Uint8Array, whole: boolean): void {
    this.#text.set(bytes, at - this.#start);
    if (whole) this.#changed.add(Math.floor((at - this.#start) / 8));
  }

  store(program: AgentProgram): void {
    const halves = new Uint32Array(this.#text.buffer);
    for (const word of this.#changed) {
      program.store(this.#start + word * 8, 8, halves[word * 2] ?? 0, halves[word * 2 + 1] ?? 0);
    }
  }
}

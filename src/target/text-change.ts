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

/** A write as the loop over a hundred thousand windows takes it. */
type WindowWrite = {
  readonly from: number;
  /** In bytes; 0 for all that are left of the window. */
  readonly size: number;
  /** The window's new bytes, a jump over the rest of it, or a constant of two bytes at the most. */
  readonly content: "new" | "skip" | number;
  readonly single: boolean;
};

/** The writes of a protocol between two syncs, and whether a drain comes before the next ones. */
type Segment = { readonly writes: readonly WindowWrite[]; readonly drain: boolean };

function toWindowWrite({ span, content, store }: WriteStep): WindowWrite {
  assert(span.in === "window", "the live protocols write windows alone");
  const { from } = span;
  const size = span.size === "rest" ? 0 : span.size;
  const single = store === "single";
  if (content.of === "new" || content.of === "skip") {
    return { from, size, content: content.of, single };
  }
  assert(content.of === "bytes" && single && size <= 2, "what else is written is short");
  const [low = 0, high = 0] = content.bytes;
  return { from, size, content: low + 256 * high, single };
}

/** A protocol cut at its syncs. Each segment but a drain's ends with one. */
function segmentsOf(steps: readonly Step[]): readonly Segment[] {
  const segments: { writes: WindowWrite[]; drain: boolean }[] = [];
  let writes: WindowWrite[] = [];
  for (const step of steps) {
    if (step.op === "write") writes.push(toWindowWrite(step));
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
const phaseCount = Math.max(...segments.map((list) => list.length));
/** Phase by phase, by protocol: the segment that is its turn then; the last ones come together. */
const phases: readonly (readonly (Segment | undefined)[])[] = Array.from(
  { length: phaseCount },
  (_, phase) => segments.map((list) => list[phase - phaseCount + list.length]),
);

/** The text as it stands. */
export type TextReader = (address: number, length: number) => Uint8Array;

/** In place of a protocol's number: there is none that holds nobody. */
export const noProtocol = 0xff;

const notAsked = 0xfe;
/** Protocols by all that the choice depends on, filled as they are asked for. */
const choices: Readonly<Record<VendorRules, Uint8Array>> = {
  intel: new Uint8Array(1 << 10).fill(notAsked),
  amd: new Uint8Array(1 << 10).fill(notAsked),
};

/** The number of the protocol for one window, or `noProtocol`. */
function choose(facts: WindowFacts, rules: VendorRules): number {
  const { offset, size, several, moved } = facts;
  const key = offset + (several ? 8 : 0) + (moved ? 16 : 0) + size * 32;
  let choice = choices[rules][key] ?? notAsked;
  if (choice === notAsked) {
    const name = chooseLiveProtocol(facts, rules);
    choice = name === undefined ? noProtocol : names.indexOf(name);
    choices[rules][key] = choice;
  }
  return choice;
}

/**
 * The protocol for each window, by its number in here; `noProtocol` where there is none.
 * @param several per window, 1 where it may hold several instructions now.
 */
export function chooseProtocols(
  { count, at, size, moved }: Pick<Windows, "count" | "at" | "size" | "moved">,
  several: Uint8Array,
  rules: VendorRules,
): Uint8Array {
  const codes = new Uint8Array(count);
  for (let index = 0; index < count; index++) {
    const facts = {
      offset: low32(at[index] ?? 0) & 7,
      size: size[index] ?? 0,
      several: several[index] === 1,
      moved: (moved[index] ?? 0) > 0,
    };
    codes[index] = choose(facts, rules);
  }
  return codes;
}

/** Whether that is the protocol of a single store. */
export const isOneStore = (code: number): boolean => names[code] === "store";

const two32 = 2 ** 32;
const low32 = (address: number): number => address - Math.floor(address / two32) * two32;

/**
 * Plans the change of `windows` to their bytes.
 * @param codes the protocol of each window, of those that `chooseProtocols` gives.
 * @param read the text as it stands, for the bytes around windows that are stored as 8.
 */
export function planTextChange(windows: Windows, codes: Uint8Array, read: TextReader): TextChange {
  const counts = { ...noProtocols };
  for (const code of codes) {
    const name = names[code];
    assert(name !== undefined, "windows without a protocol are left out");
    counts[name]++;
  }
  const plan = new Plan({ windows, codes, read });
  const wordsExpected = windows.count * 6 + 1024;
  const programs: AgentProgram[] = [];
  let program: AgentProgram | undefined;
  for (const [phase, due] of phases.entries()) {
    const now = due.filter((segment, code) => segment !== undefined && counts[nameOf(code)] > 0);
    if (now.length === 0) continue;
    if (program === undefined) programs.push((program = new AgentProgram(wordsExpected)));
    plan.emit(program, phase);
    program.syscall(sysMembarrier, membarrierCommand.syncCore, 0n, 0n);
    if (now.some((segment) => segment?.drain)) program = undefined;
  }
  return { programs, counts };
}

const nameOf = (code: number): LiveProtocolName => names[code] ?? "store";

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
    const due = phases[phase] ?? [];
    const { mprotect } = syscallNumber;
    for (let from = 0; from < windows.count; ) {
      const to = this.#endOfRun(from);
      const start = Math.floor(this.#at(from) / pageBytes) * pageBytes;
      const end = this.#at(to - 1) + (windows.size[to - 1] ?? 0);
      const length = Math.ceil((end - start) / pageBytes) * pageBytes;
      const here = new Set(codes.subarray(from, to));
      if ([...here].some((code) => due[code] !== undefined)) {
        program.syscall(mprotect, BigInt(start), BigInt(length), protReadWriteExec);
        for (let index = from; index < to; index++) this.#write(program, index, due);
        // Only a store of 8 bytes takes those around it along.
        if (here.has(names.indexOf("store")) && phase === phaseCount - 1) {
          this.#storeWords(program, from, to, read(start, length), start);
        }
        program.syscall(mprotect, BigInt(start), BigInt(length), protReadExec);
      }
      from = to;
    }
  }

  #at(index: number): number {
    return this.#parts.windows.at[index] ?? 0;
  }

  #endOfRun(from: number): number {
    const { count, size } = this.#parts.windows;
    const first = this.#at(from);
    let to = from + 1;
    for (let last = first; to < count; to++) {
      const at = this.#at(to);
      const lastPage = Math.floor((last + (size[to - 1] ?? 0) - 1) / pageBytes);
      // A page without a window may not be mapped at all.
      if (Math.floor(at / pageBytes) > lastPage + 1 || at - first > runBytesMax) break;
      last = at;
    }
    return to;
  }

  /** Adds what one window's protocol writes in this phase, but for whole words. */
  #write(program: AgentProgram, index: number, due: readonly (Segment | undefined)[]): void {
    const { windows, codes } = this.#parts;
    const segment = due[codes[index] ?? noProtocol];
    if (segment === undefined) return;
    const at = this.#at(index);
    const windowSize = windows.size[index] ?? 0;
    const bytesAt = index * windowBytesMax;
    for (const { from, size: spanSize, content, single } of segment.writes) {
      const size = spanSize === 0 ? windowSize - from : spanSize;
      if (!single) {
        program.storeBytes(at + from, windows.bytes, bytesAt + from, size);
      } else if (size <= 2) {
        const value = this.#shortValue(content, bytesAt + from, windowSize - from - 2);
        program.store(at + from, size === 1 ? 1 : 2, value);
      }
    }
  }

  /** Two bytes; of one that is stored alone, only the low one counts. */
  #shortValue(content: WindowWrite["content"], bytesAt: number, rest: number): number {
    if (content === "skip") return jumpShort + 256 * rest;
    if (content !== "new") return content;
    const { bytes } = this.#parts.windows;
    return (bytes[bytesAt] ?? 0) + 256 * (bytes[bytesAt + 1] ?? 0);
  }

  /**
   * Adds the stores of whole words. A word has to hold what all of its windows go to, so these are
   * put into `text` (the caller's; it stands at `start`) first.
   */
  #storeWords(
    program: AgentProgram,
    from: number,
    to: number,
    text: Uint8Array,
    start: number,
  ): void {
    const { windows, codes } = this.#parts;
    const store = names.indexOf("store");
    for (let index = from; index < to; index++) {
      const at = this.#at(index) - start;
      const bytesAt = index * windowBytesMax;
      const size = windows.size[index] ?? 0;
      for (let i = 0; i < size; i++) text[at + i] = windows.bytes[bytesAt + i] ?? 0;
    }
    const view = new DataView(text.buffer, text.byteOffset, text.byteLength);
    for (let index = from, last = -1; index < to; index++) {
      const word = (this.#at(index) - start) & ~7;
      if (codes[index] !== store || word === last) continue;
      program.store(start + word, 8, view.getUint32(word, true), view.getUint32(word + 4, true));
      last = word;
    }
  }
}

/**
 * Carries a protocol of `patch/` out on a batch of windows: the steps become programs for the
 * agent. Windows of one batch may follow different protocols; their writes are lined up between
 * the syncs, the last ones together, so that a hundred thousand sites share three syncs.
 */
import { assert } from "../base/assert.ts";
import { distinct } from "../base/columns.ts";
import { AgentProgram } from "../codegen/agent-program.ts";
import type { BackEnd } from "../codegen/back-end.ts";
import { fillersOf } from "../patch/fillers.ts";
import {
  type FirstChange,
  firstChanges,
  liveLiteral,
  type VendorRules,
  type WindowFacts,
} from "../patch/protocols/x86-64-live.ts";
import type { Fillers, InnerStep, Step } from "../patch/steps.ts";
import { type Literals, type Windows, windowBytesMax } from "./text-patch.ts";

/** Windows changed by each protocol, by its name. */
export type ProtocolCounts = Readonly<Record<string, number>>;

/** Programs for the agent, to be run in order; threads are drained between two of them. */
export type TextChange = {
  readonly programs: readonly AgentProgram[];
  readonly counts: ProtocolCounts;
};

/** membarrier(2). */
export const membarrierCommand = { syncCore: 0x20n, registerSyncCore: 0x40n } as const;

const protReadExec = 5n;
const protReadWriteExec = 7n;
/** Text is opened for stores in runs of neighbouring pages, of at most this many bytes. */
const runBytesMax = 2 << 20;
const pageBytes = 4096;

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

/**
 * Steps that have to come behind the writes to code; where an ISA needs them, the back end's
 * `syncCode` does all of them for the pages that were written.
 */
const isMaintenance = ({ op }: Step): boolean =>
  op === "barrier" || op === "clean" || op === "invalidate" || op === "localSync";

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
    } else assert(isMaintenance(step), `the agent can carry out ${step.op}`);
  }
  assert(writes.length === 0, "a protocol ends with a sync");
  return segments;
}

type Due = readonly (Segment | undefined)[];

/** Phase by phase, by protocol: the segment that is its turn then; the last ones come together. */
function phasesOf(protocols: BackEnd["protocols"]): readonly Due[] {
  const segments = Object.values(protocols).map(segmentsOf);
  const phaseCount = Math.max(...segments.map((list) => list.length));
  return Array.from({ length: phaseCount }, (_, phase) =>
    segments.map((list) => list[phase - phaseCount + list.length]),
  );
}

/**
 * Plans the stores of `literals`: whoever reads one has the old or the new.
 * @param mprotect the number of that system call.
 */
export function planLiterals({ count, at, halves }: Literals, mprotect: number): AgentProgram {
  assert(
    liveLiteral.every((step) => step.op === "write" && step.span.in === "literal"),
    "a literal is stored, and that is all",
  );
  const program = new AgentProgram(count * 3 + 1024);
  const pageOf = (index: number): number => Math.floor((at[index] ?? 0) / pageBytes);
  for (let from = 0; from < count; ) {
    let to = from + 1;
    while (to < count && pageOf(to) - pageOf(to - 1) <= 1) to++;
    const start = BigInt(pageOf(from) * pageBytes);
    const length = BigInt((pageOf(to - 1) - pageOf(from) + 1) * pageBytes);
    program.syscall(mprotect, start, length, protReadWriteExec);
    for (let index = from; index < to; index++) {
      program.store(at[index] ?? 0, 8, halves[index * 2] ?? 0, halves[index * 2 + 1] ?? 0);
    }
    program.syscall(mprotect, start, length, protReadExec);
    from = to;
  }
  return program;
}

/** The text as it stands. */
export type TextReader = (address: number, length: number) => Uint8Array;

/** In place of a protocol's number: there is none that holds nobody. */
export const noProtocol = 0xff;

const notAsked = 0xfe;
const two32 = 2 ** 32;
const low32 = (address: number): number => address - Math.floor(address / two32) * two32;

/** Chooses protocols for windows and plans what the agent does. */
export class TextPlanner {
  readonly #backEnd: BackEnd;
  readonly #rules: VendorRules;
  readonly #names: readonly string[];
  readonly #phases: readonly Due[];
  /** Protocols by all that the choice depends on, filled as they are asked for. */
  readonly #choices = new Uint8Array(firstChanges.length << 10).fill(notAsked);

  constructor(backEnd: BackEnd, rules: VendorRules) {
    this.#backEnd = backEnd;
    this.#rules = rules;
    this.#names = Object.keys(backEnd.protocols);
    this.#phases = phasesOf(backEnd.protocols);
  }

  /**
   * The protocol for each window, by its number in here; `noProtocol` where there is none.
   * @param several per window, 1 where it may hold several instructions now.
   * @param firstOf per window, what becomes of its first instruction, where that matters.
   */
  choose(
    { count, at, size, moved }: Pick<Windows, "count" | "at" | "size" | "moved">,
    several: Uint8Array,
    firstOf?: (index: number) => FirstChange,
  ): Uint8Array {
    const codes = new Uint8Array(count);
    for (let index = 0; index < count; index++) {
      codes[index] = this.#chooseOne({
        offset: low32(at[index] ?? 0) & 7,
        size: size[index] ?? 0,
        several: several[index] === 1,
        moved: (moved[index] ?? 0) > 0,
        first: firstOf?.(index) ?? "any",
      });
    }
    return codes;
  }

  #chooseOne(facts: WindowFacts): number {
    const { offset, size, several, moved, first } = facts;
    const window = offset + (several ? 8 : 0) + (moved ? 16 : 0) + size * 32;
    const key = window + (firstChanges.indexOf(first) << 10);
    let choice = this.#choices[key] ?? notAsked;
    if (choice === notAsked) {
      const name = this.#backEnd.chooseProtocol(facts, this.#rules);
      choice = name === undefined ? noProtocol : this.#names.indexOf(name);
      this.#choices[key] = choice;
    }
    return choice;
  }

  /** Whether that is the protocol of a single store. */
  isOneStore(code: number): boolean {
    return this.#names[code] === "store";
  }

  /**
   * Plans the change of `windows` to their bytes.
   * @param codes the protocol of each window, of those that `choose` gives.
   * @param read the text as it stands, for the bytes around windows that are stored as 8.
   */
  plan(windows: Windows, codes: Uint8Array, read: TextReader): TextChange {
    const counts = this.#names.map(() => 0);
    for (const code of codes) {
      assert(code < counts.length, "windows without a protocol are left out");
      counts[code] = (counts[code] ?? 0) + 1;
    }
    const { membarrier } = this.#backEnd.syscalls;
    const store = this.#names.indexOf("store");
    const backEnd = this.#backEnd;
    const plan = new Plan({ windows, codes, read, phases: this.#phases, store, backEnd });
    const wordsExpected = windows.count * 6 + 1024;
    const programs: AgentProgram[] = [];
    let program: AgentProgram | undefined;
    for (const [phase, due] of this.#phases.entries()) {
      const now = due.filter((segment, code) => segment !== undefined && (counts[code] ?? 0) > 0);
      if (now.length === 0) continue;
      if (program === undefined) programs.push((program = new AgentProgram(wordsExpected)));
      plan.emit(program, phase);
      program.syscall(membarrier, membarrierCommand.syncCore, 0n, 0n);
      if (now.some((segment) => segment?.drain)) program = undefined;
    }
    const named = this.#names.map((name, code) => [name, counts[code] ?? 0]);
    return { programs, counts: Object.fromEntries(named) };
  }
}

/** Whether one store of 4 bytes changes it; ISAs whose instructions are longer have none such. */
const isInstructionWord = (at: number, size: number): boolean => size === 4 && at % 4 === 0;

type Parts = {
  readonly windows: Windows;
  /** Number of the protocol for each window. */
  readonly codes: Uint8Array;
  readonly read: TextReader;
  readonly phases: readonly Due[];
  /** Number of the protocol that is one store. */
  readonly store: number;
  readonly backEnd: BackEnd;
};

/** Windows of one protocol among those of one run of pages. */
type Run = { readonly from: number; readonly to: number; readonly code: number };

class Plan {
  readonly #parts: Parts;
  readonly #fillers: Fillers;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#fillers = fillersOf(parts.backEnd.name);
  }

  /** Adds one phase for all windows, page run by page run. */
  emit(program: AgentProgram, phase: number): void {
    const { windows, codes, read, phases, store, backEnd } = this.#parts;
    const { mprotect } = backEnd.syscalls;
    const due = phases[phase] ?? [];
    for (let from = 0; from < windows.count; ) {
      const to = this.#endOfRun(from);
      const start = Math.floor(this.#at(from) / pageBytes) * pageBytes;
      const end = this.#at(to - 1) + (windows.size[to - 1] ?? 0);
      const length = Math.ceil((end - start) / pageBytes) * pageBytes;
      const here = distinct(codes.subarray(from, to));
      if ([...here].some((code) => due[code] !== undefined)) {
        program.syscall(mprotect, BigInt(start), BigInt(length), protReadWriteExec);
        for (const code of here) {
          const run = { from, to, code };
          for (const write of due[code]?.writes ?? []) this.#write(program, run, write);
        }
        // Only a store of 8 bytes takes those around it along.
        if (here.has(store) && phase === phases.length - 1) {
          this.#storeWords(program, from, to, read(start, length), start);
        }
        backEnd.syncCode(program, start, start + length);
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

  /** Adds one write of a protocol for all of its windows in a run; whole words come later. */
  #write(program: AgentProgram, run: Run, write: WindowWrite): void {
    const { windows, codes } = this.#parts;
    const { from, content, single } = write;
    for (let index = run.from; index < run.to; index++) {
      if (codes[index] !== run.code) continue;
      const at = this.#at(index) + from;
      const left = (windows.size[index] ?? 0) - from;
      const size = write.size === 0 ? left : write.size;
      const bytesAt = index * windowBytesMax + from;
      if (!single) {
        program.storeBytes(at, windows.bytes, bytesAt, size);
      } else if (size <= 2) {
        program.store(at, size === 1 ? 1 : 2, this.#shortValue(content, bytesAt, left - 2));
      } else if (isInstructionWord(at, size)) {
        assert(content === "new", "an instruction word gets its new value");
        program.storeBytes(at, windows.bytes, bytesAt, size);
      }
    }
  }

  /** Two bytes; of one that is stored alone, only the low one counts. */
  #shortValue(content: WindowWrite["content"], bytesAt: number, rest: number): number {
    if (content === "skip") {
      const [low = 0, high = 0] = this.#fillers.skip(rest + 2, 2) ?? [];
      assert(low + high > 0, "a jump of two bytes gets to the window's end");
      return low + 256 * high;
    }
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
    const { windows, codes, store } = this.#parts;
    for (let index = from; index < to; index++) {
      const at = this.#at(index) - start;
      const bytesAt = index * windowBytesMax;
      const size = windows.size[index] ?? 0;
      for (let i = 0; i < size; i++) text[at + i] = windows.bytes[bytesAt + i] ?? 0;
    }
    const view = new DataView(text.buffer, text.byteOffset, text.byteLength);
    for (let index = from, last = -1; index < to; index++) {
      const word = (this.#at(index) - start) & ~7;
      const isWord = isInstructionWord(this.#at(index), windows.size[index] ?? 0);
      if (codes[index] !== store || word === last || isWord) continue;
      program.store(start + word, 8, view.getUint32(word, true), view.getUint32(word + 4, true));
      last = word;
    }
  }
}

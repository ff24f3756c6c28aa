/**
 * Walks the stack of a held thread by the frame descriptions of what is mapped, and says which
 * functions it is in. Where no description leads on (generated code, hand-written assembly), the
 * rest of the stack is looked at word by word: whatever could be a return address counts. That
 * can only err to the safe side.
 */
import { type CallFrames, type FrameRegisters, frameRegister } from "../elf/call-frames.ts";
import type { Mapping } from "../os/proc.ts";
import type { RegisterFile, TargetMemory } from "./process.ts";

/** One file's code in the process. */
export type WalkModule = {
  /** Its executable mappings span [start, end). */
  readonly start: bigint;
  readonly end: bigint;
  /** Added to a link address to get the address in the process. */
  readonly bias: bigint;
  readonly path: string;
  readonly frames: CallFrames;
  /** Name of the function at an address of the process; undefined where none is known. */
  readonly nameOf: (address: bigint) => string | undefined;
};

/** Where threads return to through code of ours; see `mirror-repair.ts`. */
export type ReturnHook = {
  /** The function's own return address, where the word at `slot` holds one of ours. */
  readonly original: (slot: bigint, value: bigint) => bigint | undefined;
};

export type Stack = {
  /** Program counters, the innermost first; a caller's is the last byte of its call. */
  readonly frames: readonly bigint[];
  /**
   * Where the descriptions ended: addresses from there to the stack's end that may be return
   * addresses. Absent when the walk came to the outermost frame.
   */
  readonly guesses?: readonly bigint[];
};

/** A thread that keeps to the version that is left, and why. */
export type HeldUp = {
  readonly tid: number;
  readonly name: string;
  /** Functions that it is in, the innermost first. */
  readonly stack: readonly string[];
  /** The function that it has to leave. */
  readonly inside: string;
  /** Its stack could not be followed to the end: what looks like a call in it counts. */
  readonly isGuess: boolean;
};

/** DWARF numbers 0 to 15 of x86-64 in ptrace's names. */
const registerOrder: readonly string[] = [
  "rax",
  "rdx",
  "rcx",
  "rbx",
  "rsi",
  "rdi",
  "rbp",
  "rsp",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
];
const framesMax = 100_000;
/** How much of a stack is looked at word by word, in bytes. */
const guessBytesMax = 8 << 20;
/** A page is mapped as a whole or not at all. */
const chunkBytes = 4096;

/** Words of one stack, read page by page. */
class StackWords {
  readonly #memory: TargetMemory;
  readonly #chunks = new Map<bigint, DataView | undefined>();

  constructor(memory: TargetMemory) {
    this.#memory = memory;
  }

  readonly word = (address: bigint): bigint | undefined => {
    const at = address & ~7n;
    if (at !== address) return this.#read(address);
    const base = address & ~BigInt(chunkBytes - 1);
    if (!this.#chunks.has(base)) this.#chunks.set(base, this.#chunk(base));
    const chunk = this.#chunks.get(base);
    return chunk?.getBigUint64(Number(address - base), true) ?? this.#read(address);
  };

  #chunk(base: bigint): DataView | undefined {
    try {
      return new DataView(this.#memory.read(base, chunkBytes).buffer);
    } catch {
      // Nothing is mapped there.
      return undefined;
    }
  }

  #read(address: bigint): bigint | undefined {
    try {
      return this.#memory.readU64(address);
    } catch {
      return undefined;
    }
  }
}

export class StackWalker {
  readonly #memory: TargetMemory;
  readonly #modules: readonly WalkModule[];
  readonly #maps: readonly Mapping[];
  readonly #hook: ReturnHook | undefined;

  constructor(
    memory: TargetMemory,
    modules: readonly WalkModule[],
    maps: readonly Mapping[],
    hook?: ReturnHook,
  ) {
    this.#memory = memory;
    this.#modules = modules;
    this.#maps = maps;
    this.#hook = hook;
  }

  moduleAt(address: bigint): WalkModule | undefined {
    return this.#modules.find(({ start, end }) => address >= start && address < end);
  }

  /** `function` or an address, for people. */
  describe(address: bigint): string {
    return this.moduleAt(address)?.nameOf(address) ?? `0x${address.toString(16)}`;
  }

  /** @param own the thread's registers. */
  walk(own: RegisterFile): Stack {
    const words = new StackWords(this.#memory);
    let registers: FrameRegisters = [...registerOrder.map((name) => own.get(name)), own.get("rip")];
    let pc = own.get("rip");
    const frames = [pc];
    while (frames.length < framesMax) {
      const module = this.moduleAt(pc);
      const before = registers[frameRegister.rsp] ?? 0n;
      const link = Number(pc - (module?.bias ?? 0n));
      const step = module?.frames.unwind(link, registers, words.word) ?? { kind: "unknown" };
      if (step.kind === "outermost") return { frames };
      if (step.kind === "unknown") return { frames, guesses: this.#guess(before, words) };
      const stack = step.registers[frameRegister.rsp] ?? 0n;
      // Frames lie above each other; a signal's may have been taken on a stack of its own.
      if (stack <= before && !step.interrupted) {
        return { frames, guesses: this.#guess(before, words) };
      }
      let address = step.registers[frameRegister.returnAddress] ?? 0n;
      address = this.#hook?.original(stack - 8n, address) ?? address;
      if (address === 0n) return { frames };
      registers = step.registers.with(frameRegister.returnAddress, address);
      pc = step.interrupted ? address : address - 1n;
      frames.push(pc);
    }
    return { frames, guesses: this.#guess(registers[frameRegister.rsp] ?? 0n, words) };
  }

  /** Whatever may be a return address from `from` to the end of the stack. */
  #guess(from: bigint, words: StackWords): readonly bigint[] {
    const mapping = this.#maps.find(({ start, end }) => from >= start && from < end);
    if (mapping === undefined) return [];
    const start = (from + 7n) & ~7n;
    const end = mapping.end - start > guessBytesMax ? start + BigInt(guessBytesMax) : mapping.end;
    const found: bigint[] = [];
    for (let at = start; at + 8n <= end; at += 8n) {
      const word = words.word(at);
      if (word === undefined || word === 0n) continue;
      const address = this.#hook?.original(at, word) ?? word;
      if (this.moduleAt(address - 1n) !== undefined) found.push(address - 1n);
    }
    return found;
  }
}

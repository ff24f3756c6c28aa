/**
 * Programs of patchers: bound steps cut into what happens at one moment. A store is issued by one
 * instruction and becomes visible by an event of its own, later, in any order that the machine's
 * rules and the program's barriers leave open.
 */
import { assert, ensure } from "../base/assert.ts";
import { type BatchStep, type BoundWrite, describeBatchStep } from "../patch/steps.ts";
import type { Arm } from "./thread/handler.ts";
import { cutStore, findStores, type World } from "./world.ts";

/** Something that takes effect at a moment of its own: a bit of the patcher's pending set. */
export type Event = {
  readonly kind: "store" | "clean" | "invalidate";
  readonly bank: number;
  /** The bank's number of the store. */
  readonly store: number;
  /** Blocks that are cleaned or invalidated. */
  readonly blocks: readonly number[];
  readonly at: bigint;
  readonly size: number;
  readonly bytes: Uint8Array;
  /** Pending bits that have to be gone before it takes effect. */
  readonly after: number;
  readonly bit: number;
};

export type Instruction =
  | { readonly op: "acquire" | "release" }
  /** Issues stores or maintenance: their events become pending. */
  | { readonly op: "issue"; readonly events: readonly number[] }
  /** Waits until pending events are done: stores only, or all. */
  | { readonly op: "settle"; readonly of: "stores" | "all" }
  | { readonly op: "localSync" }
  | { readonly op: "send"; readonly by: "interrupt" | "firmware" }
  | { readonly op: "await" }
  | { readonly op: "mark" | "awaitMarks"; readonly of: "tasks" | "harts" | "window" }
  | { readonly op: "stop" | "resume" }
  | { readonly op: "arm"; readonly arm: number }
  | { readonly op: "disarm"; readonly wait: boolean }
  | { readonly op: "free"; readonly bits: number; readonly names: readonly string[] };

/** One instruction with what the reader of a trace wants to know. */
export type Line = {
  readonly instruction: Instruction;
  readonly text: string;
  /** All harts are held here. */
  readonly stopped: boolean;
  /** Nothing is being changed: the line in front of a change, or behind the last one. */
  readonly between: boolean;
  /** Not a step of the protocol but what the machine or the lock does around it. */
  readonly quiet: boolean;
};

/** A patcher: its lines and the events that they issue. */
export type Program = { readonly lines: readonly Line[]; readonly events: readonly Event[] };

/** Events that can be pending at once: bits of one state word. */
const PENDING_MAX = 16;
const LINE_BYTES = 64n;

/** Something to do, in order: steps of the protocol, or what a history has between its changes. */
export type Task =
  | {
      readonly do: "steps";
      readonly steps: readonly BatchStep[];
      readonly windows: Arm["windows"];
      readonly title: string;
    }
  | { readonly do: "free"; readonly bits: number; readonly names: readonly string[] };

/** Puts programs together; `arms` collects what traps mean, for all programs of a system. */
export class Compiler {
  readonly #world: World;
  readonly #arms: Arm[];
  readonly #firmware: boolean;
  readonly #lines: Line[] = [];
  readonly #events: Event[] = [];
  #stopped = false;
  #between = false;
  /** Index of the first event that may still be pending. */
  #unsettled = 0;

  constructor(world: World, arms: Arm[], firmware: boolean) {
    this.#world = world;
    this.#arms = arms;
    this.#firmware = firmware;
  }

  /** The program of a patcher that does `tasks` under the lock of all patchers. */
  compile(tasks: readonly Task[]): Program {
    this.#add({ op: "acquire" }, "takes the lock", true);
    for (const task of tasks) {
      this.#between = true;
      if (task.do === "free") {
        this.#add(
          { op: "free", bits: task.bits, names: task.names },
          `frees ${task.names.join(", ")}`,
        );
        continue;
      }
      for (const step of task.steps) this.#addStep(step, task);
      // The lock that serialises changes orders them for other harts, too.
      this.#add({ op: "settle", of: "all" }, `${task.title}: done`, true);
    }
    this.#between = true;
    this.#add({ op: "release" }, "drops the lock", true);
    return { lines: this.#lines, events: this.#events };
  }

  /** Steps alone, with no lock around them, settled at the end: a piece of a program. */
  compilePiece(task: Task & { do: "steps" }): Program {
    for (const step of task.steps) this.#addStep(step, task);
    this.#add({ op: "settle", of: "all" }, "settled", true);
    return { lines: this.#lines, events: this.#events };
  }

  #add(instruction: Instruction, text: string, quiet = false): void {
    const [stopped, between] = [this.#stopped, this.#between];
    this.#between = false;
    if (instruction.op === "settle" && instruction.of === "all") {
      this.#unsettled = this.#events.length;
    }
    this.#lines.push({ instruction, text, stopped, between, quiet });
  }

  #addStep(step: BatchStep, task: Task & { do: "steps" }): void {
    const text = describeBatchStep(step);
    switch (step.op) {
      case "write": {
        const first = this.#events.length;
        const events = step.writes.flatMap((write) => this.#storeEvents(write, step.store, first));
        if (this.#world.machine.fetch === "stale") this.#add({ op: "issue", events }, text);
        // Without a store buffer the stores of one step are still one after the other.
        else for (const event of events) this.#add({ op: "issue", events: [event] }, text);
        return;
      }
      case "clean":
      case "invalidate": {
        if (this.#world.machine.caches === undefined) return;
        const first = this.#events.length;
        const events = step.lines.flatMap(({ at, size }) =>
          linesOf(at, size).map((line) => this.#maintenanceEvent(step.op, line, first)),
        );
        this.#add({ op: "issue", events }, text);
        return;
      }
      case "barrier":
        this.#add({ op: "settle", of: step.of }, text);
        return;
      case "localSync":
        this.#add({ op: "localSync" }, text);
        return;
      case "sync": {
        const firmware = step.by === "firmware" || (this.#firmware && step.by === "interrupt");
        // membarrier is a full barrier by itself (membarrier(2)); so is an interrupt on some ISAs.
        if (step.by === "membarrier" || this.#world.machine.syncDrains) {
          this.#add({ op: "settle", of: "all" }, `${text}: stores first`, true);
        }
        this.#add({ op: "send", by: firmware ? "firmware" : "interrupt" }, text);
        if (step.wait) this.#add({ op: "await" }, `${text}: all harts answered`);
        return;
      }
      case "drain":
        this.#wait("window", text);
        return;
      case "quiesce":
        this.#wait(step.of, text);
        return;
      case "stop":
        this.#addStop(step.steps, task);
        return;
      case "trap":
        this.#arms.push({ meanwhile: step.meanwhile, windows: task.windows });
        this.#add({ op: "arm", arm: this.#arms.length }, text);
        return;
      case "untrap":
        this.#add({ op: "disarm", wait: step.wait }, text);
        return;
      default:
        step satisfies never;
    }
  }

  #addStop(steps: readonly BatchStep[], task: Task & { do: "steps" }): void {
    this.#add({ op: "settle", of: "all" }, "stop: stores first", true);
    this.#add({ op: "stop" }, "stops all harts");
    this.#stopped = true;
    for (const step of steps) this.#addStep(step, task);
    this.#add({ op: "settle", of: "all" }, "stop: stores done", true);
    this.#add({ op: "resume" }, "all harts synchronise and go on");
    this.#stopped = false;
  }

  #wait(of: "tasks" | "harts" | "window", text: string): void {
    // Waiting for others goes through the scheduler, which orders everything before it.
    this.#add({ op: "settle", of: "all" }, `${text}: stores first`, true);
    this.#add({ op: "mark", of }, `${text}: begins`);
    this.#add({ op: "awaitMarks", of }, `${text}: over`);
  }

  #storeEvents(write: BoundWrite, how: "single" | "pieces", stepFirst: number): number[] {
    return cutStore(this.#world, write.at, write.bytes, how).map((piece) => {
      const bank = ensure(this.#world.banks[piece.bank], "bank");
      const from = Number(piece.at - write.at);
      return this.#addEvent(
        {
          kind: "store",
          bank: piece.bank,
          store: bank.addStore(piece.stores),
          blocks: piece.stores.map((s) => s.block),
          at: piece.at,
          size: piece.size,
          bytes: write.bytes.slice(from, from + piece.size),
        },
        stepFirst,
      );
    });
  }

  /** Maintenance acts on a whole line, so on every block of the bank in it. */
  #maintenanceEvent(
    kind: "clean" | "invalidate",
    line: { readonly at: bigint; readonly size: number },
    stepFirst: number,
  ): number {
    const { at, size } = line;
    const { bank } = findStores(this.#world, at, new Uint8Array(size));
    const memory = ensure(this.#world.banks[bank], "bank");
    const blocks = [...memory.blocks.keys()].filter((i) => {
      const block = ensure(memory.blocks[i], "block");
      return block.at / LINE_BYTES === at / LINE_BYTES;
    });
    const event = { kind, bank, store: -1, blocks, at, size, bytes: new Uint8Array(0) };
    return this.#addEvent(event, stepFirst);
  }

  #addEvent(event: Omit<Event, "after" | "bit">, stepFirst: number): number {
    const index = this.#events.length;
    const bit = index % PENDING_MAX;
    let after = 0;
    for (let i = this.#unsettled; i < index; i++) {
      const earlier = ensure(this.#events[i], "event");
      if (this.#isOrdered(earlier, event, i >= stepFirst)) after |= 1 << earlier.bit;
    }
    this.#events.push({ ...event, after, bit });
    return index;
  }

  /** Whether the machine makes `earlier` take effect before `later`, with no barrier between. */
  #isOrdered(earlier: Event, later: Omit<Event, "after" | "bit">, sameStep: boolean): boolean {
    if (this.#world.machine.storeOrder === "program") return !sameStep;
    if (later.kind === "invalidate") return false;
    const sameLine = earlier.at / LINE_BYTES === later.at / LINE_BYTES;
    // Arm ARM, "ordering of cache maintenance": by address, after earlier accesses to the line.
    if (later.kind === "clean") return earlier.kind !== "invalidate" && sameLine;
    if (earlier.kind !== "store" || earlier.bank !== later.bank) return false;
    return (
      earlier.at < later.at + BigInt(later.size) && later.at < earlier.at + BigInt(earlier.size)
    );
  }
}

/** The parts of a span in each cache line that it touches. */
function linesOf(at: bigint, size: number): { at: bigint; size: number }[] {
  const parts: { at: bigint; size: number }[] = [];
  const end = at + BigInt(size);
  for (let from = at; from < end; ) {
    const next = (from / LINE_BYTES + 1n) * LINE_BYTES;
    const to = next < end ? next : end;
    parts.push({ at: from, size: Number(to - from) });
    from = to;
  }
  return parts;
}

/** Asserts that a program never needs a pending bit that is still in use. */
export function checkPending(program: Program): void {
  let issued = 0;
  for (const { instruction } of program.lines) {
    if (instruction.op === "settle" && instruction.of === "all") issued = 0;
    if (instruction.op === "issue") issued += instruction.events.length;
    assert(issued <= PENDING_MAX, "too many stores without a barrier between them");
  }
}

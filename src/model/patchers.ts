/** The patchers' side of a system: when a line can be carried out, and what it changes. */
import { assert, ensure, unreachable } from "../base/assert.ts";
import type { Event, Instruction, Line, Program } from "./program.ts";
import { F, hasFlag, OFF, PATCHER_HART, setFlag, W, wordOf } from "./state.ts";
import type { Locals } from "./thread/locals.ts";
import { markBit } from "./violations.ts";
import type { World } from "./world.ts";

export type PatchersOptions = {
  /** Harts that the thread can run on. */
  readonly harts: number;
  readonly preemption: boolean;
  readonly idleLoop: boolean;
  /** The trap handler runs with interrupts off. */
  readonly maskedHandler: boolean;
};

export class Patchers {
  readonly programs: readonly Program[];
  /** First word of the banks. */
  readonly bankAt: number;
  readonly #world: World;
  readonly #locals: Locals;
  readonly #options: PatchersOptions;
  readonly #inside: boolean[] = [];
  readonly #masked: boolean[] = [];
  /** Per program: the event with pending bit `b` in front of line `p`, at 16 * p + b. */
  readonly #eventsAt: readonly (readonly (Event | undefined)[])[];

  constructor(
    world: World,
    locals: Locals,
    programs: readonly Program[],
    options: PatchersOptions,
  ) {
    this.#world = world;
    this.#locals = locals;
    this.programs = programs;
    this.#options = options;
    this.bankAt = W.patchers + 2 * programs.length;
    this.#eventsAt = programs.map(latestEvents);
  }

  position(state: Int32Array, patcher: number): number {
    return wordOf(state, W.patchers + 2 * patcher);
  }

  pending(state: Int32Array, patcher: number): number {
    return wordOf(state, W.patchers + 2 * patcher + 1);
  }

  /** The line that comes next; `undefined` at the end. */
  line(state: Int32Array, patcher: number): Line | undefined {
    return ensure(this.programs[patcher], "program").lines[this.position(state, patcher)];
  }

  /** All of them are at their ends, and everything they did has taken effect. */
  areDone(state: Int32Array): boolean {
    return this.programs.every(
      (_, p) => this.line(state, p) === undefined && this.pending(state, p) === 0,
    );
  }

  /** Nobody is changing anything: what was changed has taken effect. */
  isQuiet(state: Int32Array): boolean {
    for (let p = 0; p < this.programs.length; p++) {
      if (this.line(state, p)?.between === false || this.pending(state, p) !== 0) return false;
    }
    return true;
  }

  isStopped(state: Int32Array): boolean {
    for (let p = 0; p < this.programs.length; p++) {
      if (this.line(state, p)?.stopped === true) return true;
    }
    return false;
  }

  isInside(local: number): boolean {
    return (this.#inside[local] ??= this.#locals.isInside(local));
  }

  isMasked(local: number): boolean {
    return (this.#masked[local] ??=
      this.#options.maskedHandler && this.#locals.get(local).at === "handler");
  }

  /** The event behind a pending bit. */
  event(state: Int32Array, patcher: number, bit: number): Event {
    const events = ensure(this.#eventsAt[patcher], "program");
    return ensure(events[16 * this.position(state, patcher) + bit], "a pending event");
  }

  isReady(state: Int32Array, patcher: number, instruction: Instruction): boolean {
    switch (instruction.op) {
      case "acquire":
        return this.programs.every(
          (_, p) =>
            p === patcher || this.position(state, p) === 0 || this.line(state, p) === undefined,
        );
      case "settle":
        return (
          (this.pending(state, patcher) & this.#waitedFor(state, patcher, instruction.of)) === 0
        );
      case "send":
      case "await":
        // One sync at a time: a second one would be merged with the first.
        return !hasFlag(state, F.interrupts | F.firmwares);
      case "awaitMarks":
        return !hasFlag(
          state,
          instruction.of === "harts" ? F.markedHarts : F.markedThread | F.markedNested,
        );
      case "stop":
        return this.#canStop(state);
      case "disarm":
        return !instruction.wait || !this.#inHandler(state);
      default:
        return true;
    }
  }

  #inHandler(state: Int32Array): boolean {
    const isHandler = (id: number): boolean => this.#locals.get(id).at === "handler";
    return isHandler(wordOf(state, W.thread)) || isHandler(wordOf(state, W.nested));
  }

  /** Pending bits that a barrier waits for. */
  #waitedFor(state: Int32Array, patcher: number, of: "stores" | "all"): number {
    if (of === "all") return 0xffff;
    const pending = this.pending(state, patcher);
    let bits = 0;
    for (let bit = 0; bit < 16; bit++) {
      if ((pending & (1 << bit)) === 0) continue;
      if (this.event(state, patcher, bit).kind === "store") bits |= 1 << bit;
    }
    return bits;
  }

  /**
   * A kernel stops a hart where it can switch threads: between any two instructions, or outside.
   */
  #canStop(state: Int32Array): boolean {
    const thread = wordOf(state, W.thread);
    if (wordOf(state, W.nested) !== this.#locals.outside || this.isMasked(thread)) return false;
    if (wordOf(state, W.threadHart) === OFF || thread === this.#locals.outside) return true;
    return this.#options.preemption && !this.#options.idleLoop;
  }

  /** Carries out the next line; returns marks. */
  carryOut(state: Int32Array, patcher: number): number {
    const { instruction } = ensure(this.line(state, patcher), "line");
    const marks = this.#perform(state, instruction);
    state[W.patchers + 2 * patcher] = this.position(state, patcher) + 1;
    // Stores are visible at once on a machine that knows no others; their bits are of this line.
    if (instruction.op === "issue") this.#issue(state, patcher, instruction.events);
    return this.line(state, patcher) === undefined ? marks | markBit("finished") : marks;
  }

  #issue(state: Int32Array, patcher: number, events: readonly number[]): void {
    const at = W.patchers + 2 * patcher + 1;
    for (const index of events) {
      const { bit } = ensure(this.programs[patcher]?.events[index], "event");
      assert((wordOf(state, at) & (1 << bit)) === 0, "a pending bit in use");
      state[at] = wordOf(state, at) | (1 << bit);
      if (this.#world.machine.fetch === "now") this.takeEffect(state, patcher, bit);
    }
  }

  #perform(state: Int32Array, instruction: Instruction): number {
    switch (instruction.op) {
      case "acquire":
      case "release":
      case "settle":
      case "await":
      case "issue":
        return 0;
      case "localSync":
        this.#syncOwn(state);
        return 0;
      case "send":
        this.#syncOwn(state);
        setFlag(state, instruction.by === "firmware" ? F.firmware : F.interrupt);
        return 0;
      case "mark":
        return this.#beginWait(state, instruction.of);
      case "awaitMarks":
        this.#endWait(state, instruction.of);
        return 0;
      case "stop":
        return this.isInside(wordOf(state, W.thread)) ? markBit("stopped-inside") : 0;
      case "resume":
        for (let hart = 0; hart < this.#options.harts; hart++) this.sync(state, hart);
        return 0;
      case "arm":
        state[W.armed] = instruction.arm;
        return 0;
      case "disarm":
        state[W.armed] = 0;
        return 0;
      case "free":
        state[W.freed] = wordOf(state, W.freed) | instruction.bits;
        return markBit("freed");
      default:
        return unreachable(instruction);
    }
  }

  /** A pending event takes effect. */
  takeEffect(state: Int32Array, patcher: number, bit: number): void {
    const event = this.event(state, patcher, bit);
    const pendingAt = W.patchers + 2 * patcher + 1;
    state[pendingAt] = wordOf(state, pendingAt) & ~(1 << bit);
    const bank = ensure(this.#world.banks[event.bank], "bank");
    const at = this.bankAt + event.bank;
    if (event.kind === "store") {
      state[at] = bank.store(wordOf(state, at), event.store);
      return;
    }
    for (const block of event.blocks) state[at] = bank[event.kind](wordOf(state, at), block);
  }

  /** Every bank's fetches of `hart` forget what is old. */
  sync(state: Int32Array, hart: number): void {
    const { banks } = this.#world;
    for (let b = 0; b < banks.length; b++) {
      const at = this.bankAt + b;
      state[at] = ensure(banks[b], "bank").sync(wordOf(state, at), hart);
    }
  }

  #syncOwn(state: Int32Array): void {
    if (this.#options.harts > PATCHER_HART) this.sync(state, PATCHER_HART);
  }

  #beginWait(state: Int32Array, of: "tasks" | "harts" | "window"): number {
    const before = wordOf(state, W.flags);
    const thread = wordOf(state, W.thread);
    const nested = wordOf(state, W.nested);
    const hart = wordOf(state, W.threadHart);
    const isBusy = (id: number): boolean =>
      of === "window" ? this.isInside(id) : id !== this.#locals.outside;
    if (of === "harts") {
      if (hart !== OFF && isBusy(thread)) setFlag(state, F.markedHart << hart);
      if (isBusy(nested)) setFlag(state, F.markedHart);
    } else {
      const isTask = !(of === "tasks" && this.#options.idleLoop);
      if (isBusy(thread) && isTask) setFlag(state, F.markedThread);
      if (isBusy(nested)) setFlag(state, F.markedNested);
    }
    return before === wordOf(state, W.flags) ? 0 : markBit("waited");
  }

  /** Whoever was waited for has gone through the scheduler, which is a full barrier. */
  #endWait(state: Int32Array, of: "tasks" | "harts" | "window"): void {
    if (of === "window" || (of === "tasks" && this.#options.idleLoop)) return;
    for (let hart = 0; hart < this.#options.harts; hart++) this.orderLoads(state, hart);
  }

  /**
   * What calls the function while a grace period is on sees all that was stored before it began.
   */
  orderLoadsInGrace(state: Int32Array, hart: number): void {
    for (let p = 0; p < this.programs.length; p++) {
      const instruction = this.line(state, p)?.instruction;
      if (instruction?.op !== "awaitMarks" || instruction.of === "window") continue;
      if (!(instruction.of === "tasks" && this.#options.idleLoop)) this.orderLoads(state, hart);
    }
  }

  /** A full barrier on `hart`: its loads are not older than this, its fetches may be. */
  orderLoads(state: Int32Array, hart: number): void {
    for (const [b, bank] of this.#world.banks.entries()) {
      if (bank.use === "code") continue;
      const at = this.bankAt + b;
      state[at] = bank.sync(wordOf(state, at), hart);
    }
  }

  /** Whether a thread is where the wait in progress wants to see it. */
  hasLeft(state: Int32Array, local: number): boolean {
    for (let p = 0; p < this.programs.length; p++) {
      const instruction = this.line(state, p)?.instruction;
      if (instruction?.op === "awaitMarks" && instruction.of === "window") {
        return !this.isInside(local);
      }
    }
    return local === this.#locals.outside;
  }
}

/** For every position, the last event issued before it of each pending bit. */
function latestEvents(program: Program): readonly (Event | undefined)[] {
  const table: (Event | undefined)[] = [];
  const latest: (Event | undefined)[] = Array.from({ length: 16 }, () => undefined);
  for (const { instruction } of program.lines) {
    table.push(...latest);
    if (instruction.op !== "issue") continue;
    for (const index of instruction.events) {
      const event = ensure(program.events[index], "event");
      latest[event.bit] = event;
    }
  }
  table.push(...latest);
  return table;
}

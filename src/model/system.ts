/**
 * The transition system of a check: patchers that carry out their programs, a thread that calls the
 * patched function again and again, a nested handler that does the same on top of it, and harts
 * that fetch what the machine allows. One small thing happens at a time, in every possible order.
 *
 * One thread is enough: threads change nothing that others read, so a fault of one of several
 * threads is a fault that it has alone, with the others only making the patcher wait.
 */
import { ensure } from "../base/assert.ts";
import type { Adversity } from "../patch/verdicts.ts";
import { type Model, type StepResult, stepResult } from "./explorer.ts";
import { PairMap } from "./pair-map.ts";
import { Patchers } from "./patchers.ts";
import type { Program } from "./program.ts";
import {
  A,
  actionCode,
  clearFlag,
  F,
  hasFlag,
  NESTED,
  OFF,
  PATCHER_HART,
  readAction,
  THREAD,
  W,
  wordOf,
} from "./state.ts";
import type { Locals, Move } from "./thread/locals.ts";
import { codeOf, type MarkName, markBit } from "./violations.ts";
import type { World } from "./world.ts";

export type SystemOptions = {
  readonly adversities: ReadonlySet<Adversity>;
  /** The trap handler runs with interrupts off. */
  readonly maskedHandler: boolean;
  /** Count the syncs that hart 0 answers (for the table of orders of P5). */
  readonly countSyncs: boolean;
};

const READS_NOTHING = -1;
const READS_TRAP = -2;
const staleFetch = markBit("stale-fetch");
const markIf = (when: boolean, name: MarkName): number => (when ? markBit(name) : 0);

export class System implements Model {
  readonly width: number;
  readonly world: World;
  readonly locals: Locals;
  readonly patchers: Patchers;
  /** Harts that the thread can run on; 0 is where it begins. */
  readonly harts: number;
  readonly #memo = new PairMap();
  readonly #reads: number[] = [];
  readonly #moveLists: (readonly Move[])[] = [];
  readonly #preemption: boolean;
  readonly #nmi: boolean;
  readonly #interrupts: boolean;
  readonly #countSyncs: boolean;

  constructor(world: World, locals: Locals, programs: readonly Program[], options: SystemOptions) {
    const { adversities, maskedHandler } = options;
    const idleLoop = adversities.has("idle-loop");
    const preemption = adversities.has("preemption");
    this.world = world;
    this.locals = locals;
    this.harts = preemption ? 2 : 1;
    const harts = this.harts;
    this.patchers = new Patchers(world, locals, programs, {
      harts,
      preemption,
      idleLoop,
      maskedHandler,
    });
    this.width = this.patchers.bankAt + world.banks.length;
    this.#preemption = preemption && !idleLoop;
    this.#nmi = adversities.has("nmi");
    this.#interrupts = adversities.has("interrupts");
    this.#countSyncs = options.countSyncs;
  }

  initial(): readonly Int32Array[] {
    return [new Int32Array(this.width)];
  }

  withinBounds(): boolean {
    return true;
  }

  isGoal(state: Int32Array): boolean {
    if (wordOf(state, W.thread) !== this.locals.outside) return false;
    if (wordOf(state, W.nested) !== this.locals.outside) return false;
    return !hasFlag(state, F.interrupts | F.firmwares) && this.patchers.areDone(state);
  }

  /** State of bank `bank` in `state`. */
  bankState(state: Int32Array, bank: number): number {
    return wordOf(state, this.patchers.bankAt + bank);
  }

  /** What a move is, to people. */
  describeMove(state: Int32Array, who: number, index: number): string {
    const local = wordOf(state, who === THREAD ? W.thread : W.nested);
    const hart = who === THREAD ? wordOf(state, W.threadHart) : 0;
    return ensure(this.#movesOf(state, local, hart)[index], "move").text;
  }

  // ------------------------------------------------------------------------------- actions

  actions(state: Int32Array, out: Int32Array): number {
    let count = this.#patcherActions(state, out);
    const thread = wordOf(state, W.thread);
    const hart = wordOf(state, W.threadHart);
    const nested = wordOf(state, W.nested);
    const stopped = this.patchers.isStopped(state);
    const isNested = nested !== this.locals.outside;
    if (isNested) {
      const moves = this.#movesOf(state, nested, 0).length;
      for (let i = 0; i < moves; i++) out[count++] = actionCode(A.move, NESTED, i);
    } else if (this.#canNest(stopped, thread, hart)) {
      for (let site = 0; site < this.world.sites.length; site++) {
        out[count++] = actionCode(A.interrupt, 0, site);
      }
    }
    if (stopped) return count;
    const isCovered = isNested && hart === 0;
    if (hart !== OFF && !isCovered) {
      const moves = this.#movesOf(state, thread, hart).length;
      for (let i = 0; i < moves; i++) out[count++] = actionCode(A.move, THREAD, i);
    }
    if (this.#preemption) {
      if (hart !== OFF) {
        const canSwitch = !isCovered && !this.patchers.isMasked(thread);
        if (canSwitch) out[count++] = actionCode(A.preempt, 0, 0);
      } else {
        for (let h = isNested ? 1 : 0; h < this.harts; h++) {
          out[count++] = actionCode(A.resume, 0, h);
        }
      }
    }
    return this.#answers(state, out, count);
  }

  /** Whether an interrupt that calls a traced function can come to hart 0 now. */
  #canNest(stopped: boolean, thread: number, hart: number): boolean {
    if (this.#nmi) return true;
    if (!this.#interrupts || stopped) return false;
    return hart !== 0 || !this.patchers.isMasked(thread);
  }

  /** Harts that take a sync now. Firmware asks nobody; an interrupt waits until it is let in. */
  #answers(state: Int32Array, out: Int32Array, from: number): number {
    let count = from;
    if (!hasFlag(state, F.interrupts | F.firmwares)) return count;
    const thread = wordOf(state, W.thread);
    const hart = wordOf(state, W.threadHart);
    for (let h = 0; h < this.harts; h++) {
      if (hasFlag(state, F.firmware << h)) out[count++] = actionCode(A.firmware, h, 0);
      if (!hasFlag(state, F.interrupt << h)) continue;
      const isNested = h === 0 && wordOf(state, W.nested) !== this.locals.outside;
      const isMasked = h === hart && this.patchers.isMasked(thread);
      if (!isNested && !isMasked) out[count++] = actionCode(A.answer, h, 0);
    }
    return count;
  }

  #patcherActions(state: Int32Array, out: Int32Array): number {
    const { patchers } = this;
    let count = 0;
    // While the thread has the patcher's hart, the patcher is off it; it comes back by preemption.
    const running = wordOf(state, W.threadHart) !== PATCHER_HART;
    for (let p = 0; p < patchers.programs.length; p++) {
      const line = running ? patchers.line(state, p) : undefined;
      if (line !== undefined && patchers.isReady(state, p, line.instruction)) {
        out[count++] = actionCode(A.patcher, p, 0);
      }
      const pending = patchers.pending(state, p);
      for (let rest = pending; rest !== 0; ) {
        const bit = 31 - Math.clz32(rest);
        rest &= ~(1 << bit);
        const { after } = patchers.event(state, p, bit);
        if ((after & pending) === 0) out[count++] = actionCode(A.event, p, bit);
      }
    }
    return count;
  }

  /** The bank that a local state reads before it moves, or one of the `READS_` numbers. */
  #readsOf(local: number): number {
    const known = this.#reads[local];
    if (known !== undefined) return known;
    const reading = this.locals.reading(local);
    const reads =
      reading.of === "bank" ? reading.bank : reading.of === "trap" ? READS_TRAP : READS_NOTHING;
    this.#reads[local] = reads;
    return reads;
  }

  #movesOf(state: Int32Array, local: number, hart: number): readonly Move[] {
    const reads = this.#readsOf(local);
    let value = 0;
    if (reads >= 0) value = this.bankState(state, reads);
    else if (reads === READS_TRAP) value = wordOf(state, W.armed);
    const answered = this.#countSyncs ? wordOf(state, W.answered) : 0;
    const a = (local << 3) | hart;
    const b = (value << 4) | answered;
    const known = this.#memo.get(a, b);
    if (known >= 0) return ensure(this.#moveLists[known], "moves");
    const moves = this.locals.moves(local, hart, value, answered);
    this.#memo.add(a, b, this.#moveLists.push(moves) - 1);
    return moves;
  }

  // ---------------------------------------------------------------------------------- step

  step(state: Int32Array, code: number, next: Int32Array): StepResult {
    for (let i = 0; i < this.width; i++) next[i] = wordOf(state, i);
    const { kind, who, what } = readAction(code);
    switch (kind) {
      case A.patcher:
        return stepResult(0, this.patchers.carryOut(next, who));
      case A.event:
        this.patchers.takeEffect(next, who, what);
        return 0;
      case A.move:
        return this.#move(next, who, what);
      case A.answer:
        return stepResult(0, this.#answer(next, who));
      case A.firmware:
        clearFlag(next, F.firmware << who);
        this.patchers.sync(next, who);
        return stepResult(0, markIf(this.#isInsideOn(next, who), "synced-inside"));
      case A.preempt:
        return stepResult(0, this.#preempt(next));
      case A.resume:
        return stepResult(0, this.#resume(next, what));
      case A.interrupt:
        next[W.nested] = this.locals.enter(what);
        this.#syncIfTrap(next, 0);
        this.patchers.orderLoadsInGrace(next, 0);
        return stepResult(0, markBit("nested"));
      default:
        throw new Error(`assertion failed: action ${code}`);
    }
  }

  #isInsideOn(state: Int32Array, hart: number): boolean {
    return wordOf(state, W.threadHart) === hart && this.patchers.isInside(wordOf(state, W.thread));
  }

  /** Entering and leaving exceptions synchronises on some machines. */
  #syncIfTrap(state: Int32Array, hart: number): void {
    if (this.world.machine.trapSyncs) this.patchers.sync(state, hart);
  }

  #move(state: Int32Array, who: number, index: number): StepResult {
    const { outside } = this.locals;
    const at = who === THREAD ? W.thread : W.nested;
    const hart = who === THREAD ? wordOf(state, W.threadHart) : 0;
    const local = wordOf(state, at);
    const move = ensure(this.#movesOf(state, local, hart)[index], "move");
    let { marks } = move;
    if (move.violation !== 0) return stepResult(move.violation, marks);
    const freed = wordOf(state, W.freed);
    if ((freed & move.uses) !== 0) return stepResult(codeOf("use-after-free"), marks);
    if (local === outside) {
      marks |= markIf(freed !== 0, "called-after-free");
      this.patchers.orderLoadsInGrace(state, hart);
    }
    const isLate = (marks & staleFetch) !== 0 && this.patchers.isQuiet(state);
    marks |= markIf(isLate, "late");
    const reads = this.#readsOf(local);
    if (reads >= 0) state[this.patchers.bankAt + reads] = move.bank;
    state[at] = move.next;
    if (move.syncs) this.patchers.sync(state, hart);
    this.#unmark(state, who);
    if (move.next === outside) {
      if (who === NESTED) marks |= this.#endNested(state);
      else if (hart !== 0 || wordOf(state, W.nested) === outside) this.#switchHart(state, hart);
    }
    return stepResult(0, marks);
  }

  /** Takes a thread off the list of those that a grace period or a drain waits for. */
  #unmark(state: Int32Array, who: number): void {
    const bit = who === THREAD ? F.markedThread : F.markedNested;
    if (!hasFlag(state, bit)) return;
    const local = wordOf(state, who === THREAD ? W.thread : W.nested);
    if (this.patchers.hasLeft(state, local)) clearFlag(state, bit);
  }

  /** The hart has switched threads, or could have. */
  #switchHart(state: Int32Array, hart: number): void {
    clearFlag(state, F.markedHart << hart);
  }

  /** The nested handler returns to what it interrupted. */
  #endNested(state: Int32Array): number {
    this.#syncIfTrap(state, 0);
    const isThreadHere = wordOf(state, W.threadHart) === 0;
    if (!isThreadHere || wordOf(state, W.thread) === this.locals.outside) {
      this.#switchHart(state, 0);
    }
    const rule = this.world.design.trapReturn;
    if (!isThreadHere || (this.#nmi && rule?.nmi === false)) return 0;
    return this.#trapReturn(state);
  }

  #trapReturn(state: Int32Array): number {
    const before = wordOf(state, W.thread);
    const after = this.locals.afterTrapReturn(before, (bank) => this.bankState(state, bank));
    if (after === before) return 0;
    state[W.thread] = after;
    this.#unmark(state, THREAD);
    return markBit("replayed");
  }

  #answer(state: Int32Array, hart: number): number {
    clearFlag(state, F.interrupt << hart);
    this.patchers.sync(state, hart);
    if (this.#countSyncs) state[W.answered] = wordOf(state, W.answered) + 1;
    if (hart !== wordOf(state, W.threadHart)) return 0;
    const inside = markIf(this.#isInsideOn(state, hart), "synced-inside");
    return inside | this.#trapReturn(state);
  }

  #preempt(state: Int32Array): number {
    const hart = wordOf(state, W.threadHart);
    const inside = markIf(this.#isInsideOn(state, hart), "preempted-inside");
    state[W.threadHart] = OFF;
    this.#syncIfTrap(state, hart);
    if (hart !== 0 || wordOf(state, W.nested) === this.locals.outside) {
      this.#switchHart(state, hart);
    }
    return inside;
  }

  #resume(state: Int32Array, hart: number): number {
    state[W.threadHart] = hart;
    this.#syncIfTrap(state, hart);
    // Switching threads is a full barrier: what a thread loads does not go back in time with it.
    this.patchers.orderLoads(state, hart);
    return markIf(hart === PATCHER_HART, "migrated") | this.#trapReturn(state);
  }
}

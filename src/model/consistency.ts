/**
 * Checks the protocols of `patch/protocols/consistency.ts`: every interleaving of a patcher with
 * threads that call a function which calls another, both of which change. Threads are born at any
 * moment. A stub takes three steps: a look at the list, a look at the mode, the jump.
 *
 *     idle ─► stub of f ─► f ⇄ stub of g ─► g          (and back: each returns to its caller)
 */
import { unreachable } from "../base/assert.ts";
import {
  type SwitchCheck,
  type SwitchProtocol,
  type SwitchStep,
  type SwitchVerdict,
  switchChecks,
  type Version,
} from "../patch/protocols/consistency.ts";
import type { Computation } from "./arithmetic.ts";
import { explore, type Model, type StepResult, stepResult } from "./explorer.ts";

const threadCount = 3;
const statesMax = 2_000_000;

/** Words of a state. */
const word = { mode: 0, armed: 1, list: 2, held: 3, born: 4, step: 5, threads: 6 } as const;

/** Where a thread is. */
const at = { idle: 0, stubF: 1, f: 4, stubG: 5, g: 8 } as const;
/** Steps of a stub: before the list, before the mode, before the jump. */
const stubSteps = 3;

/** A thread's word: place, version of f, version of g or the one that a stub has picked, listed. */
type Thread = { place: number; f: number; picked: number; listed: number };
const unpack = (value: number): Thread => ({
  place: value & 15,
  f: (value >> 4) & 1,
  picked: (value >> 5) & 1,
  listed: (value >> 6) & 1,
});
const pack = ({ place, f, picked, listed }: Thread): number =>
  place | (f << 4) | (picked << 5) | (listed << 6);

const violations: readonly SwitchVerdict[] = ["safe", "mixed-versions", "late-version"];
const mixed = 1;
const late = 2;

const numberOf = (version: Version): number => (version === "new" ? 1 : 0);
const isInStub = ({ place }: Thread): boolean =>
  (place >= at.stubF && place < at.f) || (place >= at.stubG && place < at.g);

/** Whether a function of `version` is on the thread's stack. */
const isInside = (thread: Thread, version: number): boolean =>
  (thread.place >= at.f && thread.f === version) ||
  (thread.place === at.g && thread.picked === version);

class SwitchModel implements Model {
  readonly width: number = word.threads + threadCount;
  readonly #steps: readonly SwitchStep[];
  /** What calls have to run once all is done. */
  readonly #final: number;

  constructor({ steps }: SwitchProtocol) {
    this.#steps = steps;
    const turns = steps.flatMap((step) => (step.kind === "turn" ? step.to : []));
    this.#final = numberOf(turns.at(-1) ?? "old");
  }

  initial(): readonly Int32Array[] {
    const state = new Int32Array(this.width);
    state[word.born] = 3;
    return [state];
  }

  /** Actions: a thread's two ways on (2 each), births, the patcher's step. */
  actions(state: Int32Array, out: Int32Array): number {
    let count = 0;
    for (let index = 0; index < threadCount; index++) {
      const bit = 1 << index;
      const isBorn = ((state[word.born] ?? 0) & bit) !== 0;
      const isFree = ((state[word.held] ?? 0) & bit) === 0;
      if (!isBorn || !isFree) continue;
      out[count++] = index * 2;
      // f may call g again, or return.
      if (unpack(state[word.threads + index] ?? 0).place === at.f) out[count++] = index * 2 + 1;
    }
    // Thread 0 makes the last one.
    const isAlone = ((state[word.born] ?? 0) & 4) === 0 && ((state[word.held] ?? 0) & 1) === 0;
    if (isAlone) out[count++] = 100;
    const step = this.#steps[(state[word.step] ?? 0) >> 4];
    if (step !== undefined) out[count++] = 200;
    return count;
  }

  step(state: Int32Array, action: number, next: Int32Array): StepResult {
    next.set(state);
    if (action === 100) {
      next[word.born] = 7;
      return stepResult(0, 0);
    }
    if (action === 200) {
      this.#patch(next);
      return stepResult(0, 0);
    }
    return stepResult(this.#move(next, action >> 1, (action & 1) === 1), 0);
  }

  /** One step of a thread; the violation that it is. */
  #move(state: Int32Array, index: number, returns: boolean): number {
    const thread = unpack(state[word.threads + index] ?? 0);
    let violation = 0;
    const enter = (): void => {
      const isDone = (state[word.step] ?? 0) >> 4 >= this.#steps.length;
      // An entry that is not armed is the old function itself.
      thread.picked = 0;
      thread.listed = isDone ? 1 : 0;
    };
    if (thread.place === at.idle) {
      enter();
      thread.place = state[word.armed] === 0 ? at.f : at.stubF;
      if (thread.place === at.f) thread.f = 0;
    } else if (thread.place === at.f) {
      if (returns) thread.place = at.idle;
      else {
        enter();
        thread.place = state[word.armed] === 0 ? at.g : at.stubG;
        if (thread.place === at.g && thread.f !== 0) violation = mixed;
      }
    } else if (thread.place === at.g) {
      thread.place = at.f;
      thread.picked = 0;
    } else violation = this.#moveInStub(state, index, thread);
    if (thread.place === at.idle) Object.assign(thread, { f: 0, picked: 0, listed: 0 });
    state[word.threads + index] = pack(thread);
    return violation;
  }

  /** In a stub: a look at the list, at the mode, and the jump. */
  #moveInStub(state: Int32Array, index: number, thread: Thread): number {
    const base = thread.place >= at.stubG ? at.stubG : at.stubF;
    const place = thread.place - base;
    const wasDone = thread.listed === 1 && place === 0;
    if (place === 0) {
      const isListed = ((state[word.list] ?? 0) >> index) & 1;
      // A call that begins when all is done is not on the list, and must run what was asked for.
      if (wasDone && (isListed === 1 || state[word.mode] !== this.#final)) return late;
      thread.listed = isListed;
    } else if (place === 1) {
      const mode = state[word.mode] ?? 0;
      thread.picked = thread.listed === 1 ? 1 - mode : mode;
      thread.listed = 0;
    } else if (base === at.stubF) {
      thread.f = thread.picked;
      thread.picked = 0;
      thread.place = at.f;
      return 0;
    } else {
      thread.place = at.g;
      return thread.picked === thread.f ? 0 : mixed;
    }
    thread.place++;
    return 0;
  }

  /** Lets a held thread go on until it is out of its stub. */
  #leaveStub(state: Int32Array, index: number): void {
    for (let steps = 0; steps < stubSteps; steps++) {
      if (!isInStub(unpack(state[word.threads + index] ?? 0))) return;
      this.#move(state, index, false);
    }
  }

  /** The patcher's next step; where it goes thread by thread it keeps its place in 4 bits. */
  #patch(state: Int32Array): void {
    const position = state[word.step] ?? 0;
    const step = this.#steps[position >> 4];
    if (step === undefined) return;
    state[word.step] = this.#carryOut(state, step, position);
  }

  /** Carries out one step, or a part of it; the position that comes next. */
  #carryOut(state: Int32Array, step: SwitchStep, position: number): number {
    const next = ((position >> 4) + 1) << 4;
    switch (step.kind) {
      case "arm":
        state[word.armed] = 1;
        return next;
      case "holdAll": {
        const held = state[word.held] ?? 0;
        const free = (state[word.born] ?? 0) & ~held;
        state[word.held] = held | (free & -free);
        return free === 0 ? next : position;
      }
      case "leaveStubs":
        for (let index = 0; index < threadCount; index++) this.#leaveStub(state, index);
        return next;
      case "listInside":
        return this.#list(state, numberOf(step.version), position);
      case "turn":
        state[word.mode] = numberOf(step.to);
        return next;
      case "letGo":
        state[word.held] = 0;
        return next;
      case "settle":
        if (state[word.list] === 0) return next;
        return this.#settle(state, numberOf(step.version), position);
      default:
        return unreachable(step);
    }
  }

  /** Looks at one thread after the other. */
  #list(state: Int32Array, version: number, position: number): number {
    const index = position & 15;
    if (index === 0) state[word.list] = 0;
    if (index >= threadCount) return ((position >> 4) + 1) << 4;
    const thread = unpack(state[word.threads + index] ?? 0);
    if (isInside(thread, version)) state[word.list] = (state[word.list] ?? 0) | (1 << index);
    return position + 1;
  }

  /** One look at the next thread of the list. */
  #settle(state: Int32Array, version: number, position: number): number {
    const list = state[word.list] ?? 0;
    const index = position & 15;
    if (index >= threadCount) return position & ~15;
    if (((list >> index) & 1) === 1) {
      this.#leaveStub(state, index);
      const thread = unpack(state[word.threads + index] ?? 0);
      if (!isInside(thread, version)) state[word.list] = list & ~(1 << index);
    }
    return position + 1;
  }

  isGoal(state: Int32Array): boolean {
    return (state[word.step] ?? 0) >> 4 >= this.#steps.length;
  }

  withinBounds(): boolean {
    return true;
  }
}

export type SwitchFinding = {
  readonly verdict: SwitchVerdict | "stuck" | "unknown";
  readonly states: number;
  /** The shortest way to the violation, an action a line. */
  readonly trace: readonly string[];
};

/** Explores all that can happen while `protocol` is carried out. */
export function checkSwitch(protocol: SwitchProtocol): SwitchFinding {
  const { states, exhaustive, violation } = explore(new SwitchModel(protocol), {
    statesMax,
    progress: true,
  });
  if (violation === undefined) {
    return { verdict: exhaustive ? "safe" : "unknown", states, trace: [] };
  }
  const verdict = violations[violation.kind] ?? "stuck";
  return { verdict, states, trace: tell(protocol, violation.path) };
}

const placeNames = ["outside", "f's stub", "", "", "f", "g's stub", "", "", "g"] as const;
const versionNames = ["old", "new"] as const;

/** What happens on a path, in words. */
function tell(protocol: SwitchProtocol, path: readonly number[]): readonly string[] {
  const model = new SwitchModel(protocol);
  let state = model.initial()[0] ?? new Int32Array(model.width);
  return path.flatMap((action) => {
    const next = new Int32Array(model.width);
    model.step(state, action, next);
    const step = protocol.steps[(state[word.step] ?? 0) >> 4];
    const before = state;
    state = next;
    if (action === 100) return "thread 0 makes thread 2";
    if (action === 200) return `patcher: ${step?.kind ?? "done"}`;
    const index = action >> 1;
    const [from, to] = [before, next].map((one) => unpack(one[word.threads + index] ?? 0));
    if (from === undefined || to === undefined || placeNames[to.place] === "") return [];
    const version = to.place === at.f ? to.f : to.picked;
    const isBody = to.place === at.f || to.place === at.g;
    const what = isBody ? `${versionNames[version]} ` : "";
    return `thread ${index}: ${what}${placeNames[to.place]}`;
  });
}

/** A finding in a few words: the states of what is safe, the length of what is not. */
const describeSwitch = ({ verdict, states, trace }: SwitchFinding): string =>
  verdict === "safe" ? `safe in ${states} states` : `${verdict} after ${trace.length} steps`;

const describeExpected = ({ expected, size }: SwitchCheck): string =>
  expected === "safe" ? `safe in ${size} states` : `${expected} after ${size} steps`;

/** What names the lines of the table that these checks make. */
export const switchFamily = "SWITCH";

/** All checks, as lines of the table. */
export const computeSwitches = (): readonly Computation[] =>
  switchChecks.map((check) => {
    const finding = checkSwitch(check.protocol);
    return {
      id: `${switchFamily}/${check.protocol.id}`,
      title: check.protocol.title,
      found: describeSwitch(finding),
      expected: describeExpected(check),
      cases: finding.states,
    };
  });

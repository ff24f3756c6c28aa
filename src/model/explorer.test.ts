import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { explore, type Model, STUCK, StateStore, stepResult } from "./explorer.ts";

const all = { statesMax: 1_000_000, progress: true } as const;

/** A model from plain functions on arrays of numbers: successors in the order of the actions. */
function modelOf(options: {
  initial: readonly (readonly number[])[];
  next: (state: readonly number[]) => readonly (readonly number[] | "bad")[];
  isGoal?: (state: readonly number[]) => boolean;
  isBounded?: (state: readonly number[]) => boolean;
}): Model {
  const width = options.initial[0]?.length ?? 0;
  return {
    width,
    initial: () => options.initial.map((state) => Int32Array.from(state)),
    actions: (state, out) => {
      const count = options.next([...state]).length;
      for (let i = 0; i < count; i++) out[i] = i;
      return count;
    },
    step: (state, action, next) => {
      const successor = options.next([...state])[action];
      if (successor === "bad" || successor === undefined) return stepResult(1, 0);
      next.set(successor);
      return 0;
    },
    isGoal: (state) => options.isGoal?.([...state]) ?? true,
    withinBounds: (state) => options.isBounded?.([...state]) !== true,
  };
}

/** Jugs of 3 and 5 litres (Die Hard); "bad" is having 4 litres. */
const jugs = (isBad: boolean): Model =>
  modelOf({
    initial: [[0, 0]],
    next: ([a = 0, b = 0]) => {
      const toB = Math.min(a, 5 - b);
      const toA = Math.min(b, 3 - a);
      const next = [
        [3, b],
        [a, 5],
        [0, b],
        [a, 0],
        [a - toB, b + toB],
        [a + toA, b - toA],
      ];
      return next.map((state) => (isBad && state[1] === 4 ? "bad" : state));
    },
  });

/**
 * Two-phase commit with `n` resource managers, after Lamport's specification; its numbers of states
 * are published with TLC and with Stateright: 288 for 3 managers, 8,832 for 5.
 */
function twoPhaseCommit(n: number): Model {
  // Per manager 0 working, 1 prepared, 2 committed, 3 aborted; then the manager of the
  // transaction (0 init, 1 committed, 2 aborted), who is known prepared, and messages, as bits.
  const all = 2 ** n - 1;
  return modelOf({
    initial: [[...Array.from({ length: n }, () => 0), 0, 0, 0, 0, 0]],
    next: (state) => {
      const at = (i: number): number => state[i] ?? 0;
      const [tm, known, sent, commit, abort] = [at(n), at(n + 1), at(n + 2), at(n + 3), at(n + 4)];
      const out: number[][] = [];
      const change = (entries: Readonly<Record<number, number>>): void => {
        const next = [...state];
        for (const [i, value] of Object.entries(entries)) next[Number(i)] = value;
        out.push(next);
      };
      if (tm === 0 && known === all) change({ [n]: 1, [n + 3]: 1 });
      if (tm === 0) change({ [n]: 2, [n + 4]: 1 });
      for (let rm = 0; rm < n; rm++) {
        const bit = 2 ** rm;
        if (tm === 0 && (sent & bit) !== 0) change({ [n + 1]: known | bit });
        if (at(rm) === 0) change({ [rm]: 1, [n + 2]: sent | bit });
        if (at(rm) === 0) change({ [rm]: 3 });
        if (commit === 1) change({ [rm]: 2 });
        if (abort === 1) change({ [rm]: 3 });
      }
      return out;
    },
  });
}

describe("explore", () => {
  it("finds as many states as others found of two-phase commit", () => {
    expect(explore(twoPhaseCommit(3), all).states).toBe(288);
    expect(explore(twoPhaseCommit(5), all).states).toBe(8832);
  });

  it("finds all 16 states of the jugs, and the shortest way to 4 litres", () => {
    expect(explore(jugs(false), all)).toMatchObject({ states: 16, exhaustive: true });
    const found = explore(jugs(true), all);
    expect(found.violation?.path).toHaveLength(6);
    expect(found.exhaustive).toBe(true);
  });

  it("finds the same path every time", () => {
    const paths = [1, 2].map(() => explore(jugs(true), all).violation?.path);
    expect(paths[0]).toEqual(paths[1]);
  });

  it("says where a goal can't be reached any more, by the shortest way", () => {
    // 0 -> 1 -> 2 -> 0 and 1 -> 3 -> 4 -> 3: from 3 on there is no way back to 0.
    const edges: Readonly<Record<number, readonly number[]>> = {
      0: [1],
      1: [2, 3],
      2: [0],
      3: [4],
      4: [3],
    };
    const model = modelOf({
      initial: [[0]],
      next: ([at = 0]) => (edges[at] ?? []).map((to) => [to]),
      isGoal: ([at]) => at === 0,
    });
    const found = explore(model, all);
    expect(found.violation).toMatchObject({ kind: STUCK, path: [0, 1] });
    expect(explore(model, { ...all, progress: false }).violation).toBeUndefined();
  });

  it("says that it did not look at everything when a bound ends the search", () => {
    const counter = (isBounded?: (state: readonly number[]) => boolean): Model =>
      modelOf({
        initial: [[0]],
        next: ([n = 0]) => [[n + 1]],
        ...(isBounded === undefined ? {} : { isBounded }),
      });
    expect(explore(counter(), { statesMax: 100, progress: false }).exhaustive).toBe(false);
    const bounded = explore(
      counter(([n = 0]) => n >= 10),
      all,
    );
    expect(bounded).toMatchObject({ states: 11, exhaustive: false });
  });

  it("goes on behind violations when it is asked to", () => {
    const found = explore(jugs(true), { ...all, keepGoing: true });
    expect(found.violation).toBeUndefined();
    expect(found.states).toBeGreaterThan(explore(jugs(true), all).states);
  });
});

describe("StateStore", () => {
  it("gives equal states one index, whatever was added before", () => {
    const state = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(state, { maxLength: 300 }), (states) => {
        const store = new StateStore(4);
        const known = new Map<string, number>();
        for (const one of states) {
          const key = one.join();
          const index = store.add(Int32Array.from(one));
          expect(index).toBe(known.get(key) ?? known.size);
          known.set(key, index);
        }
        const read = new Int32Array(4);
        for (const [key, index] of known) {
          store.read(index, read);
          expect(read.join()).toBe(key);
        }
      }),
    );
  });

  it("keeps its states when it grows", () => {
    const store = new StateStore(2);
    for (let i = 0; i < 20_000; i++) expect(store.add(Int32Array.of(i, -i))).toBe(i);
    for (let i = 0; i < 20_000; i += 37) expect(store.add(Int32Array.of(i, -i))).toBe(i);
    expect(store.count).toBe(20_000);
  });
});

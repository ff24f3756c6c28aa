/**
 * What generated code does at a function: a list of actions in one canonical order, so that two
 * sites whose ops want the same share a thunk template and routines, whoever asked for it first.
 */
import { assert } from "../base/assert.ts";
import type { CallTests, CountedValue, RecordDetails, StackWish } from "../ftrace/ops.ts";
import { type ValueSpec, valuesMax } from "../ftrace/value-spec.ts";

/** An event of each call that the details want. */
export type RecordAction = RecordDetails & {
  readonly kind: "record";
  /** Whose rings: an index of `ThunkPlan.instances`. */
  readonly instance: number;
  readonly exits: boolean;
};

/** Calls, and with exits times, of those that the tests let pass: `ring/statistics.ts`. */
export type StatisticsAction = CallTests & {
  readonly kind: "statistics";
  readonly instance: number;
  readonly exits: boolean;
  /** Each value has its row. */
  readonly by?: CountedValue | undefined;
};

/** One thing that happens at a function. Each kind has its emitter: `x86-64/actions.ts`. */
export type Action =
  /** An event in the ring of the thread, at the entry or at entry and exit. */
  | RecordAction
  /** Switches the instance's recording. */
  | {
      readonly kind: "trigger";
      readonly instance: number;
      readonly does: "traceon" | "traceoff" | "snapshot";
      /** Its number among the recording's triggers. */
      readonly word: number;
      /** What its events carry instead of a site's id. */
      readonly mark: number;
    }
  /** Adds 1 to the function's counter in the instance's arena. */
  | { readonly kind: "count"; readonly instance: number }
  /** Adds to the thread's own tables. */
  | StatisticsAction
  /** Calls a native function with the function's own arguments: `x86-64/direct.ts`. */
  | {
      readonly kind: "direct";
      readonly target: bigint;
      /** It is our own code, which leaves vector registers alone and needs little stack. */
      readonly isGate?: true;
    }
  /** The 128 bytes below the stack pointer stay as they are: the site is inside of a function. */
  | { readonly kind: "redZone" }
  /** Goes through the list of all ops, whose address is in the word at `at`: `x86-64/walk.ts`. */
  | { readonly kind: "list"; readonly at: bigint };

export type TriggerAction = Extract<Action, { readonly kind: "trigger" }>;

/**
 * The recording whose switch decides whether returns are hooked, so that a call's exit is recorded
 * where its entry was; undefined where something else hooks them, too.
 */
export function switchOf(work: Work): number | undefined {
  const [first, second] = work.filter(hooksReturn);
  if (first?.kind !== "record" || second !== undefined) return undefined;
  return first.switched === true ? first.instance : undefined;
}

/** An action that has to do with exits, too. */
export type ExitAction = Extract<Action, { readonly exits: boolean }>;

/** Made by `makeWork`; empty where nothing happens. */
export type Work = readonly Action[];

/** A function is left alone. */
export const noWork: Work = [];

/** The same text for equal actions, whatever the order of their properties. */
const actionKey = (action: Action): string =>
  JSON.stringify(
    Object.entries(action)
      .filter(([, value]) => value !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
    (_, value) => (typeof value === "bigint" ? `0x${value.toString(16)}` : value),
  );

/** The work that does all `actions`; what several of them ask for happens once. */
export function makeWork(actions: readonly Action[]): Work {
  const byKey = new Map<string, Action>();
  for (const action of mergeRecords(actions)) byKey.set(actionKey(action), action);
  const apart = new Set([...byKey.values()].filter(isApart).map(keyTogether));
  const isCovered = (action: Action): boolean =>
    ("exits" in action && !action.exits && byKey.has(actionKey({ ...action, exits: true }))) ||
    (!isApart(action) && apart.has(actionKey(action)));
  return [...byKey]
    .filter(([, action]) => !isCovered(action))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, action]) => action);
}

/** Calls that are counted by a value need no row for all of them. */
const isApart = (action: Action): action is StatisticsAction & { readonly by: CountedValue } =>
  action.kind === "statistics" && action.by !== undefined;
const keyTogether = (action: StatisticsAction): string => actionKey({ ...action, by: undefined });

/** Records of one instance that differ in what they bring along alone are one, with all of it. */
function mergeRecords(actions: readonly Action[]): readonly Action[] {
  const records = new Map<string, RecordAction>();
  const others: Action[] = [];
  for (const action of actions) {
    if (action.kind !== "record") {
      others.push(action);
      continue;
    }
    const { values: _, exits: _exits, stack: _stack, ...rest } = action;
    const key = actionKey({ ...rest, exits: true });
    const before = records.get(key);
    records.set(key, before === undefined ? action : bothRecords(before, action));
  }
  return [...others, ...records.values()];
}

function bothRecords(a: RecordAction, b: RecordAction): RecordAction {
  const exits = a.exits || b.exits;
  const stack = bothStacks(a.stack, b.stack);
  const both = { ...a, exits, ...(stack === undefined ? {} : { stack }) };
  if (a.values === undefined || b.values === undefined) {
    const values = a.values ?? b.values;
    return { ...both, ...(values === undefined ? {} : { values }) };
  }
  const unique = (specs: readonly ValueSpec[]): readonly ValueSpec[] =>
    [...new Map(specs.map((spec) => [JSON.stringify(spec), spec])).values()].slice(0, valuesMax);
  const entry = unique([...a.values.entry, ...b.values.entry]);
  const exit = unique([...a.values.exit, ...b.values.exit]);
  return { ...both, values: { entry, exit } };
}

/** The one that is recorded always, or the deeper one. */
function bothStacks(a?: StackWish, b?: StackWish): StackWish | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if ((a.word === undefined) !== (b.word === undefined)) return a.word === undefined ? a : b;
  return a.depth >= b.depth ? a : b;
}

/** Equal for equal works. */
export const workKey = (work: Work): string => work.map(actionKey).join(" ");

/** Whether the function's return has to come by. */
export const hooksReturn = (action: Action): action is ExitAction =>
  "exits" in action && action.exits;

/** What is left to do where returns can't be hooked. */
export const withoutExits = (work: Work): Work =>
  makeWork(work.map((action) => (hooksReturn(action) ? { ...action, exits: false } : action)));

/** Whether an action wants words of frames beside their return address, at its exit. */
const needsFrameWords = (action: Action): action is ExitAction =>
  action.kind === "statistics" ||
  (action.kind === "record" && (action.when ?? action.sample ?? action.threads) !== undefined);

/** What is left to do where frames have no words for the actions of some instances. */
export const withoutFrameWords = (work: Work, hasWords: (instance: number) => boolean): Work =>
  makeWork(
    work.map((action) =>
      needsFrameWords(action) && !hasWords(action.instance) ? { ...action, exits: false } : action,
    ),
  );

/** The same inside of a function, where the red zone is in use and no return is to come. */
export const insideFunction = (work: Work): Work =>
  work.length === 0 ? noWork : makeWork([...withoutExits(work), { kind: "redZone" }]);

/** Whether the red zone has to stay. */
export const keepsRedZone = (work: Work): boolean => work.some(({ kind }) => kind === "redZone");

/**
 * Works that sites point at by small numbers: a hundred thousand sites have few different ones.
 * Number 0 is `noWork`.
 */
export class WorkList {
  readonly #works: Work[] = [noWork];
  readonly #numbers = new Map<string, number>([[workKey(noWork), 0]]);
  readonly #free: number[] = [];

  /** The number of `work`, the same for equal ones. */
  intern(work: Work): number {
    const key = workKey(work);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#free.pop() ?? this.#works.length;
    assert(number < 1 << 16, "numbers of works fit into 16 bits");
    this.#works[number] = work;
    this.#numbers.set(key, number);
    return number;
  }

  /** Lets another work have the number. */
  forget(number: number): void {
    this.#numbers.delete(workKey(this.get(number)));
    this.#free.push(number);
  }

  /** Numbers that works have. */
  get numbers(): readonly number[] {
    return [...this.#numbers.values()];
  }

  get(number: number): Work {
    const work = this.#works[number];
    assert(work !== undefined, `work ${number} was interned`);
    return work;
  }

  /** All so far, by their numbers. */
  get all(): readonly Work[] {
    return this.#works;
  }
}

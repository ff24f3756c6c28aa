/**
 * Litmus tests out of cycles. A cycle goes through one or two accesses of each thread; between
 * threads it goes along one place (reads-from, from-reads, coherence), within a thread along one
 * *edge*: what stands between two accesses to different places. All models here are multi-copy
 * atomic, so the outcome that the cycle asks for is forbidden exactly when every edge is one that
 * the manual orders. Edges say that of themselves, with the manual's reason: the verdicts owe
 * nothing to the models.
 */
import { ensure } from "../../src/base/assert.ts";

export type Kind = "R" | "W";

/** An access of the cycle. */
export type Access = {
  readonly kind: Kind;
  /** What is read or stored. */
  readonly value: number;
  /** The place: a register that holds its address, or its name (x86-64). */
  readonly place: string;
  /** First or second of its thread. */
  readonly second: boolean;
};

export type Code = {
  readonly code: readonly string[];
  /** What else has to hold for the thread: `X9=0`. */
  readonly condition?: readonly string[];
};

export type Edge = {
  readonly name: string;
  /** Kinds of accesses that it goes from, and to. */
  readonly from: string;
  readonly to: string;
  /**
   * Whether the manual orders the two. `replaces`: the first access stores over what the thread
   * before it stored (so if it is a read-modify-write, it has read that).
   */
  readonly ordered: (from: Kind, to: Kind, replaces: boolean) => boolean;
  /** Instructions; `undefined` where the values don't fit. `thread` names places of its own. */
  readonly emit: (first: Access, second: Access, thread: number) => Code | undefined;
};

export type Ordered = Edge["ordered"];

export const always: Ordered = () => true;
export const never: Ordered = () => false;
export const toWrite: Ordered = (_, to) => to === "W";
/** What orders only the read half of a read-modify-write orders its store by what it read. */
export const whenReplacing: Ordered = (_from, _to, replaces) => replaces;

/** An edge; `own` is the name of a place that nobody else has. */
export const edge = (
  name: string,
  kinds: string,
  ordered: Ordered,
  emit: (first: Access, second: Access, own: string) => readonly string[] | Code | undefined,
): Edge => {
  const [from = "", to = ""] = kinds.split(" ");
  return {
    ...{ name, from, to, ordered },
    emit: (first, second, thread) => {
      const made = emit(first, second, `z${thread}`);
      return made === undefined || "code" in made ? made : { code: made };
    },
  };
};

/** How an architecture writes what cycles are made of. */
export type Language = {
  readonly arch: string;
  readonly edges: readonly Edge[];
  /** An edge that orders everything. */
  readonly strong: Edge;
  /** A store alone in its thread. */
  readonly single: (access: Access) => readonly string[];
  readonly placeOf: (name: string, second: boolean) => string;
  readonly resultOf: (second: boolean) => string;
  readonly initOf: (thread: number, names: readonly string[]) => string;
};

/** Threads by the kinds of their accesses: the names of the literature. */
export const shapes: Readonly<Record<string, readonly string[]>> = {
  MP: ["WW", "RR"],
  SB: ["WR", "WR"],
  LB: ["RW", "RW"],
  S: ["WW", "RW"],
  R: ["WW", "WR"],
  "2+2W": ["WW", "WW"],
  WRC: ["W", "RW", "RR"],
  RWC: ["W", "RR", "WR"],
  IRIW: ["W", "RR", "W", "RR"],
  ISA2: ["WW", "RW", "RR"],
  "Z6.0": ["WW", "RW", "WR"],
  "Z6.1": ["WW", "WW", "RW"],
  "Z6.2": ["WW", "RW", "RW"],
  "Z6.3": ["WW", "WW", "RR"],
  "Z6.4": ["WW", "WR", "WR"],
  "Z6.5": ["WW", "WW", "WR"],
  "3.SB": ["WR", "WR", "WR"],
  "3.LB": ["RW", "RW", "RW"],
  "3.2W": ["WW", "WW", "WW"],
  "W+RWC": ["WW", "RR", "WR"],
  "WRW+WR": ["W", "RW", "WR"],
  "WRR+2W": ["W", "RR", "WW"],
  "WRW+2W": ["W", "RW", "WW"],
  IRRWIW: ["W", "RR", "W", "RW"],
  IRWIW: ["W", "RW", "W", "RW"],
  "4.SB": ["WR", "WR", "WR", "WR"],
  "4.LB": ["RW", "RW", "RW", "RW"],
};

type Step = { thread: number; second: boolean; kind: Kind; place: string; value: number };

const placeNames = ["x", "y", "a", "b", "c"];

/** The accesses in the cycle's order, with the places that they share and their values. */
function stepsOf(threads: readonly string[]): { steps: Step[]; finals: string[] } {
  const steps = threads.flatMap((kinds, thread) =>
    kinds.split("").map(
      (kind, at): Step => ({
        ...{ thread, second: at === 1, place: "", value: 0 },
        kind: kind === "R" ? "R" : "W",
      }),
    ),
  );
  // From one thread's second access on, each thread's second access begins a new place.
  const start = steps.findIndex(({ second }) => second);
  const turned = [...steps.slice(start), ...steps.slice(0, start)];
  const finals: string[] = [];
  let place = -1;
  let stores = 0;
  for (const step of turned) {
    if (step.second) {
      place++;
      stores = 0;
    }
    step.place = ensure(placeNames[place], "a name");
    if (step.kind === "W") stores++;
    step.value = stores;
    // The last store of a place that has two is its final value: that is their order.
    if (step.kind === "W" && stores === 2) finals.push(`[${step.place}]=2`);
  }
  return { steps, finals };
}

export type CycleTest = { readonly name: string; readonly text: string; readonly verdict: string };

/** Writes a test out; `undefined` where an edge can't have the values that it would need. */
export function buildCycle(
  language: Language,
  shape: string,
  edges: readonly (Edge | undefined)[],
): CycleTest | undefined {
  const threads = ensure(shapes[shape], shape);
  const { steps, finals } = stepsOf(threads);
  const condition = [...finals];
  const columns: (readonly string[])[] = [];
  let isOrdered = true;
  const access = ({ kind, value, place, second }: Step): Access => ({
    ...{ kind, value, second },
    place: language.placeOf(place, second),
  });
  for (const [thread, kinds] of threads.entries()) {
    const own = steps.filter((step) => step.thread === thread);
    for (const { kind, second, value } of own) {
      if (kind === "R") condition.push(`${thread}:${language.resultOf(second)}=${value}`);
    }
    const [first, last] = own;
    const edge = edges[thread];
    if (edge === undefined || first === undefined || last === undefined) {
      columns.push(language.single(access(ensure(first, "an access"))));
      continue;
    }
    const code = edge.emit(access(first), access(last), thread);
    if (code === undefined) return undefined;
    condition.push(...(code.condition ?? []).map((part) => `${thread}:${part}`));
    columns.push(code.code);
    const before = threads.at(thread - 1);
    const replaces = kinds.startsWith("W") && before?.endsWith("W") === true;
    isOrdered &&= edge.ordered(first.kind, last.kind, replaces);
  }
  const init = threads.map((_, thread) =>
    language.initOf(
      thread,
      steps.flatMap((step) => (step.thread === thread ? [step.place] : [])),
    ),
  );
  const name = [shape, ...edges.flatMap((edge) => edge?.name ?? [])].join("+");
  const rows = Array.from({ length: Math.max(...columns.map(({ length }) => length)) }, (_, at) =>
    columns.map((column) => column[at] ?? "").join(" | "),
  );
  const heads = columns.map((_, thread) => `P${thread}`).join(" | ");
  const program = [heads, ...rows].map((row) => ` ${row} ;`).join("\n");
  const question = `exists (${condition.join(" /\\ ")})`;
  const text = `${language.arch} ${name}\n{${init.join(" ")}}\n${program}\n${question}\n`;
  return { name, text, verdict: isOrdered ? "Forbidden" : "Allowed" };
}

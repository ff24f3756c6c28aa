/**
 * Running a litmus test: parse, lay out, run every thread by itself, combine, ask the axioms, and
 * put the condition to the final states.
 */

import { ensure } from "../../base/assert.ts";
import { PatchbayError } from "../../base/error.ts";
import { Candidates } from "./candidates.ts";
import { type Cell, cutCells } from "./execution.ts";
import { type Image, makeImage, valueOfBytes } from "./image.ts";
import type { LitmusIsa } from "./isa.ts";
import { aarch64Litmus } from "./isa-aarch64.ts";
import { riscvLitmus } from "./isa-riscv.ts";
import { x86Litmus } from "./isa-x86.ts";
import { findLive, type Liveness } from "./liveness.ts";
import { findModels, type MachineModel } from "./machines.ts";
import { findUnsynchronised } from "./modification.ts";
import {
  cellOf,
  checkNames,
  checkPlace,
  describeEnd,
  describeState,
  type FinalState,
  faultsIn,
  holds,
  placesIn,
  strangersIn,
} from "./outcome.ts";
import { parseLitmus, placeName } from "./parse.ts";
import { lastValues, Search, type Witness } from "./search.ts";
import { type LitmusArch, type LitmusTest, type Place, refusal } from "./test-file.ts";
import { runThread, type ThreadOptions } from "./thread.ts";
import type { Trace } from "./trace.ts";
import { drawWitness } from "./witness.ts";

/**
 * `Allowed`: some final state satisfies the condition's proposition. `Forbidden`: none does.
 * `Required`: the condition is `forall`, and all do. `Undecided`: a loop was not followed to its
 * end, and no state that was found decides it.
 */
export type LitmusVerdict = "Allowed" | "Forbidden" | "Required" | "Undecided";

/** A final state and whether the proposition holds in it. */
export type LitmusState = {
  /** `1:X0=2; 1:X1=1;` */
  readonly text: string;
  readonly holds: boolean;
  /** The execution that ends so, as lanes, one column per thread; only when asked for. */
  readonly witness?: string;
};

export type LitmusResult = {
  readonly name: string;
  readonly machine: string;
  readonly verdict: LitmusVerdict;
  /** The proposition with its quantifier holds: herd's Ok (and No). Undecided is not ok. */
  readonly ok: boolean;
  /** Sorted by text. */
  readonly states: readonly LitmusState[];
  /** Final states in which the proposition holds, and does not. */
  readonly positive: number;
  readonly negative: number;
  /** Executions that were put before the axioms. */
  readonly candidates: number;
  /** What limits the verdict: a loop was cut, code was changed that may not be. */
  readonly warnings: readonly string[];
};

export type LitmusOptions = {
  /** Name of a machine (`litmusMachines`); else the test's own, or its architecture's. */
  readonly machine?: string;
  /** Draw an execution for every final state. */
  readonly witnesses?: boolean;
  /** For messages: the file's name. */
  readonly fileName?: string;
};

const isas: Readonly<Record<LitmusArch, LitmusIsa>> = {
  AArch64: aarch64Litmus,
  RISCV: riscvLitmus,
  X86_64: x86Litmus,
};

/** More distinct stores than this: a loop that counts; refused. */
const storesMax = 400;

/** How often a thread may come to the same instruction. */
const visitsMax = 6;

/** CTR_EL0 (Arm ARM, "CTR_EL0"): IDC is bit 28, DIC bit 29; lines of 64 bytes. */
function systemRegisters({ cacheType }: MachineModel): ReadonlyMap<string, bigint> {
  if (cacheType === undefined) return new Map();
  const idc = cacheType.idc ? 1n << 28n : 0n;
  const dic = cacheType.dic ? 1n << 29n : 0n;
  return new Map([["ctr_el0", 0x8444_8004n | idc | dic]]);
}

type Threads = { readonly traces: readonly (readonly Trace[])[]; readonly cut: boolean };

/** What is live in each thread: all, where the code may be changed by somebody. */
function liveIn(image: Image, thread: number, candidates: Candidates): Liveness {
  const registers = observedPlaces(image.test).flatMap((place) =>
    place.kind === "register" && place.thread === thread
      ? (image.isa.register(place.register)?.name ?? [])
      : [],
  );
  const live = findLive(image, thread, new Set(registers));
  const isChanged = image.codeRanges.some(({ start, bytes }) =>
    candidates.isStoredTo(start, bytes),
  );
  return isChanged ? () => undefined : live;
}

/**
 * Runs all threads until nothing new is stored, or until every store could have got its value from
 * every other: no model here lets values come out of their own future, so a value that takes more
 * steps than there are stores belongs to no execution (a counter that counts itself).
 */
function runThreads(image: Image, options: Omit<ThreadOptions, "live">): Threads {
  const candidates = new Candidates(image);
  for (let round = 0; ; round++) {
    const known = candidates.count;
    const runs = Array.from({ length: image.threads }, (_, thread) =>
      runThread(image, thread, candidates, {
        ...options,
        live: liveIn(image, thread, candidates),
      }),
    );
    for (const stored of runs.flatMap((run) => run.stored)) candidates.add(stored);
    const stores = runs.reduce((sum, run) => sum + run.storesMax, 0);
    if (candidates.count === known || round > stores) {
      return { traces: runs.map((run) => run.traces), cut: runs.some((run) => run.cut) };
    }
    if (candidates.count > storesMax) {
      throw refusal(image.test.source, 1, "the threads store too many different values to search");
    }
  }
}

/** Places of the final state: the condition's, the filter's, and those of `locations`. */
function observedPlaces(test: LitmusTest): readonly Place[] {
  const places = [
    ...test.locations,
    ...placesIn(test.condition),
    ...(test.filter === undefined ? [] : placesIn(test.filter)),
  ];
  const byName = new Map(places.map((place) => [placeName(place), place]));
  return [...byName.values()];
}

/** What memory holds at the end: last values of cells, initial values elsewhere. */
function finalMemory(
  image: Image,
  cells: readonly Cell[],
  last: ReadonlyMap<number, bigint>,
): FinalState["memoryAt"] {
  return (address, bytes) => {
    const content = image.bytesAt(address, bytes);
    if (content === undefined) return 0n;
    for (const [index, value] of last) {
      const cell = ensure(cells[index], "a cell");
      for (let i = 0; i < cell.bytes; i++) {
        const at = Number(cell.address + BigInt(i) - address);
        if (at >= 0 && at < bytes) content[at] = Number((value >> BigInt(8 * i)) & 0xffn);
      }
    }
    return valueOfBytes(content);
  };
}

/** How an execution ends. */
function finalState(image: Image, cells: readonly Cell[], { execution }: Witness): FinalState {
  const { graphs, nodes, writes } = execution;
  const last = lastValues(nodes, writes);
  return {
    traces: graphs.map(({ trace }) => trace),
    memoryAt: finalMemory(image, cells, last),
  };
}

/** Cells that the final state is read from. */
function observedCells(
  image: Image,
  cells: readonly Cell[],
  places: readonly Place[],
): Set<number> {
  const found = new Set<number>();
  for (const place of places) {
    if (place.kind !== "memory") continue;
    const { address, bytes } = cellOf(image, place);
    for (const [index, cell] of cells.entries()) {
      const apart =
        cell.address >= address + BigInt(bytes) || cell.address + BigInt(cell.bytes) <= address;
      if (!apart) found.add(index);
    }
  }
  return found;
}

/** Runs a laid-out test on one machine. */
function runOn(image: Image, machine: MachineModel, drawn: boolean): LitmusResult {
  const { test } = image;
  const { fetchBytes } = machine;
  const registers = systemRegisters(machine);
  const { traces, cut } = runThreads(image, { fetchBytes, visitsMax, registers });
  const places = observedPlaces(test);
  const cells = cutCells(traces.flat());
  const withFaults = [test.condition, ...(test.filter ? [test.filter] : [])].some(
    (proposition) => faultsIn(proposition).length > 0,
  );
  const search = new Search(machine.axioms, cells, {
    initialOf: ({ address, bytes }) =>
      valueOfBytes(image.bytesAt(address, bytes) ?? new Uint8Array()),
    observedCells: observedCells(image, cells, places),
    endOf: (trace) => describeEnd(image, places, withFaults, trace),
    refuse: (why) => {
      throw refusal(test.source, 1, why);
    },
  });
  const { witnesses, candidates } = search.run(traces);
  const states = new Map<string, LitmusState>();
  const warnings = new Set<string>(cut ? [`loops were followed ${visitsMax} times only`] : []);
  for (const name of strangersIn(test))
    warnings.add(`only the condition names ${name}: it stays 0`);
  for (const witness of witnesses) {
    const state = finalState(image, cells, witness);
    const text = describeState(image, places, withFaults, state);
    if (states.has(text)) continue;
    if (test.filter !== undefined && !holds(image, test.filter, state)) continue;
    states.set(text, {
      text,
      holds: holds(image, test.condition, state),
      ...(drawn ? { witness: drawWitness(image, witness) } : {}),
    });
    const place = test.arch === "AArch64" ? findUnsynchronised(image, witness) : undefined;
    if (place !== undefined) warnings.add(unpredictable(place));
  }
  return summarise(image, machine, {
    states: [...states.values()],
    candidates,
    cut,
    warnings: [...warnings],
  });
}

const unpredictable = (place: string): string =>
  `${place} is changed while it is executed, and not among instructions that allow it: ` +
  "CONSTRAINED UNPREDICTABLE (Arm ARM B2.2.5)";

/** What a search found. */
type Outcome = Pick<LitmusResult, "states" | "candidates" | "warnings"> & {
  /** Some runs of the threads were not followed to their end. */
  readonly cut: boolean;
};

function summarise(
  { test }: Image,
  machine: MachineModel,
  { states, candidates, cut, warnings }: Outcome,
): LitmusResult {
  const positive = states.filter((state) => state.holds).length;
  const negative = states.length - positive;
  const required = test.quantifier === "forall" && negative === 0;
  const found = positive > 0 ? "Allowed" : "Forbidden";
  const decided = required ? "Required" : found;
  const verdict = cut && decided !== "Allowed" ? "Undecided" : decided;
  const ok = { exists: positive > 0, "not exists": positive === 0, forall: required };
  return {
    name: test.name,
    machine: machine.name,
    verdict,
    ok: verdict !== "Undecided" && ok[test.quantifier],
    states: states.toSorted((a, b) => (a.text < b.text ? -1 : 1)),
    positive,
    negative,
    candidates,
    warnings: states.length === 0 && !cut ? [...warnings, "there is no final state"] : warnings,
  };
}

/** Variants of herd's that change nothing here, beside DIC and IDC. */
const plainVariants: ReadonlySet<string> = new Set(["self", "ifetch", "mixed", "fatal"]);

/** DIC and IDC as a header says them: `CacheType=DIC1.IDC1`, `Variant=self,IDC`. */
function headerMachine(test: LitmusTest): string | undefined {
  const flags = { dic: 0, idc: 0 };
  const pattern = /(no-?)?(dic|idc)\s*[=:]?\s*([01]?)/g;
  for (const key of ["cachetype", "variant"]) {
    const entry = test.info.get(key);
    const value = entry?.value.toLowerCase() ?? "";
    for (const [, no, name, digit] of value.matchAll(pattern)) {
      flags[name === "dic" ? "dic" : "idc"] = no !== undefined || digit === "0" ? 0 : 1;
    }
    const rest = value.replaceAll(pattern, "").match(/[a-z][\w-]*/g) ?? [];
    const unknown = rest.find((word) => !plainVariants.has(word));
    if (unknown !== undefined) {
      throw refusal(test.source, entry?.line ?? 1, `${key} ${unknown} is not modelled`);
    }
  }
  return test.arch === "AArch64" ? `armv8-dic${flags.dic}-idc${flags.idc}` : undefined;
}

/** The machines of a call: the one that is named, the test's own, or all of its architecture. */
function chooseMachines(test: LitmusTest, name: string | undefined): readonly MachineModel[] {
  const own = headerMachine(test);
  const wanted = name ?? own;
  const found = findModels(test.arch, wanted === "all" ? undefined : wanted);
  if (found.length > 0) return found;
  throw new PatchbayError({
    code: "bad-usage",
    doing: `run litmus test ${test.name}`,
    why: `there is no machine ${wanted} for ${test.arch}`,
    hint: `one of ${findModels(test.arch)
      .map((machine) => machine.name)
      .join(", ")}, all`,
  });
}

/**
 * Runs a test in herd's litmus format: one result per machine. A test that can't be run is refused:
 * a `PatchbayError` with the code `unsupported` names the line and the reason.
 * @param text the test.
 */
export function runLitmus(text: string, options: LitmusOptions = {}): readonly LitmusResult[] {
  const test = parseLitmus(text, options.fileName);
  const machines = chooseMachines(test, options.machine);
  const image = makeImage(test, isas[test.arch]);
  checkNames(image, test.condition);
  if (test.filter !== undefined) checkNames(image, test.filter);
  for (const place of test.locations) checkPlace(image, place, test.conditionLine);
  return machines.map((machine) => runOn(image, machine, options.witnesses === true));
}

/** Checks one question: builds its world and its programs, explores, and says what was found. */
import { assert, ensure } from "../base/assert.ts";
import { codeAddr } from "../base/brand.ts";
import type { DesignState } from "../patch/design.ts";
import { fillersOf } from "../patch/fillers.ts";
import type { Change, Check } from "../patch/protocol.ts";
import {
  type BatchStep,
  type BoundWrite,
  bindSteps,
  type SiteChange,
  type Step,
} from "../patch/steps.ts";
import type { Adversity, Verdict } from "../patch/verdicts.ts";
import { type Exploration, explore } from "./explorer.ts";
import { machines } from "./machine.ts";
import { Compiler, checkPending, type Program, type Task } from "./program.ts";
import { System } from "./system.ts";
import type { Arm } from "./thread/handler.ts";
import { Locals } from "./thread/locals.ts";
import { type MarkName, marksOf, violationOf } from "./violations.ts";
import {
  addressNamed,
  buildWorld,
  coverKey,
  declareWritten,
  type World,
  wordBytes,
} from "./world.ts";

/** What came out of a check. */
export type Finding = {
  readonly check: Check;
  readonly verdict: Verdict | "vacuous" | "bounded";
  readonly states: number;
  readonly transitions: number;
  /** Steps to the last new state, or to the violation. */
  readonly depth: number;
  /** Every reachable state was looked at, or the shortest violation was found. */
  readonly exhaustive: boolean;
  /** What happened sometimes. */
  readonly marks: readonly MarkName[];
  /** Marks without which the verdict would be about nothing, and that are missing. */
  readonly missing: readonly MarkName[];
  /** Actions of the shortest counterexample. */
  readonly path: readonly number[];
};

/** More states than any check of the table has; beyond it the verdict is `bounded`. */
const STATES_MAX = 4_000_000;

/** Changes that a set of adversities makes a site go through. */
export function historyOf(adversities: readonly Adversity[]): readonly Change[] {
  const has = (name: Adversity): boolean => adversities.includes(name);
  const free = has("free");
  const changes: Change[] = [{ to: "a", free: false }];
  if (has("modify")) changes.push({ to: "b", free });
  changes.push({ to: "idle", free });
  if (has("retarget")) changes.push({ to: "b", free: false });
  return changes;
}

/** The system that a check is about. */
export function buildSystem(check: Check, countSyncs = false): System {
  const adversities = new Set(check.adversities);
  const world = worldOf(check);
  const arms: Arm[] = [];
  const compile = (changes: readonly Change[]): Program => {
    const compiler = new Compiler(world, arms, adversities.has("firmware-fences"));
    const program = compiler.compile(tasksFor(check, world, changes));
    checkPending(program);
    return program;
  };
  const programs = [compile(check.history ?? historyOf(check.adversities))];
  if (adversities.has("two-patchers")) {
    programs.push(
      compile([
        { to: "b", free: false },
        { to: "idle", free: adversities.has("free") },
      ]),
    );
  }
  const steps = [...check.protocol.enable, ...check.protocol.disable];
  const maskedHandler = steps.every((step) => step.op !== "trap" || step.masked);
  const locals = new Locals(world, arms, countSyncs);
  return new System(world, locals, programs, { adversities, maskedHandler, countSyncs });
}

/** The world of a check, with one or two sites in state `idle`. */
function worldOf(check: Check): World {
  const has = (name: Adversity): boolean => check.adversities.includes(name);
  return buildWorld(check.design, machines[check.machine], {
    phase: check.phase ?? 0,
    sites: has("two-sites") ? 2 : 1,
    harts: has("preemption") ? 2 : 1,
    ...(check.places === undefined ? {} : { places: check.places }),
  });
}

/**
 * A check's history: the steps of each change, bound to its sites, and what words hold at first.
 */
export type BoundHistory = {
  readonly words: readonly BoundWrite[];
  readonly changes: readonly {
    readonly sites: readonly SiteChange[];
    readonly steps: readonly BatchStep[];
  }[];
};

export function boundChanges(check: Check): BoundHistory {
  const world = worldOf(check);
  const fillers = fillersOf(check.design.isa);
  let now = "idle";
  const changes = (check.history ?? historyOf(check.adversities)).map(({ to }) => {
    const sites = siteChanges(world, stateOf(check, now), stateOf(check, to));
    const steps = bindSteps(stepsBetween(check, now, to), sites, fillers);
    now = to;
    return { sites, steps };
  });
  const words = Object.entries(check.design.words ?? {}).map(([name, held]) => ({
    at: codeAddr(ensure(world.words.get(name), name).at),
    bytes: wordBytes(addressNamed(held, world.ops, world.targets), world.isa.wordBytes),
  }));
  return { words, changes };
}

/** The list of the check's protocol for a change. */
function stepsBetween(check: Check, from: string, to: string): readonly Step[] {
  const { enable, disable, modify = enable } = check.protocol;
  if (to === "idle") return disable;
  return from === "idle" ? enable : modify;
}

/**
 * One change of a check's design for protocols that are put together piece by piece: all pieces
 * share one world, so that states behind one are states in front of the next.
 */
export function prepareChange(
  check: Check,
  from: string,
  to: string,
): {
  readonly compile: (steps: readonly Step[]) => Program;
  readonly system: (program: Program) => System;
} {
  const idle = stateOf(check, from);
  const world = worldOf({
    ...check,
    design: { ...check.design, states: { ...check.design.states, idle } },
  });
  const target = stateOf(check, to);
  declareState(world, idle);
  declareState(world, target);
  const sites = siteChanges(world, idle, target);
  const windows = sites.map((site) => ({ from: site.from, to: site.to }));
  const arms: Arm[] = [];
  const adversities = new Set(check.adversities);
  const locals = new Locals(world, arms, false);
  const options = { adversities, maskedHandler: true, countSyncs: false };
  return {
    compile: (steps) => {
      declareContents(world, steps, sites, check.design.isa);
      const bound = bindSteps(steps, sites, fillersOf(check.design.isa));
      const compiler = new Compiler(world, arms, adversities.has("firmware-fences"));
      return compiler.compilePiece({ do: "steps", steps: bound, windows, title: "" });
    },
    system: (program) => new System(world, locals, [program], options),
  };
}

function tasksFor(check: Check, world: World, changes: readonly Change[]): Task[] {
  const { protocol, design } = check;
  const tasks: Task[] = [];
  const fillers = fillersOf(design.isa);
  const bind = (steps: readonly Step[], between: readonly SiteChange[], title: string): void => {
    if (steps.length === 0) return;
    const windows = between.map(({ from, to }) => ({ from, to }));
    tasks.push({ do: "steps", steps: bindSteps(steps, between, fillers), windows, title });
  };
  let now = "idle";
  declareState(world, design.states.idle);
  for (const { offset, bytes, size } of design.harmless ?? []) {
    for (const { at } of world.sites) {
      const pc = at + BigInt(offset);
      if (size === undefined) declareWritten(world, pc, Uint8Array.from(bytes));
      else world.covers.add(coverKey(pc, ensure(bytes[0], "a first byte"), size));
    }
  }
  for (const { to, free } of changes) {
    const [before, after] = [stateOf(check, now), stateOf(check, to)];
    declareState(world, after);
    const between = siteChanges(world, before, after);
    const chosen = stepsBetween(check, now, to);
    declareContents(world, chosen, between, design.isa);
    bind(chosen, between, `${now} to ${to}`);
    if (free) {
      bind(protocol.retire, between, `retire ${now}`);
      const names = (before.owns ?? []).filter((name) => !(after.owns ?? []).includes(name));
      const bits = names.reduce((set, name) => set | (1 << objectBit(world, name)), 0);
      tasks.push({ do: "free", bits, names });
    }
    now = to;
  }
  return tasks;
}

const stateOf = (check: Check, name: string): DesignState =>
  ensure(check.design.states[name], `${check.design.id} has no state ${name}`);

function objectBit(world: World, name: string): number {
  const bit = world.objects.indexOf(name);
  assert(bit >= 0, `nothing called ${name} can be freed`);
  return bit;
}

function siteChanges(world: World, before: DesignState, after: DesignState): SiteChange[] {
  const { ops, targets, design } = world;
  const size = world.isa.wordBytes;
  const opsWord = (name: string | undefined): Uint8Array =>
    wordBytes(addressNamed(ensure(name, "the literal's value"), ops, targets), size);
  const words = new Map(
    Object.entries(after.words ?? {}).map(([name, held]) => {
      const { at } = ensure(world.words.get(name), name);
      return [name, { at: codeAddr(at), to: wordBytes(addressNamed(held, ops, targets), size) }];
    }),
  );
  const addresses = new Map(
    [...design.ops.flatMap(({ name }) => [name, `func:${name}`]), ...targets.keys()].map((name) => [
      name,
      wordBytes(addressNamed(name, ops, targets), size),
    ]),
  );
  return world.sites.map(
    (site): SiteChange => ({
      at: site.at,
      from: before.window(site.at, targets),
      to: after.window(site.at, targets),
      words,
      addresses,
      ...(site.literal === undefined
        ? {}
        : {
            literal: {
              at: codeAddr(site.literal.at),
              from: opsWord(before.literal),
              to: opsWord(after.literal),
            },
          }),
    }),
  );
}

function declareState(world: World, state: DesignState): void {
  for (const { at } of world.sites) declareWritten(world, at, state.window(at, world.targets));
}

/** Instructions that steps put in place beside those of the states: guards and traps. */
function declareContents(
  world: World,
  steps: readonly Step[],
  between: readonly SiteChange[],
  isa: Check["design"]["isa"],
): void {
  const flat = steps.flatMap((step): readonly Step[] => (step.op === "stop" ? step.steps : [step]));
  for (const step of flat) {
    if (step.op !== "write" || step.span.in !== "window") continue;
    if (step.content.of === "new" || step.content.of === "old") continue;
    for (const bound of bindSteps([step], between, fillersOf(isa))) {
      if (bound.op !== "write") continue;
      for (const { at, bytes } of bound.writes) declareWritten(world, at, bytes);
    }
  }
}

/**
 * What has to happen sometimes for "safe" to mean something: beside each property that holds
 * always, the situation that it is about.
 */
function requiredMarks(check: Check): readonly MarkName[] {
  const { adversities, design, protocol } = check;
  const has = (name: Adversity): boolean => adversities.includes(name);
  const used = [...protocol.enable, ...protocol.disable, ...(protocol.modify ?? [])];
  const marks: MarkName[] = ["called", "finished"];
  const writesCode = used.some((step) => step.op === "write" && step.span.in === "window");
  if (writesCode && machines[check.machine].fetch === "stale") marks.push("raced");
  if (used.some((step) => step.op === "trap")) marks.push("trapped");
  if (design.trapReturn !== undefined) marks.push("replayed");
  if (has("preemption")) marks.push("migrated");
  if (has("nmi") || has("interrupts")) marks.push("nested");
  const frees = (check.history ?? historyOf(adversities)).some(({ free }) => free);
  if (frees) marks.push("freed", "called-after-free");
  if (frees && protocol.retire.some((step) => step.op === "quiesce")) marks.push("waited");
  return marks;
}

/** Explores a check's system. */
export function runCheck(check: Check, statesMax: number = STATES_MAX): Finding {
  return judge(check, explore(buildSystem(check), { statesMax, progress: true }));
}

function judge(check: Check, found: Exploration): Finding {
  const marks = marksOf(found.marks);
  const missing = requiredMarks(check).filter((mark) => !marks.includes(mark));
  const safe = !found.exhaustive ? "bounded" : missing.length > 0 ? "vacuous" : "safe";
  return {
    check,
    verdict: found.violation === undefined ? safe : violationOf(found.violation.kind),
    states: found.states,
    transitions: found.transitions,
    depth: found.depth,
    exhaustive: found.exhaustive,
    marks,
    missing,
    path: found.violation?.path ?? [],
  };
}

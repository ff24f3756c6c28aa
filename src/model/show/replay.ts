/**
 * A counterexample (or any path) carried out again, with everything that a person wants to see of
 * each step: who did what, what memory holds, where each thread is.
 */
import { ensure } from "../../base/assert.ts";
import { hex, hexBytes } from "../../base/brand.ts";
import type { Check } from "../../patch/protocol.ts";
import { checkId } from "../../patch/protocol.ts";
import { violationTexts } from "../../patch/verdicts.ts";
import { buildSystem, type Finding } from "../check.ts";
import { STUCK } from "../explorer.ts";
import type { Sight } from "../memory.ts";
import { A, OFF, PATCHER_HART, readAction, THREAD, W, wordOf } from "../state.ts";
import type { System } from "../system.ts";
import { violationOf } from "../violations.ts";
import { wordValue } from "../world.ts";

/** The columns of a trace: memory, the patchers' harts, and the hart that the thread begins on. */
export type Lane = "memory" | "hart 0" | "hart 1" | "hart 2";

/** One line of a window as memory has it. */
export type CodeLine = { readonly at: string; readonly bytes: string; readonly text: string };

/** Memory after a step. */
export type MemoryView = {
  readonly sites: readonly { readonly name: string; readonly lines: readonly CodeLine[] }[];
  readonly words: readonly { readonly name: string; readonly value: string }[];
  /** What the harts that run the site may get when they fetch from it. */
  readonly fetches: readonly FetchView[];
};

/** What one hart may still see of one site. */
export type FetchView = {
  readonly hart: Lane;
  readonly site: string;
  /** Parts that are fetched at one moment each, with every version that may come, oldest first. */
  readonly parts: readonly {
    readonly at: string;
    readonly versions: readonly { readonly bytes: string; readonly stale: boolean }[];
  }[];
};

export type TraceStep = {
  readonly index: number;
  readonly lane: Lane;
  /** Lines of text, the first one short. */
  readonly text: string;
  /** A step of the machine or of the lock, not of the protocol. */
  readonly quiet: boolean;
  readonly memory: MemoryView;
  /** Where the thread is, in words. */
  readonly thread: string;
};

export type Trace = {
  readonly check: string;
  readonly title: string;
  /** What went wrong; absent for a path that is fine. */
  readonly violation: string | undefined;
  readonly lanes: readonly Lane[];
  readonly before: MemoryView;
  readonly steps: readonly TraceStep[];
};

/** Hart 1 is where the thread begins; hart 0 is the first patcher's, hart 2 the second one's. */
const laneOfHart = (hart: number): Lane => (hart === PATCHER_HART ? "hart 0" : "hart 1");
const laneOfPatcher = (patcher: number): Lane => (patcher === 0 ? "hart 0" : "hart 2");

/** Replays a finding's path. */
export function replay(finding: Finding): Trace {
  const { check, path, verdict } = finding;
  const system = buildSystem(check);
  let state = ensure(system.initial()[0], "initial state").slice();
  const before = viewMemory(system, state);
  const steps: TraceStep[] = [];
  const lanes = new Set<Lane>(["memory", "hart 0", "hart 1"]);
  const next = new Int32Array(system.width);
  let violation: string | undefined;
  for (const [index, code] of path.entries()) {
    const { lane, text, quiet } = describe(system, state, code);
    const kind = system.step(state, code, next) & 0xff;
    if (kind !== 0) violation = violationTexts[violationOf(kind)];
    state = next.slice();
    lanes.add(lane);
    const memory = viewMemory(system, state);
    steps.push({ index: index + 1, lane, text, quiet, memory, thread: whereIs(system, state) });
  }
  if (verdict === "stuck") violation = violationTexts[violationOf(STUCK)];
  return {
    check: checkId(check),
    title: titleOf(check),
    violation,
    lanes: [...lanes].toSorted((a, b) => laneOrder.indexOf(a) - laneOrder.indexOf(b)),
    before,
    steps,
  };
}

const laneOrder: readonly Lane[] = ["hart 0", "hart 2", "memory", "hart 1"];

const titleOf = (check: Check): string =>
  `${check.protocol.id}: ${check.protocol.title}; ${check.design.summary}; on ${check.machine}`;

type Described = { readonly lane: Lane; readonly text: string; readonly quiet: boolean };

function describe(system: System, state: Int32Array, code: number): Described {
  const { kind, who, what } = readAction(code);
  const hart = wordOf(state, W.threadHart);
  const loud = (lane: Lane, text: string): Described => ({ lane, text, quiet: false });
  switch (kind) {
    case A.patcher: {
      const line = ensure(system.patchers.line(state, who), "line");
      return { lane: laneOfPatcher(who), text: line.text, quiet: line.quiet };
    }
    case A.event: {
      const event = system.patchers.event(state, who, what);
      const where = hex(event.at);
      const text =
        event.kind === "store"
          ? `${hexBytes(event.bytes)} visible at ${where}`
          : `${event.kind} of ${where} takes effect`;
      return loud("memory", text);
    }
    case A.move: {
      const text = system.describeMove(state, who, what);
      return who === THREAD ? loud(laneOfHart(hart), text) : loud("hart 1", `handler: ${text}`);
    }
    case A.answer:
      return loud(laneOfHart(who), "takes the interrupt, synchronises, returns");
    case A.firmware:
      return loud(laneOfHart(who), "is synchronised by firmware");
    case A.preempt:
      return loud(laneOfHart(hart), "the thread is preempted");
    case A.resume:
      return loud(laneOfHart(what), "the thread goes on here");
    default:
      return loud("hart 1", `a handler interrupts and calls function ${what + 1}`);
  }
}

/** Windows and words as memory has them now. */
function viewMemory(system: System, state: Int32Array): MemoryView {
  const { world } = system;
  const sites = world.sites.map((site, index) => {
    const bank = ensure(world.banks[site.bank], "bank");
    const bytes = new Uint8Array(Number(site.end - site.at));
    for (const [i, block] of bank.blocks.entries()) {
      if (block.at < site.at || block.at >= site.end) continue;
      bytes.set(bank.current(system.bankState(state, site.bank), i), Number(block.at - site.at));
    }
    return { name: `site ${index + 1}`, lines: disassemble(system, site.at, bytes) };
  });
  const literals = world.sites.flatMap((site) =>
    site.literal === undefined ? [] : [site.literal],
  );
  const words = [...literals, ...world.words.values()].map((word) => {
    const bank = ensure(world.banks[word.bank], "bank");
    const id = system.bankState(state, word.bank);
    const parts = bank.blocks.map((_, i) => bank.current(id, i));
    const value = wordValue(Uint8Array.from(parts.flatMap((part) => [...part])));
    return { name: word.name, value: nameValue(system, value) };
  });
  return { sites, words, fetches: viewFetches(system, state) };
}

/** What each hart's next fetches may bring. */
function viewFetches(system: System, state: Int32Array): readonly FetchView[] {
  const harts = Array.from({ length: system.harts }, (_, hart) => hart);
  return system.world.sites.flatMap((site, index) => {
    const bank = ensure(system.world.banks[site.bank], "bank");
    const id = system.bankState(state, site.bank);
    const parts = [...bank.blocks.entries()].filter(([, b]) => b.at >= site.at && b.at < site.end);
    return harts.map((hart) => ({
      hart: laneOfHart(hart),
      site: `site ${index + 1}`,
      parts: parts.map(([block, { at }]) => ({
        at: hex(at),
        versions: versionsOf(bank.sights(id, hart, block)),
      })),
    }));
  });
}

/** Each version once, though it may be seen in several ways. */
function versionsOf(
  sights: readonly Sight[],
): readonly { readonly bytes: string; readonly stale: boolean }[] {
  const found = new Map(sights.map(({ bytes, stale }) => [hexBytes(bytes), stale]));
  return [...found].map(([bytes, stale]) => ({ bytes, stale }));
}

function nameValue(system: System, value: bigint): string {
  for (const ops of system.world.ops.values()) {
    if (ops.at === value) return `ops ${ops.name}`;
    if (ops.func === value) return `callback of ops ${ops.name}`;
  }
  return system.world.code.get(value)?.name ?? hex(value);
}

function disassemble(system: System, at: bigint, bytes: Uint8Array): CodeLine[] {
  const { isa } = system.world;
  const lines: CodeLine[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const insn = isa.decode(bytes, offset);
    const size = insn?.size ?? Math.min(isa.instructionAlign, bytes.length - offset);
    const pc = at + BigInt(offset);
    lines.push({
      at: hex(pc),
      bytes: hexBytes(bytes.subarray(offset, offset + size)),
      text: insn === undefined ? "?" : isa.format(insn, pc),
    });
    offset += size;
  }
  return lines;
}

function whereIs(system: System, state: Int32Array): string {
  const local = system.locals.get(wordOf(state, W.thread));
  const hart = wordOf(state, W.threadHart);
  const on = hart === OFF ? "preempted" : `on ${laneOfHart(hart)}`;
  switch (local.at) {
    case "outside":
      return "outside of the function";
    case "site":
      return `at ${hex(local.pc)}, ${on}`;
    case "handler":
      return `in the handler of the trap at ${hex(local.pc)}, ${on}`;
    default:
      return `in ${local.code}, ${on}`;
  }
}

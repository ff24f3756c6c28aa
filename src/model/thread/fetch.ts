/**
 * Fetching and executing the site: an instruction is put together block by block from what the hart
 * may see, decoded as soon as its bytes are complete, and executed by its table's effects.
 */
import { ensure } from "../../base/assert.ts";
import { hex, hexBytes } from "../../base/brand.ts";
import type { Instruction } from "../../isa/isa.ts";
import { markBit } from "../violations.ts";
import { isWritten, type World } from "../world.ts";
import { land, siteOf } from "./land.ts";
import { bad, type Draft, draft, type SiteLocal } from "./local.ts";
import { carryOut } from "./registers.ts";

/** Bytes that are shown of what is no instruction. */
const SHOWN_MAX = 6;

/** One instruction that a hart may get. */
export type Fetched = {
  readonly bytes: Uint8Array;
  readonly bank: number;
  /** Some part of it is older than what memory has. */
  readonly stale: boolean;
  /** Some part of it could have been another version. */
  readonly raced: boolean;
  /** All versions of all its parts are in Arm's list. */
  readonly listed: boolean;
  /** `undefined`: the bytes are no instruction. */
  readonly insn: Instruction | undefined;
};

/** What a thread does with an instruction that it has fetched. */
export function executeFetched(
  world: World,
  local: SiteLocal,
  fetched: Fetched,
  trails: { readonly kept: boolean; readonly answered: number },
): Draft {
  const { bytes, insn, raced, stale } = fetched;
  const marks = (stale ? markBit("stale-fetch") : 0) | (raced ? markBit("raced") : 0);
  const more = { marks, bank: fetched.bank };
  const text = describeFetch(world, local, fetched);
  if (insn === undefined || !isWritten(world, local.pc, bytes)) {
    return bad("unwritten-instruction", text, more);
  }
  if (raced && world.machine.listed && !fetched.listed) return bad("unpredictable", text, more);
  const trail = trails.kept ? extendTrail(world, local, insn, trails.answered) : "";
  return runInstruction(world, local, insn, { text, trail, more });
}

function runInstruction(
  world: World,
  local: SiteLocal,
  insn: Instruction,
  how: { readonly text: string; readonly trail: string; readonly more: Partial<Draft> },
): Draft {
  const { text, trail, more } = how;
  const { site, pc, called } = local;
  const done = carryOut(world.kit, local.cpu, insn, pc);
  if (done === undefined) return bad("torn-data", `${text}: loads where nothing is`, more);
  const { cpu, outcome } = done;
  if (outcome.kind === "trap") {
    const syncs = world.machine.trapSyncs;
    return draft({ at: "handler", site, pc, cpu }, `${text}: traps`, { ...more, syncs });
  }
  return land(world, { site, called, trail, text }, outcome.pc, cpu, more);
}

function describeFetch(world: World, local: SiteLocal, fetched: Fetched): string {
  const { bytes, insn, stale } = fetched;
  const shown = insn === undefined ? "(no instruction)" : world.isa.format(insn, local.pc);
  // What is no instruction was fetched up to the longest one's length: its beginning says enough.
  const some = hexBytes(bytes.slice(0, insn?.size ?? SHOWN_MAX));
  return `${hex(local.pc)}: ${some}  ${shown}${stale ? " (stale)" : ""}`;
}

/** A trail's entries are `syncs answered before|offset|instruction;`. */
function extendTrail(world: World, local: SiteLocal, insn: Instruction, answered: number): string {
  const offset = Number(local.pc - siteOf(world, local.site).at);
  return `${local.trail}${answered}|${offset}|${world.isa.format(insn, local.pc)};`;
}

/** The instruction at a thread's pc, in each version that `hart` may fetch. */
export function fetchAll(
  world: World,
  local: SiteLocal,
  hart: number,
  bank: number,
): readonly Fetched[] {
  const site = siteOf(world, local.site);
  const memory = ensure(world.banks[site.bank], "bank");
  const found = new Map<string, Fetched>();
  const complete = (so: Fetched): void => {
    const key = `${so.bytes.join()} ${so.bank} ${so.raced ? 1 : 0}`;
    if (!found.has(key)) found.set(key, so);
  };
  const extend = (so: Fetched): void => {
    const insn = world.isa.decode(so.bytes, 0);
    if (insn !== undefined) {
      complete({ ...so, insn, bytes: so.bytes.slice(0, insn.size) });
      return;
    }
    if (so.bytes.length >= world.kit.instructionMax) {
      complete(so);
      return;
    }
    const at = local.pc + BigInt(so.bytes.length);
    if (at >= site.end) {
      // Behind the window stands the body, which nobody changes.
      extend({ ...so, bytes: Uint8Array.of(...so.bytes, ...world.kit.bodyBytes) });
      return;
    }
    const index = memory.blocks.findIndex(
      (b) => at >= b.at && at < b.at + BigInt(b.initial.length),
    );
    const block = ensure(memory.blocks[index], `a block at ${hex(at)}`);
    const sights = memory.sights(so.bank, hart, index);
    const isOne = sights.every(({ value }) => value === sights[0]?.value);
    const listed = so.listed && sights.every((sight) => world.kit.isListed(sight.bytes));
    for (const sight of sights) {
      extend({
        bytes: Uint8Array.of(...so.bytes, ...sight.bytes.slice(Number(at - block.at))),
        bank: sight.bank,
        stale: so.stale || sight.stale,
        raced: so.raced || !isOne,
        listed,
        insn: undefined,
      });
    }
  };
  const nothing = new Uint8Array(0);
  extend({ bytes: nothing, bank, stale: false, raced: false, listed: true, insn: undefined });
  return [...found.values()];
}

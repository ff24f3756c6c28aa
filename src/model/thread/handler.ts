/** Traps that a protocol puts in place: what their handler does with the thread. */
import { assert } from "../../base/assert.ts";
import { markBit } from "../violations.ts";
import type { World } from "../world.ts";
import { land, siteOf } from "./land.ts";
import { bad, type Draft, type HandlerLocal } from "./local.ts";
import { carryOut } from "./registers.ts";

/** What a trap at the sites means while it is armed: windows before and after, and the rule. */
export type Arm = {
  readonly meanwhile: "new" | "old" | "skip" | "retry";
  /** Per site. */
  readonly windows: readonly { readonly from: Uint8Array; readonly to: Uint8Array }[];
};

/** More instructions than a window has, unless it loops. */
const EMULATED_MAX = 16;

/** The handler looks the trap up and acts; `arm` is `undefined` when nobody knows the trap. */
export function handleTrap(world: World, local: HandlerLocal, arm: Arm | undefined): Draft {
  if (arm === undefined) {
    return bad("unhandled-trap", "the trap handler knows nothing of this trap");
  }
  const more = { syncs: world.machine.trapSyncs, marks: markBit("trapped") };
  const site = siteOf(world, local.site);
  const text = `the trap handler: ${arm.meanwhile}`;
  const from = { site: local.site, called: false, trail: "", text };
  if (arm.meanwhile === "skip") return land(world, from, site.end, local.cpu, more);
  if (arm.meanwhile === "retry") return land(world, from, local.pc, local.cpu, more);
  const windows = arm.windows[local.site];
  assert(windows !== undefined, "a trap at a site that is not in the batch");
  const window = arm.meanwhile === "new" ? windows.to : windows.from;
  let cpu = local.cpu;
  let pc: bigint = site.at;
  for (let i = 0; pc >= site.at && pc < site.end; i++) {
    assert(i < EMULATED_MAX, "a window that loops can't be emulated");
    const insn = world.isa.decode(window, Number(pc - site.at));
    const done = insn && carryOut(world.kit, cpu, insn, pc);
    if (done === undefined || done.outcome.kind === "trap") {
      return bad("unhandled-trap", `${text}: can't be emulated`, more);
    }
    cpu = done.cpu;
    pc = done.outcome.pc;
  }
  return land(world, from, pc, cpu, more);
}

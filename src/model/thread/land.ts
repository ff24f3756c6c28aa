/** What a thread finds where control arrives: the site, its body, a trampoline, or nothing. */
import { ensure } from "../../base/assert.ts";
import { hex } from "../../base/brand.ts";
import { callerReturn } from "../places.ts";
import { markBit } from "../violations.ts";
import type { World, WorldSite } from "../world.ts";
import { bad, type Draft, draft, outside } from "./local.ts";
import type { Registers } from "./registers.ts";

export const siteOf = (world: World, index: number): WorldSite =>
  ensure(world.sites[index], `site ${index}`);

/** How a thread came here. */
export type From = {
  readonly site: number;
  /** A trampoline was run since the call. */
  readonly called: boolean;
  readonly trail: string;
  /** What it did last. */
  readonly text: string;
};

/** Control arrives at `pc` with these registers. */
export function land(
  world: World,
  from: From,
  pc: bigint,
  cpu: Registers,
  more: Partial<Draft> = {},
): Draft {
  const { site: index, called, trail, text } = from;
  const site = siteOf(world, index);
  if (pc >= site.at && pc < site.end) {
    return draft({ at: "site", site: index, pc, cpu, called, trail }, text, more);
  }
  if (pc === site.end) return runBody(world, from, cpu, more);
  if (pc === callerReturn && world.design.returns === true) {
    const marks = (more.marks ?? 0) | markBit("passed");
    return draft(outside, `${text}: returns`, { ...more, marks });
  }
  const code = world.code.get(pc);
  const ended = trail === "" ? "" : `${trail}${code?.name ?? "nowhere"}`;
  if (code === undefined) {
    const nowhere = `${text}: arrives at ${hex(pc)}, where nothing is`;
    return bad("wild-jump", nowhere, { ...more, trail: ended });
  }
  const to = {
    at: "code",
    site: index,
    code: code.name,
    index: 0,
    cpu,
    slots: {},
    link: 0n,
    inside: "",
  } as const;
  return draft(to, `${text}: enters ${code.name}`, { ...more, trail: ended });
}

/**
 * The function's first own instruction: registers and stack have to be as they were at its call.
 */
function runBody(world: World, from: From, cpu: Registers, more: Partial<Draft>): Draft {
  const { kit, design } = world;
  const { called, trail, text } = from;
  const lost = Object.keys(cpu.regs).find((name) => !design.scratch.includes(name));
  if (lost !== undefined) {
    const value = hex(ensure(cpu.regs[lost], lost));
    return bad("lost-context", `${text}: the body finds ${lost} = ${value}`, more);
  }
  for (const [addr, value] of Object.entries(kit.callStack)) {
    if (cpu.stack[addr] !== value) {
      return bad("lost-context", `${text}: the body finds another return address`, more);
    }
  }
  const marks = (more.marks ?? 0) | markBit(called ? "called" : "passed");
  const ended = trail === "" ? "" : `${trail}body`;
  return draft(outside, `${text}: the body runs and returns`, { ...more, marks, trail: ended });
}

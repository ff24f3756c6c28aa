/**
 * Running trampolines: one step at a time, with the loads that they make in the order they make
 * them.
 */
import { ensure, unreachable } from "../../base/assert.ts";
import { hex } from "../../base/brand.ts";
import type { TrampolineStep } from "../../patch/trampolines.ts";
import { callerReturn } from "../places.ts";
import { markBit } from "../violations.ts";
import { type Code, type DataWord, type OpsObject, type World, wordValue } from "../world.ts";
import { land, siteOf } from "./land.ts";
import { bad, type CodeLocal, type Draft, draft } from "./local.ts";
import { readPlace, readRegister, tidy } from "./registers.ts";

type StepOf<Op extends TrampolineStep["op"]> = Extract<TrampolineStep, { op: Op }>;

const codeOf = (world: World, local: CodeLocal): Code =>
  ensure(world.codeByName.get(local.code), local.code);

const stepOf = (world: World, local: CodeLocal): TrampolineStep =>
  ensure(codeOf(world, local).steps[local.index], "a trampoline without its end");

const opsAt = (world: World, address: bigint | undefined): OpsObject | undefined =>
  [...world.ops.values()].find((ops) => ops.at === address);

const literalAddress = (local: CodeLocal, step: StepOf<"literal">): bigint =>
  local.link - (local.link % BigInt(step.align)) + BigInt(step.offset);

/** The word of data that the next step loads, where it is one that may change. */
export function wordToLoad(world: World, local: CodeLocal): DataWord | undefined {
  const step = stepOf(world, local);
  if (step.op === "word") return world.words.get(step.name);
  if (step.op === "field" && step.field === "direct") {
    const ops = opsAt(world, local.slots[step.of]);
    return ops === undefined ? undefined : world.words.get(`direct:${ops.name}`);
  }
  if (step.op !== "literal") return undefined;
  const at = literalAddress(local, step);
  return world.sites.find((site) => site.literal?.at === at)?.literal;
}

/** A value as people know it. */
function nameOf(world: World, value: bigint): string {
  for (const ops of world.ops.values()) {
    if (ops.at === value) return `ops ${ops.name}`;
    if (ops.func === value) return `the callback of ops ${ops.name}`;
  }
  return world.code.get(value)?.name ?? hex(value);
}

/** What the thread can do next: several things where a load may return several values. */
export function stepTrampoline(
  world: World,
  local: CodeLocal,
  hart: number,
  bank: number,
): readonly Draft[] {
  const step = stepOf(world, local);
  const uses = 1 << codeOf(world, local).bit;
  switch (step.op) {
    case "enter":
    case "enterByJump":
      return [enter(world, local, step, uses)];
    case "literal":
      if (wordToLoad(world, local) === undefined) {
        const address = hex(literalAddress(local, step));
        return [bad("torn-data", `${local.code}: loads ${address}, where no literal is`, { uses })];
      }
      return load(world, local, hart, bank, step.into, uses);
    case "word":
      return load(world, local, hart, bank, step.into, uses);
    case "field":
      return loadField(world, local, hart, bank, step, uses);
    case "jumpDirect":
      return [jumpDirect(world, local, local.slots[step.to] ?? 0n, uses)];
    case "jumpTo": {
      const { at } = ensure(world.codeByName.get(step.code), step.code);
      return [jumpDirect(world, local, at, uses)];
    }
    case "call":
    case "callOps":
      return [call(world, local, step, uses)];
    case "leave":
      return [leave(world, local, uses)];
    default:
      return unreachable(step);
  }
}

/** The local state behind the step. */
const after = (local: CodeLocal, change: Partial<CodeLocal> = {}): CodeLocal => ({
  ...local,
  index: local.index + 1,
  ...change,
});

function enter(
  world: World,
  local: CodeLocal,
  step: StepOf<"enter" | "enterByJump">,
  uses: number,
): Draft {
  const { kit } = world;
  const site = siteOf(world, local.site);
  const link = step.op === "enter" ? readPlace(kit, local.cpu, step.link) : site.end;
  if (link <= site.at || link > site.end) {
    return bad("lost-context", `${local.code}: would return to ${hex(link)}`, { uses });
  }
  const parent = step.parent === undefined ? callerReturn : readPlace(kit, local.cpu, step.parent);
  if (parent !== callerReturn) {
    const text = `${local.code}: finds ${hex(parent)} as the return address`;
    return bad("lost-context", text, { uses });
  }
  return draft(after(local, { link }), `${local.code}: begins`, { uses });
}

function load(
  world: World,
  local: CodeLocal,
  hart: number,
  bank: number,
  into: string,
  uses: number,
): readonly Draft[] {
  const word = ensure(wordToLoad(world, local), "a word to load");
  const memory = ensure(world.banks[word.bank], "bank");
  let partial = [{ bytes: new Uint8Array(0), bank, stale: false }];
  for (const block of memory.blocks.keys()) {
    partial = partial.flatMap((before) =>
      memory.sights(before.bank, hart, block).map((sight) => ({
        bytes: Uint8Array.of(...before.bytes, ...sight.bytes),
        bank: sight.bank,
        stale: before.stale || sight.stale,
      })),
    );
  }
  return partial.map((seen) => {
    const value = wordValue(seen.bytes);
    const to = after(local, { slots: { ...local.slots, [into]: value } });
    const age = seen.stale ? " (stale)" : "";
    const text = `${local.code}: loads ${word.name} = ${nameOf(world, value)}${age}`;
    return draft(to, text, {
      bank: seen.bank,
      marks: seen.stale ? markBit("stale-load") : 0,
      uses,
    });
  });
}

function loadField(
  world: World,
  local: CodeLocal,
  hart: number,
  bank: number,
  step: StepOf<"field">,
  uses: number,
): readonly Draft[] {
  const base = local.slots[step.of] ?? 0n;
  const ops = opsAt(world, base);
  if (ops === undefined) {
    const text = `${local.code}: loads through ${hex(base)}, where no ops are`;
    return [bad("torn-data", text, { uses })];
  }
  const used = uses | (1 << ops.bit);
  if (wordToLoad(world, local) !== undefined) {
    return load(world, local, hart, bank, step.into, used);
  }
  const to = after(local, { slots: { ...local.slots, [step.into]: ops[step.field] } });
  return [draft(to, `${local.code}: loads ${step.field} of ops ${ops.name}`, { uses: used })];
}

function jumpDirect(world: World, local: CodeLocal, target: bigint, uses: number): Draft {
  if (target === 0n) return draft(after(local), `${local.code}: no direct call`, { uses });
  const text = `${local.code}: jumps to ${nameOf(world, target)}`;
  const from = { site: local.site, called: true, trail: "", text };
  return land(world, from, target, local.cpu, { uses });
}

/** A callback takes two steps, its beginning and its end: things can happen while it runs. */
function call(
  world: World,
  local: CodeLocal,
  step: StepOf<"call" | "callOps">,
  uses: number,
): Draft {
  if (local.inside !== "") {
    const ops = ensure(world.ops.get(local.inside), local.inside);
    const text = `${local.code}: the callback of ops ${local.inside} returns`;
    return draft(after(local, { inside: "" }), text, { uses: uses | (1 << ops.bit) });
  }
  const ops =
    step.op === "callOps"
      ? ensure(world.ops.get(step.ops), step.ops)
      : opsAt(world, local.slots[step.ops]);
  if (ops === undefined) {
    return bad("torn-data", `${local.code}: calls with a pointer to nothing`, { uses });
  }
  const used = uses | (1 << ops.bit);
  const called = step.op === "call" ? (local.slots[step.func] ?? 0n) : ops.func;
  const walksList = [...world.ops.values()].some((o) => o.takesAny && o.func === called);
  if (called !== ops.func && !walksList) {
    const func = nameOf(world, called);
    const text = `${local.code}: calls ${func} with ops ${ops.name}`;
    return bad("wrong-pairing", text, { uses: used });
  }
  const text = `${local.code}: calls the callback of ops ${ops.name}`;
  return draft({ ...local, inside: ops.name }, text, { uses: used });
}

function leave(world: World, local: CodeLocal, uses: number): Draft {
  const { kit } = world;
  const { stackPointer, wordBytes } = kit.isa;
  const entry = ensure(codeOf(world, local).steps[0], "a trampoline's entry");
  const regs: Record<string, bigint> = { ...local.cpu.regs };
  if (entry.op === "enter" && "stack" in entry.link) {
    // The link is popped.
    regs[stackPointer] = readRegister(kit, local.cpu, stackPointer) + BigInt(wordBytes);
  }
  if (entry.op === "enter" && entry.home !== undefined) regs[entry.home] = callerReturn;
  const cpu = tidy(kit, { regs, stack: local.cpu.stack });
  const text = `${local.code}: returns to the site`;
  return land(world, { site: local.site, called: true, trail: "", text }, local.link, cpu, {
    uses,
  });
}

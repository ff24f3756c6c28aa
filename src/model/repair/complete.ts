/** Whether a protocol's stores lead where they should, taken one after the other. */
import type { Check } from "../../patch/protocol.ts";
import type { BatchStep } from "../../patch/steps.ts";
import { boundChanges } from "../check.ts";

/** Bytes by address. */
type Image = Map<bigint, number>;

function put(image: Image, at: bigint, bytes: Uint8Array): void {
  for (const [i, byte] of bytes.entries()) image.set(at + BigInt(i), byte);
}

function carryOut(image: Image, steps: readonly BatchStep[]): void {
  for (const step of steps) {
    if (step.op === "stop") carryOut(image, step.steps);
    if (step.op !== "write") continue;
    for (const { at, bytes } of step.writes) put(image, at, bytes);
  }
}

/** Every change of the check's history ends with the bytes of the state that it goes to. */
export function doesComplete(check: Check): boolean {
  const { words, changes } = boundChanges(check);
  const image: Image = new Map();
  for (const { at, bytes } of words) put(image, at, bytes);
  for (const { sites, steps } of changes) {
    // A trap that stays armed is a change that is not over.
    const armed = steps.findLast(({ op }) => op === "trap" || op === "untrap");
    if (armed?.op === "trap") return false;
    for (const site of sites) {
      put(image, site.at, site.from);
      if (site.literal !== undefined) put(image, site.literal.at, site.literal.from);
    }
    const goal: Image = new Map();
    for (const site of sites) {
      put(goal, site.at, site.to);
      if (site.literal !== undefined) put(goal, site.literal.at, site.literal.to);
      for (const { at, to } of site.words?.values() ?? []) put(goal, at, to);
    }
    carryOut(image, steps);
    for (const [at, byte] of goal) if (image.get(at) !== byte) return false;
  }
  return true;
}

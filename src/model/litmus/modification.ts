/**
 * Arm's rule for changing code that others execute (Arm ARM B2.2.5, "Concurrent modification and
 * execution of instructions"): unless the store and the fetch are synchronised, both the old and
 * the new instruction have to be of a short list; else what happens is CONSTRAINED UNPREDICTABLE,
 * and a verdict says nothing.
 */

import { bytesOfValue, type Image } from "./image.ts";
import type { Witness } from "./search.ts";
import type { TraceEvent } from "./trace.ts";

function isListed(image: Image, event: TraceEvent): boolean {
  const decoding = image.isa.decode(bytesOfValue(event.value, event.bytes), event.address);
  return typeof decoding !== "string" && decoding.listed;
}

/** The name of a place where an execution breaks the rule; `undefined` where it keeps it. */
export function findUnsynchronised(
  image: Image,
  { execution, reach }: Witness,
): string | undefined {
  const { nodes } = execution;
  for (const [fetch, { event, cell }] of nodes.entries()) {
    if (event.kind !== "fetch") continue;
    for (const [write, other] of nodes.entries()) {
      if (other.event.kind !== "write" || other.cell !== cell) continue;
      if (reach.has(fetch, write) || reach.has(write, fetch)) continue;
      if (isListed(image, event) && isListed(image, other.event)) continue;
      return image.nameOf(event.address);
    }
  }
  return undefined;
}

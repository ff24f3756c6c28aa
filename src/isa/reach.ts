/** Whether a distance can be encoded, and why not: what every ISA's `canReach` answers. */

import { ensure } from "../base/assert.ts";
import type { ReachRefusal } from "./isa.ts";
import type { Encoding } from "./table.ts";

/** The answer of every `canReach`. */
export type Reach = { readonly kind: "reachable"; readonly distance: bigint } | ReachRefusal;

/** Whether a distance in bytes is between `min` and `max` and a multiple of `align`. */
export function reach(distanceBytes: bigint, min: bigint, max: bigint, align: bigint): Reach {
  if (distanceBytes < min || distanceBytes > max) {
    return { kind: "outOfRange", distance: distanceBytes, limit: distanceBytes < 0n ? min : max };
  }
  if (distanceBytes % align !== 0n) return { kind: "misaligned", distance: distanceBytes, align };
  return { kind: "reachable", distance: distanceBytes };
}

/** Whether a form's field of this name can hold a distance. */
export function reachOfField(form: Encoding, field: string, distanceBytes: bigint): Reach {
  const found = ensure(
    form.pattern.fields.find(({ name }) => name === field),
    `${form.name} has no ${field}`,
  );
  return reach(distanceBytes, BigInt(found.min), BigInt(found.max), BigInt(found.unit));
}

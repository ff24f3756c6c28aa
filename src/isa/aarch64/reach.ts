/** How far AArch64's branches and address instructions reach. */

import type { CodeAddr, DataAddr } from "../../base/brand.ts";
import type { Part, Place } from "../assembler.ts";
import { type Reach, reachOfField } from "../reach.ts";
import type { Computation } from "../table.ts";
import { aarch64 } from "./isa.ts";

/** Instructions that name a place by its distance from themselves. */
export type Reaching =
  | "b"
  | "bl"
  | "b.cond"
  | "cbz.x"
  | "cbz.w"
  | "cbnz.x"
  | "cbnz.w"
  | "tbz"
  | "tbnz"
  | "adr"
  | "ldr.x.literal"
  | "ldr.w.literal"
  | "ldr.q.literal";

/** Whether the instruction at `from` can name `to`: for `bl`, 128 MiB back to 128 MiB - 4 ahead. */
export function canReach(form: Reaching, from: CodeAddr, to: CodeAddr | DataAddr): Reach {
  return reachOfField(aarch64.table.form(form), "offset", BigInt.asIntN(64, to - from));
}

/** Whether ADRP at `from` can name the page of `to`: 4 GiB to both sides, counted in pages. */
export function canReachPage(from: CodeAddr, to: CodeAddr | DataAddr): Reach {
  const pages = BigInt.asIntN(64, (to & -4096n) - (from & -4096n));
  return reachOfField(aarch64.table.form("adrp"), "offset", pages);
}

const low12: Computation = { value: (target) => target & 0xfffn, absolute: true };

/** `:lo12:place`: what ADD adds to the page that ADRP names. */
export const pageOffset = (place: Place): Part => ({
  ...{ kind: "part", place },
  computation: low12,
});

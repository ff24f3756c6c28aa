/**
 * Copies of the instructions that jumps have displaced from functions without a site. A thunk goes
 * on with the copy, and the copy with the rest of the function.
 */
import { assert } from "../base/assert.ts";
import { type CodeAddr, codeAddr, hex } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { BackEnd, Moved } from "../codegen/back-end.ts";
import type { SiteTable } from "./sites.ts";
import { windowBytesMax } from "./text-patch.ts";

/** Room for one copy: far forms of each instruction are longer and rarely needed. */
export const copyBytesMax = 64;
const alignment = 8;

/** The copies of some sites, one behind the other. */
export type PrologueCopies = {
  readonly bytes: Uint8Array;
  /** Address of each site's copy, 0 where it has none; index by index as the sites. */
  readonly at: Float64Array;
};

/** Moves the displaced instructions of `site` to `to`. */
function move(backEnd: BackEnd, table: SiteTable, site: number, to: CodeAddr): Moved {
  assert(
    backEnd.moveWindow !== undefined,
    "sites whose instructions move are of an ISA that moves them",
  );
  const from = site * windowBytesMax;
  const displaced = table.compiled.subarray(from, from + (table.moved[site] ?? 0));
  const window = codeAddr(BigInt(table.at[site] ?? 0));
  const moved = backEnd.moveWindow(displaced, window, to);
  if (moved.ok && moved.value.bytes.length <= copyBytesMax) return moved.value;
  throw new PatchbayError({
    code: "unsupported",
    doing: `move the first instructions of the function at ${hex(window)}`,
    why: moved.ok ? "they get too long" : moved.error.reason,
    hint: "leave that function out with -N",
  });
}

/** Bytes that the copies of `sites` take at the most. */
export const copiesRoom = (table: SiteTable, sites: Uint32Array): number =>
  sites.reduce((sum, site) => sum + (table.moved[site] === 0 ? 0 : copyBytesMax), 0);

/** The copies of `sites` for the address `start`; `copiesRoom` bytes, filled up with traps. */
export function copyPrologues(
  backEnd: BackEnd,
  table: SiteTable,
  sites: Uint32Array,
  start: bigint,
): PrologueCopies {
  const bytes = new Uint8Array(copiesRoom(table, sites));
  const { trapInstruction } = backEnd;
  for (let i = 0; i < bytes.length; i += trapInstruction.length) bytes.set(trapInstruction, i);
  const at = new Float64Array(sites.length);
  let used = 0;
  sites.forEach((site, index) => {
    if (table.moved[site] === 0) return;
    const copy = move(backEnd, table, site, codeAddr(start + BigInt(used)));
    bytes.set(copy.bytes, used);
    at[index] = Number(start) + used;
    used = Math.ceil((used + copy.bytes.length) / alignment) * alignment;
  });
  return { bytes, at };
}

/** Where the copy at `copy` of `site` has the instruction that stands at `pc` in the function. */
export function findInCopy(
  backEnd: BackEnd,
  table: SiteTable,
  site: number,
  copy: number,
  pc: bigint,
): bigint | undefined {
  const { moves } = move(backEnd, table, site, codeAddr(BigInt(copy)));
  return moves.find(({ from }) => from === pc)?.to;
}

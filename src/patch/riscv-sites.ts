/**
 * Finding sites in RISC-V programs. The compiler's option counts no-ops, not bytes, and those of
 * the C extension have two bytes: `-fpatchable-function-entry=5,2`, which is right without C,
 * leaves six bytes at the function then, and AUIPC with JALR are eight.
 */
import type { Layout } from "./layout.ts";
import { fourCNops, twoNops } from "./riscv-layouts.ts";
import type { RefusalReason } from "./site.ts";
import type { SiteDialect } from "./site-search.ts";

/** Bytes of the no-op at `bytes[at]` (`c.nop` or `addi zero, zero, 0`); 0: it is none. */
function nopSizeAt(bytes: Uint8Array, at: number): number {
  if (bytes[at] === 0x01 && bytes[at + 1] === 0) return 2;
  const isNop = bytes[at] === 0x13 && bytes[at + 1] === 0 && bytes[at + 2] === 0;
  return isNop && bytes[at + 3] === 0 ? 4 : 0;
}

function layoutAt(bytes: Uint8Array, at: number): Layout | RefusalReason {
  const size = nopSizeAt(bytes, at);
  if (size === 0) return "not-nop";
  const { windowSize } = fourCNops;
  for (let next = size; next < windowSize; next += size) {
    if (nopSizeAt(bytes, at + next) !== size)
      return size === 2 ? "too-short-compressed" : "too-short";
  }
  return size === 2 ? fourCNops : twoNops;
}

export const riscvDialect: SiteDialect = {
  padSizeAt: () => 0,
  padSizeMax: 0,
  nopSizeAt,
  layoutAt,
};

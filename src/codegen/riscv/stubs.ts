/**
 * Designs of RISC-V sites whose call goes through a stub: AUIPC is fixed and leads to the stubs,
 * JALR names one of them, and it loads where to go on. Where all stubs lead to the one trampoline,
 * this costs three instructions and t1; it is there to be compared with (docs/dispatch.md).
 *
 *     stub k   auipc t1, hi; ld t1, lo(t1); jr t1      12 bytes
 *     word k   the address of the trampoline           8 bytes, in a page of their own
 *
 * The table is that of the mailing list, after zcmt: here a site's place says which entry is its.
 */
import { codeAddr, type DataAddr } from "../../base/brand.ts";
import type { SiteDesign } from "../../ftrace/dispatch.ts";
import { t1, zero } from "../../isa/riscv/registers.ts";
import { mem } from "../../isa/riscv/slots.ts";
import { splitDistance } from "../../patch/riscv-code.ts";
import { emitTrampoline, makeTrampolines } from "../word/call-ops.ts";
import type { Trampolines } from "../x86-64/call-ops.ts";
import { riscv64Machine } from "./machine.ts";

export const riscvDesigns: readonly SiteDesign[] = [
  "call-ops",
  "target-in-memory",
  "trampoline-table",
];

/** Entries of the table, as many as were proposed. */
const tableEntries = 255;
const stubBytes = 12;
const pageBytes = 4096;
/** The trampoline behind the stubs begins at a line of the cache. */
const alignment = 64;

/** The trampolines, with stubs in front where the design has them. */
export function riscvTrampolines(functions: DataAddr, design: SiteDesign): Trampolines {
  const m = riscv64Machine(codeAddr(0n));
  if (design === "call-ops") return makeTrampolines(m, functions);
  const { code } = m;
  const count = design === "target-in-memory" ? 1 : tableEntries;
  for (let entry = 0; entry < count; entry++) {
    const { hi, lo } = splitDistance(BigInt(pageBytes + 8 * entry - code.size));
    code.i("auipc", t1, hi >> 12).i("ld", t1, mem(t1, lo));
    code.i("jalr", zero, mem(t1));
  }
  code.align(alignment);
  const target = code.size;
  emitTrampoline(m, functions);
  const stubs = { count, stride: stubBytes, words: pageBytes, target };
  return { bytes: m.finish().bytes, offsets: [target, target], stubs };
}

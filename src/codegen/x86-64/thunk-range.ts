/** Whether an address is one of generated code with hooked returns: `target/thunk-ranges.ts`. */
import type { DataAddr } from "../../base/brand.ts";
import type { Assembler } from "../../isa/x86-64/assembler.ts";
import { type Label, mem64 } from "../../isa/x86-64/operands.ts";
import type { Gpr } from "../../isa/x86-64/registers.ts";

/** Goes on here where `address` is in it, else at `outside`. Clobbers `cursor` and the flags. */
export function emitIsInThunks(
  a: Assembler,
  ranges: DataAddr,
  address: Gpr<64>,
  cursor: Gpr<64>,
  outside: Label,
): void {
  const [look, next, inside] = [a.label(), a.label(), a.label()];
  a.i("mov", cursor, ranges);
  a.bind(look);
  a.i("cmp", mem64(cursor), 0);
  a.i("je", outside);
  a.i("cmp", address, mem64(cursor));
  a.i("jb", next);
  a.i("cmp", address, mem64(cursor, { disp: 8 }));
  a.i("jb", inside);
  a.bind(next);
  a.i("add", cursor, 16);
  a.i("jmp", look);
  a.bind(inside);
}

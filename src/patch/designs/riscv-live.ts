/** The RISC-V design of the live engine: AUIPC and JALR to a thunk of the site's own. */
import { ensure } from "../../base/assert.ts";
import type { Design, DesignState } from "../design.ts";
import { fourCNops } from "../riscv-layouts.ts";
import { dynamicTrampoline, entries } from "../trampolines.ts";

const jumpTo =
  (name: string): DesignState["window"] =>
  (at, targets) => {
    const made = fourCNops.jump(at, ensure(targets.get(name), name));
    if (!made.ok) throw new Error(`assertion failed: ${made.error.kind}`);
    return made.value;
  };

const cNop = [0x01, 0x00];

/** Four 2-byte no-ops, between which a thread can stand, or a jump to a thunk. */
export const rv64Jump: Design = {
  id: "riscv64/cnop4-jump",
  isa: "riscv64",
  summary: "four c.nop <-> auipc t0; jalr zero, lo(t0): the live engine's",
  windowSize: 8,
  align: 2,
  states: {
    idle: { window: () => Uint8Array.from([...cNop, ...cNop, ...cNop, ...cNop]) },
    a: { window: jumpTo("tramp a"), owns: ["tramp a"] },
    b: { window: jumpTo("tramp b"), owns: ["tramp b"] },
  },
  code: {
    "tramp a": dynamicTrampoline(entries.riscvJump, "a"),
    "tramp b": dynamicTrampoline(entries.riscvJump, "b"),
  },
  ops: [{ name: "a" }, { name: "b" }],
  scratch: ["t0"],
};

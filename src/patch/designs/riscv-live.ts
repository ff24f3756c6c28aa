/** The RISC-V design of the live engine: AUIPC and JALR to a thunk of the site's own. */
import { ensure } from "../../base/assert.ts";
import type { Design, DesignState } from "../design.ts";
import { fourCNops } from "../riscv-layouts.ts";
import { callOpsPlain, dynamicTrampoline, entries } from "../trampolines.ts";

const jumpTo =
  (name: string): DesignState["window"] =>
  (at, targets) => {
    const made = fourCNops.jump(at, ensure(targets.get(name), name));
    if (!made.ok) throw new Error(`assertion failed: ${made.error.kind}`);
    return made.value;
  };

const cNop = [0x01, 0x00];
const compiled: DesignState["window"] = () => Uint8Array.from([...cNop, ...cNop, ...cNop, ...cNop]);

const callCommon: DesignState["window"] = (at, targets) => {
  const made = fourCNops.call(at, ensure(targets.get("common"), "common"));
  if (!made.ok) throw new Error(`assertion failed: ${made.error.kind}`);
  return made.value;
};

/** Four 2-byte no-ops, between which a thread can stand, or a jump to a thunk. */
export const rv64Jump: Design = {
  id: "riscv64/cnop4-jump",
  isa: "riscv64",
  summary: "four c.nop <-> auipc t0; jalr zero, lo(t0): the live engine's",
  windowSize: 8,
  align: 2,
  states: {
    idle: { window: compiled },
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

/** CALL_OPS at a site that nothing has been put into: what the live engine begins with. */
export const rv64CallOpsFresh: Design = {
  id: "riscv64/call-ops-fresh",
  isa: "riscv64",
  summary: "literal; four c.nop <-> auipc t0; jalr t0, lo(t0): the live engine's",
  windowSize: 8,
  align: 8,
  literal: { offset: -8, size: 8 },
  states: {
    idle: { window: compiled, literal: "nop" },
    a: { window: callCommon, literal: "a", owns: ["ops:a"] },
    b: { window: callCommon, literal: "b", owns: ["ops:b"] },
  },
  code: { common: callOpsPlain(entries.riscvT0, 1, -16) },
  ops: [{ name: "nop" }, { name: "a" }, { name: "b" }],
  scratch: ["t0"],
};

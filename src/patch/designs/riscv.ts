/**
 * RISC-V designs, as the mailing lists have them.
 *
 * `call-ops` (Linux since v6.16): literal, `auipc t0`, `nop | jalr t0, lo(t0)`.
 * `call-ops-2023` (proposal of February 2023): literal, `mv t0, ra`, `auipc t1`, `nop | jalr ra, lo(t1)`.
 * `auipc-jalr` (Linux up to v6.15, and the proposal of September 2024): both instructions change.
 */
import { ensure } from "../../base/assert.ts";
import type { CodeAddr } from "../../base/brand.ts";
import type { Design, DesignState, Targets } from "../design.ts";
import { concat, RA, riscv32Code, riscv64Code, splitDistance, T0, T1 } from "../riscv-code.ts";
import {
  callOpsOnce,
  callOpsTwice,
  directFunction,
  dynamicTrampoline,
  entries,
} from "../trampolines.ts";

const at = (targets: Targets, name: string): CodeAddr => ensure(targets.get(name), name);

/** JALR's mask and match for `jalr t0, imm(t0)`, which compilers never emit at a function's entry. */
export const jalrT0 = { mask: 0x000f_ffff, match: 0x0002_82e7 } as const;

const scratch = ["t0", "t1", "t2", "t3", "t4", "t5", "t6"];

/** `auipc t0, hi; nop | jalr t0, lo(t0)`: only the second instruction changes. */
function callOpsWindow(common: string, target?: string): DesignState["window"] {
  return (site, targets) => {
    const { hi, lo } = splitDistance(at(targets, common) - site);
    const own = target === undefined ? lo : Number(at(targets, target) - site) - hi;
    const call = riscv64Code.jalr(T0, T0, cutTo12Bits(own));
    return concat(riscv64Code.auipc(T0, hi), call);
  };
}

/** The 12 bits that JALR takes of an offset; what does not fit is cut off, as the rule under test does. */
const cutTo12Bits = (offset: number): number => Number(BigInt.asIntN(12, BigInt(offset)));

const idleWindow =
  (common: string): DesignState["window"] =>
  (site, targets) => {
    const { hi } = splitDistance(at(targets, common) - site);
    return concat(riscv64Code.auipc(T0, hi), riscv64Code.nop());
  };

/** Literal at -8, `auipc t0, hi(common); nop | jalr t0, lo(t0)`; the literal is read at t0 - 16. */
export const rv64CallOps: Design = {
  id: "riscv64/call-ops",
  isa: "riscv64",
  summary: "literal; auipc t0 fixed; nop <-> jalr t0, lo(t0) (Linux since v6.16)",
  windowSize: 8,
  align: 8,
  literal: { offset: -8, size: 8 },
  states: {
    idle: { window: idleWindow("common"), literal: "nop" },
    a: { window: callOpsWindow("common"), literal: "a", owns: ["ops:a"] },
    b: { window: callOpsWindow("common"), literal: "b", owns: ["ops:b"] },
    list: { window: callOpsWindow("common"), literal: "list" },
    direct: { window: callOpsWindow("common"), literal: "d", owns: ["ops:d", "direct"] },
  },
  code: {
    common: callOpsTwice(entries.riscvT0, 1, -16),
    direct: directFunction(entries.riscvT0),
  },
  ops: [
    { name: "nop" },
    { name: "list" },
    { name: "a" },
    { name: "b" },
    { name: "d", direct: "direct" },
  ],
  scratch,
};

/** `mv t0, ra; auipc t1, hi(common); nop | jalr ra, lo(t1)`: ra is the link, t0 the parent. */
function proposal2023(bits: 32 | 64): Design {
  const code = bits === 64 ? riscv64Code : riscv32Code;
  const size = bits === 64 ? 8 : 4;
  const window =
    (enabled: boolean): DesignState["window"] =>
    (site, targets) => {
      const { hi, lo } = splitDistance(at(targets, "common") - (site + 4n));
      const call = enabled ? code.jalr(RA, T1, lo) : code.nop();
      return concat(code.mv(T0, RA), code.auipc(T1, hi), call);
    };
  return {
    id: `riscv${bits}/call-ops-2023`,
    isa: bits === 64 ? "riscv64" : "riscv32",
    summary: "literal; mv t0, ra; auipc t1 fixed; nop <-> jalr ra, lo(t1) (proposed in 2023)",
    windowSize: 12,
    align: size,
    literal: { offset: -size, size },
    states: {
      idle: { window: window(false), literal: "nop" },
      a: { window: window(true), literal: "a", owns: ["ops:a"] },
      b: { window: window(true), literal: "b", owns: ["ops:b"] },
      direct: { window: window(true), literal: "d", owns: ["ops:d", "direct"] },
    },
    code: {
      // The literal is found at ra - 0x14 on RV64 and at ra - 0x10 on RV32.
      common: callOpsOnce(entries.riscvRa, 1, bits === 64 ? -0x14 : -0x10),
      direct: directFunction(entries.riscvRa),
    },
    ops: [{ name: "nop" }, { name: "a" }, { name: "b" }, { name: "d", direct: "direct" }],
    scratch,
  };
}

export const rv64CallOps2023: Design = proposal2023(64);
export const rv32CallOps2023: Design = proposal2023(32);

/** `auipc t0, hi(T); jalr t0, lo(t0)` for each trampoline of its own. */
function pairTo(name: string): DesignState["window"] {
  return (site, targets) => {
    const { hi, lo } = splitDistance(at(targets, name) - site);
    return concat(riscv64Code.auipc(T0, hi), riscv64Code.jalr(T0, T0, lo));
  };
}

const pairCode = {
  "tramp a": dynamicTrampoline(entries.riscvT0, "a"),
  "tramp b": dynamicTrampoline(entries.riscvT0, "b"),
};

/** Idle is two no-ops, as the compiler left them; both instructions change. */
export const rv64Pair: Design = {
  id: "riscv64/auipc-jalr",
  isa: "riscv64",
  summary: "nop; nop <-> auipc t0; jalr t0, lo(t0) (Linux up to v6.15)",
  windowSize: 8,
  align: 4,
  states: {
    idle: { window: () => concat(riscv64Code.nop(), riscv64Code.nop()) },
    a: { window: pairTo("tramp a"), owns: ["tramp a", "ops:a"] },
    b: { window: pairTo("tramp b"), owns: ["tramp b", "ops:b"] },
  },
  code: pairCode,
  ops: [{ name: "a" }, { name: "b" }],
  scratch,
};

/** Idle is AUIPC and no-op, so that enabling and disabling change one word; retargeting changes both. */
export const rv64GuardedPair: Design = {
  ...rv64Pair,
  id: "riscv64/auipc-nop-jalr",
  summary: "auipc t0; nop <-> jalr t0, lo(t0), both rewritten when the target changes",
  states: {
    ...rv64Pair.states,
    idle: {
      window: (site, targets) =>
        concat(pairTo("tramp a")(site, targets).slice(0, 4), riscv64Code.nop()),
    },
  },
};

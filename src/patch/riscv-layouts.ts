/**
 * RISC-V layouts. A window holds AUIPC with the upper part of the distance to the one common
 * trampoline, which depends on where the site is: so a layout is made for a site.
 *
 * | name            | idle                       | call                                 | literal |
 * | --------------- | -------------------------- | ------------------------------------ | ------- |
 * | `call-ops`      | `auipc t0, hi; nop`        | `auipc t0, hi; jalr t0, lo(t0)`      | -8      |
 * | `call-ops-2023` | `mv t0, ra; auipc t1, hi;` | `mv t0, ra; auipc t1, hi;`           | -8, -4  |
 * |                 | `nop`                      | `jalr ra, lo(t1)`                    | (RV32)  |
 *
 * Once a site is idle only its last word changes: one aligned 4-byte store (Ziccif). What else than
 * the common trampoline a site reaches is decided by its own AUIPC: the 4096 bytes around where
 * that points, wherever the common trampoline is.
 */
import { ensure } from "../base/assert.ts";
import { type CodeAddr, codeAddr } from "../base/brand.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { ReachRefusal } from "../isa/isa.ts";
import { riscv32, riscv64 } from "../isa/riscv/isa.ts";
import { concat } from "./bytes.ts";
import type { Layout, SiteState } from "./layout.ts";
import {
  loMax,
  loMin,
  RA,
  type RiscvCode,
  riscv32Code,
  riscv64Code,
  splitDistance,
  T0,
  T1,
} from "./riscv-code.ts";

/** A site, and what its AUIPC is made for. */
export type RiscvSite = {
  /** The window's first byte; a multiple of 4, and of 8 where there is an 8-byte literal. */
  readonly at: CodeAddr;
  readonly common: CodeAddr;
  readonly xlen: 32 | 64;
  /** The C extension is on: no-ops have two bytes. */
  readonly compressed: boolean;
};

/** What the two designs differ in. */
type Shape = {
  readonly name: string;
  readonly flags: string;
  /** Instructions in front of AUIPC. */
  readonly before: (code: RiscvCode) => Uint8Array;
  readonly base: number;
  readonly link: number;
  readonly literal: (xlen: 32 | 64) => Exclude<Layout["literal"], undefined>;
};

const shapes = {
  callOps: {
    name: "call-ops",
    flags: "8,4 (4,2 without C)",
    before: () => new Uint8Array(0),
    base: T0,
    link: T0,
    // The same room on both: RV32 uses the first four bytes of it.
    literal: (xlen) => ({ offset: -8, size: xlen === 64 ? 8 : 4 }),
  },
  callOps2023: {
    name: "call-ops-2023",
    flags: "10,4 (5,2 without C; RV32: 8,2 or 4,1)",
    before: (code) => code.mv(T0, RA),
    base: T1,
    link: RA,
    literal: (xlen) => (xlen === 64 ? { offset: -8, size: 8 } : { offset: -4, size: 4 }),
  },
} as const satisfies Readonly<Record<string, Shape>>;

/** The farthest that AUIPC with JALR reaches (RV64): 2 GiB, moved by lo's sign. */
const farMax = 0x7fff_f7ffn;
const farMin = -0x8000_0800n;

/** The layout of one site, or why its AUIPC can't reach the common trampoline. */
const makeLayout =
  (shape: Shape) =>
  (site: RiscvSite): Result<Layout, ReachRefusal> => {
    const code = site.xlen === 64 ? riscv64Code : riscv32Code;
    const before = shape.before(code);
    const auipcAt = site.at + BigInt(before.length);
    const distance = BigInt.asIntN(site.xlen, site.common - auipcAt);
    if (distance > farMax || distance < farMin) {
      return err({ kind: "outOfRange", distance, limit: distance > 0n ? farMax : farMin });
    }
    const { hi } = splitDistance(distance);
    const head = concat(before, code.auipc(shape.base, hi));
    const base = auipcAt + BigInt(hi);
    const through =
      (link: number) =>
      (at: CodeAddr, target: CodeAddr): Result<Uint8Array, ReachRefusal> => {
        const lo = BigInt.asIntN(site.xlen, target - base);
        const isNear = lo >= BigInt(loMin) && lo <= BigInt(loMax);
        if (at === site.at && isNear)
          return ok(concat(head, code.jalr(link, shape.base, Number(lo))));
        return err({ kind: "outOfRange", distance: lo, limit: BigInt(lo < 0n ? loMin : loMax) });
      };
    const windowSize = head.length + 4;
    const nopSize = site.compressed ? 2 : 4;
    return ok({
      id: `riscv${site.xlen}/${shape.name}`,
      isa: site.xlen === 64 ? "riscv64" : "riscv32",
      summary: `-fpatchable-function-entry=${shape.flags} -falign-functions=8`,
      windowSize,
      compiledSizes: Array.from({ length: windowSize / nopSize }, () => nopSize),
      literal: shape.literal(site.xlen),
      idle: () => concat(head, code.nop()),
      call: through(shape.link),
      jump: through(0),
      recognise: (bytes, at, compiled) =>
        recognise(bytes, at, compiled, { site, shape, head, base }),
    });
  };

/**
 * The layout of any site with room for AUIPC and JALR, whose AUIPC is made for what it goes to.
 * Nobody may stand between the two while they change, so an idle window jumps over its second half:
 *
 * | compiled           | idle           | call                         | jump                     |
 * | ------------------ | -------------- | ---------------------------- | ------------------------ |
 * | `c.nop` four times | `c.j .+8; ...` | `auipc t0; jalr t0, lo(t0)`  | `auipc t0; jalr zero,    |
 * | `nop; nop`         | `j .+8; nop`   |                              | lo(t0)`                  |
 */
function makePair(compressed: boolean): Layout {
  const through =
    (link: number) =>
    (at: CodeAddr, target: CodeAddr): Result<Uint8Array, ReachRefusal> => {
      const distance = BigInt.asIntN(64, target - at);
      if (distance > farMax || distance < farMin) {
        return err({ kind: "outOfRange", distance, limit: distance > 0n ? farMax : farMin });
      }
      const { hi, lo } = splitDistance(distance);
      return ok(concat(riscv64Code.auipc(T0, hi), riscv64Code.jalr(link, T0, lo)));
    };
  const over = compressed ? cJumpOver : riscv64Code.jal(0, pairSize);
  return {
    id: compressed ? "riscv64/cnop4" : "riscv64/nop2",
    isa: "riscv64",
    summary: compressed
      ? "-fpatchable-function-entry=4 or 8,4: four 2-byte no-ops"
      : "-fpatchable-function-entry=2 or 4,2 without the C extension: two 4-byte no-ops",
    windowSize: pairSize,
    compiledSizes: compressed ? [2, 2, 2, 2] : [4, 4],
    idle: () => concat(over, compressed ? cNops : riscv64Code.nop()),
    call: through(T0),
    jump: through(0),
    recognise: (bytes, at, compiled) => recognisePair(bytes, at, compiled, over),
  };
}

/** Bytes of AUIPC with JALR. */
const pairSize = 8;
/** `c.j .+8`. */
const cJumpOver = Uint8Array.of(0x21, 0xa0);
const cNops = Uint8Array.of(1, 0, 1, 0, 1, 0);

function recognisePair(
  bytes: Uint8Array,
  at: CodeAddr,
  compiled: Uint8Array,
  over: Uint8Array,
): SiteState | undefined {
  if (sameBytes(bytes, compiled)) return { kind: "compiled" };
  if (bytes.length !== pairSize) return undefined;
  if (sameBytes(bytes.subarray(0, over.length), over)) return { kind: "idle" };
  const [auipc, jalr] = [riscv64.decode(bytes, 0), riscv64.decode(bytes, 4)];
  if (auipc?.mnemonic !== "auipc" || jalr?.mnemonic !== "jalr") return undefined;
  const { rd, rs1, imm = 0 } = jalr.operands;
  if (auipc.operands["rd"] !== T0 || rs1 !== T0) return undefined;
  const target = codeAddr(at + BigInt(auipc.operands["imm"] ?? 0) + BigInt(imm));
  if (rd === T0) return { kind: "call", target };
  return rd === 0 ? { kind: "jump", target } : undefined;
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

function recognise(
  bytes: Uint8Array,
  at: CodeAddr,
  compiled: Uint8Array,
  of: {
    readonly site: RiscvSite;
    readonly shape: Shape;
    readonly head: Uint8Array;
    readonly base: bigint;
  },
): SiteState | undefined {
  const { site, shape, head, base } = of;
  if (sameBytes(bytes, compiled)) return { kind: "compiled" };
  if (at !== site.at || bytes.length !== head.length + 4) return undefined;
  if (!sameBytes(bytes.subarray(0, head.length), head)) return undefined;
  const insn = (site.xlen === 64 ? riscv64 : riscv32).decode(bytes, head.length);
  if (insn === undefined) return undefined;
  const { rd, rs1, imm } = insn.operands;
  if (insn.mnemonic === "addi" && insn.word === 0x13) return { kind: "idle" };
  if (insn.mnemonic !== "jalr" || rs1 !== shape.base) return undefined;
  const target = codeAddr(BigInt.asUintN(site.xlen, base + BigInt(ensure(imm, "offset"))));
  if (rd === shape.link) return { kind: "call", target };
  return rd === 0 ? { kind: "jump", target } : undefined;
}

/** Four 2-byte no-ops. */
export const fourCNops: Layout = makePair(true);
/** Two 4-byte no-ops. */
export const twoNops: Layout = makePair(false);

/** Every layout that sites in files have, by its id. */
export const riscvLayouts: ReadonlyMap<string, Layout> = new Map(
  [fourCNops, twoNops].map((layout) => [layout.id, layout]),
);

/** Literal; `auipc t0` fixed, `nop <-> jalr t0, lo(t0)`: Linux since v6.16. */
export const callOpsLayout: (site: RiscvSite) => Result<Layout, ReachRefusal> = makeLayout(
  shapes.callOps,
);

/** Literal; `mv t0, ra; auipc t1` fixed, `nop <-> jalr ra, lo(t1)`: the proposal of 2023. */
export const callOps2023Layout: (site: RiscvSite) => Result<Layout, ReachRefusal> = makeLayout(
  shapes.callOps2023,
);

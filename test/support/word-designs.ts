/**
 * The designs by which a site of AArch64 or RISC-V reaches what is done for it, as code that runs
 * in `test/fixtures/word/harness.c`: CALL_OPS with the one common trampoline, and what the mailing
 * lists have beside it. All of them do the same work, one list of actions.
 *
 * Beside the site stands a literal: the number of the ops and the site's id, as on x86-64
 * (`src/patch/literal.ts`). The trampoline finds it at a negative offset from the return address,
 * masked on AArch64, because a landing pad may be between.
 */
import { codeAddr, type DataAddr, dataAddr } from "../../src/base/brand.ts";
import { aarch64Machine } from "../../src/codegen/aarch64/machine.ts";
import { riscv64Machine } from "../../src/codegen/riscv/machine.ts";
import { riscvTrampolines } from "../../src/codegen/riscv/stubs.ts";
import {
  makeTrampolines,
  opsFunction as opsFunctionOf,
  wordCallOps,
} from "../../src/codegen/word/call-ops.ts";
import { at, type Machine } from "../../src/codegen/word/machine.ts";
import { emitCold, type Routine } from "../../src/codegen/word/record.ts";
import { rolesOf } from "../../src/codegen/word/roles.ts";
import { emitEntries } from "../../src/codegen/word/thunk.ts";
import type { Work } from "../../src/codegen/work.ts";
import { type Trampolines, trampolineFor } from "../../src/codegen/x86-64/call-ops.ts";
import type { ThunkPlan } from "../../src/codegen/x86-64/record.ts";
import type { SiteDesign } from "../../src/ftrace/dispatch.ts";
import { x as armX, lr } from "../../src/isa/aarch64/registers.ts";
import { mem as armMem, imm } from "../../src/isa/aarch64/slots.ts";
import { ra, x as riscvX, t0, t1, zero } from "../../src/isa/riscv/registers.ts";
import { mem as riscvMem } from "../../src/isa/riscv/slots.ts";
import { branchLink, move } from "../../src/patch/aarch64-code.ts";
import { concat } from "../../src/patch/bytes.ts";
import { encodeLiteral } from "../../src/patch/literal.ts";
import { RA, riscv64Code, splitDistance, T0, T1 } from "../../src/patch/riscv-code.ts";

/** Bytes that are put somewhere. */
export type Patch = { readonly at: bigint; readonly bytes: Uint8Array };

/** What a design is put into. */
export type DesignParts = {
  readonly work: Work;
  readonly plan: ThunkPlan;
  /** Room for code, 8 KiB, and for data, a page; each at a multiple of its size. */
  readonly code: bigint;
  readonly data: DataAddr;
  /** First bytes of the windows. */
  readonly sites: readonly bigint[];
};

export type WordDesign = {
  readonly name: string;
  readonly isa: "aarch64" | "riscv64";
  /** What stands at the site and behind it, in one line. */
  readonly summary: string;
  /** Compiler's options that leave the room for it. */
  readonly flags: readonly string[];
  /** Bytes from the literal to the window. */
  readonly literalBytes: 8;
  /** Register that a call loses, besides the return address' scratch; -1: none. */
  readonly clobbers: number;
  /** Whether the work is done; direct calls do something of their own instead. */
  readonly records: boolean;
  readonly patches: (parts: DesignParts) => readonly Patch[];
};

const u64 = (value: bigint): Uint8Array => new Uint8Array(new BigUint64Array([value]).buffer);
/** The ops that all sites have, by their number. */
const ops = 2;

const literals = ({ sites }: DesignParts): readonly Patch[] =>
  sites.map((site, id) => ({
    at: site - 8n,
    bytes: new Uint8Array(Uint32Array.from(encodeLiteral(id, ops)).buffer),
  }));

/** What the live engine does: trampolines, and the function of the ops behind them. */
function commonCallOps(
  parts: DesignParts,
  trampolines: Trampolines,
  fresh: () => Machine,
  window: (site: bigint, target: bigint) => Uint8Array,
): readonly Patch[] {
  const { code } = parts;
  const work = code + 0x1800n;
  const { stubs } = trampolines;
  const words = Array.from({ length: stubs?.count ?? 0 }, (_, index) => ({
    at: code + BigInt((stubs?.words ?? 0) + 8 * index),
    bytes: u64(code + BigInt(stubs?.target ?? 0)),
  }));
  const targetOf = (site: bigint): bigint =>
    trampolineFor(trampolines, codeAddr(code), { at: Number(site), distance: 8 });
  return [
    { at: code, bytes: trampolines.bytes },
    ...words,
    { at: work, bytes: opsFunctionOf(fresh(), parts.work, parts.plan) },
    { at: parts.data + BigInt(8 * ops), bytes: u64(work) },
    ...literals(parts),
    ...parts.sites.map((at) => ({ at, bytes: window(at, targetOf(at)) })),
  ];
}

/** What a trampoline does once its frame is there and the literal is in `a`. */
function toFunction(m: Machine, { data }: DesignParts, jump: (to: number) => void): void {
  const { a, b, id } = rolesOf(m);
  m.shiftRight(id, a, 40);
  m.lowBits(a, a, 10);
  m.shiftLeft(a, a, 3);
  m.constant(b, data);
  m.add(b, b, a);
  m.load(b, at(b), 8);
  jump(b);
}

/** The function of the ops, behind the trampoline; the table of functions points at it. */
function opsFunction(
  m: Machine,
  parts: DesignParts,
  leave: () => void,
): { readonly bytes: Uint8Array; readonly table: Patch } {
  const offset = m.code.size;
  const routine: Routine = { m, plan: parts.plan, cold: [] };
  emitEntries(routine, parts.work);
  leave();
  emitCold(routine);
  const table = { at: parts.data + BigInt(8 * ops), bytes: u64(parts.code + BigInt(offset)) };
  return { bytes: m.finish().bytes, table };
}

// AArch64: `mov x9, x30; bl common`. x9 has the parent's address, x30 the site's.

const armFlags = ["-fpatchable-function-entry=4,2", "-falign-functions=8"];
const armWindow = (site: bigint, target: bigint): Uint8Array =>
  concat(move(9, 30), branchLink(Number(target - site) - 4));
/** `x10 := the literal`. */
const maskLow = imm(BigInt.asUintN(64, ~7n));

const freshArm = () => aarch64Machine(codeAddr(0n));
const armCallOps = (parts: DesignParts): readonly Patch[] =>
  commonCallOps(parts, makeTrampolines(freshArm(), parts.data), freshArm, armWindow);

/** A native function that sites call: it goes back to the site at once. */
function armTarget(a: ReturnType<typeof aarch64Machine>["code"]): void {
  a.i("mov", armX(10), lr).i("mov", lr, armX(9)).i("ret", armX(10));
}

function armDirect(parts: DesignParts): readonly Patch[] {
  const m = aarch64Machine(codeAddr(0n));
  armTarget(m.code);
  const windows = parts.sites.map((at) => ({ at, bytes: armWindow(at, parts.code) }));
  return [{ at: parts.code, bytes: m.finish().bytes }, ...windows];
}

/** The common trampoline goes on at what the ops have for a direct call, saving nothing. */
function armDirectByOps(parts: DesignParts): readonly Patch[] {
  const m = aarch64Machine(codeAddr(0n));
  const { code: a } = m;
  a.i("and", armX(10), lr, maskLow).i("ldur", armX(10), armMem(armX(10), -16));
  m.lowBits(10, 10, 10);
  m.shiftLeft(10, 10, 3);
  m.constant(17, parts.data);
  m.add(17, 17, 10);
  m.load(17, at(17), 8);
  a.i("br", armX(17));
  const target = a.size;
  armTarget(a);
  const table = { at: parts.data + BigInt(8 * ops), bytes: u64(parts.code + BigInt(target)) };
  const windows = parts.sites.map((at) => ({ at, bytes: armWindow(at, parts.code) }));
  return [{ at: parts.code, bytes: m.finish().bytes }, table, ...literals(parts), ...windows];
}

// RISC-V: AUIPC is fixed and leads to one page; only `nop <-> jalr` changes.

/** `auipc base, hi; jalr link, lo(base)`, or with `before` in front. */
function riscvWindow(
  site: bigint,
  target: bigint,
  { base, link, before }: { base: number; link: number; before?: Uint8Array },
): Uint8Array {
  const head = before ?? new Uint8Array(0);
  const { hi, lo } = splitDistance(target - site - BigInt(head.length));
  return concat(head, riscv64Code.auipc(base, hi), riscv64Code.jalr(link, base, lo));
}

/** The common trampoline at the end of `m` so far. @param literal its offset from t0. */
function riscvCommon(m: ReturnType<typeof riscv64Machine>, parts: DesignParts, literal: number) {
  const { code: a } = m;
  m.save();
  m.load(rolesOf(m).a, at(m.resume, literal), 8);
  toFunction(m, parts, (to) => void a.i("jalr", zero, riscvMem(riscvX(to))));
  return opsFunction(m, parts, () => m.restoreAndResume());
}

const throughT0 = { base: T0, link: T0 };

const riscvBy =
  (design: SiteDesign) =>
  (parts: DesignParts): readonly Patch[] =>
    commonCallOps(
      parts,
      riscvTrampolines(parts.data, design),
      () => riscv64Machine(codeAddr(0n)),
      (site, target) => riscvWindow(site, target, throughT0),
    );

/** The proposal of 2023: the literal is at ra - 0x14; ra and t0 change places on the way in. */
function riscvCallOps2023(parts: DesignParts): readonly Patch[] {
  const m = riscv64Machine(codeAddr(0n));
  const { code: a } = m;
  a.i("addi", t1, ra, 0).i("addi", ra, t0, 0).i("addi", t0, t1, 0);
  const { bytes, table } = riscvCommon(m, parts, -0x14);
  const convention = { base: T1, link: RA, before: riscv64Code.mv(T0, RA) };
  const windows = parts.sites.map((at) => ({
    ...{ at, bytes: riscvWindow(at, parts.code, convention) },
  }));
  return [{ at: parts.code, bytes }, table, ...literals(parts), ...windows];
}

function riscvDirect(parts: DesignParts): readonly Patch[] {
  const m = riscv64Machine(codeAddr(0n));
  m.code.i("jalr", zero, riscvMem(t0));
  const windows = parts.sites.map((at) => ({
    ...{ at, bytes: riscvWindow(at, parts.code, throughT0) },
  }));
  return [{ at: parts.code, bytes: m.finish().bytes }, ...windows];
}

const riscvFlags = ["-fpatchable-function-entry=8,4", "-falign-functions=8"];
const arm = { isa: "aarch64", flags: armFlags, literalBytes: 8, clobbers: 9 } as const;
const riscv = { isa: "riscv64", flags: riscvFlags, literalBytes: 8, clobbers: -1 } as const;

export const wordDesigns: readonly WordDesign[] = [
  {
    ...{ ...arm, name: "call-ops", records: true, patches: armCallOps },
    summary: "literal; mov x9, x30; nop <-> bl common",
  },
  {
    ...{ ...arm, name: "direct", records: false, patches: armDirect },
    summary: "mov x9, x30; nop <-> bl of a native function",
  },
  {
    ...{ ...arm, name: "direct-by-ops", records: false, patches: armDirectByOps },
    clobbers: 10,
    summary: "literal; mov x9, x30; nop <-> bl common, which goes on at the ops' function",
  },
  {
    ...{ ...riscv, name: "call-ops", records: true, patches: riscvBy("call-ops") },
    summary: "literal; auipc t0; nop <-> jalr t0 common",
  },
  {
    ...{ ...riscv, name: "call-ops-2023", records: true, patches: riscvCallOps2023 },
    ...{ flags: ["-fpatchable-function-entry=10,4", "-falign-functions=8"], clobbers: T1 },
    summary: "literal; mv t0, ra; auipc t1; nop <-> jalr ra common",
  },
  {
    ...{ ...riscv, name: "target-in-memory", records: true, clobbers: T1 },
    patches: riscvBy("target-in-memory"),
    summary: "auipc t0; nop <-> jalr t0 a stub, which loads its target from memory",
  },
  {
    ...{ ...riscv, name: "trampoline-table", records: true, clobbers: T1 },
    patches: riscvBy("trampoline-table"),
    summary: "auipc t0 to a table of stubs; nop <-> jalr t0 one of them (after zcmt)",
  },
  {
    ...{ ...riscv, name: "direct", records: false, patches: riscvDirect },
    summary: "auipc t0; nop <-> jalr t0 a native function",
  },
];

/**
 * All tracers there are in one list, as many as are relevant, which want each site, and irrelevant
 * ones, which do not. They do the same work, which is done for the first of them.
 */
export function listDesign(
  isa: WordDesign["isa"],
  relevant: number,
  irrelevant: number,
): WordDesign {
  const isArm = isa === "aarch64";
  const fresh = (): Machine => (isArm ? freshArm() : riscv64Machine(codeAddr(0n)));
  const backEnd = wordCallOps(fresh);
  return {
    ...(isArm ? arm : riscv),
    name: `a list of ${relevant} and ${irrelevant}`,
    records: false,
    summary: "literal; a call; the common trampoline; a walk through all ops",
    patches: (parts) => {
      const { code, data, sites } = parts;
      const [walkAt, listedAt] = [code + 0x1800n, code + 0x1a00n];
      const [word, list, yes] = [data + 32n, data + 64n, data + 0x1000n];
      const no = yes + 256n;
      const entries = Array.from({ length: relevant + irrelevant }, (_, index) =>
        index < relevant ? [listedAt, yes] : [listedAt, no],
      );
      const window = (site: bigint): Uint8Array =>
        isArm ? armWindow(site, code) : riscvWindow(site, code, throughT0);
      return [
        { at: code, bytes: makeTrampolines(fresh(), data).bytes },
        { at: walkAt, bytes: backEnd.walkFunction(parts.plan, dataAddr(word)) },
        { at: listedAt, bytes: backEnd.listedFunction(parts.work, 0, parts.plan) },
        { at: data + BigInt(8 * ops), bytes: u64(walkAt) },
        { at: word, bytes: u64(list) },
        { at: list, bytes: concat(...[...entries.flat(), 0n, 0n].map(u64)) },
        { at: yes, bytes: new Uint8Array(sites.length).fill(1) },
        { at: no, bytes: new Uint8Array(sites.length) },
        ...literals(parts),
        ...sites.map((at) => ({ at, bytes: window(at) })),
      ];
    },
  };
}

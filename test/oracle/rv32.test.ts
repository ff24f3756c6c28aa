/**
 * RV32, executed under qemu-riscv32: programs without a C library, made by Patchbay's assembler,
 * whose function is called through its site in each state of both CALL_OPS designs.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type CodeAddr, codeAddr } from "../../src/base/brand.ts";
import { Assembler, type Label } from "../../src/isa/assembler.ts";
import { riscv32 } from "../../src/isa/riscv/isa.ts";
import { loadAddress, loadConstant } from "../../src/isa/riscv/macros.ts";
import { a0, a7, ra, s0, s1, sp, t0, t1, t2, zero } from "../../src/isa/riscv/registers.ts";
import { type Arg, mem } from "../../src/isa/riscv/slots.ts";
import { callOps2023Layout, callOpsLayout } from "../../src/patch/riscv-layouts.ts";
import { hasTool, scratchFolder } from "../support/compile.ts";

const base = 0x1_0000n;
const headerBytes = 0x1000;
const sysExit = 93;

/** A static ELF32 program of one segment (gabi, "ELF Header"), entered at its first byte. */
function elf32(code: Uint8Array): Uint8Array {
  const out = new Uint8Array(headerBytes + code.length);
  const view = new DataView(out.buffer);
  out.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  const entry = Number(base) + headerBytes;
  [2, 243].forEach((value, i) => {
    view.setUint16(16 + 2 * i, value, true);
  });
  [1, entry, 52, 0, 0].forEach((value, i) => {
    view.setUint32(20 + 4 * i, value, true);
  });
  [52, 32, 1].forEach((value, i) => {
    view.setUint16(40 + 2 * i, value, true);
  });
  const size = out.length;
  // PT_LOAD; readable, writable and executable: its data stands among its code.
  [1, 0, Number(base), Number(base), size, size, 7, 4096].forEach((value, i) => {
    view.setUint32(52 + 4 * i, value, true);
  });
  out.set(code, headerBytes);
  return out;
}

/** What the window holds, and what the literal beside it points at. */
type State = { readonly window: "idle" | "call"; readonly ops: "nop" | "count" | "direct" };
type Design = "call-ops" | "call-ops-2023";

const calls = 5;

type Labels = {
  readonly site: Label;
  readonly common: Label;
  readonly counter: Label;
  /** Ops: two words, the callback and the function of a direct call. */
  readonly ops: Readonly<Record<State["ops"], Label>>;
};

/**
 * Calls the function `calls` times and ends with 10 times what its tracer has counted, plus 1 for
 * each call whose result is right.
 */
function emitMain(a: Assembler<Arg>, { site, counter }: Labels): void {
  // s0: calls left, s1: right results.
  loadConstant(a, s0, BigInt(calls), 32);
  loadConstant(a, s1, 0n, 32);
  const again = a.bindNew();
  a.i("addi", a0, s0, 0);
  a.i("jal", ra, site);
  const wrong = a.label();
  a.i("slli", t2, s0, 1).i("addi", t2, t2, 7);
  a.i("bne", a0, t2, wrong).i("addi", s1, s1, 1);
  a.bind(wrong);
  a.i("addi", s0, s0, -1).i("bne", s0, zero, again);
  loadAddress(a, t0, counter);
  a.i("lw", t0, mem(t0));
  loadConstant(a, t1, 10n, 32);
  a.i("mul", t0, t0, t1).i("add", a0, t0, s1);
  loadConstant(a, a7, BigInt(sysExit), 32);
  a.i("ecall");
}

/** The common trampoline finds the ops at a negative offset from the return address. */
function emitCommon(a: Assembler<Arg>, isOld: boolean): void {
  const link = isOld ? ra : t0;
  const parent = isOld ? t0 : ra;
  a.i("addi", sp, sp, -16).i("sw", link, mem(sp, 0)).i("sw", parent, mem(sp, 4));
  a.i("sw", a0, mem(sp, 8));
  a.i("lw", t2, mem(link, -16));
  const callback = a.label();
  a.i("lw", t1, mem(t2, 4)).i("beq", t1, zero, callback);
  a.i("addi", sp, sp, 16).i("jalr", zero, mem(t1));
  a.bind(callback);
  a.i("lw", t1, mem(t2, 0)).i("jalr", ra, mem(t1));
  a.i("lw", t0, mem(sp, 0)).i("lw", ra, mem(sp, 4)).i("lw", a0, mem(sp, 8));
  a.i("addi", sp, sp, 16).i("jalr", zero, mem(t0));
}

/** What the ops do, and the ops. */
function emitOps(a: Assembler<Arg>, { counter, ops }: Labels, isOld: boolean): void {
  const [nop, count, direct] = [a.label(), a.label(), a.label()];
  const countOne = (): void => {
    loadAddress(a, t1, counter);
    a.i("lw", t2, mem(t1)).i("addi", t2, t2, 1).i("sw", t2, mem(t1));
  };
  a.bind(nop);
  a.i("jalr", zero, mem(ra));
  a.bind(count);
  countOne();
  a.i("jalr", zero, mem(ra));
  // A direct call's function has the site and the parent where the site left them.
  a.bind(direct);
  countOne();
  if (isOld) a.i("addi", t1, ra, 0).i("addi", ra, t0, 0).i("jalr", zero, mem(t1));
  else a.i("jalr", zero, mem(t0));
  a.align(4);
  a.bind(ops.nop).u32(nop).u32(0);
  a.bind(ops.count).u32(count).u32(0);
  a.bind(ops.direct).u32(nop).u32(direct);
  a.bind(counter).u32(0);
}

function program(design: Design, { window, ops }: State): Uint8Array {
  const a = new Assembler<Arg>(riscv32, codeAddr(base + BigInt(headerBytes)));
  const labels: Labels = {
    ...{ site: a.label(), common: a.label(), counter: a.label() },
    ops: { nop: a.label(), count: a.label(), direct: a.label() },
  };
  const isOld = design === "call-ops-2023";
  emitMain(a, labels);
  // The function: literal, site, body.
  a.align(8);
  if (isOld) a.u32(0).u32(labels.ops[ops]);
  else a.u32(labels.ops[ops]).u32(0);
  a.bind(labels.site);
  const siteAt = a.here;
  a.nop(isOld ? 12 : 8);
  a.i("slli", a0, a0, 1).i("addi", a0, a0, 7).i("jalr", zero, mem(ra));
  a.align(4);
  a.bind(labels.common);
  const commonAt = a.here;
  emitCommon(a, isOld);
  emitOps(a, labels, isOld);
  const { bytes, origin } = a.finish();
  bytes.set(windowOf(design, window, siteAt, commonAt), Number(siteAt - origin));
  return elf32(bytes);
}

function windowOf(
  design: Design,
  window: State["window"],
  at: CodeAddr,
  common: CodeAddr,
): Uint8Array {
  const make = design === "call-ops" ? callOpsLayout : callOps2023Layout;
  const layout = make({ at, common, xlen: 32, compressed: false });
  if (!layout.ok) throw new Error(layout.error.kind);
  if (window === "idle") return layout.value.idle();
  const made = layout.value.call(at, common);
  if (!made.ok) throw new Error(made.error.kind);
  return made.value;
}

function run(design: Design, state: State): number | null {
  const path = join(scratchFolder(), "rv32");
  writeFileSync(path, program(design, state));
  chmodSync(path, 0o755);
  const { status, signal } = spawnSync("qemu-riscv32", [path], { timeout: 60_000 });
  expect(signal).toBeNull();
  return status;
}

describe.skipIf(!hasTool("qemu-riscv32"))("RV32", () => {
  it.each(["call-ops", "call-ops-2023"] as const)("calls what its literal says: %s", (design) => {
    expect(run(design, { window: "idle", ops: "count" })).toBe(calls);
    expect(run(design, { window: "call", ops: "nop" })).toBe(calls);
    expect(run(design, { window: "call", ops: "count" })).toBe(10 * calls + calls);
    expect(run(design, { window: "call", ops: "direct" })).toBe(10 * calls + calls);
  });
});

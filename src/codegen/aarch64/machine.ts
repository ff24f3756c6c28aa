/**
 * The operations of `word/machine.ts` on AArch64. x17 is the macros' own; x16 and the link register
 * are kept by the thunk, where `save` finds them.
 *
 *     thunk:   stp x16, x30, [sp, #-16]!; bl routine; ldp x16, x30, [sp], #16
 *     routine: sp+0 x9 to x15, x17; sp+64 the way back; sp+72 spare; sp+80 x16, x30 of the thunk
 *
 * A site that calls has moved its return address to x9: `stp x16, x9` makes the same frame. Into
 * the program, branches are direct or by RET: neither needs a landing pad (BTI).
 */
import { assert } from "../../base/assert.ts";
import type { CodeAddr } from "../../base/brand.ts";
import { aarch64 } from "../../isa/aarch64/isa.ts";
import { loadConstant } from "../../isa/aarch64/macros.ts";
import {
  type GeneralRegister,
  lr,
  sp,
  w as wide32,
  x as wide64,
} from "../../isa/aarch64/registers.ts";
import { type Arg, imm, mem, post, pre } from "../../isa/aarch64/slots.ts";
import { Assembler, type Label } from "../../isa/assembler.ts";
import type {
  AccessBytes,
  CalledParts,
  Frame,
  Machine,
  Mem,
  Ordering,
  Reg,
  ThunkParts,
} from "../word/machine.ts";

/** Register 31 is the stack pointer where operations name it. */
const stack: Reg = 31;
const x = (n: Reg): GeneralRegister => (n === stack ? sp : wide64(n));
const w = wide32;
/** The macros' own. */
const ip1 = wide64(17);
const scratch: readonly Reg[] = [9, 10, 11, 12, 13, 14, 15];
const frame: Frame = { bytes: 96, parent: 88, resume: 64, spare: 72 };
/** Of them, what `save` allocates; the rest is the thunk's. */
const savedBytes = 80;
/** Where the offset of an access is scaled, and where it is not (Arm ARM C6.2, LDR and LDUR). */
const scaledMax = 4095;
const unscaledMin = -256;
/** Widest constants of ADD and SUB. */
const addMax = 4096;

/** Rounds an address down to a multiple of 8. */
const maskLow = BigInt.asUintN(64, ~7n);

/** The bytes of a level-1 line as CTR_EL0 has them: log2 of words at these bits. */
const dataLineShift = 16;

class AArch64Machine implements Machine {
  readonly code: Assembler<Arg>;
  readonly scratch: readonly Reg[] = scratch;
  readonly extra: readonly Reg[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 16];
  readonly resume: Reg = 30;
  readonly link: Reg = 30;
  readonly stack: Reg = stack;
  readonly frame: Frame = frame;
  readonly syscallNumber: Reg = 8;
  readonly syscallArguments: readonly Reg[] = [0, 1, 2, 3, 4, 5];
  readonly thunk: ThunkParts;
  readonly called: CalledParts;

  constructor(origin: CodeAddr) {
    this.code = new Assembler<Arg>(aarch64, origin);
    const a = this.code;
    const keep = (): unknown => a.i("stp", x(16), lr, pre(sp, -16));
    const takeBack = (): unknown => a.i("ldp", x(16), lr, post(sp, 16));
    this.thunk = {
      callRoutine: (hole) => {
        keep();
        a.i("bl", a.hole(hole));
      },
      afterRoutine: () => void takeBack(),
      callBody: (hole) => void a.i("bl", a.hole(hole)),
      jumpBody: (hole) => void a.i("b", a.hole(hole)),
      return: () => void a.i("ret"),
    };
    this.called = {
      enter: () => {
        a.i("stp", x(16), x(9), pre(sp, -16));
        this.save();
      },
      literal: (rd) => {
        a.i("and", x(rd), lr, imm(maskLow));
        this.load(rd, { base: rd, offset: -16 }, 8);
      },
      leave: () => this.#leaveCalled(),
    };
  }

  save(): void {
    const { code: a } = this;
    a.i("stp", x(9), x(10), pre(sp, -savedBytes));
    a.i("stp", x(11), x(12), mem(sp, 16));
    a.i("stp", x(13), x(14), mem(sp, 32));
    a.i("stp", x(15), ip1, mem(sp, 48));
    a.i("str", lr, mem(sp, frame.resume));
  }

  restoreAndResume(): void {
    const { code: a } = this;
    a.i("ldr", lr, mem(sp, frame.resume));
    a.i("ldp", x(15), ip1, mem(sp, 48));
    a.i("ldp", x(13), x(14), mem(sp, 32));
    a.i("ldp", x(11), x(12), mem(sp, 16));
    a.i("ldp", x(9), x(10), post(sp, savedBytes));
    a.i("ret");
  }

  /** x9 has been lost to the site: the way back goes through it. */
  #leaveCalled(): void {
    const { code: a } = this;
    a.i("ldr", x(9), mem(sp, frame.resume)).i("ldr", x(10), mem(sp, 8));
    a.i("ldp", x(11), x(12), mem(sp, 16)).i("ldp", x(13), x(14), mem(sp, 32));
    a.i("ldp", x(15), ip1, mem(sp, 48)).i("add", sp, sp, savedBytes);
    a.i("ldp", x(16), lr, post(sp, 16)).i("ret", x(9));
  }

  push(registers: readonly Reg[]): void {
    for (let i = 0; i < registers.length; i += 2) {
      this.code.i("stp", x(registers[i] ?? 0), x(registers[i + 1] ?? 0), pre(sp, -16));
    }
  }

  pop(registers: readonly Reg[]): void {
    for (let i = registers.length - 2; i >= 0; i -= 2) {
      this.code.i("ldp", x(registers[i] ?? 0), x(registers[i + 1] ?? 0), post(sp, 16));
    }
  }

  move(rd: Reg, rs: Reg): void {
    this.code.i("mov", x(rd), x(rs));
  }

  constant(rd: Reg, value: bigint | number): void {
    loadConstant(this.code, x(rd), BigInt(value));
  }

  constant32(rd: Reg, value: number): void {
    loadConstant(this.code, x(rd), BigInt.asUintN(32, BigInt(value)));
  }

  addressOf(rd: Reg, label: Label): void {
    this.code.i("adr", x(rd), label);
  }

  loadFrom(rd: Reg, label: Label): void {
    this.code.i("ldr", x(rd), label);
  }

  #access(name: "ldr" | "str", rt: GeneralRegister, { base, offset }: Mem, bytes: number): void {
    const isScaled = offset >= 0 && offset % bytes === 0 && offset <= scaledMax * bytes;
    assert(isScaled || (offset >= unscaledMin && offset < -unscaledMin), `offset ${offset}`);
    const suffix = bytes === 1 ? "b" : bytes === 2 ? "h" : "";
    const plain = isScaled ? name : name === "ldr" ? "ldur" : "stur";
    this.code.i(plain + suffix, rt, mem(x(base), offset));
  }

  load(rd: Reg, from: Mem, bytes: AccessBytes): void {
    this.#access("ldr", bytes === 8 ? x(rd) : w(rd), from, bytes);
  }

  loadByte(rd: Reg, from: Mem): void {
    this.#access("ldr", w(rd), from, 1);
  }

  store(rs: Reg, to: Mem, bytes: 1 | 2 | AccessBytes): void {
    this.#access("str", bytes === 8 ? x(rs) : w(rs), to, bytes);
  }

  storeZero(to: Mem, bytes: AccessBytes): void {
    this.#access("str", { kind: bytes === 8 ? "x" : "w", n: 31 }, to, bytes);
  }

  add(rd: Reg, left: Reg, right: Reg): void {
    this.code.i("add", x(rd), x(left), x(right));
  }

  or(rd: Reg, left: Reg, right: Reg): void {
    this.code.i("orr", x(rd), x(left), x(right));
  }

  multiply(rd: Reg, left: Reg, right: Reg): void {
    this.code.i("mul", x(rd), x(left), x(right));
  }

  addConstant(rd: Reg, rs: Reg, value: number): void {
    assert(Math.abs(value) <= addMax, `${value} can be added`);
    this.code.i(value < 0 ? "sub" : "add", x(rd), x(rs), Math.abs(value));
  }

  lowBits(rd: Reg, rs: Reg, bits: number): void {
    this.code.i("and", x(rd), x(rs), imm(2n ** BigInt(bits) - 1n));
  }

  shiftLeft(rd: Reg, rs: Reg, bits: number): void {
    this.code.i("lsl", x(rd), x(rs), bits);
  }

  shiftRight(rd: Reg, rs: Reg, bits: number): void {
    this.code.i("lsr", x(rd), x(rs), bits);
  }

  jump(to: Label): void {
    this.code.i("b", to);
  }

  jumpRegister(to: Reg): void {
    this.code.i("br", x(to));
  }

  call(to: Label): void {
    this.code.i("bl", to);
  }

  callRegister(to: Reg): void {
    this.code.i("blr", x(to));
  }

  goBack(): void {
    this.code.i("ret");
  }

  ifZero(rs: Reg, to: Label): void {
    this.code.i("cbz", x(rs), to);
  }

  ifNotZero(rs: Reg, to: Label): void {
    this.code.i("cbnz", x(rs), to);
  }

  ifEqual(left: Reg, right: Reg, to: Label): void {
    this.code.i("sub", ip1, x(left), x(right)).i("cbz", ip1, to);
  }

  ifNotEqual(left: Reg, right: Reg, to: Label): void {
    this.code.i("sub", ip1, x(left), x(right)).i("cbnz", ip1, to);
  }

  ifNotBelow(left: Reg, right: Reg, to: Label): void {
    this.code.i("sub", ip1, x(left), x(right)).i("tbz", ip1, 63, to);
  }

  compareSwap(
    address: Reg,
    { expected, wanted }: { readonly expected: Reg; readonly wanted: Reg },
    failed: Label,
    { bytes, ordering }: { readonly bytes: AccessBytes; readonly ordering: Ordering },
  ): void {
    const { code: a } = this;
    const register = bytes === 8 ? x : w;
    const seen = bytes === 8 ? ip1 : w(17);
    const [load, store] = ordering === "publishing" ? ["ldaxr", "stlxr"] : ["ldxr", "stxr"];
    const again = a.bindNew();
    a.i(load ?? "", seen, mem(x(address)));
    a.i("sub", ip1, ip1, x(expected)).i("cbnz", ip1, failed);
    a.i(store ?? "", w(17), register(wanted), mem(x(address)));
    a.i("cbnz", w(17), again);
  }

  increment(address: Reg, work: Reg): void {
    const { code: a } = this;
    const again = a.bindNew();
    a.i("ldxr", x(work), mem(x(address)));
    a.i("add", x(work), x(work), 1);
    a.i("stxr", w(17), x(work), mem(x(address)));
    a.i("cbnz", w(17), again);
  }

  threadId(rd: Reg, offset: number): void {
    this.code.i("mrs", x(rd), "tpidr_el0");
    this.#far(offset, (near) => this.load(rd, { base: rd, offset: near }, 4), rd);
  }

  /** Adds to `rd` what an access can't, and lets `access` do the rest. */
  #far(offset: number, access: (near: number) => void, rd: Reg): void {
    const near = offset >= 0 || offset >= unscaledMin ? offset : offset & 0xfff;
    if (near !== offset) this.addConstant(rd, rd, offset - near);
    access(near);
  }

  clock(rd: Reg): void {
    this.code.i("mrs", x(rd), "cntvct_el0");
  }

  syscall(): void {
    this.code.i("svc", 0);
  }

  fence(): void {
    this.code.i("dmb", "ish");
  }

  syncCode(first: Reg, end: Reg, [line, at]: readonly [Reg, Reg]): void {
    const { code: a } = this;
    // The smaller line of the two caches serves both: one step may come to a line twice.
    a.i("mrs", x(at), "ctr_el0");
    a.i("lsr", x(line), x(at), dataLineShift).i("and", x(line), x(line), 15);
    a.i("and", x(at), x(at), 15);
    const isSmaller = a.label();
    this.ifNotBelow(at, line, isSmaller);
    a.i("mov", x(line), x(at));
    a.bind(isSmaller);
    a.i("mov", x(at), 4).i("lsl", x(line), x(at), x(line));
    a.i("sub", x(at), x(line), 1).i("bic", x(first), x(first), x(at));
    for (const [name, kind] of [
      ["dc", "cvau"],
      ["ic", "ivau"],
    ] as const) {
      a.i("mov", x(at), x(first));
      const [more, done] = [a.bindNew(), a.label()];
      this.ifNotBelow(at, end, done);
      a.i(name, kind, x(at)).i("add", x(at), x(at), x(line));
      a.i("b", more);
      a.bind(done);
      a.i("dsb", "ish");
    }
    a.i("isb");
  }

  trap(): void {
    this.code.i("brk", 0);
  }

  finish(): ReturnType<Assembler<Arg>["finish"]> {
    return this.code.finish();
  }
}

/** A machine whose code begins at `origin`. */
export const aarch64Machine = (origin: CodeAddr): Machine & { readonly code: Assembler<Arg> } =>
  new AArch64Machine(origin);

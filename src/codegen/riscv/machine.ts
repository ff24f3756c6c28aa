/**
 * The operations of `word/machine.ts` on RV64. a7 is the macros' own. A site has lost t0 to its
 * AUIPC before a thunk begins, and a caller can't count on it at a return either: it is what
 * routines are called through, so that ra stays what it was.
 *
 *     thunk:   auipc t0; jalr t0, routine(t0)
 *     routine: sp+0 t1 to t6, a6, a7; sp+64 the way back (t0); sp+72 ra; sp+80 spare
 */
import { assert } from "../../base/assert.ts";
import type { CodeAddr } from "../../base/brand.ts";
import { Assembler, type Hole, type Label } from "../../isa/assembler.ts";
import { riscv64 } from "../../isa/riscv/isa.ts";
import { callFar, loadAddress, loadConstant } from "../../isa/riscv/macros.ts";
import { pcrelHigh, pcrelLow } from "../../isa/riscv/reach.ts";
import { ra, sp, t0, x, zero } from "../../isa/riscv/registers.ts";
import { type Arg, mem } from "../../isa/riscv/slots.ts";
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

const temporary = x(17);
/** t1 to t6, a6. */
const scratch: readonly Reg[] = [6, 7, 28, 29, 30, 31, 16];
const kept: readonly Reg[] = [...scratch, temporary.n];
const frame: Frame = { bytes: 96, resume: 64, parent: 72, spare: 80 };
/** From where a call returns to back to the literal: the window, and the literal itself. */
const literalOffset = -16;
const immediateMax = 2047;
const immediateMin = -2048;
const stores = { 1: "sb", 2: "sh", 4: "sw", 8: "sd" } as const;

class RiscvMachine implements Machine {
  readonly code: Assembler<Arg>;
  readonly scratch: readonly Reg[] = scratch;
  /** a0 to a5, s2 to s5. */
  readonly extra: readonly Reg[] = [10, 11, 12, 13, 14, 15, 18, 19, 20, 21];
  readonly resume: Reg = t0.n;
  readonly link: Reg = ra.n;
  readonly stack: Reg = sp.n;
  readonly frame: Frame = frame;
  readonly syscallNumber: Reg = 17;
  readonly syscallArguments: readonly Reg[] = [10, 11, 12, 13, 14, 15];
  readonly thunk: ThunkParts;
  readonly called: CalledParts;
  /** Constants that are loaded rather than made, and where they are to stand. */
  readonly #pool = new Map<bigint, Label>();

  constructor(origin: CodeAddr) {
    this.code = new Assembler<Arg>(riscv64, origin);
    const a = this.code;
    const hole = (name: string): Hole => a.hole(name);
    this.thunk = {
      callRoutine: (name) => callFar(a, hole(name), t0),
      afterRoutine: () => undefined,
      callBody: (name) => callFar(a, hole(name), ra),
      jumpBody: (name) => callFar(a, hole(name), zero, t0),
      return: () => void a.i("jalr", zero, mem(ra)),
    };
    this.called = {
      enter: () => this.save(),
      literal: (rd) => this.load(rd, { base: t0.n, offset: literalOffset }, 8),
      leave: () => this.restoreAndResume(),
    };
  }

  save(): void {
    const { code: a } = this;
    a.i("addi", sp, sp, -frame.bytes);
    kept.forEach((register, index) => void a.i("sd", x(register), mem(sp, 8 * index)));
    a.i("sd", t0, mem(sp, frame.resume)).i("sd", ra, mem(sp, frame.parent));
  }

  restoreAndResume(): void {
    const { code: a } = this;
    a.i("ld", t0, mem(sp, frame.resume)).i("ld", ra, mem(sp, frame.parent));
    kept.forEach((register, index) => void a.i("ld", x(register), mem(sp, 8 * index)));
    a.i("addi", sp, sp, frame.bytes).i("jalr", zero, mem(t0));
  }

  push(registers: readonly Reg[]): void {
    this.code.i("addi", sp, sp, -8 * registers.length);
    registers.forEach((register, i) => void this.code.i("sd", x(register), mem(sp, 8 * i)));
  }

  pop(registers: readonly Reg[]): void {
    registers.forEach((register, i) => void this.code.i("ld", x(register), mem(sp, 8 * i)));
    this.code.i("addi", sp, sp, 8 * registers.length);
  }

  move(rd: Reg, rs: Reg): void {
    this.code.i("addi", x(rd), x(rs), 0);
  }

  constant(rd: Reg, value: bigint | number): void {
    const wanted = BigInt.asIntN(64, BigInt(value));
    if (BigInt.asIntN(32, wanted) === wanted) {
      loadConstant(this.code, x(rd), wanted, 64);
      return;
    }
    const label = this.#pool.get(wanted) ?? this.code.label();
    this.#pool.set(wanted, label);
    this.loadFrom(rd, label);
  }

  constant32(rd: Reg, value: number): void {
    this.constant(rd, BigInt.asIntN(32, BigInt(value)));
  }

  addressOf(rd: Reg, label: Label): void {
    loadAddress(this.code, x(rd), label);
  }

  loadFrom(rd: Reg, label: Label): void {
    const { code: a } = this;
    const anchor = a.bindNew();
    a.emit("auipc", { rd, imm: 0 }, { field: "imm", part: pcrelHigh(label) });
    a.emit("ld", { rd, rs1: rd, imm: 0 }, { field: "imm", part: pcrelLow(label, anchor) });
  }

  load(rd: Reg, { base, offset }: Mem, bytes: AccessBytes): void {
    this.code.i(bytes === 8 ? "ld" : "lw", x(rd), mem(x(base), offset));
  }

  loadByte(rd: Reg, { base, offset }: Mem): void {
    this.code.i("lbu", x(rd), mem(x(base), offset));
  }

  store(rs: Reg, { base, offset }: Mem, bytes: 1 | 2 | AccessBytes): void {
    this.code.i(stores[bytes], x(rs), mem(x(base), offset));
  }

  storeZero(to: Mem, bytes: AccessBytes): void {
    this.store(zero.n, to, bytes);
  }

  add(rd: Reg, left: Reg, right: Reg): void {
    this.code.i("add", x(rd), x(left), x(right));
  }

  or(rd: Reg, left: Reg, right: Reg): void {
    this.code.i("or", x(rd), x(left), x(right));
  }

  multiply(rd: Reg, left: Reg, right: Reg): void {
    this.code.i("mul", x(rd), x(left), x(right));
  }

  addConstant(rd: Reg, rs: Reg, value: number): void {
    if (value >= immediateMin && value <= immediateMax) {
      this.code.i("addi", x(rd), x(rs), value);
      return;
    }
    loadConstant(this.code, temporary, BigInt(value), 64);
    this.add(rd, rs, temporary.n);
  }

  lowBits(rd: Reg, rs: Reg, bits: number): void {
    if (2 ** bits - 1 <= immediateMax) {
      this.code.i("andi", x(rd), x(rs), 2 ** bits - 1);
      return;
    }
    this.shiftLeft(rd, rs, 64 - bits);
    this.shiftRight(rd, rd, 64 - bits);
  }

  shiftLeft(rd: Reg, rs: Reg, bits: number): void {
    this.code.i("slli", x(rd), x(rs), bits);
  }

  shiftRight(rd: Reg, rs: Reg, bits: number): void {
    this.code.i("srli", x(rd), x(rs), bits);
  }

  jump(to: Label): void {
    this.code.i("jal", zero, to);
  }

  jumpRegister(to: Reg): void {
    this.code.i("jalr", zero, mem(x(to)));
  }

  call(to: Label): void {
    this.code.i("jal", ra, to);
  }

  callRegister(to: Reg): void {
    this.code.i("jalr", ra, mem(x(to)));
  }

  goBack(): void {
    this.code.i("jalr", zero, mem(ra));
  }

  ifZero(rs: Reg, to: Label): void {
    this.code.i("beq", x(rs), zero, to);
  }

  ifNotZero(rs: Reg, to: Label): void {
    this.code.i("bne", x(rs), zero, to);
  }

  ifEqual(left: Reg, right: Reg, to: Label): void {
    this.code.i("beq", x(left), x(right), to);
  }

  ifNotEqual(left: Reg, right: Reg, to: Label): void {
    this.code.i("bne", x(left), x(right), to);
  }

  ifNotBelow(left: Reg, right: Reg, to: Label): void {
    this.code.i("bgeu", x(left), x(right), to);
  }

  compareSwap(
    address: Reg,
    { expected, wanted }: { readonly expected: Reg; readonly wanted: Reg },
    failed: Label,
    { bytes, ordering }: { readonly bytes: AccessBytes; readonly ordering: Ordering },
  ): void {
    const { code: a } = this;
    const width = bytes === 8 ? "d" : "w";
    const [acquire, release] = ordering === "publishing" ? [".aq", ".rl"] : ["", ""];
    const again = a.bindNew();
    a.i(`lr.${width}${acquire}`, temporary, mem(x(address)));
    a.i("bne", temporary, x(expected), failed);
    a.i(`sc.${width}${release}`, temporary, x(wanted), mem(x(address)));
    a.i("bne", temporary, zero, again);
  }

  increment(address: Reg, work: Reg): void {
    this.constant(work, 1);
    this.code.i("amoadd.d", zero, x(work), mem(x(address)));
  }

  threadId(rd: Reg, offset: number): void {
    if (offset >= immediateMin && offset <= immediateMax) {
      this.load(rd, { base: 4, offset }, 4);
      return;
    }
    this.addConstant(rd, 4, offset);
    this.load(rd, { base: rd, offset: 0 }, 4);
  }

  clock(rd: Reg): void {
    this.code.i("csrrs", x(rd), "time", zero);
  }

  syscall(): void {
    this.code.i("ecall");
  }

  fence(): void {
    this.code.i("fence", "rw", "rw");
  }

  syncCode(): void {
    this.code.i("fence", "rw", "rw").i("fence.i");
  }

  trap(): void {
    this.code.i("ebreak");
  }

  finish(): ReturnType<Assembler<Arg>["finish"]> {
    assert(this.code.size % 2 === 0, "instructions are parcels");
    if (this.#pool.size > 0) this.code.align(8);
    for (const [value, label] of this.#pool) this.code.bind(label).u64(value);
    return this.code.finish();
  }
}

/** A machine whose code begins at `origin`. */
export const riscv64Machine = (origin: CodeAddr): Machine & { readonly code: Assembler<Arg> } =>
  new RiscvMachine(origin);

/**
 * What generated code is written with on the ISAs whose instructions are words: AArch64 and RISC-V
 * are close enough to each other that agent, routines and thunks are written once, with these few
 * operations. `aarch64/machine.ts` and `riscv/machine.ts` say what each one is there.
 *
 * None of them changes AArch64's flags: comparing is done by subtracting. None touches a vector
 * register.
 */
import type { CodeAddr } from "../../base/brand.ts";
import type { Assembled, Hole, Label } from "../../isa/assembler.ts";

/** Number of a general register. */
export type Reg = number;

/** Memory at a register plus a constant, -2048 to 2047 and, on AArch64, a multiple of the size. */
export type Mem = { readonly base: Reg; readonly offset: number };

export const at = (base: Reg, offset = 0): Mem => ({ base, offset });

/** Bytes of an access; loads of 4 bytes extend as `constant32` does. */
export type AccessBytes = 4 | 8;

/** Whether a store that publishes something orders what was stored before it. */
export type Ordering = "relaxed" | "publishing";

/** What `save` leaves on the stack, in bytes from the stack pointer. */
export type Frame = {
  /** From the stack pointer up to where it was at the traced function's entry or return. */
  readonly bytes: number;
  /** The traced function's return address: `restore` takes it back from here. */
  readonly parent: number;
  /** Where the routine goes back to in the thunk. */
  readonly resume: number;
  /** 8 bytes for the routine's own use. */
  readonly spare: number;
};

/** The parts of the assembler that need no ISA. */
export type Code = {
  readonly here: CodeAddr;
  readonly size: number;
  label(): Label;
  bind(label: Label): unknown;
  bindNew(): Label;
  hole(name: string): Hole;
  align(alignment: number): unknown;
  u32(value: number | Hole): unknown;
  u64(value: bigint | Hole): unknown;
};

export type Machine = {
  readonly code: Code;
  /** Seven that `save` keeps and routines may use. */
  readonly scratch: readonly Reg[];
  /** Ten more, for who keeps them with `push` and `pop`. */
  readonly extra: readonly Reg[];
  /** Where a routine finds its way back to the thunk when it begins. */
  readonly resume: Reg;
  /** What `call` leaves the way back in; `save` has kept what it held. */
  readonly link: Reg;
  readonly stack: Reg;
  readonly frame: Frame;
  /** Registers of a system call. */
  readonly syscallNumber: Reg;
  readonly syscallArguments: readonly Reg[];

  /** Keeps what routines use, and makes the frame. */
  save(): void;
  /** Takes it back, with the return address, and goes back to the thunk. */
  restoreAndResume(): void;
  /** Keeps more registers, an even number, below the frame. */
  push(registers: readonly Reg[]): void;
  pop(registers: readonly Reg[]): void;

  move(rd: Reg, rs: Reg): void;
  constant(rd: Reg, value: bigint | number): void;
  /** A number of 32 bits as a load of 4 bytes gives it. */
  constant32(rd: Reg, value: number): void;
  /** The address of a place of this code. */
  addressOf(rd: Reg, label: Label): void;
  /** 8 bytes that stand in this code. */
  loadFrom(rd: Reg, label: Label): void;
  load(rd: Reg, from: Mem, bytes: AccessBytes): void;
  /** One byte, with zeros above it. */
  loadByte(rd: Reg, from: Mem): void;
  store(rs: Reg, to: Mem, bytes: 1 | 2 | AccessBytes): void;
  storeZero(to: Mem, bytes: AccessBytes): void;
  add(rd: Reg, left: Reg, right: Reg): void;
  or(rd: Reg, left: Reg, right: Reg): void;
  multiply(rd: Reg, left: Reg, right: Reg): void;
  /** Adds -4096 to 4096. */
  addConstant(rd: Reg, rs: Reg, value: number): void;
  /** Keeps the low `bits`. */
  lowBits(rd: Reg, rs: Reg, bits: number): void;
  shiftLeft(rd: Reg, rs: Reg, bits: number): void;
  shiftRight(rd: Reg, rs: Reg, bits: number): void;

  jump(to: Label): void;
  jumpRegister(to: Reg): void;
  call(to: Label): void;
  callRegister(to: Reg): void;
  /** Back to who called: through `link`. */
  goBack(): void;
  ifZero(rs: Reg, to: Label): void;
  ifNotZero(rs: Reg, to: Label): void;
  ifEqual(left: Reg, right: Reg, to: Label): void;
  ifNotEqual(left: Reg, right: Reg, to: Label): void;
  /** Jumps when left >= right; both below 2^63. */
  ifNotBelow(left: Reg, right: Reg, to: Label): void;

  /**
   * Stores `wanted` at `address` if `expected` is there, against all that interrupts this thread;
   * against other threads, too, when `shared`. Goes to `failed` where it is not.
   */
  compareSwap(
    address: Reg,
    swap: { readonly expected: Reg; readonly wanted: Reg },
    failed: Label,
    options: { readonly bytes: AccessBytes; readonly ordering: Ordering },
  ): void;
  /** Adds 1 to the 8 bytes at `address`; clobbers `work`. */
  increment(address: Reg, work: Reg): void;
  /** The calling thread's id, `offset` bytes from the thread pointer. */
  threadId(rd: Reg, offset: number): void;
  /** The clock that the kernel keeps the time with, all of its bits. */
  clock(rd: Reg): void;
  syscall(): void;
  /** Loads and stores before it come before those behind it, as every thread sees them. */
  fence(): void;
  /** Makes stores to the code from `first` up to `end` visible to this hart's fetches. */
  syncCode(first: Reg, end: Reg, work: readonly [Reg, Reg]): void;
  /** What nobody comes to. */
  trap(): void;

  /** Thunks. Places of four-byte distances: `hole` is filled for each copy. */
  readonly thunk: ThunkParts;
  readonly called: CalledParts;
  finish(): Assembled;
};

/** What a site calls that has a literal beside it. */
export type CalledParts = {
  /** Keeps what routines use, and makes the frame of one that a thunk has called. */
  enter(): void;
  /** Right behind: the literal of the site that has called. */
  literal(rd: Reg): void;
  /** Takes it all back, and goes back to the site. */
  leave(): void;
};

/** The instructions of a thunk, which are few and each ISA's own. */
export type ThunkParts = {
  /** Calls the routine that the hole names: what `save` expects. */
  callRoutine(hole: string): void;
  /** Behind a routine: everything is as it was at the function's entry or return. */
  afterRoutine(): void;
  /** Calls the function's body, so that it returns behind this. */
  callBody(hole: string): void;
  /** Goes on in the function's body, to return to the function's caller. */
  jumpBody(hole: string): void;
  /** Behind `leave`: returns to the function's caller. */
  return(): void;
};

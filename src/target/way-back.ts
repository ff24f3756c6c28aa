/**
 * A way back for a borrowed thread that needs no tracer. Before the thread is made to run anything,
 * a complete signal frame with its own registers lies on its stack, below what belongs to it, and
 * the stack pointer leads there. What it runs ends with `ret`: to the C library's signal restorer,
 * which has the kernel put everything back from the frame. So a tracer can be killed at any moment;
 * the thread finishes the call that it was given and goes on as if nothing had been.
 *
 * The frame is the kernel's struct rt_sigframe (arch/x86/include/asm/sigframe.h, asm/sigcontext.h,
 * kernel/signal_64.c) with the extended state behind it as XSAVE has it (kernel/fpu/signal.c).
 */
import { type CodeAddr, codeAddr, type Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { Mapping } from "../os/proc.ts";
import { type Registers, readExtendedState, readSignalMask } from "../os/ptrace.ts";
import type { TargetMemory } from "./process.ts";
import { restorers } from "./signal-frames.ts";

/** Where the thread gets its own state back from. */
export type Frame = {
  /** For the stack pointer: the restorer's address lies there. */
  readonly sp: bigint;
  readonly restorer: CodeAddr;
  /** Where sigaltstack(2) has to put what it knows: the frame's `uc_stack`. */
  readonly signalStack: bigint;
};

/** `syscall; ret`. */
const gate = Uint8Array.of(0x0f, 0x05, 0xc3);
const redZone = 128n;

/** Order of the general registers in struct sigcontext_64. */
const contextRegisters = [
  ...["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx"],
  ...["rdx", "rax", "rcx", "rsp", "rip", "eflags"],
] as const;

/** Byte offsets from the frame's beginning, which is the restorer's address. */
const at = { flags: 8, stack: 24, context: 48, mask: 304, bytes: 440 } as const;
/** Within the context, behind the registers: cs, gs, fs, ss; then the state's address. */
const segments = 18 * 8;
const stateAddress = 23 * 8;
/** UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS. */
const frameFlags = 7n;
/** SS_DISABLE, until sigaltstack(2) has said how it is. */
const noSignalStack = 2;
/** Offsets in the extended state: the software's bytes, and the mask of what is in it. */
const software = 464;
const stateMask = 512;
const magic1 = 0x4650_5853;
const magic2 = 0x4650_5845;
/** AMX's tiles: threads that do not use them have no room for them in the kernel. */
const tiles = 3n << 17n;
const withoutTiles = 2696;

/** Results of system calls that the kernel would restart: ERESTARTSYS, -NOINTR, -NOHAND, _BLOCK. */
const restarts: readonly bigint[] = [-512n, -513n, -514n, -516n];
const syscallBytes = 2n;

export class WayBack {
  /** A system call instruction behind which a `ret` comes. */
  readonly gate: CodeAddr;
  /** `mov $15, %eax; syscall`. */
  readonly restorer: CodeAddr;
  readonly #memory: TargetMemory;

  private constructor(memory: TargetMemory, gate: CodeAddr, restorer: CodeAddr) {
    this.#memory = memory;
    this.gate = gate;
    this.restorer = restorer;
  }

  /** Finds the two pieces of code in a process; undefined where it lacks one. */
  static find(memory: TargetMemory, maps: readonly Mapping[]): WayBack | undefined {
    const text = maps.filter(({ executable, inode }) => executable && inode !== 0);
    // The C library has both; in a static program it is a part of the one file that there is.
    const isLibrary = ({ path }: Mapping): boolean => /\/(libc[.-]|ld-musl)[^/]*$/.test(path);
    text.sort((a, b) => Number(isLibrary(b)) - Number(isLibrary(a)));
    let [gateAt, restorerAt]: (bigint | undefined)[] = [];
    for (const { start, end } of text) {
      const image = Buffer.from(memory.read(start, Number(end - start)).buffer);
      const find = (wanted: Uint8Array): bigint | undefined => {
        const offset = image.indexOf(wanted);
        return offset < 0 ? undefined : start + BigInt(offset);
      };
      gateAt ??= find(gate);
      for (const restorer of restorers) restorerAt ??= find(restorer);
      if (gateAt === undefined || restorerAt === undefined) continue;
      return new WayBack(memory, codeAddr(gateAt), codeAddr(restorerAt));
    }
    return undefined;
  }

  /**
   * Lays the frame of a stopped thread; undefined where its stack has no room. The thread's first
   * call has to be sigaltstack(0, `signalStack`).
   */
  lay(tid: Tid, registers: Registers): Frame | undefined {
    const state = extendedState(tid);
    const stateAt = (registers.get("rsp") - redZone - BigInt(state.length)) & ~63n;
    // As at a function's entry: 8 bytes below a multiple of 16.
    const sp = ((stateAt - BigInt(at.bytes)) & ~15n) - 8n;
    const bytes = new Uint8Array(Number(stateAt - sp) + state.length);
    bytes.set(state, Number(stateAt - sp));
    const view = new DataView(bytes.buffer);
    const put = (offset: number, value: bigint): void =>
      view.setBigUint64(offset, BigInt.asUintN(64, value), true);
    put(0, this.restorer);
    put(at.flags, frameFlags);
    view.setUint32(at.stack + 8, noSignalStack, true);
    const own = ownContext(registers);
    contextRegisters.forEach((name, index) => {
      put(at.context + index * 8, own.get(name));
    });
    view.setUint16(at.context + segments, Number(own.get("cs")), true);
    view.setUint16(at.context + segments + 6, Number(own.get("ss")), true);
    put(at.context + stateAddress, stateAt);
    put(at.mask, readSignalMask(tid));
    try {
      this.#memory.write(sp, bytes);
    } catch (error) {
      if (error instanceof PatchbayError && error.code === "system") return undefined;
      throw error;
    }
    return { sp, restorer: this.restorer, signalStack: sp + BigInt(at.stack) };
  }
}

/** The registers to go on with where nobody restarts a system call that was interrupted. */
function ownContext(registers: Registers): Registers {
  const own = registers.copy();
  const number = BigInt.asIntN(64, registers.get("orig_rax"));
  const isInterrupted = restarts.includes(BigInt.asIntN(64, registers.get("rax")));
  if (number < 0n || !isInterrupted) return own;
  // From its beginning: what is left of a sleep only the tracer's way of going on would know.
  return own.set("rax", number).set("rip", registers.get("rip") - syscallBytes);
}

/** A thread's floating-point and vector registers as a signal frame has them, both magics set. */
function extendedState(tid: Tid): Uint8Array {
  const whole = readExtendedState(tid);
  const from = new DataView(whole.buffer);
  const hasTiles = (from.getBigUint64(stateMask, true) & tiles) !== 0n;
  const size = hasTiles ? whole.length : Math.min(whole.length, withoutTiles);
  const state = new Uint8Array(size + 4);
  state.set(whole.subarray(0, size));
  const view = new DataView(state.buffer);
  const mask = from.getBigUint64(software, true);
  view.setUint32(software, magic1, true);
  view.setUint32(software + 4, size + 4, true);
  view.setBigUint64(software + 8, hasTiles ? mask : mask & ~tiles, true);
  view.setUint32(software + 16, size, true);
  view.setUint32(size, magic2, true);
  return state;
}

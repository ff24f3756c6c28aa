/** x86-64 on the machine itself, or under qemu-user. */
import { ensure } from "../../../src/base/assert.ts";
import { Assembler } from "../../../src/isa/x86-64/assembler.ts";
import { mem64 } from "../../../src/isa/x86-64/operands.ts";
import { type Gpr, gpr, r64 } from "../../../src/isa/x86-64/registers.ts";
import { type X86Instruction, x86_64 } from "../../../src/isa/x86-64/semantics.ts";
import type { Random } from "../random.ts";
import type { CodeBuilder, Driver, State } from "./driver.ts";

// The 16 general registers by number, then RFLAGS.
const registers = Array.from({ length: 16 }, (_, n) => gpr(64, n));
const flagsAt = 8 * 16;
const stateBytes = flagsAt + 16;
const flagBits = { cf: 0, pf: 2, af: 4, zf: 6, sf: 7, df: 10, of: 11 };
/** Bit 1 is always there, and a user's program has interrupts on. */
const alwaysSet = 0x202n;

const pack = (state: State): Uint8Array => {
  const view = new DataView(new ArrayBuffer(stateBytes));
  registers.forEach(({ name }, i) => {
    view.setBigUint64(8 * i, ensure(state.get(name), name), true);
  });
  const flags = Object.entries(flagBits).reduce(
    (sum, [flag, at]) => sum | (ensure(state.get(flag), flag) << BigInt(at)),
    alwaysSet,
  );
  view.setBigUint64(flagsAt, flags, true);
  return new Uint8Array(view.buffer);
};

/** A static program without thread-local storage has no segment bases. */
const noBases: readonly [string, bigint][] = [
  ["fsbase", 0n],
  ["gsbase", 0n],
];

const unpack = (bytes: Uint8Array): State => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const flags = view.getBigUint64(flagsAt, true);
  return new Map([
    ...registers.map(({ name }, i): [string, bigint] => [name, view.getBigUint64(8 * i, true)]),
    ...Object.entries(flagBits).map(([flag, at]): [string, bigint] => [
      flag,
      (flags >> BigInt(at)) & 1n,
    ]),
    ...noBases,
  ]);
};

const named = (name: string): Gpr<64> =>
  ensure(
    registers.find((register) => register.name === name),
    name,
  );

const build = (origin: Parameters<Driver<X86Instruction>["build"]>[0]): CodeBuilder => {
  const a = new Assembler(origin);
  return {
    here: () => a.here,
    bytes: (bytes) => a.bytes(bytes),
    place: () => {
      const label = a.label();
      return { bind: () => a.bind(label), jump: () => a.near("jmp", label) };
    },
    loadState: (block, baseName) => {
      const base = named(baseName);
      a.i("movabs", base, block);
      a.i("lea", r64.rsp, mem64(base, { disp: flagsAt })).i("popfq");
      for (const register of registers) {
        if (register !== base) a.i("mov", register, mem64(base, { disp: 8 * register.number }));
      }
    },
    noteAddress: (link) => a.i("lea", named(link), mem64(a.here)),
    storeState: (baseName) => {
      const base = named(baseName);
      for (const register of registers) {
        a.i("mov", mem64(base, { disp: 8 * register.number }), register);
      }
      a.i("lea", r64.rsp, mem64(base, { disp: flagsAt + 8 })).i("pushfq");
    },
    copyWindow: (baseName, sizeBytes) => {
      const base = named(baseName);
      const [from, t] = base.number < 2 ? [r64.rsi, r64.rdi] : [r64.rax, r64.rcx];
      a.i("mov", from, mem64(base, { disp: stateBytes }));
      for (let at = 0; at < sizeBytes; at += 8) {
        a.i("mov", t, mem64(from, { disp: at }));
        a.i("mov", mem64(base, { disp: stateBytes + 16 + at }), t);
      }
    },
    finish: (areas) => {
      for (const { address, sizeBytes } of areas) {
        a.i("movabs", r64.rax, 1n).i("movabs", r64.rdi, 1n);
        a.i("movabs", r64.rsi, address).i("movabs", r64.rdx, BigInt(sizeBytes)).i("syscall");
      }
      a.i("movabs", r64.rax, 231n).i("movabs", r64.rdi, 0n).i("syscall");
    },
    code: () => a.finish().bytes,
  };
};

/** @param emulator the command and its options; empty for the machine itself. */
export const x86Driver = (emulator: readonly string[]): Driver<X86Instruction> => ({
  isa: x86_64,
  emulator,
  elfFlags: 0,
  padBytes: 12,
  free: registers.filter(({ name }) => name !== "rsp").map(({ name }) => name),
  stateBytes,
  pack,
  unpack,
  randomState: (random: Random): State =>
    new Map([
      ...registers.map(({ name }): [string, bigint] => [name, random.bits64()]),
      ...Object.keys(flagBits).map((flag): [string, bigint] => [flag, BigInt(random.below(2))]),
      ...noBases,
    ]),
  build,
  encode: (insn) => insn.operands.decoded.bytes,
});

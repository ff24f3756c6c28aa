/** AArch64 under qemu-user, with code from Patchbay's own assembler. */
import { ensure } from "../../../src/base/assert.ts";
import { type AArch64Instruction, aarch64, bytesOf } from "../../../src/isa/aarch64/isa.ts";
import { loadConstant } from "../../../src/isa/aarch64/macros.ts";
import * as reg from "../../../src/isa/aarch64/registers.ts";
import { type Arg, mem, post } from "../../../src/isa/aarch64/slots.ts";
import { Assembler } from "../../../src/isa/assembler.ts";
import type { Random } from "../random.ts";
import type { CodeBuilder, Driver, State } from "./driver.ts";

// x0 to x30, sp, nzcv, fpcr, fpsr, tpidr_el0: 8 bytes each; then v0 to v31.
const spAt = 8 * 31;
const systemAt = spAt + 8;
const systemNames = ["nzcv", "fpcr", "fpsr", "tpidr_el0"] as const;
const vectorsAt = systemAt + 8 * systemNames.length;
const stateBytes = vectorsAt + 16 * 32;
const flags = ["v", "c", "z", "n"] as const;

const names = Array.from({ length: 31 }, (_, n) => `x${n}`);
const low64 = (1n << 64n) - 1n;

const pack = (state: State): Uint8Array => {
  const view = new DataView(new ArrayBuffer(stateBytes));
  const get = (name: string): bigint => ensure(state.get(name), name);
  const put = (at: number, value: bigint): void => view.setBigUint64(at, value, true);
  [...names, "sp"].forEach((name, i) => {
    put(8 * i, get(name));
  });
  const nzcv = flags.reduce((sum, flag, i) => sum | (get(flag) << BigInt(28 + i)), 0n);
  systemNames.forEach((name, i) => {
    put(systemAt + 8 * i, name === "nzcv" ? nzcv : get(name));
  });
  for (let n = 0; n < 32; n++) {
    put(vectorsAt + 16 * n, get(`v${n}`) & low64);
    put(vectorsAt + 16 * n + 8, get(`v${n}`) >> 64n);
  }
  return new Uint8Array(view.buffer);
};

const unpack = (bytes: Uint8Array): State => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const get = (at: number): bigint => view.getBigUint64(at, true);
  const nzcv = get(systemAt);
  return new Map([
    ...[...names, "sp"].map((name, i): [string, bigint] => [name, get(8 * i)]),
    ...flags.map((flag, i): [string, bigint] => [flag, (nzcv >> BigInt(28 + i)) & 1n]),
    ...systemNames.slice(1).map((name, i): [string, bigint] => [name, get(systemAt + 8 * (i + 1))]),
    ...Array.from({ length: 32 }, (_, n): [string, bigint] => [
      `v${n}`,
      get(vectorsAt + 16 * n) | (get(vectorsAt + 16 * n + 8) << 64n),
    ]),
  ]);
};

const xNamed = (name: string): reg.GeneralRegister => reg.x(Number(name.slice(1)));

const build = (origin: Parameters<Driver<AArch64Instruction>["build"]>[0]): CodeBuilder => {
  const a = new Assembler<Arg>(aarch64, origin);
  /** Two registers that are not the base. */
  const others = (base: reg.GeneralRegister): [reg.GeneralRegister, reg.GeneralRegister] =>
    base.n < 2 ? [reg.x(2), reg.x(3)] : [reg.x(0), reg.x(1)];
  return {
    here: () => a.here,
    bytes: (bytes) => a.bytes(bytes),
    place: () => {
      const label = a.label();
      return { bind: () => a.bind(label), jump: () => a.i("b", label) };
    },
    loadState: (block, baseName) => {
      const base = xNamed(baseName);
      const [t] = others(base);
      loadConstant(a, base, block);
      // Gives up a reservation that an earlier trial left.
      a.i("clrex");
      systemNames.forEach((name, i) => {
        a.i("ldr", t, mem(base, systemAt + 8 * i)).i("msr", name, t);
      });
      a.i("ldr", t, mem(base, spAt)).i("mov", reg.sp, t);
      for (let n = 0; n < 32; n++) a.i("ldr", reg.q(n), mem(base, vectorsAt + 16 * n));
      for (let n = 0; n < 31; n++) {
        if (n !== base.n) a.i("ldr", reg.x(n), mem(base, 8 * n));
      }
    },
    noteAddress: (link) => a.i("adr", xNamed(link), 0),
    storeState: (baseName) => {
      const base = xNamed(baseName);
      const [t] = others(base);
      for (let n = 0; n < 31; n++) a.i("str", reg.x(n), mem(base, 8 * n));
      for (let n = 0; n < 32; n++) a.i("str", reg.q(n), mem(base, vectorsAt + 16 * n));
      a.i("mov", t, reg.sp).i("str", t, mem(base, spAt));
      systemNames.forEach((name, i) => {
        a.i("mrs", t, name).i("str", t, mem(base, systemAt + 8 * i));
      });
    },
    copyWindow: (baseName, sizeBytes) => {
      const base = xNamed(baseName);
      const [from, to] = others(base);
      a.i("ldr", from, mem(base, stateBytes)).i("add", to, base, stateBytes + 16);
      for (let at = 0; at < sizeBytes; at += 16) {
        a.i("ldr", reg.q(0), post(from, 16)).i("str", reg.q(0), post(to, 16));
      }
    },
    finish: (areas) => {
      for (const { address, sizeBytes } of areas) {
        a.i("mov", reg.x(0), 1);
        loadConstant(a, reg.x(1), address);
        loadConstant(a, reg.x(2), BigInt(sizeBytes));
        a.i("mov", reg.x(8), 64).i("svc", 0);
      }
      a.i("mov", reg.x(0), 0).i("mov", reg.x(8), 94).i("svc", 0);
    },
    code: () => a.finish().bytes,
  };
};

// Rounding mode and flush-to-zero; the exception flags: bits that every processor has.
const fpcrBits = 0x01c00000n;
const fpsrBits = 0x0800009fn;

/** @param emulator the command and its options. */
export const aarch64Driver = (emulator: readonly string[]): Driver<AArch64Instruction> => ({
  isa: aarch64,
  emulator,
  elfFlags: 0,
  padBytes: 8,
  free: names,
  stateBytes,
  pack,
  unpack,
  randomState: (random: Random): State =>
    new Map([
      ...[...names, "tpidr_el0"].map((name): [string, bigint] => [name, random.bits64()]),
      // The stack pointer may be the base of an access: always aligned.
      ["sp", random.bits64() & ~15n],
      ...flags.map((flag): [string, bigint] => [flag, BigInt(random.below(2))]),
      ["fpcr", random.bits64() & fpcrBits],
      ["fpsr", random.bits64() & fpsrBits],
      ...Array.from({ length: 32 }, (_, n): [string, bigint] => [
        `v${n}`,
        random.bits64() | (random.bits64() << 64n),
      ]),
    ]),
  build,
  encode: bytesOf,
});

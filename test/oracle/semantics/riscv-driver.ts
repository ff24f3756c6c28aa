/** RISC-V under qemu-user, 64 and 32 bits wide, with code from Patchbay's own assembler. */
import { ensure } from "../../../src/base/assert.ts";
import { Assembler } from "../../../src/isa/assembler.ts";
import { bytesOf, type RiscvInstruction, type RiscvIsa } from "../../../src/isa/riscv/isa.ts";
import { loadConstant } from "../../../src/isa/riscv/macros.ts";
import * as reg from "../../../src/isa/riscv/registers.ts";
import { type Arg, mem } from "../../../src/isa/riscv/slots.ts";
import type { Random } from "../random.ts";
import type { CodeBuilder, Driver, State } from "./driver.ts";

// x1 to x31, then f0 to f31, then fcsr; 8 bytes each.
const floatsAt = 8 * 31;
const fcsrAt = floatsAt + 8 * 32;
const stateBytes = 528;

const xNamed = (name: string): reg.Register => reg.x(reg.xNames.indexOf(name));

const pack = (state: State): Uint8Array => {
  const view = new DataView(new ArrayBuffer(stateBytes));
  const put = (at: number, name: string): void =>
    view.setBigUint64(at, ensure(state.get(name), name), true);
  reg.xNames.slice(1).forEach((name, i) => {
    put(8 * i, name);
  });
  reg.fNames.forEach((name, i) => {
    put(floatsAt + 8 * i, name);
  });
  put(fcsrAt, "fcsr");
  return new Uint8Array(view.buffer);
};

const makeUnpack =
  (xlen: 32 | 64) =>
  (bytes: Uint8Array): State => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const get = (at: number, bits: number): bigint =>
      BigInt.asUintN(bits, view.getBigUint64(at, true));
    return new Map([
      ...reg.xNames.slice(1).map((name, i): [string, bigint] => [name, get(8 * i, xlen)]),
      ...reg.fNames.map((name, i): [string, bigint] => [name, get(floatsAt + 8 * i, 64)]),
      ["fcsr", get(fcsrAt, 8)],
    ]);
  };

const makeBuild =
  (isa: RiscvIsa) =>
  (origin: Parameters<Driver<RiscvInstruction>["build"]>[0]): CodeBuilder => {
    const a = new Assembler<Arg>(isa, origin);
    const { xlen } = isa;
    const [load, store] = xlen === 64 ? ["ld", "sd"] : ["lw", "sw"];
    const word = isa.wordBytes;
    return {
      here: () => a.here,
      bytes: (bytes) => a.bytes(bytes),
      place: () => {
        const label = a.label();
        return { bind: () => a.bind(label), jump: () => a.i("j", label) };
      },
      loadState: (block, baseName) => {
        const base = xNamed(baseName);
        loadConstant(a, base, block, xlen);
        const t = base.n === 1 ? reg.t0 : reg.ra;
        a.i("lw", t, mem(base, fcsrAt)).i("csrw", "fcsr", t);
        // Gives up a reservation that an earlier trial left.
        a.i("addi", t, base, stateBytes + 16).i("sc.w", t, reg.zero, mem(t));
        for (let n = 0; n < 32; n++) a.i("fld", reg.f(n), mem(base, floatsAt + 8 * n));
        for (let n = 1; n < 32; n++) {
          if (n !== base.n) a.i(load, reg.x(n), mem(base, 8 * (n - 1)));
        }
      },
      noteAddress: (link) => a.i("auipc", xNamed(link), 0),
      storeState: (baseName) => {
        const base = xNamed(baseName);
        for (let n = 1; n < 32; n++) a.i(store, reg.x(n), mem(base, 8 * (n - 1)));
        for (let n = 0; n < 32; n++) a.i("fsd", reg.f(n), mem(base, floatsAt + 8 * n));
        const t = base.n === 5 ? reg.t1 : reg.t0;
        a.i("csrr", t, "fcsr").i(store, t, mem(base, fcsrAt));
      },
      copyWindow: (baseName, sizeBytes) => {
        const base = xNamed(baseName);
        const [from, t] = base.n === 5 || base.n === 6 ? [reg.a0, reg.a1] : [reg.t0, reg.t1];
        a.i(load, from, mem(base, stateBytes));
        for (let at = 0; at < sizeBytes; at += word) {
          a.i(load, t, mem(from, at)).i(store, t, mem(base, stateBytes + 16 + at));
        }
      },
      finish: (areas) => {
        for (const { address, sizeBytes } of areas) {
          a.i("li", reg.a0, 1);
          loadConstant(a, reg.a1, address, xlen);
          loadConstant(a, reg.a2, BigInt(sizeBytes), xlen);
          a.i("li", reg.a7, 64).i("ecall");
        }
        a.i("li", reg.a0, 0).i("li", reg.a7, 94).i("ecall");
      },
      code: () => a.finish().bytes,
    };
  };

/** @param emulator the command and its options. */
export const riscvDriver = (
  isa: RiscvIsa,
  emulator: readonly string[],
): Driver<RiscvInstruction> => ({
  isa,
  emulator,
  elfFlags: 5, // RVC, double-float ABI
  padBytes: 8,
  free: reg.xNames.slice(1),
  stateBytes,
  pack,
  unpack: makeUnpack(isa.xlen),
  randomState: (random: Random): State =>
    new Map([
      ...reg.xNames
        .slice(1)
        .map((name): [string, bigint] => [name, BigInt.asUintN(isa.xlen, random.bits64())]),
      ...reg.fNames.map((name): [string, bigint] => [name, random.bits64()]),
      // A rounding mode that exists.
      ["fcsr", BigInt(random.below(32) | (random.below(5) << 5))],
    ]),
  build: makeBuild(isa),
  encode: bytesOf,
});

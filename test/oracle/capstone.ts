/**
 * Capstone 5 as an oracle: a disassembler we did not write, behind the few facts about its
 * JavaScript port that matter.
 *
 * The port throws when the first byte can't be decoded (here: an empty list), gives addresses as
 * signed numbers (here: unsigned), misreads the `detail` structures (here: not offered), and
 * prints the immediate -0x80000000 as if a C `long` had 8 bytes (here: as it is). Branch operands
 * are absolute on x86 and AArch64 but relative to the branch on RISC-V.
 */
import load, { type Capstone, type Handle } from "@alexaltea/capstone-js";
import { assert } from "../../src/base/assert.ts";

/** Architectures that Patchbay knows. */
export type Isa = "x86-64" | "aarch64" | "riscv64" | "riscv32";

/** One instruction as a foreign disassembler reads it. */
export type Disassembled = {
  readonly at: bigint;
  readonly size: number;
  readonly mnemonic: string;
  /** Operands in the tool's own spelling (Intel syntax on x86). */
  readonly operands: string;
};

/** A Capstone decoder for one architecture; close it when done. */
export type Disassembler = {
  /**
   * Instructions from the beginning of `bytes` (borrowed) up to the first undecodable one.
   * @param countMax stop after this many; 0 means no limit.
   */
  readonly disassemble: (bytes: Uint8Array, at?: bigint, countMax?: number) => Disassembled[];
  /** The instruction at the beginning of `bytes`, or undefined where Capstone finds none. */
  readonly one: (bytes: Uint8Array, at?: bigint) => Disassembled | undefined;
  readonly close: () => void;
};

const open = (cs: Capstone, isa: Isa): Handle => {
  const parameters: Record<Isa, readonly [arch: number, mode: number]> = {
    "x86-64": [cs.ARCH_X86, cs.MODE_64],
    aarch64: [cs.ARCH_ARM64, cs.MODE_LITTLE_ENDIAN],
    riscv64: [cs.ARCH_RISCV, cs.MODE_RISCV64 | cs.MODE_RISCVC],
    riscv32: [cs.ARCH_RISCV, cs.MODE_RISCV32 | cs.MODE_RISCVC],
  };
  const [arch, mode] = parameters[isa];
  // An architecture that the build lacks is `undefined` and would silently be read as ARM.
  assert(typeof arch === "number" && !Number.isNaN(mode), `capstone was built without ${isa}`);
  return new cs.Capstone(arch, mode);
};

let loading: Promise<Capstone> | undefined;

/** Opens a decoder for `isa`; the WebAssembly module is loaded once for all. */
export const openCapstone = async (isa: Isa): Promise<Disassembler> => {
  loading ??= load();
  const handle = open(await loading, isa);
  const disassemble = (bytes: Uint8Array, at = 0n, countMax = 0): Disassembled[] => {
    if (bytes.length === 0) return [];
    try {
      return handle.disasm(bytes, BigInt.asIntN(64, at), countMax).map((raw) => ({
        at: BigInt.asUintN(64, raw.address),
        size: raw.size,
        mnemonic: raw.mnemonic,
        operands: raw.op_str.replace("-0xffffffff80000000", "-0x80000000"),
      }));
    } catch (error) {
      if (String(error).includes("CS_ERR_OK")) return [];
      throw error;
    }
  };
  return {
    disassemble,
    one: (bytes, at = 0n) => disassemble(bytes, at, 1)[0],
    close: () => handle.close(),
  };
};

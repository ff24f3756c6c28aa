/** Guards and traps of each ISA, as protocols put them in front of bytes that are being changed. */
import type { IsaName } from "../isa/isa.ts";
import { riscv64 } from "../isa/riscv/isa.ts";
import { branch, breakpoint } from "./aarch64-code.ts";
import type { Fillers } from "./steps.ts";

/** A word of a RISC-V instruction, little-endian. */
const riscvWord = (mnemonic: string, operands: Readonly<Record<string, number>>): Uint8Array => {
  const { word, size } = riscv64.instruction(mnemonic, operands);
  return Uint8Array.from({ length: size }, (_, i) => (word >>> (8 * i)) & 0xff);
};

const riscv: Fillers = {
  skip: (distance, size) => {
    if (size === 4) return riscvWord("jal", { rd: 0, imm: distance });
    return size === 2 ? riscvWord("c.j", { imm: distance }) : undefined;
  },
  trap: (size) => {
    if (size === 4) return riscvWord("ebreak", {});
    return size === 2 ? riscvWord("c.ebreak", {}) : undefined;
  },
};

const x8664: Fillers = {
  skip: (distance, size) => {
    if (size === 2 && distance - 2 <= 127) return Uint8Array.of(0xeb, distance - 2);
    if (size !== 5) return undefined;
    return Uint8Array.of(0xe9, ...[0, 8, 16, 24].map((bit) => ((distance - 5) >>> bit) & 0xff));
  },
  trap: (size) => (size === 1 ? Uint8Array.of(0xcc) : undefined),
};

const aarch64: Fillers = {
  skip: (distance, size) => (size === 4 ? branch(distance) : undefined),
  trap: (size) => (size === 4 ? breakpoint() : undefined),
};

const fillers: Readonly<Record<IsaName, Fillers>> = {
  "x86-64": x8664,
  aarch64,
  riscv64: riscv,
  riscv32: riscv,
};

export const fillersOf = (isa: IsaName): Fillers => fillers[isa];

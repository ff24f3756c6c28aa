/** What the checker has to know of each ISA beside its table: a thread's state at a call. */
import { assert } from "../base/assert.ts";
import { aarch64 } from "../isa/aarch64/isa.ts";
import type { Isa, IsaName } from "../isa/isa.ts";
import { riscv32, riscv64 } from "../isa/riscv/isa.ts";
import { x86_64 } from "../isa/x86-64/semantics.ts";
import { callerReturn, stackTop } from "./places.ts";

export type IsaKit = {
  readonly isa: Isa;
  /** Value of a register at the function's call; recognisable, and nobody's address. */
  entryValue(register: string): bigint;
  /** Stack words at the call, by address in hexadecimal: where CALL pushes the return address. */
  readonly callStack: Readonly<Record<string, bigint>>;
  /** What stands behind the window. */
  readonly bodyBytes: Uint8Array;
  /** Bytes of the longest instruction. */
  readonly instructionMax: number;
  /**
   * Whether a word is an instruction that may be changed while it is executed (Arm ARM B2.2.5);
   * true where there is no list.
   */
  isListed(bytes: Uint8Array): boolean;
};

/** Entry values of registers that nobody gave one: far apart, and within 31 bits. */
const poisonBase = 0x0bad_0000n;

function makeKit(isa: Isa, more: Omit<IsaKit, "isa" | "entryValue">, link?: string): IsaKit {
  const values = new Map(
    isa.registers.map(({ name }, index) => [name, poisonBase + BigInt(index) * 0x40n]),
  );
  values.set(isa.stackPointer, stackTop);
  if (link !== undefined) values.set(link, callerReturn);
  const entryValue = (register: string): bigint => {
    const value = values.get(register);
    assert(value !== undefined, `no register ${register}`);
    return value;
  };
  return { isa, entryValue, ...more };
}

const riscvKit = (isa: Isa): IsaKit =>
  makeKit(
    isa,
    {
      callStack: {},
      bodyBytes: Uint8Array.of(0x67, 0x80, 0, 0),
      instructionMax: 4,
      isListed: () => true,
    },
    "ra",
  );

const aarch64Kit: IsaKit = makeKit(
  aarch64,
  {
    callStack: {},
    bodyBytes: Uint8Array.of(0xc0, 0x03, 0x5f, 0xd6),
    instructionMax: 4,
    isListed: (bytes) => {
      const insn = aarch64.decode(bytes, 0);
      return insn !== undefined && aarch64.isConcurrentlyModifiable(insn);
    },
  },
  "x30",
);

const x8664Kit: IsaKit = makeKit(x86_64, {
  callStack: { [stackTop.toString(16)]: callerReturn },
  bodyBytes: new Uint8Array(15).fill(0x90),
  instructionMax: 15,
  isListed: () => true,
});

export const kits: Readonly<Record<IsaName, IsaKit>> = {
  "x86-64": x8664Kit,
  aarch64: aarch64Kit,
  riscv64: riscvKit(riscv64),
  riscv32: riscvKit(riscv32),
};

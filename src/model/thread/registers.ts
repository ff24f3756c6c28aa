/** A thread's registers and stack, as differences from the function's call; executing on them. */
import { type Cpu, execute, type Outcome } from "../../isa/execute.ts";
import type { Instruction } from "../../isa/isa.ts";
import type { Place } from "../../patch/trampolines.ts";
import type { IsaKit } from "../kits.ts";

/** Registers and stack words that differ from what they were at the function's call. */
export type Registers = {
  readonly regs: Readonly<Record<string, bigint>>;
  /** By address in hexadecimal. */
  readonly stack: Readonly<Record<string, bigint>>;
};

/** The state at the function's call. */
export const atCall = (kit: IsaKit): Registers => ({ regs: {}, stack: kit.callStack });

export const readRegister = (kit: IsaKit, cpu: Registers, name: string): bigint =>
  cpu.regs[name] ?? kit.entryValue(name);

/** A register, or a word at the stack pointer; a stack word that nobody wrote reads as 0. */
export function readPlace(kit: IsaKit, cpu: Registers, place: Place): bigint {
  if ("reg" in place) return readRegister(kit, cpu, place.reg);
  const { stackPointer, wordBytes } = kit.isa;
  const addr = readRegister(kit, cpu, stackPointer) + BigInt(place.stack * wordBytes);
  return cpu.stack[addr.toString(16)] ?? 0n;
}

const sorted = (entries: readonly (readonly [string, bigint])[]): Record<string, bigint> =>
  Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));

/** The one form of equal states: no entry values, no stack below the stack pointer, sorted. */
export function tidy(kit: IsaKit, cpu: Registers): Registers {
  const sp = readRegister(kit, cpu, kit.isa.stackPointer);
  const regs = Object.entries(cpu.regs).filter(([name, value]) => value !== kit.entryValue(name));
  const stack = Object.entries(cpu.stack).filter(([addr]) => BigInt(`0x${addr}`) >= sp);
  return { regs: sorted(regs), stack: sorted(stack) };
}

/** The effects of one instruction; `undefined` when it loads from where nothing is. */
export function carryOut(
  kit: IsaKit,
  before: Registers,
  insn: Instruction,
  pc: bigint,
): { readonly cpu: Registers; readonly outcome: Outcome } | undefined {
  const regs: Record<string, bigint> = { ...before.regs };
  const stack: Record<string, bigint> = { ...before.stack };
  const word = kit.isa.wordBytes;
  let wild = false;
  const cpu: Cpu = {
    read: (name) => regs[name] ?? kit.entryValue(name),
    write: (name, value) => {
      regs[name] = value;
    },
    // A stack access is of whole words; a pair of them is one access of 16 bytes.
    load: (addr, bytes) => {
      let value = 0n;
      for (let at = bytes - word; at >= 0; at -= word) {
        const part = stack[(addr + BigInt(at)).toString(16)];
        wild ||= part === undefined;
        value = (value << BigInt(8 * word)) | (part ?? 0n);
      }
      return value;
    },
    store: (addr, value, bytes) => {
      for (let at = 0; at < bytes; at += word) {
        const part = BigInt.asUintN(8 * word, value >> BigInt(8 * at));
        stack[(addr + BigInt(at)).toString(16)] = part;
      }
    },
  };
  const bits = kit.isa.wordBytes === 4 ? 32 : 64;
  const outcome = execute(kit.isa.effects(insn), cpu, pc, insn.size, bits);
  return wild ? undefined : { cpu: tidy(kit, { regs, stack }), outcome };
}

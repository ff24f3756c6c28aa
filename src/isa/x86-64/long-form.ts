/**
 * Longer instructions with the same meaning, for targets that 32-bit distances do not reach. They
 * change no flags and, seen from outside, no register; what they need of the stack they take from
 * below the red zone (128 bytes under rsp that a leaf function may use, System V psABI 3.2.2).
 */
import { assert, ensure } from "../../base/assert.ts";
import type { CodeAddr } from "../../base/brand.ts";
import type { Assembler } from "./assembler.ts";
import type { Decoded } from "./decode.ts";
import { prefixBit } from "./decode-into.ts";
import { attribute, attributeIndex, attributes, mapNumber } from "./opcode-attributes.ts";
import { mem, mem32, mem64 } from "./operands.ts";
import { type Gpr, gpr, r64 } from "./registers.ts";

const redZoneBytes = 128;
const firstVexMap = mapNumber("vex1");
const firstEvexMap = mapNumber("evex1");
const firstXopMap = mapNumber("xop8");

/** Appends a jump to anywhere: `jmp [rip]` and the address after it. */
export const emitFarJump = (a: Assembler, target: CodeAddr): void => {
  const address = a.label();
  a.i("jmp", mem64(address)).bind(address).u64(target);
};

/** Appends a push of a 64-bit value; `push` alone sign-extends 32 bits. */
export const emitPush = (a: Assembler, value: bigint): void => {
  const low = BigInt.asIntN(32, value);
  a.i("push", low);
  if (low === BigInt.asIntN(64, value)) return;
  a.i("mov", mem32(r64.rsp, { disp: 4 }), BigInt.asUintN(32, value >> 32n));
};

/**
 * Appends a jump to the address that stands at `slot`, which may be anywhere: rax holds it for a
 * moment and gets its own value back. xchg with memory is atomic and slow; nothing else has room.
 */
export const emitFarJumpThrough = (a: Assembler, slot: CodeAddr): void => {
  a.i("push", r64.rax);
  // mov rax, [moffs64]: the only load with a 64-bit address (SDM Vol. 2B, MOV).
  a.bytes([0x48, 0xa1]).u64(slot);
  a.i("xchg", mem64(r64.rsp), r64.rax).i("ret");
};

/** Bytes of the opcode and its map's escape, before ModRM. */
const opcodeBytes = (map: number): number => (map === 0 ? 1 : map === 1 || map === -1 ? 2 : 3);

const regOf = ({ parts }: Decoded): number => ((parts.modrm >> 3) & 7) | ((parts.rex & 4) << 1);

/** Whether ModRM.reg extends the opcode: the maps give those by digit, but for the shifts. */
const hasDigit = ({ parts }: Decoded): boolean => {
  const { map, pp, opcode } = parts;
  if (map < 0) return false;
  const word = attributes[attributeIndex(map, pp, opcode)] ?? 0;
  const isShift = opcode === 0xc0 || opcode === 0xc1 || (opcode >= 0xd0 && opcode <= 0xd3);
  return (word & attribute.group) !== 0 || (map === 0 && isShift);
};

/**
 * Whether ModRM.reg is ah, ch, dh or bh, which a REX prefix would turn into spl, bpl, sil or dil:
 * the instructions on bytes are those of the arithmetic block, test, xchg, mov, cmpxchg and xadd.
 */
const namesHighByte = (decoded: Decoded): boolean => {
  const { map, opcode, prefixes } = decoded.parts;
  if ((prefixes & prefixBit.rex) !== 0 || regOf(decoded) < 4) return false;
  if (map === 1) return opcode === 0xb0 || opcode === 0xc0;
  const isArithmetic = opcode < 0x40 && (opcode & 1) === 0;
  return map === 0 && (isArithmetic || [0x84, 0x86, 0x88, 0x8a].includes(opcode));
};

const stackPointer = 4;

/** Whether rsp may be an operand (an xmm4 counts too), or is moved by push and pop. */
const usesStackPointer = (decoded: Decoded): boolean => {
  const { map, opcode, vvvv, modrm } = decoded.parts;
  const isPop = map === 0 && opcode === 0x8f;
  const isPush = map === 0 && opcode === 0xff && (modrm & 0x38) === 0x30;
  if (isPop || isPush) return true;
  return vvvv === stackPointer || (regOf(decoded) === stackPointer && !hasDigit(decoded));
};

/** Whether `emitWithFarOperand` can rewrite this rip-relative instruction. */
export const hasFarOperandForm = (decoded: Decoded): boolean =>
  !usesStackPointer(decoded) && !namesHighByte(decoded);

/** Appends `lea`, or a load whose destination can hold the address; false where it is neither. */
const emitThroughDestination = (a: Assembler, decoded: Decoded, target: CodeAddr): boolean => {
  const { map, opcode, prefixes, rex } = decoded.parts;
  const isWide = (rex & 8) !== 0;
  const plain = (prefixes & ~(prefixBit.rex | prefixBit.other)) === 0;
  if (map !== 0 || !plain) return false;
  const destination = gpr(64, regOf(decoded));
  if (opcode === 0x8d && isWide) {
    a.i("movabs", destination, target);
    return true;
  }
  if (opcode !== 0x8b) return false;
  a.i("movabs", destination, target);
  if (isWide) a.i("mov", destination, mem64(destination));
  else a.i("mov", gpr(32, destination.number), mem32(destination));
  return true;
};

/** The bytes before ModRM, with B = 1: the base register is one of r8 to r15. */
const withHighBase = ({ bytes, parts }: Decoded): number[] => {
  const modrmAt = parts.displacementOffset - 1;
  const head = Array.from(bytes.subarray(0, modrmAt));
  const byteAt = (index: number): number => ensure(head[index], "a byte before ModRM");
  if (parts.map >= firstEvexMap && parts.map < firstXopMap) {
    // EVEX: 62 P0 P1 P2 opcode; B stands inverted in bit 5 of P0.
    head[modrmAt - 4] = byteAt(modrmAt - 4) & ~0x20;
  } else if (parts.map >= firstVexMap) {
    if (head[modrmAt - 3] === 0xc5) {
      // C5 has no B: C4, R 1 0 00001 (map 1), 0 vvvv L pp.
      const low = byteAt(modrmAt - 2);
      head.splice(modrmAt - 3, 2, 0xc4, (low & 0x80) | 0x41, low & 0x7f);
    } else {
      head[modrmAt - 3] = byteAt(modrmAt - 3) & ~0x20;
    }
  } else {
    const opcodeAt = modrmAt - opcodeBytes(parts.map);
    if ((parts.prefixes & prefixBit.rex) !== 0) head[opcodeAt - 1] = byteAt(opcodeAt - 1) | 1;
    else head.splice(opcodeAt, 0, 0x41);
  }
  return head;
};

/** A register that the instruction does not touch: r8 to r15 are named or they are not. */
const freeRegister = (decoded: Decoded): Gpr<64> => {
  const named = [regOf(decoded), decoded.parts.vvvv];
  const number = ensure(
    [11, 10, 9].find((candidate) => !named.includes(candidate)),
    "two registers can't name three",
  );
  return gpr(64, number);
};

/**
 * Appends the instruction with `[register]` in place of `[rip + disp32]`, the register holding the
 * target and being saved around it.
 */
export const emitWithFarOperand = (a: Assembler, decoded: Decoded): void => {
  const { bytes, parts, rip } = decoded;
  assert(rip !== undefined && hasFarOperandForm(decoded), "an operand that can be replaced");
  if (emitThroughDestination(a, decoded, rip.target)) return;
  const register = freeRegister(decoded);
  const afterDisplacement = parts.displacementOffset + 4;
  // mod 0, rm = register: no displacement, no SIB for r9 to r11.
  const modrm = (parts.modrm & 0x38) | (register.number & 7);
  a.i("lea", r64.rsp, mem(r64.rsp, { disp: -redZoneBytes }));
  a.i("push", register);
  a.i("movabs", register, rip.target);
  a.bytes(withHighBase(decoded)).bytes([modrm]).bytes(bytes.subarray(afterDisplacement));
  a.i("pop", register);
  a.i("lea", r64.rsp, mem(r64.rsp, { disp: redZoneBytes }));
};

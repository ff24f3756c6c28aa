/**
 * Instructions as text, in Intel syntax: `mov rax, qword ptr [rcx + rdx*8 + 0x10]`. Knows what
 * `table.ts` knows, which is what sites, trampolines and prologues are made of; anything else is
 * given as bytes.
 */
import { ensure } from "../../base/assert.ts";
import { hex } from "../../base/brand.ts";
import type { Decoded } from "./decode.ts";
import { type Instruction, prefixBit } from "./decode-into.ts";
import { allForms, type Form, type OperandCode } from "./forms.ts";
import { type Flow, mapNumber } from "./opcode-attributes.ts";
import { type GprSize, gpr, legacyByteRegister, xmm, ymm } from "./registers.ts";

type Placed = Extract<OperandCode, { kind: "placed" }>;

const firstVexMap = mapNumber("vex1");
const keyOf = (vex: boolean, map: number, opcode: number): number =>
  ((vex ? firstVexMap - 1 + map : map) << 8) | opcode;

const takesOpcodeRegister = (form: Form): boolean =>
  form.operands.some((code) => code.kind === "placed" && code.place === "Z");

// Forms by map and opcode; one with a register in the opcode stands under all eight.
const formsByKey = new Map<number, Form[]>();
for (const form of allForms) {
  const count = takesOpcodeRegister(form) ? 8 : 1;
  for (let register = 0; register < count; register++) {
    const key = keyOf(form.vexL !== undefined, form.map, form.opcode + register);
    const found = formsByKey.get(key);
    if (found === undefined) formsByKey.set(key, [form]);
    else found.push(form);
  }
}

const prefixNumbers = { 0: 0, 102: 1, 243: 2, 242: 3 } as const;

const operandPlace = (form: Form, places: string): boolean =>
  form.operands.some((code) => code.kind === "placed" && places.includes(code.place));

/** Whether ModRM and VEX.L are the form's. */
const hasShape = (form: Form, parts: Readonly<Instruction>): boolean => {
  if (form.vexL !== undefined && form.vexL !== parts.vectorLength) return false;
  if (form.modrm !== undefined) return form.modrm === parts.modrm;
  if (form.digit !== undefined && form.digit !== ((parts.modrm >> 3) & 7)) return false;
  const isRegister = parts.modrm >= 0xc0;
  if (isRegister && operandPlace(form, "M")) return false;
  return isRegister || !operandPlace(form, "RU");
};

/** What may carry 66 without another meaning than "longer": padding, and branches with REX.W. */
const ignoresOperandSize = (form: Form, flow: Flow): boolean =>
  form.mnemonic === "nop" || flow !== "next";

/** Whether the prefixes are the form's: the mandatory one, 66 for the operand size, REX.W. */
const hasPrefixes = (form: Form, { parts, flow }: Decoded): boolean => {
  // REX.W without a meaning is ignored, so a form without it still fits.
  if (form.w && (parts.rex & 8) === 0) return false;
  if (prefixNumbers[form.prefix] === parts.pp) return true;
  if (form.prefix !== 0 || form.vexL !== undefined) return false;
  if (parts.pp === 1) return form.sized || ignoresOperandSize(form, flow);
  // A repeat prefix that no form wants is shown beside the instruction.
  return form.map === 0;
};

const findForm = (decoded: Decoded): Form | undefined => {
  const { parts } = decoded;
  // 90 with REX.B is `xchg r8, rax`, not a nop.
  if (parts.map === 0 && parts.opcode === 0x90 && (parts.rex & 1) !== 0) return undefined;
  const found = formsByKey.get((parts.map << 8) | parts.opcode) ?? [];
  const fitting = found.filter((form) => hasShape(form, parts) && hasPrefixes(form, decoded));
  const isWide = (parts.rex & 8) !== 0;
  const exact = fitting.filter((form) => prefixNumbers[form.prefix] === parts.pp);
  return exact.find((form) => form.sized || form.w === isWide) ?? exact[0] ?? fitting[0];
};

const operandSize = (parts: Readonly<Instruction>): GprSize => {
  if ((parts.rex & 8) !== 0) return 64;
  return (parts.prefixes & prefixBit.operandSize) !== 0 ? 16 : 32;
};

const bitsOf = (code: Placed, parts: Readonly<Instruction>): number =>
  code.bits || (code.size === "" ? 0 : operandSize(parts));

const pointerNames: Readonly<Record<number, string>> = {
  0: "",
  8: "byte ptr ",
  16: "word ptr ",
  32: "dword ptr ",
  64: "qword ptr ",
  128: "xmmword ptr ",
  256: "ymmword ptr ",
};

const unsigned = (value: bigint): string => (value < 10n ? `${value}` : hex(value));
const signed = (value: bigint): string => (value < 0n ? `-${unsigned(-value)}` : unsigned(value));
const term = (value: bigint): string =>
  value < 0n ? ` - ${unsigned(-value)}` : ` + ${unsigned(value)}`;

const readSigned = (bytes: Uint8Array, offset: number, sizeBytes: number): bigint => {
  let value = 0n;
  for (let i = sizeBytes - 1; i >= 0; i--) {
    value = (value << 8n) | BigInt(ensure(bytes[offset + i], "a byte of the instruction"));
  }
  return BigInt.asIntN(8 * sizeBytes, value);
};

const addressText = ({ parts, bytes, rip }: Decoded): string => {
  const { displacementOffset, displacementBytes, modrm, sib, rex, prefixes } = parts;
  const displacement = readSigned(bytes, displacementOffset, displacementBytes);
  const isShort = (prefixes & prefixBit.addressSize) !== 0;
  const name = (number: number): string => gpr(isShort ? 32 : 64, number).name;
  if (rip !== undefined) return `${isShort ? "eip" : "rip"}${term(displacement)}`;
  const low = sib < 0 ? modrm & 7 : sib & 7;
  const noBase = sib >= 0 && low === 5 && modrm < 0x40;
  const index = sib < 0 ? 4 : ((sib >> 3) & 7) | ((rex & 2) << 2);
  const scale = noBase || sib >= 0x40 ? `*${1 << (sib >> 6)}` : "";
  const terms = [
    ...(noBase ? [] : [name(low | ((rex & 1) << 3))]),
    ...(index === 4 ? [] : [`${name(index)}${scale}`]),
  ];
  if (terms.length === 0) return signed(displacement);
  return terms.join(" + ") + (displacement === 0n ? "" : term(displacement));
};

const memoryText = (code: Placed, decoded: Decoded): string => {
  const { parts } = decoded;
  const pointer = ensure(pointerNames[bitsOf(code, parts)], "memory of a known size");
  const fs = (parts.prefixes & prefixBit.fs) !== 0 ? "fs:" : "";
  const gs = (parts.prefixes & prefixBit.gs) !== 0 ? "gs:" : "";
  return `${pointer}${fs}${gs}[${addressText(decoded)}]`;
};

const registerText = (code: Placed, number: number, parts: Readonly<Instruction>): string => {
  if ("VWUH".includes(code.place)) return (code.size === "qq" ? ymm(number) : xmm(number)).name;
  const bits = bitsOf(code, parts);
  if (bits === 8 && (parts.prefixes & prefixBit.rex) === 0) return legacyByteRegister(number).name;
  return gpr(bits === 8 || bits === 16 || bits === 32 ? bits : 64, number).name;
};

const immediateText = (code: Placed, { parts, bytes }: Decoded): string => {
  const value = readSigned(bytes, parts.immediateOffset, parts.immediateBytes);
  const isSigned = code.size === "sb" || code.size === "z";
  return isSigned ? signed(value) : unsigned(BigInt.asUintN(8 * parts.immediateBytes, value));
};

const placedText = (code: Placed, decoded: Decoded): string => {
  const { parts } = decoded;
  const { modrm, rex } = parts;
  switch (code.place) {
    case "I":
      return immediateText(code, decoded);
    case "J":
      return hex(ensure(decoded.branch, "a branch has a target").target);
    case "G":
    case "V":
      return registerText(code, ((modrm >> 3) & 7) | ((rex & 4) << 1), parts);
    case "B":
    case "H":
      return registerText(code, parts.vvvv, parts);
    case "Z":
      return registerText(code, (parts.opcode & 7) | ((rex & 1) << 3), parts);
    default:
      if (modrm < 0xc0) return memoryText(code, decoded);
      return registerText(code, (modrm & 7) | ((rex & 1) << 3), parts);
  }
};

const operandText = (code: OperandCode, decoded: Decoded): string => {
  if (code.kind === "placed") return placedText(code, decoded);
  return code.name === "rAX" ? gpr(operandSize(decoded.parts), 0).name : code.name.toLowerCase();
};

const prefixText = (form: Form, { parts, flow }: Decoded): string => {
  if ((parts.prefixes & prefixBit.lock) !== 0) return "lock ";
  if (form.vexL !== undefined || parts.pp === 0 || form.prefix !== 0) return "";
  if (parts.pp === 1) return form.sized ? "" : "data16 ";
  if (parts.pp === 2) return "rep ";
  return flow === "next" ? "repne " : "bnd ";
};

/** The bytes as an assembler's data directive. */
const formatBytes = (bytes: Uint8Array): string =>
  `.byte ${Array.from(bytes, (byte) => `0x${byte.toString(16).padStart(2, "0")}`).join(", ")}`;

/** The instruction in Intel syntax; branch targets are absolute. */
export const format = (decoded: Decoded): string => {
  const form = findForm(decoded);
  if (form === undefined) return formatBytes(decoded.bytes);
  const operands = form.operands.map((code) => operandText(code, decoded)).join(", ");
  return `${prefixText(form, decoded)}${form.mnemonic} ${operands}`.trimEnd();
};

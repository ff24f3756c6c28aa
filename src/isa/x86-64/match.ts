/**
 * Does an instruction form fit these operands? If so, which operand goes where in the encoding.
 */
import { type CodeAddr, codeAddr, type DataAddr } from "../../base/brand.ts";
import type { Form, OperandCode } from "./forms.ts";
import type { Hole, Label, Mem, Operand } from "./operands.ts";
import type { Gpr, Register } from "./registers.ts";

/** A form with its operands put in their places; what `encode` writes down. */
export type Matched = {
  readonly form: Form;
  /** 16, 32 or 64; 64 for forms that do not depend on it. */
  operandSize: number;
  rm: Register | Mem | undefined;
  reg: Register | undefined;
  vvvv: Register | undefined;
  opcodeRegister: Gpr | undefined;
  immediate: { readonly value: bigint | Hole; readonly sizeBytes: 1 | 2 | 4 | 8 } | undefined;
  branch: { readonly target: BranchTarget; readonly sizeBytes: 1 | 4 } | undefined;
};

/** Where a branch or a rip-relative operand points. */
export type BranchTarget = Label | Hole | CodeAddr | DataAddr;

type Placed = Extract<OperandCode, { kind: "placed" }>;

const isNumber = (operand: Operand): operand is number | bigint =>
  typeof operand === "number" || typeof operand === "bigint";

/** The operand size that the sized operands agree on, or undefined where they do not. */
const agreeOnSize = (form: Form, operands: readonly Operand[]): number | undefined => {
  if (!form.sized) return 64;
  let agreed: number | undefined;
  for (const [index, code] of form.operands.entries()) {
    const operand = operands[index];
    const byName = code.kind === "fixed" && code.name === "rAX";
    const bySize = code.kind === "placed" && (code.size === "v" || code.size === "y");
    if (!byName && !bySize) continue;
    if (typeof operand !== "object" || operand.kind === "label" || operand.kind === "hole") {
      return undefined;
    }
    if (agreed !== undefined && agreed !== operand.size) return undefined;
    agreed = operand.size;
  }
  const smallest = form.operands.some((c) => c.kind === "placed" && c.size === "y") ? 32 : 16;
  return agreed !== undefined && agreed >= smallest && agreed <= 64 ? agreed : undefined;
};

const fitsFixed = (name: string, operand: Operand): boolean => {
  if (name === "1") return isNumber(operand) && Number(operand) === 1;
  if (typeof operand !== "object" || operand.kind !== "gpr") return false;
  if (name === "AL") return operand.name === "al";
  if (name === "CL") return operand.name === "cl";
  return operand.number === 0 && operand.size >= 16;
};

const immediateBytes = (code: Placed, operandSize: number): 1 | 2 | 4 | 8 => {
  if (code.size === "b" || code.size === "sb") return 1;
  if (code.size === "w") return 2;
  if (code.size === "q") return 8;
  return operandSize === 16 ? 2 : 4;
};

/**
 * The value as the encoding holds it, or undefined where it does not fit. A value may be written
 * signed or unsigned in the operand size; what is sign-extended has to survive that.
 */
const fitImmediate = (code: Placed, value: bigint, operandSize: number): bigint | undefined => {
  const extended = code.size === "sb" || code.size === "z";
  const bits = extended ? operandSize : code.bits;
  if (value < -(1n << BigInt(bits - 1)) || value >= 1n << BigInt(bits)) return undefined;
  if (!extended) return BigInt.asUintN(bits, value);
  const signed = BigInt.asIntN(bits, value);
  const held = 8 * immediateBytes(code, operandSize);
  return BigInt.asIntN(held, signed) === signed ? BigInt.asUintN(held, signed) : undefined;
};

const placeImmediate = (code: Placed, operand: Operand, to: Matched): boolean => {
  const sizeBytes = immediateBytes(code, to.operandSize);
  if (typeof operand === "object") {
    if (operand.kind !== "hole" || operand.size !== sizeBytes) return false;
    to.immediate = { value: operand, sizeBytes };
    return true;
  }
  const value = fitImmediate(code, BigInt(operand), to.operandSize);
  if (value === undefined) return false;
  to.immediate = { value, sizeBytes };
  return true;
};

const placeBranch = (code: Placed, operand: Operand, to: Matched): boolean => {
  const sizeBytes = code.size === "b" ? 1 : 4;
  if (typeof operand === "bigint") {
    to.branch = { target: codeAddr(operand), sizeBytes };
    return true;
  }
  if (typeof operand === "number") return false;
  if (operand.kind !== "label" && !(operand.kind === "hole" && operand.size === sizeBytes)) {
    return false;
  }
  to.branch = { target: operand, sizeBytes };
  return true;
};

const fitsRegister = (code: Placed, operand: Register, operandSize: number): boolean => {
  if (operand.kind === "gpr") {
    return "EGRZB".includes(code.place) && operand.size === (code.bits || operandSize);
  }
  return "VWUH".includes(code.place) && operand.size === (code.size === "qq" ? 256 : 128);
};

const fitsMemory = (code: Placed, operand: Mem, operandSize: number): boolean =>
  "EMW".includes(code.place) && (code.size === "" || operand.size === (code.bits || operandSize));

const placeRegister = (code: Placed, operand: Register, to: Matched): void => {
  if (code.place === "G" || code.place === "V") to.reg = operand;
  else if (code.place === "B" || code.place === "H") to.vvvv = operand;
  else if (code.place === "Z") to.opcodeRegister = operand.kind === "gpr" ? operand : undefined;
  else to.rm = operand;
};

const place = (code: OperandCode, operand: Operand, to: Matched): boolean => {
  if (code.kind === "fixed") return fitsFixed(code.name, operand);
  if (code.place === "I") return placeImmediate(code, operand, to);
  if (code.place === "J") return placeBranch(code, operand, to);
  if (typeof operand !== "object") return false;
  if (operand.kind === "mem") {
    to.rm = operand;
    return fitsMemory(code, operand, to.operandSize);
  }
  if (operand.kind !== "gpr" && operand.kind !== "vector") return false;
  placeRegister(code, operand, to);
  return fitsRegister(code, operand, to.operandSize);
};

/** The operands in their places, or undefined where the form does not fit them. */
export const matchForm = (form: Form, operands: readonly Operand[]): Matched | undefined => {
  if (form.operands.length !== operands.length) return undefined;
  const operandSize = agreeOnSize(form, operands);
  if (operandSize === undefined) return undefined;
  const matched: Matched = {
    form,
    operandSize,
    rm: undefined,
    reg: undefined,
    vvvv: undefined,
    opcodeRegister: undefined,
    immediate: undefined,
    branch: undefined,
  };
  const fits = operands.every((operand, index) => {
    const code = form.operands[index];
    return code !== undefined && place(code, operand, matched);
  });
  return fits ? matched : undefined;
};

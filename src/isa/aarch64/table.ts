// table
/**
 * The instructions of AArch64 that Patchbay reads, writes and reasons about: what sites,
 * trampolines, generated loops and their counterexamples are made of.
 *
 * Bits as in the Arm Architecture Reference Manual for A-profile (DDI 0487), C4.1 "A64 instruction
 * set encoding"; the text of each row names the page of C6.2 (C7.2 for vector registers) that
 * defines it. `cmodx` marks the instructions of B2.2.5 "Concurrent modification and execution of
 * instructions": both the old and the new one have to be marked for a processor that is executing
 * the word to execute one or the other without any synchronisation.
 */

import type { AccessBytes, AccessOrder, AtomicOp, Effect } from "../effects.ts";
import { type FieldStyles, type Fields, type Form, parsePattern } from "../table.ts";
import type { Bits } from "./access.ts";
import * as alu from "./arithmetic.ts";
import { decodeBitmask } from "./bitmask.ts";
import * as flow from "./control.ts";
import type { Address, Transfer } from "./memory.ts";
import * as access from "./memory.ts";
import {
  type AArch64Slot,
  type Arg,
  addImm,
  barrierOption,
  bitmask,
  bitTested,
  condition,
  extendedR,
  immediate,
  memory,
  memoryBase,
  memoryIndex,
  moveShift,
  optional,
  pageTarget,
  r,
  rsp,
  shiftedR,
  systemRegister,
  target,
  vector,
  word,
} from "./slots.ts";

export type AArch64Form = Form<Arg>;

const styles: FieldStyles = {
  rd: { width: 5 },
  rn: { width: 5 },
  rm: { width: 5 },
  ra: { width: 5 },
  rt: { width: 5 },
  rt2: { width: 5 },
  rs: { width: 5 },
  cond: { width: 4 },
  nzcv: { width: 4 },
  option: { width: 3 },
  shift: { width: 2 },
  sh: { width: 1 },
  s: { width: 1 },
  n: { width: 1 },
  immr: { width: 6 },
  imms: { width: 6 },
  hw: { width: 2 },
  amount: { width: 6 },
  sysreg: { width: 15 },
  simm: { signed: true },
  offset: { signed: true },
};

/** Fields as numbers, 0 where a form does not have the field (its effects do not ask then). */
type Operands = {
  readonly rd: number;
  readonly rn: number;
  readonly rm: number;
  readonly ra: number;
  readonly rt: number;
  readonly rt2: number;
  readonly rs: number;
  readonly imm: number;
  readonly simm: number;
  readonly offset: number;
  readonly sh: number;
  readonly shift: number;
  readonly amount: number;
  readonly option: number;
  readonly s: number;
  readonly cond: number;
  readonly nzcv: number;
  readonly hw: number;
  readonly n: number;
  readonly immr: number;
  readonly imms: number;
  readonly bit: number;
  readonly sysreg: number;
};

const operandsOf = (f: Fields): Operands => ({
  ...{ rd: f["rd"] ?? 0, rn: f["rn"] ?? 0, rm: f["rm"] ?? 0, ra: f["ra"] ?? 0 },
  ...{ rt: f["rt"] ?? 0, rt2: f["rt2"] ?? 0, rs: f["rs"] ?? 0 },
  ...{ imm: f["imm"] ?? 0, simm: f["simm"] ?? 0, offset: f["offset"] ?? 0, sh: f["sh"] ?? 0 },
  ...{ shift: f["shift"] ?? 0, amount: f["amount"] ?? 0, option: f["option"] ?? 0, s: f["s"] ?? 0 },
  ...{ cond: f["cond"] ?? 0, nzcv: f["nzcv"] ?? 0, hw: f["hw"] ?? 0, n: f["n"] ?? 0 },
  ...{ immr: f["immr"] ?? 0, imms: f["imms"] ?? 0, bit: f["bit"] ?? 0, sysreg: f["sysreg"] ?? 0 },
});

type Row = {
  readonly name: string;
  readonly mnemonic: string;
  readonly bits: string;
  readonly slots: readonly AArch64Slot[];
  readonly manual: string;
  readonly effects: (o: Operands) => readonly Effect[];
  readonly valid?: (o: Operands) => boolean;
  readonly unpredictable?: (o: Operands) => boolean;
  readonly cmodx?: boolean;
};

type RowOptions = Pick<Row, "valid" | "unpredictable" | "cmodx">;

/** @param name what is after the first dot tells forms of one mnemonic apart. */
const row = (
  name: string,
  bits: string,
  slots: readonly AArch64Slot[],
  manual: string,
  effects: Row["effects"],
  options: RowOptions = {},
): Row => ({
  ...{ name, mnemonic: name.split(".")[0] ?? name, bits, slots, manual, effects },
  ...options,
});

const cmodx: RowOptions = { cmodx: true };

type Width = { readonly bits: Bits; readonly sf: "0" | "1"; readonly letter: "w" | "x" };
const widths: readonly Width[] = [
  { bits: 32, sf: "0", letter: "w" },
  { bits: 64, sf: "1", letter: "x" },
];
const both = (rows: (width: Width) => readonly Row[]): Row[] => widths.flatMap(rows);

/** Amounts of shifts and positions of bits have to be inside of the register. */
const inside = (bits: Bits, value: number): boolean => bits === 64 || value < 32;

// C4.1.93 Data processing - immediate

const sumNames = [
  { name: "add", fn: "add", flags: false, op: "00" },
  { name: "adds", fn: "add", flags: true, op: "01" },
  { name: "sub", fn: "sub", flags: false, op: "10" },
  { name: "subs", fn: "sub", flags: true, op: "11" },
] as const;

const sums: readonly Row[] = both(({ bits, sf, letter }) =>
  sumNames.flatMap(({ name, fn, flags, op }) => [
    row(
      `${name}.${letter}.imm`,
      `${sf} ${op} 100010 sh imm[11:0] rn rd`,
      [flags ? r(bits, "rd") : rsp(bits, "rd"), rsp(bits, "rn"), addImm],
      `${name.toUpperCase()} (immediate)`,
      (o) => alu.addImmediate(bits, fn, flags, o.rd, o.rn, o.sh === 1 ? o.imm * 4096 : o.imm),
    ),
    row(
      `${name}.${letter}.reg`,
      `${sf} ${op} 01011 shift 0 rm amount rn rd`,
      [r(bits, "rd"), r(bits, "rn"), shiftedR(bits)],
      `${name.toUpperCase()} (shifted register)`,
      (o) => alu.addShifted(bits, fn, flags, o.rd, o.rn, o),
      { valid: (o) => o.shift !== 3 && inside(bits, o.amount) },
    ),
    row(
      `${name}.${letter}.ext`,
      `${sf} ${op} 01011 00 1 rm option amount[2:0] rn rd`,
      [
        flags ? r(bits, "rd") : rsp(bits, "rd"),
        rsp(bits, "rn"),
        extendedR(bits, (f) => f["rn"] === 31 || (!flags && f["rd"] === 31)),
      ],
      `${name.toUpperCase()} (extended register)`,
      (o) => alu.addExtended(bits, fn, flags, o.rd, o.rn, o),
      { valid: (o) => o.amount <= 4 },
    ),
  ]),
);

const logicNames = [
  { name: "and", inverse: "bic", fn: "and", flags: false, op: "00" },
  { name: "orr", inverse: "orn", fn: "or", flags: false, op: "01" },
  { name: "eor", inverse: "eon", fn: "xor", flags: false, op: "10" },
  { name: "ands", inverse: "bics", fn: "and", flags: true, op: "11" },
] as const;

const logic: readonly Row[] = both(({ bits, sf, letter }) =>
  logicNames.flatMap(({ name, inverse, fn, flags, op }) => [
    row(
      `${name}.${letter}.imm`,
      `${sf} ${op} 100100 n immr imms rn rd`,
      [flags ? r(bits, "rd") : rsp(bits, "rd"), r(bits, "rn"), bitmask(bits)],
      `${name.toUpperCase()} (immediate)`,
      (o) => alu.logicImmediate(bits, fn, flags, o.rd, o.rn, o),
      { valid: (o) => decodeBitmask(o, bits) !== undefined },
    ),
    ...[name, inverse].map((each, invert) =>
      row(
        `${each}.${letter}.reg`,
        `${sf} ${op} 01010 shift ${invert} rm amount rn rd`,
        [r(bits, "rd"), r(bits, "rn"), shiftedR(bits)],
        `${each.toUpperCase()} (shifted register)`,
        (o) => alu.logicShifted(bits, fn, invert === 1, flags, o.rd, o.rn, o),
        { valid: (o) => inside(bits, o.amount) },
      ),
    ),
  ]),
);

const moves: readonly Row[] = both(({ bits, sf, letter }) =>
  (
    [
      ["movn", "00", "not"],
      ["movz", "10", "zero"],
      ["movk", "11", "keep"],
    ] as const
  ).map(([name, op, fn]) =>
    row(
      `${name}.${letter}`,
      `${sf} ${op} 100101 hw imm[15:0] rd`,
      [r(bits, "rd"), immediate("imm"), moveShift],
      name.toUpperCase(),
      (o) => alu.moveWide(bits, fn, o.rd, o.imm, o.hw),
      { valid: (o) => bits === 64 || o.hw < 2 },
    ),
  ),
);

const bitfields: readonly Row[] = both(({ bits, sf, letter }) => [
  ...(
    [
      ["sbfm", "00", "signed"],
      ["bfm", "01", "insert"],
      ["ubfm", "10", "unsigned"],
    ] as const
  ).map(([name, op, fn]) =>
    row(
      `${name}.${letter}`,
      `${sf} ${op} 100110 ${sf} immr imms rn rd`,
      [r(bits, "rd"), r(bits, "rn"), immediate("immr"), immediate("imms")],
      name.toUpperCase(),
      (o) => alu.bitfield(bits, fn, o.rd, o.rn, o.immr, o.imms),
      { valid: (o) => inside(bits, o.immr) && inside(bits, o.imms) },
    ),
  ),
  row(
    `extr.${letter}`,
    `${sf} 00 100111 ${sf} 0 rm imms rn rd`,
    [r(bits, "rd"), r(bits, "rn"), r(bits, "rm"), immediate("imms")],
    "EXTR",
    (o) => alu.extract(bits, o.rd, o.rn, o.rm, o.imms),
    { valid: (o) => inside(bits, o.imms) },
  ),
]);

const addresses: readonly Row[] = [
  row("adr", "0 offset[1:0] 10000 offset[20:2] rd", [r(64, "rd"), target], "ADR", (o) =>
    flow.address(o.rd, o.offset),
  ),
  row("adrp", "1 offset[13:12] 10000 offset[32:14] rd", [r(64, "rd"), pageTarget], "ADRP", (o) =>
    flow.pageAddress(o.rd, o.offset),
  ),
];

// C4.1.94 Branches, exception generating and system instructions

const branches: readonly Row[] = [
  row("b", "000101 offset[27:2]", [target], "B", (o) => flow.branch(o.offset, false), cmodx),
  row("bl", "100101 offset[27:2]", [target], "BL", (o) => flow.branch(o.offset, true), cmodx),
  {
    ...row(
      "b.cond",
      "01010100 offset[20:2] 0 cond",
      [target],
      "B.cond",
      (o) => flow.branchIf(flow.holds(o.cond), o.offset),
      cmodx,
    ),
    mnemonic: "b.cond",
  },
  ...both(({ bits, sf, letter }) =>
    (["cbz", "cbnz"] as const).map((name, op) =>
      row(
        `${name}.${letter}`,
        `${sf} 011010 ${op} offset[20:2] rt`,
        [r(bits, "rt"), target],
        name.toUpperCase(),
        (o) => flow.branchZero(bits, op === 0, o.rt, o.offset),
        cmodx,
      ),
    ),
  ),
  ...(["tbz", "tbnz"] as const).map((name, op) =>
    row(
      name,
      `bit[5] 011011 ${op} bit[4:0] offset[15:2] rt`,
      [bitTested, immediate("bit"), target],
      name.toUpperCase(),
      (o) => flow.branchBit(op === 1, o.rt, o.bit, o.offset),
      cmodx,
    ),
  ),
  ...(
    [
      ["br", "0000", "jump"],
      ["blr", "0001", "call"],
      ["ret", "0010", "return"],
    ] as const
  ).map(([name, opc, as]) =>
    row(name, `1101011 ${opc} 11111 000000 rn 00000`, [r(64, "rn")], name.toUpperCase(), (o) =>
      flow.branchRegister(o.rn, as),
    ),
  ),
  ...(
    [
      ["br", "000", "jump"],
      ["blr", "001", "call"],
    ] as const
  ).flatMap(([name, opc, as]) =>
    (["a", "b"] as const).flatMap((key, m) => [
      row(
        `${name}a${key}z`,
        `1101011 0${opc} 11111 00001${m} rn 11111`,
        [r(64, "rn")],
        `${name.toUpperCase()}A`,
        (o) => flow.branchRegister(o.rn, as),
      ),
      row(
        `${name}a${key}`,
        `1101011 1${opc} 11111 00001${m} rn rm`,
        [r(64, "rn"), rsp(64, "rm")],
        `${name.toUpperCase()}A`,
        (o) => flow.branchRegister(o.rn, as),
      ),
    ]),
  ),
  ...(["retaa", "retab"] as const).map((name, m) =>
    row(name, `1101011 0010 11111 00001${m} 11111 11111`, [], "RETAA, RETAB", () =>
      flow.branchRegister(30, "return"),
    ),
  ),
  row("eret", "1101011 0100 11111 000000 11111 00000", [], "ERET", () => flow.trap("illegal", 0)),
];

const exceptions: readonly Row[] = (
  [
    ["svc", "000", "01", "syscall", cmodx],
    ["hvc", "000", "10", "hypercall", cmodx],
    ["smc", "000", "11", "monitorcall", cmodx],
    ["brk", "001", "00", "breakpoint", cmodx],
    ["hlt", "010", "00", "illegal", {}],
  ] as const
).map(([name, opc, ll, cause, options]) =>
  row(
    name,
    `11010100 ${opc} imm[15:0] 000 ${ll}`,
    [immediate("imm")],
    name.toUpperCase(),
    (o) => flow.trap(cause, o.imm),
    options,
  ),
);

const undefinedRow: Row = row("udf", "0000000000000000 imm[15:0]", [immediate("imm")], "UDF", (o) =>
  flow.trap("illegal", o.imm),
);

/** By CRm:op2. Pointer authentication is a hint too, for processors that do not have it. */
const hintNames: Readonly<Record<string, number>> = {
  ...{ yield: 1, wfe: 2, wfi: 3, sev: 4, sevl: 5 },
  ...{ xpaclri: 7, pacia1716: 8, pacib1716: 10, autia1716: 12, autib1716: 14 },
  ...{ csdb: 20, paciaz: 24, paciasp: 25, pacibz: 26, pacibsp: 27 },
  ...{ autiaz: 28, autiasp: 29, autibz: 30, autibsp: 31 },
};

const hintBits = (code: number): string =>
  `11010101000000110010 ${code.toString(2).padStart(7, "0")} 11111`;

const namedHints: ReadonlySet<number> = new Set([0, ...Object.values(hintNames), 32, 34, 36, 38]);

const hints: readonly Row[] = [
  row("nop", hintBits(0), [], "NOP", () => [], cmodx),
  ...Object.entries(hintNames).map(([name, code]) =>
    row(name, hintBits(code), [], name.toUpperCase(), () => [{ kind: "hint", name }]),
  ),
  ...(
    [
      ["bti", 32],
      ["bti.c", 34],
      ["bti.j", 36],
      ["bti.jc", 38],
    ] as const
  ).map(([name, code]) => {
    const [, kind] = name.split(".");
    return row(name, hintBits(code), kind === undefined ? [] : [word(kind)], "BTI", () => [
      { kind: "hint", name: name.replace(".", " ") },
    ]);
  }),
  row(
    "hint",
    "11010101000000110010 imm[6:0] 11111",
    [immediate("imm")],
    "HINT",
    (o) => [{ kind: "hint", name: `hint #${o.imm}` }],
    { valid: (o) => !namedHints.has(o.imm) },
  ),
];

const barriers: readonly Row[] = [
  ...(
    [
      ["dsb", "100"],
      ["dmb", "101"],
    ] as const
  ).map(([name, op2]) =>
    row(
      name,
      `11010101000000110011 option[3:0] ${op2} 11111`,
      [barrierOption],
      name.toUpperCase(),
      (o) => flow.barrier(name, o.option),
      { valid: (o) => (o.option & 3) !== 0 },
    ),
  ),
  row(
    "isb",
    "11010101000000110011 1111 110 11111",
    [],
    "ISB",
    () => [{ kind: "barrier", barrier: { name: "isb" } }],
    cmodx,
  ),
  row("sb", "11010101000000110011 0000 111 11111", [], "SB", () => [
    { kind: "barrier", barrier: { name: "sb" } },
  ]),
  row(
    "clrex",
    "11010101000000110011 option[3:0] 010 11111",
    [optional("option", 15)],
    "CLREX",
    () => [{ kind: "hint", name: "clrex" }],
  ),
];

const maintenance: readonly Row[] = (
  [
    ["dc zva", "011 0111 0100 001"],
    ["dc cvac", "011 0111 1010 001"],
    ["dc cvau", "011 0111 1011 001"],
    ["dc civac", "011 0111 1110 001"],
    ["ic ivau", "011 0111 0101 001"],
    ["ic ialluis", "000 0111 0001 000"],
    ["ic iallu", "000 0111 0101 000"],
  ] as const
).map(([fn, code]) => {
  const [name = "", kind = ""] = fn.split(" ");
  const all = kind.startsWith("iall");
  return row(
    `${name}.${kind}`,
    `1101010100001 ${code} ${all ? "11111" : "rt"}`,
    all ? [word(kind)] : [word(kind), r(64, "rt")],
    name.toUpperCase(),
    (o) => flow.cacheOperation(fn, all ? undefined : o.rt),
  );
});

const systemMoves: readonly Row[] = [
  row("mrs", "110101010011 sysreg rt", [r(64, "rt"), systemRegister], "MRS", (o) =>
    flow.readSystem(o.rt, o.sysreg),
  ),
  row("msr.reg", "110101010001 sysreg rt", [systemRegister, r(64, "rt")], "MSR (register)", (o) =>
    flow.writeSystem(o.rt, o.sysreg),
  ),
];

// C4.1.95 Data processing - register

const twoSources: readonly Row[] = both(({ bits, sf, letter }) => [
  ...(
    [
      ["udiv", "000010", "divu"],
      ["sdiv", "000011", "divs"],
    ] as const
  ).map(([name, op, fn]) =>
    row(
      `${name}.${letter}`,
      `${sf} 0011010110 rm ${op} rn rd`,
      [r(bits, "rd"), r(bits, "rn"), r(bits, "rm")],
      name.toUpperCase(),
      (o) => alu.divide(bits, fn, o.rd, o.rn, o.rm),
    ),
  ),
  ...(
    [
      ["lsl", "001000", "shl"],
      ["lsr", "001001", "shr"],
      ["asr", "001010", "sar"],
      ["ror", "001011", "ror"],
    ] as const
  ).map(([name, op, fn]) =>
    row(
      `${name}.${letter}.reg`,
      `${sf} 0011010110 rm ${op} rn rd`,
      [r(bits, "rd"), r(bits, "rn"), r(bits, "rm")],
      `${name.toUpperCase()}V`,
      (o) => alu.shiftVariable(bits, fn, o.rd, o.rn, o.rm),
    ),
  ),
  ...(
    [
      ["rbit", "000000", "rbit"],
      ["rev16", "000001", "rev16"],
      ["clz", "000100", "clz"],
      ...(bits === 32
        ? ([["rev", "000010", "rev"]] as const)
        : ([
            ["rev32", "000010", "rev32"],
            ["rev", "000011", "rev"],
          ] as const)),
    ] as const
  ).map(([name, op, fn]) =>
    row(
      `${name}.${letter}`,
      `${sf} 1011010110 00000 ${op} rn rd`,
      [r(bits, "rd"), r(bits, "rn")],
      name.toUpperCase(),
      (o) => alu.reverse(bits, fn, o.rd, o.rn),
    ),
  ),
  ...(
    [
      ["adc", "00", false, false],
      ["adcs", "01", false, true],
      ["sbc", "10", true, false],
      ["sbcs", "11", true, true],
    ] as const
  ).map(([name, op, subtract, flags]) =>
    row(
      `${name}.${letter}`,
      `${sf} ${op} 11010000 rm 000000 rn rd`,
      [r(bits, "rd"), r(bits, "rn"), r(bits, "rm")],
      name.toUpperCase(),
      (o) => alu.addCarry(bits, subtract, flags, o.rd, o.rn, o.rm),
    ),
  ),
]);

const conditionals: readonly Row[] = both(({ bits, sf, letter }) => [
  ...(
    [
      ["ccmn", "0", false],
      ["ccmp", "1", true],
    ] as const
  ).flatMap(([name, op, subtract]) => [
    row(
      `${name}.${letter}.reg`,
      `${sf} ${op} 111010010 rm cond 00 rn 0 nzcv`,
      [r(bits, "rn"), r(bits, "rm"), immediate("nzcv"), condition],
      `${name.toUpperCase()} (register)`,
      (o) => alu.compareIf(bits, subtract, o.rn, { rm: o.rm }, o.nzcv, o.cond),
    ),
    row(
      `${name}.${letter}.imm`,
      `${sf} ${op} 111010010 imm[4:0] cond 10 rn 0 nzcv`,
      [r(bits, "rn"), immediate("imm"), immediate("nzcv"), condition],
      `${name.toUpperCase()} (immediate)`,
      (o) => alu.compareIf(bits, subtract, o.rn, { imm: o.imm }, o.nzcv, o.cond),
    ),
  ]),
  ...(
    [
      ["csel", "0", "00", "same"],
      ["csinc", "0", "01", "increment"],
      ["csinv", "1", "00", "invert"],
      ["csneg", "1", "01", "negate"],
    ] as const
  ).map(([name, op, op2, fn]) =>
    row(
      `${name}.${letter}`,
      `${sf} ${op} 011010100 rm cond ${op2} rn rd`,
      [r(bits, "rd"), r(bits, "rn"), r(bits, "rm"), condition],
      name.toUpperCase(),
      (o) => alu.select(bits, fn, o.rd, o.rn, o.rm, o.cond),
    ),
  ),
]);

const multiplications: readonly Row[] = [
  ...both(({ bits, sf, letter }) =>
    (["madd", "msub"] as const).map((name, op) =>
      row(
        `${name}.${letter}`,
        `${sf} 00 11011 000 rm ${op} ra rn rd`,
        [r(bits, "rd"), r(bits, "rn"), r(bits, "rm"), r(bits, "ra")],
        name.toUpperCase(),
        (o) => alu.multiplyAdd(bits, "same", op === 1, o),
      ),
    ),
  ),
  ...(
    [
      ["smaddl", "001", "0", "signed", false],
      ["smsubl", "001", "1", "signed", true],
      ["umaddl", "101", "0", "unsigned", false],
      ["umsubl", "101", "1", "unsigned", true],
    ] as const
  ).map(([name, op, o0, factors, subtract]) =>
    row(
      name,
      `1 00 11011 ${op} rm ${o0} ra rn rd`,
      [r(64, "rd"), r(32, "rn"), r(32, "rm"), r(64, "ra")],
      name.toUpperCase(),
      (o) => alu.multiplyAdd(64, factors, subtract, o),
    ),
  ),
  ...(
    [
      ["smulh", "010", "mulhs"],
      ["umulh", "110", "mulhu"],
    ] as const
  ).map(([name, op, fn]) =>
    row(
      name,
      `1 00 11011 ${op} rm 0 11111 rn rd`,
      [r(64, "rd"), r(64, "rn"), r(64, "rm")],
      name.toUpperCase(),
      (o) => alu.multiplyHigh(fn, o.rd, o.rn, o.rm),
    ),
  ),
];

// C4.1.96 Loads and stores

/** One kind of single register load or store. */
type Single = {
  /** `ldrb`; the unscaled form puts a `u` in: `ldurb`. */
  readonly mnemonic: string;
  /** Tells the forms of one mnemonic apart. */
  readonly variant: string;
  /** size, V and opc of the encoding. */
  readonly size: string;
  readonly v: "0" | "1";
  readonly opc: string;
  readonly log: number;
  readonly slot: AArch64Slot;
  readonly transfer: Transfer;
  readonly isLoad: boolean;
};

const bytesOf = (log: number): AccessBytes => ([1, 2, 4, 8, 16] as const)[log] ?? 16;

const single = (
  mnemonic: string,
  variant: string,
  code: readonly [size: string, v: "0" | "1", opc: string],
  log: number,
  slot: AArch64Slot,
  signed?: Bits,
): Single => {
  const [size, v, opc] = code;
  const transfer = { bytes: bytesOf(log), vector: v === "1", ...(signed ? { signed } : {}) };
  return {
    ...{ mnemonic, variant, size, v, opc, log, slot, transfer },
    isLoad: mnemonic.startsWith("ld"),
  };
};

const singles: readonly Single[] = [
  single("strb", "w", ["00", "0", "00"], 0, r(32, "rt")),
  single("ldrb", "w", ["00", "0", "01"], 0, r(32, "rt")),
  single("ldrsb", "x", ["00", "0", "10"], 0, r(64, "rt"), 64),
  single("ldrsb", "w", ["00", "0", "11"], 0, r(32, "rt"), 32),
  single("strh", "w", ["01", "0", "00"], 1, r(32, "rt")),
  single("ldrh", "w", ["01", "0", "01"], 1, r(32, "rt")),
  single("ldrsh", "x", ["01", "0", "10"], 1, r(64, "rt"), 64),
  single("ldrsh", "w", ["01", "0", "11"], 1, r(32, "rt"), 32),
  single("str", "w", ["10", "0", "00"], 2, r(32, "rt")),
  single("ldr", "w", ["10", "0", "01"], 2, r(32, "rt")),
  single("ldrsw", "x", ["10", "0", "10"], 2, r(64, "rt"), 64),
  single("str", "x", ["11", "0", "00"], 3, r(64, "rt")),
  single("ldr", "x", ["11", "0", "01"], 3, r(64, "rt")),
  ...(
    [
      ["b", "00", "0", 0],
      ["h", "01", "0", 1],
      ["s", "10", "0", 2],
      ["d", "11", "0", 3],
      ["q", "00", "1", 4],
    ] as const
  ).flatMap(([letter, size, high, log]) => [
    single("str", letter, [size, "1", `${high}0`], log, vector(letter, "rt")),
    single("ldr", letter, [size, "1", `${high}1`], log, vector(letter, "rt")),
  ]),
];

const transferEffects = (kind: Single, rt: number, where: Address): Effect[] =>
  kind.isLoad ? access.load(kind.transfer, rt, where) : access.store(kind.transfer, rt, where);

const singleRows = (kind: Single): Row[] => {
  const { mnemonic, variant, size, v, opc, log, slot } = kind;
  const head = `${size} 111 ${v}`;
  const page = kind.transfer.vector ? "C7.2 " : "";
  const manual = `${page}${mnemonic.toUpperCase()}`;
  const unscaled = mnemonic.replace(/^(ld|st)r/, "$1ur");
  // A base that is written back and transferred as well is CONSTRAINED UNPREDICTABLE.
  const unpredictable = (o: Operands): boolean => v === "0" && o.rn === o.rt && o.rn !== 31;
  return [
    row(
      `${mnemonic}.${variant}`,
      `${head} 01 ${opc} imm[${11 + log}:${log}] rn rt`,
      [slot, memory("offset", "imm")],
      `${manual} (immediate)`,
      (o) => transferEffects(kind, o.rt, { mode: "offset", rn: o.rn, offset: o.imm }),
    ),
    row(
      `${unscaled}.${variant}`,
      `${head} 00 ${opc} 0 simm[8:0] 00 rn rt`,
      [slot, memory("offset", "simm")],
      `${page}${unscaled.toUpperCase()}`,
      (o) => transferEffects(kind, o.rt, { mode: "offset", rn: o.rn, offset: o.simm }),
    ),
    ...(
      [
        ["post", "01"],
        ["pre", "11"],
      ] as const
    ).map(([mode, op]) =>
      row(
        `${mnemonic}.${variant}.${mode}`,
        `${head} 00 ${opc} 0 simm[8:0] ${op} rn rt`,
        [slot, memory(mode, "simm")],
        `${manual} (immediate)`,
        (o) => transferEffects(kind, o.rt, { mode, rn: o.rn, offset: o.simm }),
        { unpredictable },
      ),
    ),
    row(
      `${mnemonic}.${variant}.index`,
      `${head} 00 ${opc} 1 rm option s 10 rn rt`,
      [slot, memoryIndex(log)],
      `${manual} (register)`,
      (o) =>
        transferEffects(kind, o.rt, {
          ...{ mode: "register", rn: o.rn, rm: o.rm, option: o.option },
          amount: o.s === 1 ? log : 0,
        }),
      { valid: (o) => (o.option & 2) !== 0 },
    ),
  ];
};

const literals: readonly Row[] = (
  [
    ["ldr", "w", "00", "0", 2, r(32, "rt"), undefined],
    ["ldr", "x", "01", "0", 3, r(64, "rt"), undefined],
    ["ldrsw", "x", "10", "0", 2, r(64, "rt"), 64],
    ["ldr", "s", "00", "1", 2, vector("s", "rt"), undefined],
    ["ldr", "d", "01", "1", 3, vector("d", "rt"), undefined],
    ["ldr", "q", "10", "1", 4, vector("q", "rt"), undefined],
  ] as const
).map(([mnemonic, variant, opc, v, log, slot, signed]) =>
  row(
    `${mnemonic}.${variant}.literal`,
    `${opc} 011 ${v} 00 offset[20:2] rt`,
    [slot, target],
    `${v === "1" ? "C7.2 " : ""}${mnemonic.toUpperCase()} (literal)`,
    (o) =>
      access.load({ bytes: bytesOf(log), vector: v === "1", ...(signed ? { signed } : {}) }, o.rt, {
        mode: "literal",
        offset: o.offset,
      }),
  ),
);

const pairModes = [
  { mode: "post", code: "001", suffix: ".post" },
  { mode: "offset", code: "010", suffix: "" },
  { mode: "pre", code: "011", suffix: ".pre" },
] as const;

const pairs: readonly Row[] = (
  [
    ["w", "00", "0", 2, (f: string) => r(32, f)],
    ["x", "10", "0", 3, (f: string) => r(64, f)],
    ["s", "00", "1", 2, (f: string) => vector("s", f)],
    ["d", "01", "1", 3, (f: string) => vector("d", f)],
    ["q", "10", "1", 4, (f: string) => vector("q", f)],
    ["sw", "01", "0", 2, (f: string) => r(64, f)],
  ] as const
).flatMap(([letter, opc, v, log, slot]) => {
  const isSigned = letter === "sw";
  const transfer: Transfer = {
    ...{ bytes: bytesOf(log), vector: v === "1" },
    ...(isSigned ? { signed: 64 } : {}),
  };
  const general = v === "0";
  const kinds = isSigned ? (["ldpsw"] as const) : (["stp", "ldp"] as const);
  return kinds.flatMap((name) =>
    pairModes.map(({ mode, code, suffix }) => {
      const isLoad = name !== "stp";
      const effects = isLoad ? access.loadPair : access.storePair;
      return row(
        `${name}.${isSigned ? "x" : letter}${suffix}`,
        `${opc} 101 ${v} ${code} ${isLoad ? 1 : 0} simm[${6 + log}:${log}] rt2 rn rt`,
        [slot("rt"), slot("rt2"), memory(mode, "simm")],
        `${general ? "" : "C7.2 "}${name.toUpperCase()}`,
        (o) => effects(transfer, o.rt, o.rt2, { mode, rn: o.rn, offset: o.simm }),
        {
          unpredictable: (o) => {
            const overlap = general && o.rn !== 31 && (o.rn === o.rt || o.rn === o.rt2);
            return (isLoad && o.rt === o.rt2) || (mode !== "offset" && overlap);
          },
        },
      );
    }),
  );
});

/** Sizes of exclusive, ordered and atomic accesses: suffix, size bits, bytes, register. */
const ordered = [
  { suffix: "b", size: "00", bytes: 1, bits: 32, variant: "w" },
  { suffix: "h", size: "01", bytes: 2, bits: 32, variant: "w" },
  { suffix: "", size: "10", bytes: 4, bits: 32, variant: "w" },
  { suffix: "", size: "11", bytes: 8, bits: 64, variant: "x" },
] as const;

const exclusives: readonly Row[] = ordered.flatMap(({ suffix, size, bytes, bits, variant }) => {
  const named = (name: string): string => `${name}${suffix}.${variant}`;
  const upper = (name: string): string => `${name}${suffix}`.toUpperCase();
  const loads = (
    [
      ["ldxr", "0 1 0 11111 0 11111", true, {}],
      ["ldaxr", "0 1 0 11111 1 11111", true, { acquire: true }],
      ["ldar", "1 1 0 11111 1 11111", false, { acquire: true }],
    ] as const
  ).map(([name, code, exclusive, order]) =>
    row(
      named(name),
      `${size} 001000 ${code} rn rt`,
      [r(bits, "rt"), memoryBase],
      upper(name),
      (o) => access.loadOrdered(bytes, o.rt, o.rn, exclusive, order),
    ),
  );
  const stores = (
    [
      ["stxr", "0", {}],
      ["stlxr", "1", { release: true }],
    ] as const
  ).map(([name, o0, order]) =>
    row(
      named(name),
      `${size} 001000 0 0 0 rs ${o0} 11111 rn rt`,
      [r(32, "rs"), r(bits, "rt"), memoryBase],
      upper(name),
      (o) => access.storeExclusive(bytes, o.rs, o.rt, o.rn, order),
      { unpredictable: (o) => o.rs === o.rt || (o.rs === o.rn && o.rn !== 31) },
    ),
  );
  return [
    ...loads,
    ...stores,
    row(
      named("stlr"),
      `${size} 001000 1 0 0 11111 1 11111 rn rt`,
      [r(bits, "rt"), memoryBase],
      upper("stlr"),
      (o) => access.storeRelease(bytes, o.rt, o.rn),
    ),
    row(
      named("ldapr"),
      `${size} 111000 1 0 1 11111 1 100 00 rn rt`,
      [r(bits, "rt"), memoryBase],
      upper("ldapr"),
      (o) => access.loadOrdered(bytes, o.rt, o.rn, false, { acquire: true }),
    ),
  ];
});

const orders: readonly { letters: string; a: 0 | 1; r: 0 | 1; order: AccessOrder }[] = [
  { letters: "", a: 0, r: 0, order: {} },
  { letters: "a", a: 1, r: 0, order: { acquire: true } },
  { letters: "l", a: 0, r: 1, order: { release: true } },
  { letters: "al", a: 1, r: 1, order: { acquire: true, release: true } },
];

const atomicNames: readonly [name: string, code: string, fn: AtomicOp][] = [
  ["ldadd", "0 000", "add"],
  ["ldclr", "0 001", "clear"],
  ["ldeor", "0 010", "xor"],
  ["ldset", "0 011", "or"],
  ["ldsmax", "0 100", "maxs"],
  ["ldsmin", "0 101", "mins"],
  ["ldumax", "0 110", "maxu"],
  ["ldumin", "0 111", "minu"],
  ["swp", "1 000", "swap"],
];

const atomics: readonly Row[] = ordered.flatMap(({ suffix, size, bytes, bits, variant }) =>
  orders.flatMap(({ letters, a, r: release, order }) => [
    ...atomicNames.map(([name, code, fn]) =>
      row(
        `${name}${letters}${suffix}.${variant}`,
        `${size} 111000 ${a} ${release} 1 rs ${code} 00 rn rt`,
        [r(bits, "rs"), r(bits, "rt"), memoryBase],
        `${name}${suffix}`.toUpperCase(),
        (o) => access.atomic(fn, bytes, o, order),
      ),
    ),
    row(
      `cas${letters}${suffix}.${variant}`,
      `${size} 0010001 ${a} 1 rs ${release} 11111 rn rt`,
      [r(bits, "rs"), r(bits, "rt"), memoryBase],
      `CAS${suffix}`.toUpperCase(),
      (o) => access.compareSwap(bytes, o, order),
    ),
  ]),
);

const allRows: readonly Row[] = [
  ...[...sums, ...logic, ...moves, ...bitfields, ...addresses],
  ...[...branches, ...exceptions, undefinedRow, ...hints, ...barriers],
  ...[...maintenance, ...systemMoves, ...twoSources, ...conditionals, ...multiplications],
  ...[...singles.flatMap(singleRows), ...literals, ...pairs, ...exclusives, ...atomics],
];

/** Builds the forms; slow enough to be done once and kept, and only when they are asked for. */
export const makeForms = (): readonly AArch64Form[] =>
  allRows.map(
    ({ name, mnemonic, bits, slots, manual, effects, valid, unpredictable, cmodx: marked }) => ({
      ...{ name, mnemonic, slots, manual },
      pattern: parsePattern(bits, styles),
      effects: (fields) => effects(operandsOf(fields)),
      ...(valid === undefined ? {} : { valid: (fields: Fields) => valid(operandsOf(fields)) }),
      ...(unpredictable === undefined
        ? {}
        : { unpredictable: (fields: Fields) => unpredictable(operandsOf(fields)) }),
      ...(marked === true ? { cmodx: true } : {}),
    }),
  );

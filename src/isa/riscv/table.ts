// table
/**
 * The instructions of RISC-V that Patchbay reads, writes and reasons about: RV32/RV64 I, M, A, C,
 * Zicsr, Zifencei, Zihintpause, Zicbom, Zicboz, loads and stores of F and D, and Zcmt.
 *
 * Bits as in "The RISC-V Instruction Set Manual, Volume I: Unprivileged Architecture", chapter
 * "RV32/64G Instruction Set Listings"; the text in each row is the section that defines it. Formats
 * that exist for one XLEN only say so; the others serve both.
 */

import type { AccessBytes, AtomicOp, BinaryOp, Effect } from "../effects.ts";
import { type Alias, type FieldStyles, type Fields, type Form, parsePattern } from "../table.ts";
import type { Xlen } from "./semantics.ts";
import * as does from "./semantics.ts";
import { type Arg, slotNamed } from "./slots.ts";

export type RiscvForm = Form<Arg>;
export type RiscvAlias = Alias<Arg>;

/** Which instructions are there. Zcmt takes the encodings of the compressed double stores. */
export type Options = { readonly xlen: Xlen; readonly zcmt: boolean };

const styles: FieldStyles = {
  rd: { width: 5 },
  rs1: { width: 5 },
  rs2: { width: 5 },
  imm: { signed: true },
  pred: { width: 4 },
  succ: { width: 4 },
  csr: { width: 12 },
  uimm: { width: 5 },
};

/** Fields as numbers, 0 where a form does not have the field (its effects do not ask then). */
type Operands = {
  readonly rd: number;
  readonly rs1: number;
  readonly rs2: number;
  readonly imm: number;
  readonly shamt: number;
  readonly uimm: number;
  readonly csr: number;
  readonly pred: number;
  readonly succ: number;
  readonly index: number;
};

type Row = {
  readonly name: string;
  readonly bits: string;
  /** Operands, comma-separated, by the names of `slots.ts`. */
  readonly args: string;
  readonly manual: string;
  readonly effects: (o: Operands, xlen: Xlen) => readonly Effect[];
  readonly only?: Xlen;
  readonly valid?: (o: Operands) => boolean;
};

const operandsOf = (fields: Fields): Operands => ({
  rd: fields["rd"] ?? 0,
  rs1: fields["rs1"] ?? 0,
  rs2: fields["rs2"] ?? 0,
  imm: fields["imm"] ?? 0,
  shamt: fields["shamt"] ?? 0,
  uimm: fields["uimm"] ?? 0,
  csr: fields["csr"] ?? 0,
  pred: fields["pred"] ?? 0,
  succ: fields["succ"] ?? 0,
  index: fields["index"] ?? 0,
});

type RowOptions = Pick<Row, "only" | "valid">;

const row = (
  name: string,
  bits: string,
  args: string,
  manual: string,
  effects: Row["effects"],
  options: RowOptions = {},
): Row => ({ name, bits, args, manual, effects, ...options });

// Sections of Volume I, by their titles: their numbers change with every edition.
const regImm = "RV32I: Integer Register-Immediate Instructions";
const regReg = "RV32I: Integer Register-Register Operations";
const jumps = "RV32I: Unconditional Jumps";
const branches = "RV32I: Conditional Branches";
const loadsStores = "RV32I, RV64I: Load and Store Instructions";
const ordering = "RV32I: Memory Ordering Instructions";
const environment = "RV32I: Environment Call and Breakpoints";
const regImm64 = "RV64I: Integer Register-Immediate Instructions";
const regReg64 = "RV64I: Integer Register-Register Operations";
const multiply = "M: Multiplication Operations";
const division = "M: Division Operations";
const reserved = "A: Load-Reserved/Store-Conditional Instructions";
const amos = "A: Atomic Memory Operations";
const csrInstructions = "Zicsr: CSR Instructions";
const trapReturn = "Volume II, Machine-Mode: Trap-Return Instructions";
const cStack = "C: Stack-Pointer-Based Loads and Stores";
const cRegister = "C: Register-Based Loads and Stores";
const cControl = "C: Control Transfer Instructions";
const cConstant = "C: Integer Constant-Generation Instructions";
const cRegImm = "C: Integer Register-Immediate Operations";
const cRegReg = "C: Integer Register-Register Operations";

const rv32: RowOptions = { only: 32 };
const rv64: RowOptions = { only: 64 };

const opImm = (name: string, funct3: string, fn: BinaryOp): Row =>
  row(name, `imm[11:0] rs1 ${funct3} rd 0010011`, "rd, rs1, imm", regImm, (o, xlen) =>
    does.opImm(xlen, fn, o.rd, o.rs1, o.imm),
  );

const shiftImm = (name: string, funct7: string, funct3: string, fn: BinaryOp): Row[] => [
  row(
    name,
    `${funct7} shamt[4:0] rs1 ${funct3} rd 0010011`,
    "rd, rs1, shamt",
    regImm,
    (o, xlen) => does.opImm(xlen, fn, o.rd, o.rs1, o.shamt),
    rv32,
  ),
  row(
    name,
    `${funct7.slice(0, 6)} shamt[5:0] rs1 ${funct3} rd 0010011`,
    "rd, rs1, shamt",
    regImm64,
    (o, xlen) => does.opImm(xlen, fn, o.rd, o.rs1, o.shamt),
    rv64,
  ),
  row(
    `${name}w`,
    `${funct7} shamt[4:0] rs1 ${funct3} rd 0011011`,
    "rd, rs1, shamt",
    regImm64,
    (o, xlen) => does.opImm(xlen, fn, o.rd, o.rs1, o.shamt, 32),
    rv64,
  ),
];

const op = (name: string, funct7: string, funct3: string, fn: BinaryOp, manual = regReg): Row =>
  row(name, `${funct7} rs2 rs1 ${funct3} rd 0110011`, "rd, rs1, rs2", manual, (o, xlen) =>
    does.op(xlen, fn, o.rd, o.rs1, o.rs2),
  );

const opW = (name: string, funct7: string, funct3: string, fn: BinaryOp, manual = regReg64): Row =>
  row(
    name,
    `${funct7} rs2 rs1 ${funct3} rd 0111011`,
    "rd, rs1, rs2",
    manual,
    (o, xlen) => does.op(xlen, fn, o.rd, o.rs1, o.rs2, 32),
    rv64,
  );

const branch = (name: string, funct3: string, fn: "eq" | "ltu" | "lts", taken: 0 | 1): Row =>
  row(
    name,
    `imm[12|10:5] rs2 rs1 ${funct3} imm[4:1|11] 1100011`,
    "rs1, rs2, target",
    branches,
    (o, xlen) => does.branch(xlen, fn, taken, o.rs1, o.rs2, o.imm),
  );

const load = (
  name: string,
  funct3: string,
  bytes: AccessBytes,
  signed: boolean,
  options: RowOptions = {},
): Row =>
  row(
    name,
    `imm[11:0] rs1 ${funct3} rd 0000011`,
    "rd, imm(rs1)",
    loadsStores,
    (o, xlen) => does.load(xlen, o.rd, o.rs1, o.imm, bytes, signed),
    options,
  );

const store = (name: string, funct3: string, bytes: AccessBytes, options: RowOptions = {}): Row =>
  row(
    name,
    `imm[11:5] rs2 rs1 ${funct3} imm[4:0] 0100011`,
    "rs2, imm(rs1)",
    loadsStores,
    (o, xlen) => does.store(xlen, o.rs2, o.rs1, o.imm, bytes),
    options,
  );

const baseRows: readonly Row[] = [
  row("lui", "imm[31:12] rd 0110111", "rd, upper", regImm, (o, xlen) =>
    does.lui(xlen, o.rd, o.imm),
  ),
  row("auipc", "imm[31:12] rd 0010111", "rd, upper", regImm, (o, xlen) =>
    does.auipc(xlen, o.rd, o.imm),
  ),
  row("jal", "imm[20|10:1|11|19:12] rd 1101111", "rd, target", jumps, (o, xlen) =>
    does.jal(xlen, o.rd, o.imm, 4),
  ),
  row("jalr", "imm[11:0] rs1 000 rd 1100111", "rd, imm(rs1)", jumps, (o, xlen) =>
    does.jalr(xlen, o.rd, o.rs1, o.imm, 4),
  ),
  branch("beq", "000", "eq", 1),
  branch("bne", "001", "eq", 0),
  branch("blt", "100", "lts", 1),
  branch("bge", "101", "lts", 0),
  branch("bltu", "110", "ltu", 1),
  branch("bgeu", "111", "ltu", 0),
  load("lb", "000", 1, true),
  load("lh", "001", 2, true),
  load("lw", "010", 4, true),
  load("lbu", "100", 1, false),
  load("lhu", "101", 2, false),
  load("lwu", "110", 4, false, rv64),
  load("ld", "011", 8, true, rv64),
  store("sb", "000", 1),
  store("sh", "001", 2),
  store("sw", "010", 4),
  store("sd", "011", 8, rv64),
  opImm("addi", "000", "add"),
  opImm("slti", "010", "lts"),
  opImm("sltiu", "011", "ltu"),
  opImm("xori", "100", "xor"),
  opImm("ori", "110", "or"),
  opImm("andi", "111", "and"),
  ...shiftImm("slli", "0000000", "001", "shl"),
  ...shiftImm("srli", "0000000", "101", "shr"),
  ...shiftImm("srai", "0100000", "101", "sar"),
  row(
    "addiw",
    "imm[11:0] rs1 000 rd 0011011",
    "rd, rs1, imm",
    regImm64,
    (o, xlen) => does.opImm(xlen, "add", o.rd, o.rs1, o.imm, 32),
    rv64,
  ),
  op("add", "0000000", "000", "add"),
  op("sub", "0100000", "000", "sub"),
  op("sll", "0000000", "001", "shl"),
  op("slt", "0000000", "010", "lts"),
  op("sltu", "0000000", "011", "ltu"),
  op("xor", "0000000", "100", "xor"),
  op("srl", "0000000", "101", "shr"),
  op("sra", "0100000", "101", "sar"),
  op("or", "0000000", "110", "or"),
  op("and", "0000000", "111", "and"),
  opW("addw", "0000000", "000", "add"),
  opW("subw", "0100000", "000", "sub"),
  opW("sllw", "0000000", "001", "shl"),
  opW("srlw", "0000000", "101", "shr"),
  opW("sraw", "0100000", "101", "sar"),
  row(
    "fence",
    "0000 pred succ 00000 000 00000 0001111",
    "pred, succ",
    ordering,
    (o) => does.fence(o.pred, o.succ),
    // PAUSE is this fence.
    { valid: (o) => o.pred !== 1 || o.succ !== 0 },
  ),
  row("fence.tso", "1000 0011 0011 00000 000 00000 0001111", "", ordering, does.fenceTso),
  row("fence.i", "000000000000 00000 001 00000 0001111", "", "Zifencei", does.fenceI),
  row("pause", "0000 0001 0000 00000 000 00000 0001111", "", "Zihintpause", () => [
    { kind: "hint", name: "pause" },
  ]),
  row("ecall", "000000000000 00000 000 00000 1110011", "", environment, () => does.trap("syscall")),
  row("ebreak", "000000000001 00000 000 00000 1110011", "", environment, () =>
    does.trap("breakpoint"),
  ),
];

/** In user mode these trap; Volume II says what they do for the kernel. */
const privilegedRows: readonly Row[] = [
  row("sret", "0001000 00010 00000 000 00000 1110011", "", trapReturn, () => does.trap("illegal")),
  row("mret", "0011000 00010 00000 000 00000 1110011", "", trapReturn, () => does.trap("illegal")),
  row(
    "wfi",
    "0001000 00101 00000 000 00000 1110011",
    "",
    "Volume II, Machine-Mode: Wait for Interrupt",
    () => [{ kind: "hint", name: "wfi" }],
  ),
  row(
    "sfence.vma",
    "0001001 rs2 rs1 000 00000 1110011",
    "rs1, rs2",
    "Volume II, Supervisor: Memory-Management Fence",
    () => does.trap("illegal"),
  ),
];

const multiplyRows: readonly Row[] = [
  op("mul", "0000001", "000", "mul", multiply),
  op("mulh", "0000001", "001", "mulhs", multiply),
  op("mulhsu", "0000001", "010", "mulhsu", multiply),
  op("mulhu", "0000001", "011", "mulhu", multiply),
  op("div", "0000001", "100", "divs", division),
  op("divu", "0000001", "101", "divu", division),
  op("rem", "0000001", "110", "rems", division),
  op("remu", "0000001", "111", "remu", division),
  opW("mulw", "0000001", "000", "mul", multiply),
  opW("divw", "0000001", "100", "divs", division),
  opW("divuw", "0000001", "101", "divu", division),
  opW("remw", "0000001", "110", "rems", division),
  opW("remuw", "0000001", "111", "remu", division),
];

const orderings = [
  { suffix: "", bits: "00", order: {} },
  { suffix: ".rl", bits: "01", order: { release: true } },
  { suffix: ".aq", bits: "10", order: { acquire: true } },
  { suffix: ".aqrl", bits: "11", order: { acquire: true, release: true } },
] as const;

const atomicWidths = [
  { letter: "w", funct3: "010", bytes: 4, options: {} },
  { letter: "d", funct3: "011", bytes: 8, options: rv64 },
] as const;

const amoNames: readonly [name: string, funct5: string, fn: AtomicOp][] = [
  ["amoswap", "00001", "swap"],
  ["amoadd", "00000", "add"],
  ["amoxor", "00100", "xor"],
  ["amoand", "01100", "and"],
  ["amoor", "01000", "or"],
  ["amomin", "10000", "mins"],
  ["amomax", "10100", "maxs"],
  ["amominu", "11000", "minu"],
  ["amomaxu", "11100", "maxu"],
];

const atomicRows: readonly Row[] = atomicWidths.flatMap(({ letter, funct3, bytes, options }) =>
  orderings.flatMap(({ suffix, bits, order }) => {
    const tail = `rs1 ${funct3} rd 0101111`;
    const named = (name: string): string => `${name}.${letter}${suffix}`;
    return [
      row(
        named("lr"),
        `00010 ${bits} 00000 ${tail}`,
        "rd, (rs1)",
        reserved,
        (o, xlen) => does.lr(xlen, o.rd, o.rs1, bytes, order),
        options,
      ),
      row(
        named("sc"),
        `00011 ${bits} rs2 ${tail}`,
        "rd, rs2, (rs1)",
        reserved,
        (o) => does.sc(o.rd, o.rs1, o.rs2, bytes, order),
        options,
      ),
      ...amoNames.map(([name, funct5, fn]) =>
        row(
          named(name),
          `${funct5} ${bits} rs2 ${tail}`,
          "rd, rs2, (rs1)",
          amos,
          (o, xlen) => does.amo(xlen, fn, o.rd, o.rs1, o.rs2, bytes, order),
          options,
        ),
      ),
    ];
  }),
);

const csrRows: readonly Row[] = (
  [
    ["csrrw", "001", "write"],
    ["csrrs", "010", "set"],
    ["csrrc", "011", "clear"],
  ] as const
).flatMap(([name, funct3, fn]) => [
  row(name, `csr rs1 ${funct3} rd 1110011`, "rd, csr, rs1", csrInstructions, (o, xlen) =>
    does.csrAccess(xlen, fn, o.rd, o.csr, { rs1: o.rs1 }),
  ),
  row(
    `${name}i`,
    `csr uimm 1${funct3.slice(1)} rd 1110011`,
    "rd, csr, uimm",
    csrInstructions,
    (o, xlen) => does.csrAccess(xlen, fn, o.rd, o.csr, { uimm: o.uimm }),
  ),
]);

const floatRows: readonly Row[] = (
  [
    ["w", "010", 4, "F: Single-Precision Load and Store"],
    ["d", "011", 8, "D: Double-Precision Load and Store"],
  ] as const
).flatMap(([letter, funct3, bytes, manual]) => [
  row(`fl${letter}`, `imm[11:0] rs1 ${funct3} rd 0000111`, "frd, imm(rs1)", manual, (o, xlen) =>
    does.loadF(xlen, o.rd, o.rs1, o.imm, bytes),
  ),
  row(
    `fs${letter}`,
    `imm[11:5] rs2 rs1 ${funct3} imm[4:0] 0100111`,
    "frs2, imm(rs1)",
    manual,
    (o, xlen) => does.storeF(xlen, o.rs2, o.rs1, o.imm, bytes),
  ),
]);

const cacheRows: readonly Row[] = (
  [
    ["cbo.inval", "000000000000"],
    ["cbo.clean", "000000000001"],
    ["cbo.flush", "000000000010"],
    ["cbo.zero", "000000000100"],
  ] as const
).map(([name, imm]) =>
  row(
    name,
    `${imm} rs1 010 00000 0001111`,
    "(rs1)",
    "CMO: Cache-Block Management Instructions",
    (o) => does.cacheBlock(name, o.rs1),
  ),
);

/** `c.xxx rd', rs2'`. */
const compressedOp = (name: string, head: string, funct2: string, fn: BinaryOp, width?: 32): Row =>
  row(
    name,
    `${head} rd' ${funct2} rs2' 01`,
    "rd, rs2",
    cRegReg,
    (o, xlen) => does.op(xlen, fn, o.rd, o.rd, o.rs2, width ?? xlen),
    width === undefined ? {} : rv64,
  );

/** Compressed shifts: bit 5 of the amount has to be 0 on RV32. */
const compressedShift = (name: string, bits: (shamt5: string) => string, fn: BinaryOp): Row[] => {
  const effects: Row["effects"] = (o, xlen) => does.opImm(xlen, fn, o.rd, o.rd, o.shamt);
  return [
    row(name, bits("0"), "rd, shamt", cRegImm, effects, rv32),
    row(name, bits("shamt[5]"), "rd, shamt", cRegImm, effects, rv64),
  ];
};

/** A compressed load or store; a letter `f` in the name says that the register is a float. */
const compressedLoad = (
  name: string,
  bits: string,
  bytes: 4 | 8,
  options: RowOptions = {},
): Row => {
  const stack = name.endsWith("sp");
  const float = name.startsWith("c.f");
  const base = (o: Operands): number => (stack ? 2 : o.rs1);
  return row(
    name,
    bits,
    `${float ? "frd" : "rd"}, uimm(${stack ? "sp" : "rs1"})`,
    stack ? cStack : cRegister,
    (o, xlen) =>
      float
        ? does.loadF(xlen, o.rd, base(o), o.uimm, bytes)
        : does.load(xlen, o.rd, base(o), o.uimm, bytes, true),
    options,
  );
};

const compressedStore = (
  name: string,
  bits: string,
  bytes: 4 | 8,
  options: RowOptions = {},
): Row => {
  const stack = name.endsWith("sp");
  const float = name.startsWith("c.f");
  const base = (o: Operands): number => (stack ? 2 : o.rs1);
  return row(
    name,
    bits,
    `${float ? "frs2" : "rs2"}, uimm(${stack ? "sp" : "rs1"})`,
    stack ? cStack : cRegister,
    (o, xlen) =>
      float
        ? does.storeF(xlen, o.rs2, base(o), o.uimm, bytes)
        : does.store(xlen, o.rs2, base(o), o.uimm, bytes),
    options,
  );
};

const quadrant0: readonly Row[] = [
  row("c.unimp", "0000000000000000", "", "C: Defined Illegal Instruction", () =>
    does.trap("illegal"),
  ),
  row(
    "c.addi4spn",
    "000 uimm[5:4|9:6|2|3] rd' 00",
    "rd, sp, uimm",
    cRegImm,
    (o, xlen) => does.opImm(xlen, "add", o.rd, 2, o.uimm),
    { valid: (o) => o.uimm !== 0 },
  ),
  compressedLoad("c.fld", "001 uimm[5:3] rs1' uimm[7:6] rd' 00", 8),
  compressedLoad("c.lw", "010 uimm[5:3] rs1' uimm[2|6] rd' 00", 4),
  compressedLoad("c.flw", "011 uimm[5:3] rs1' uimm[2|6] rd' 00", 4, rv32),
  compressedLoad("c.ld", "011 uimm[5:3] rs1' uimm[7:6] rd' 00", 8, rv64),
  compressedStore("c.fsd", "101 uimm[5:3] rs1' uimm[7:6] rs2' 00", 8),
  compressedStore("c.sw", "110 uimm[5:3] rs1' uimm[2|6] rs2' 00", 4),
  compressedStore("c.fsw", "111 uimm[5:3] rs1' uimm[2|6] rs2' 00", 4, rv32),
  compressedStore("c.sd", "111 uimm[5:3] rs1' uimm[7:6] rs2' 00", 8, rv64),
];

/** Encodings that write x0, or nothing new, are hints: they execute and change nothing. */
const quadrant1: readonly Row[] = [
  row("c.addi", "000 imm[5] rd imm[4:0] 01", "rd, imm", cRegImm, (o, xlen) =>
    does.opImm(xlen, "add", o.rd, o.rd, o.imm),
  ),
  row(
    "c.jal",
    "001 imm[11|4|9:8|10|6|7|3:1|5] 01",
    "target",
    cControl,
    (o, xlen) => does.jal(xlen, 1, o.imm, 2),
    rv32,
  ),
  row(
    "c.addiw",
    "001 imm[5] rd imm[4:0] 01",
    "rd, imm",
    cRegImm,
    (o, xlen) => does.opImm(xlen, "add", o.rd, o.rd, o.imm, 32),
    { ...rv64, valid: (o) => o.rd !== 0 },
  ),
  row("c.li", "010 imm[5] rd imm[4:0] 01", "rd, imm", cConstant, (o, xlen) =>
    does.opImm(xlen, "add", o.rd, 0, o.imm),
  ),
  row(
    "c.addi16sp",
    "011 imm[9] 00010 imm[4|6|8:7|5] 01",
    "sp, imm",
    cRegImm,
    (o, xlen) => does.opImm(xlen, "add", 2, 2, o.imm),
    { valid: (o) => o.imm !== 0 },
  ),
  row(
    "c.lui",
    "011 imm[17] rd imm[16:12] 01",
    "rd, upper",
    cConstant,
    (o, xlen) => does.lui(xlen, o.rd, o.imm),
    { valid: (o) => o.imm !== 0 && o.rd !== 2 },
  ),
  ...compressedShift("c.srli", (high) => `100 ${high} 00 rd' shamt[4:0] 01`, "shr"),
  ...compressedShift("c.srai", (high) => `100 ${high} 01 rd' shamt[4:0] 01`, "sar"),
  row("c.andi", "100 imm[5] 10 rd' imm[4:0] 01", "rd, imm", cRegImm, (o, xlen) =>
    does.opImm(xlen, "and", o.rd, o.rd, o.imm),
  ),
  compressedOp("c.sub", "100 0 11", "00", "sub"),
  compressedOp("c.xor", "100 0 11", "01", "xor"),
  compressedOp("c.or", "100 0 11", "10", "or"),
  compressedOp("c.and", "100 0 11", "11", "and"),
  compressedOp("c.subw", "100 1 11", "00", "sub", 32),
  compressedOp("c.addw", "100 1 11", "01", "add", 32),
  row("c.j", "101 imm[11|4|9:8|10|6|7|3:1|5] 01", "target", cControl, (o, xlen) =>
    does.jal(xlen, 0, o.imm, 2),
  ),
  row("c.beqz", "110 imm[8|4:3] rs1' imm[7:6|2:1|5] 01", "rs1, target", cControl, (o, xlen) =>
    does.branch(xlen, "eq", 1, o.rs1, 0, o.imm),
  ),
  row("c.bnez", "111 imm[8|4:3] rs1' imm[7:6|2:1|5] 01", "rs1, target", cControl, (o, xlen) =>
    does.branch(xlen, "eq", 0, o.rs1, 0, o.imm),
  ),
];

const loadsX0: RowOptions = { valid: (o) => o.rd !== 0 };

const quadrant2: readonly Row[] = [
  ...compressedShift("c.slli", (high) => `000 ${high} rd shamt[4:0] 10`, "shl"),
  compressedLoad("c.fldsp", "001 uimm[5] rd uimm[4:3|8:6] 10", 8),
  compressedLoad("c.lwsp", "010 uimm[5] rd uimm[4:2|7:6] 10", 4, loadsX0),
  compressedLoad("c.flwsp", "011 uimm[5] rd uimm[4:2|7:6] 10", 4, rv32),
  compressedLoad("c.ldsp", "011 uimm[5] rd uimm[4:3|8:6] 10", 8, { ...rv64, ...loadsX0 }),
  row("c.jr", "100 0 rs1 00000 10", "rs1", cControl, (o, xlen) => does.jalr(xlen, 0, o.rs1, 0, 2), {
    valid: (o) => o.rs1 !== 0,
  }),
  row(
    "c.mv",
    "100 0 rd rs2 10",
    "rd, rs2",
    cRegReg,
    (o, xlen) => does.opImm(xlen, "add", o.rd, o.rs2, 0),
    { valid: (o) => o.rs2 !== 0 },
  ),
  row("c.ebreak", "100 1 00000 00000 10", "", "C: Breakpoint Instruction", () =>
    does.trap("breakpoint"),
  ),
  row(
    "c.jalr",
    "100 1 rs1 00000 10",
    "rs1",
    cControl,
    (o, xlen) => does.jalr(xlen, 1, o.rs1, 0, 2),
    { valid: (o) => o.rs1 !== 0 },
  ),
  row(
    "c.add",
    "100 1 rd rs2 10",
    "rd, rs2",
    cRegReg,
    (o, xlen) => does.op(xlen, "add", o.rd, o.rd, o.rs2),
    { valid: (o) => o.rs2 !== 0 },
  ),
  compressedStore("c.swsp", "110 uimm[5:2|7:6] rs2 10", 4),
  compressedStore("c.fswsp", "111 uimm[5:2|7:6] rs2 10", 4, rv32),
  compressedStore("c.sdsp", "111 uimm[5:3|8:6] rs2 10", 8, rv64),
];

/** With Zcd (C and D), or with Zcmt, which takes its place. */
const zcdRows: readonly Row[] = [compressedStore("c.fsdsp", "101 uimm[5:3|8:6] rs2 10", 8)];

/** "Zc*: Table Jump Instructions": entries 0 to 31 are jumps, 32 to 255 are calls. */
const zcmtRows: readonly Row[] = [
  row("cm.jt", "101 000 000 index[4:0] 10", "index", "Zcmt", (o, xlen) =>
    does.tableJump(xlen, o.index, false),
  ),
  row(
    "cm.jalt",
    "101 000 index[7:0] 10",
    "index",
    "Zcmt",
    (o, xlen) => does.tableJump(xlen, o.index, true),
    { valid: (o) => o.index >= 32 },
  ),
];

/** The forms of one configuration. */
export function makeForms({ xlen, zcmt }: Options): readonly RiscvForm[] {
  const rows = [
    ...[...baseRows, ...privilegedRows, ...multiplyRows, ...atomicRows, ...csrRows],
    ...[...floatRows, ...cacheRows, ...quadrant0, ...quadrant1, ...quadrant2],
    ...(zcmt ? zcmtRows : zcdRows),
  ];
  return rows
    .filter(({ only }) => only === undefined || only === xlen)
    .map(({ name, bits, args, manual, effects, valid }) => ({
      name,
      mnemonic: name,
      pattern: parsePattern(bits, styles),
      slots: args === "" ? [] : args.split(", ").map((slot) => slotNamed(slot, xlen)),
      manual,
      effects: (fields) => effects(operandsOf(fields), xlen),
      ...(valid === undefined ? {} : { valid: (fields) => valid(operandsOf(fields)) }),
    }));
}

type AliasRow = readonly [mnemonic: string, of: string, args: string, fixed: Fields, only?: Xlen];

/**
 * "RISC-V Assembly Programmer's Manual", tables of pseudo instructions; a more special one comes
 * before a more general one, because the first that fits is printed.
 */
const aliasRows: readonly AliasRow[] = [
  ["nop", "addi", "", { rd: 0, rs1: 0, imm: 0 }],
  ["li", "addi", "rd, imm", { rs1: 0 }],
  ["mv", "addi", "rd, rs1", { imm: 0 }],
  ["not", "xori", "rd, rs1", { imm: -1 }],
  ["neg", "sub", "rd, rs2", { rs1: 0 }],
  ["negw", "subw", "rd, rs2", { rs1: 0 }, 64],
  ["sext.w", "addiw", "rd, rs1", { imm: 0 }, 64],
  ["zext.b", "andi", "rd, rs1", { imm: 255 }],
  ["seqz", "sltiu", "rd, rs1", { imm: 1 }],
  ["snez", "sltu", "rd, rs2", { rs1: 0 }],
  ["sltz", "slt", "rd, rs1", { rs2: 0 }],
  ["sgtz", "slt", "rd, rs2", { rs1: 0 }],
  ["beqz", "beq", "rs1, target", { rs2: 0 }],
  ["bnez", "bne", "rs1, target", { rs2: 0 }],
  ["blez", "bge", "rs2, target", { rs1: 0 }],
  ["bgez", "bge", "rs1, target", { rs2: 0 }],
  ["bltz", "blt", "rs1, target", { rs2: 0 }],
  ["bgtz", "blt", "rs2, target", { rs1: 0 }],
  ["j", "jal", "target", { rd: 0 }],
  ["jal", "jal", "target", { rd: 1 }],
  ["ret", "jalr", "", { rd: 0, rs1: 1, imm: 0 }],
  ["jr", "jalr", "rs1", { rd: 0, imm: 0 }],
  ["jalr", "jalr", "rs1", { rd: 1, imm: 0 }],
  ["unimp", "csrrw", "", { rd: 0, rs1: 0, csr: 0xc00 }],
  ["csrr", "csrrs", "rd, csr", { rs1: 0 }],
  ["csrw", "csrrw", "csr, rs1", { rd: 0 }],
  ["csrs", "csrrs", "csr, rs1", { rd: 0 }],
  ["csrc", "csrrc", "csr, rs1", { rd: 0 }],
  ["csrwi", "csrrwi", "csr, uimm", { rd: 0 }],
  ["csrsi", "csrrsi", "csr, uimm", { rd: 0 }],
  ["csrci", "csrrci", "csr, uimm", { rd: 0 }],
  ["fence", "fence", "", { pred: 15, succ: 15 }],
  ["sfence.vma", "sfence.vma", "", { rs1: 0, rs2: 0 }],
  ["c.nop", "c.addi", "", { rd: 0, imm: 0 }],
];

export function makeAliases(xlen: Xlen): readonly RiscvAlias[] {
  return aliasRows
    .filter(([, , , , only]) => only === undefined || only === xlen)
    .map(([mnemonic, of, args, fixed]) => ({
      mnemonic,
      of,
      fixed,
      slots: args === "" ? [] : args.split(", ").map((slot) => slotNamed(slot, xlen)),
    }));
}

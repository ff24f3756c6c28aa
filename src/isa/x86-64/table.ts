// table
/**
 * Instruction forms of x86-64: what the assembler can encode and the formatter can name. One row
 * is `[mnemonic, operands, encoding]`; of several rows that fit, the first is taken, so shorter
 * ones come first.
 *
 * Operands are written in the codes of Intel SDM Vol. 2D, appendix A.2: a letter for the place
 *   E  ModRM.rm: general register or memory     G  ModRM.reg: general register
 *   R  ModRM.rm: general register only          M  ModRM.rm: memory only
 *   V  ModRM.reg: vector register               W  ModRM.rm: vector register or memory
 *   U  ModRM.rm: vector register only           H  VEX.vvvv: vector register
 *   B  VEX.vvvv: general register               Z  the low 3 bits of the opcode (and REX.B)
 *   I  immediate                                J  distance from the end of the instruction
 * and letters for the size: b 8, w 16, d 32, q 64, dq 128, qq 256 bits (vector registers: qq is
 * ymm, all others xmm); v 16, 32 or 64 and y 32 or 64, by operand size; z 16 or 32 (sign-extended
 * to 64). `Isb` is an 8-bit immediate that is sign-extended to the operand size. `AL`, `CL`, `1`
 * and `rAX` (the accumulator in the operand size) stand for themselves.
 *
 * Encodings: mandatory prefix (66, F2, F3), `W` for REX.W, map (0F, 0F38, 0F3A; none: one-byte),
 * opcode, `/digit` in ModRM.reg, a second hex byte: a fixed ModRM. `V128`, `V256` make it VEX with
 * that length. Without `W`, REX.W (VEX.W) and 66 come from `v` and `y` operands. A family (`ALU`,
 * `SHIFT`, `CC`) is one row per member: member n has opcode `+8n` or `+n`, or digit `/n`.
 */

/** Families of instructions that differ in three or four bits of the encoding. */
export const families = {
  ALU: ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"],
  SHIFT: ["rol", "ror", "rcl", "rcr", "shl", "shr", "", "sar"],
  CC: ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"],
} as const;

export const forms = [
  // Moves: SDM Vol. 2B, MOV, MOVSX/MOVSXD, MOVZX; 2A, LEA; 2B, XCHG
  ["mov", "Eb,Gb", "88"],
  ["mov", "Ev,Gv", "89"],
  ["mov", "Gb,Eb", "8A"],
  ["mov", "Gv,Ev", "8B"],
  ["mov", "Zb,Ib", "B0+r"],
  ["mov", "Zw,Iw", "66 B8+r"],
  ["mov", "Zd,Id", "B8+r"],
  ["mov", "Eb,Ib", "C6 /0"],
  ["mov", "Ev,Iz", "C7 /0"],
  ["mov", "Zq,Iq", "W B8+r"],
  ["movabs", "Zq,Iq", "W B8+r"],
  ["movzx", "Gv,Eb", "0F B6"],
  ["movzx", "Gv,Ew", "0F B7"],
  ["movsx", "Gv,Eb", "0F BE"],
  ["movsx", "Gv,Ew", "0F BF"],
  ["movsxd", "Gq,Ed", "W 63"],
  ["lea", "Gv,M", "8D"],
  ["xchg", "Eb,Gb", "86"],
  ["xchg", "Ev,Gv", "87"],
  ["xadd", "Eb,Gb", "0F C0"],
  ["xadd", "Ev,Gv", "0F C1"],
  ["cmpxchg", "Eb,Gb", "0F B0"],
  ["cmpxchg", "Ev,Gv", "0F B1"],
  ["cmpxchg16b", "Mdq", "W 0F C7 /1"],
  ["cmpxchg8b", "Mq", "0F C7 /1"],
  ["bswap", "Zd", "0F C8+r"],
  ["bswap", "Zq", "W 0F C8+r"],
  ["cmovCC", "Gv,Ev", "0F 40+n"],
  ["setCC", "Eb", "0F 90+n"],
  ["cdq", "", "99"],
  ["cqo", "", "W 99"],
  ["cdqe", "", "W 98"],

  // Arithmetic and logic: SDM Vol. 2, ADD ... CMP, TEST, INC, DEC, NEG, NOT, MUL, IMUL, DIV, IDIV
  ["ALU", "Eb,Gb", "00+8n"],
  ["ALU", "Ev,Gv", "01+8n"],
  ["ALU", "Gb,Eb", "02+8n"],
  ["ALU", "Gv,Ev", "03+8n"],
  ["ALU", "Ev,Isb", "83 /n"],
  ["ALU", "AL,Ib", "04+8n"],
  ["ALU", "rAX,Iz", "05+8n"],
  ["ALU", "Eb,Ib", "80 /n"],
  ["ALU", "Ev,Iz", "81 /n"],
  ["test", "Eb,Gb", "84"],
  ["test", "Ev,Gv", "85"],
  ["test", "AL,Ib", "A8"],
  ["test", "rAX,Iz", "A9"],
  ["test", "Eb,Ib", "F6 /0"],
  ["test", "Ev,Iz", "F7 /0"],
  ["inc", "Eb", "FE /0"],
  ["inc", "Ev", "FF /0"],
  ["dec", "Eb", "FE /1"],
  ["dec", "Ev", "FF /1"],
  ["not", "Eb", "F6 /2"],
  ["not", "Ev", "F7 /2"],
  ["neg", "Eb", "F6 /3"],
  ["neg", "Ev", "F7 /3"],
  ["mul", "Eb", "F6 /4"],
  ["mul", "Ev", "F7 /4"],
  ["imul", "Eb", "F6 /5"],
  ["imul", "Ev", "F7 /5"],
  ["imul", "Gv,Ev", "0F AF"],
  ["imul", "Gv,Ev,Isb", "6B"],
  ["imul", "Gv,Ev,Iz", "69"],
  ["div", "Eb", "F6 /6"],
  ["div", "Ev", "F7 /6"],
  ["idiv", "Eb", "F6 /7"],
  ["idiv", "Ev", "F7 /7"],

  // Shifts and bits: SDM Vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD, SARX ..., RORX, BT
  ["SHIFT", "Eb,1", "D0 /n"],
  ["SHIFT", "Ev,1", "D1 /n"],
  ["SHIFT", "Eb,CL", "D2 /n"],
  ["SHIFT", "Ev,CL", "D3 /n"],
  ["SHIFT", "Eb,Ib", "C0 /n"],
  ["SHIFT", "Ev,Ib", "C1 /n"],
  ["shld", "Ev,Gv,Ib", "0F A4"],
  ["shld", "Ev,Gv,CL", "0F A5"],
  ["shrd", "Ev,Gv,Ib", "0F AC"],
  ["shrd", "Ev,Gv,CL", "0F AD"],
  ["shlx", "Gy,Ey,By", "66 V128 0F38 F7"],
  ["sarx", "Gy,Ey,By", "F3 V128 0F38 F7"],
  ["shrx", "Gy,Ey,By", "F2 V128 0F38 F7"],
  ["rorx", "Gy,Ey,Ib", "F2 V128 0F3A F0"],
  ["bt", "Ev,Gv", "0F A3"],
  ["bt", "Ev,Ib", "0F BA /4"],
  ["bts", "Ev,Gv", "0F AB"],
  ["bts", "Ev,Ib", "0F BA /5"],
  ["btr", "Ev,Gv", "0F B3"],
  ["btr", "Ev,Ib", "0F BA /6"],
  ["btc", "Ev,Gv", "0F BB"],
  ["btc", "Ev,Ib", "0F BA /7"],
  ["bsf", "Gv,Ev", "0F BC"],
  ["bsr", "Gv,Ev", "0F BD"],
  ["tzcnt", "Gv,Ev", "F3 0F BC"],
  ["lzcnt", "Gv,Ev", "F3 0F BD"],
  ["popcnt", "Gv,Ev", "F3 0F B8"],

  // Stack and control: SDM Vol. 2, PUSH, POP, CALL, JMP, Jcc, RET, INT3, UD, ENDBR64, IRET
  ["push", "Zq", "50+r"],
  ["push", "Isb", "6A"],
  ["push", "Iz", "68"],
  ["push", "Eq", "FF /6"],
  ["pop", "Zq", "58+r"],
  ["pop", "Eq", "8F /0"],
  ["pushfq", "", "9C"],
  ["popfq", "", "9D"],
  ["lahf", "", "9F"],
  ["sahf", "", "9E"],
  ["leave", "", "C9"],
  ["jCC", "Jb", "70+n"],
  ["jCC", "Jz", "0F 80+n"],
  ["jrcxz", "Jb", "E3"],
  ["jmp", "Jb", "EB"],
  ["jmp", "Jz", "E9"],
  ["jmp", "Eq", "FF /4"],
  ["call", "Jz", "E8"],
  ["call", "Eq", "FF /2"],
  ["ret", "", "C3"],
  ["ret", "Iw", "C2"],
  ["int3", "", "CC"],
  ["int", "Ib", "CD"],
  ["ud2", "", "0F 0B"],
  ["hlt", "", "F4"],
  ["endbr64", "", "F3 0F 1E FA"],
  ["iretq", "", "W CF"],
  ["nop", "", "90"],
  ["nop", "Ev", "0F 1F /0"],
  ["pause", "", "F3 90"],

  // System: SDM Vol. 2, SYSCALL, RDTSC, RDTSCP, RDFSBASE, CPUID, fences, SERIALIZE, XSAVE, FXSAVE
  ["syscall", "", "0F 05"],
  ["rdtsc", "", "0F 31"],
  ["rdtscp", "", "0F 01 F9"],
  ["rdfsbase", "Ry", "F3 0F AE /0"],
  ["rdgsbase", "Ry", "F3 0F AE /1"],
  ["wrfsbase", "Ry", "F3 0F AE /2"],
  ["wrgsbase", "Ry", "F3 0F AE /3"],
  ["rdpid", "Rq", "F3 0F C7 /7"],
  ["cpuid", "", "0F A2"],
  ["xgetbv", "", "0F 01 D0"],
  ["rdpkru", "", "0F 01 EE"],
  ["lfence", "", "0F AE E8"],
  ["mfence", "", "0F AE F0"],
  ["sfence", "", "0F AE F8"],
  ["serialize", "", "0F 01 E8"],
  ["clflush", "M", "0F AE /7"],
  ["prefetcht0", "M", "0F 18 /1"],
  ["prefetchw", "M", "0F 0D /1"],
  ["fxsave", "M", "0F AE /0"],
  ["fxsave64", "M", "W 0F AE /0"],
  ["fxrstor", "M", "0F AE /1"],
  ["fxrstor64", "M", "W 0F AE /1"],
  ["ldmxcsr", "Md", "0F AE /2"],
  ["stmxcsr", "Md", "0F AE /3"],
  ["xsave", "M", "0F AE /4"],
  ["xsave64", "M", "W 0F AE /4"],
  ["xrstor", "M", "0F AE /5"],
  ["xrstor64", "M", "W 0F AE /5"],
  ["xsaveopt", "M", "0F AE /6"],
  ["xsaveopt64", "M", "W 0F AE /6"],
  ["xsavec", "M", "0F C7 /4"],
  ["xsavec64", "M", "W 0F C7 /4"],

  // Strings and flags: SDM Vol. 2, MOVS, STOS, CMPS, REP, CLD, STD, CLC, STC, CMC
  ["movsb", "", "A4"],
  ["movsq", "", "W A5"],
  ["stosb", "", "AA"],
  ["stosq", "", "W AB"],
  ["rep movsb", "", "F3 A4"],
  ["rep movsq", "", "F3 W A5"],
  ["rep stosb", "", "F3 AA"],
  ["rep stosq", "", "F3 W AB"],
  ["repe cmpsb", "", "F3 A6"],
  ["repne scasb", "", "F2 AE"],
  ["cld", "", "FC"],
  ["std", "", "FD"],
  ["clc", "", "F8"],
  ["stc", "", "F9"],
  ["cmc", "", "F5"],

  // SSE moves, comparisons and conversions: SDM Vol. 2, MOVUPS, MOVAPS, MOVDQU, MOVD, UCOMISS ...
  ["movups", "Vdq,Wdq", "0F 10"],
  ["movups", "Wdq,Vdq", "0F 11"],
  ["movaps", "Vdq,Wdq", "0F 28"],
  ["movaps", "Wdq,Vdq", "0F 29"],
  ["movdqa", "Vdq,Wdq", "66 0F 6F"],
  ["movdqa", "Wdq,Vdq", "66 0F 7F"],
  ["movdqu", "Vdq,Wdq", "F3 0F 6F"],
  ["movdqu", "Wdq,Vdq", "F3 0F 7F"],
  ["movss", "Vdq,Wd", "F3 0F 10"],
  ["movss", "Wd,Vdq", "F3 0F 11"],
  ["movsd", "Vdq,Wq", "F2 0F 10"],
  ["movsd", "Wq,Vdq", "F2 0F 11"],
  ["movd", "Vdq,Ed", "66 0F 6E"],
  ["movd", "Ed,Vdq", "66 0F 7E"],
  ["movq", "Vdq,Wq", "F3 0F 7E"],
  ["movq", "Wq,Vdq", "66 0F D6"],
  ["movq", "Vdq,Eq", "66 W 0F 6E"],
  ["movq", "Eq,Vdq", "66 W 0F 7E"],
  ["ucomiss", "Vdq,Wd", "0F 2E"],
  ["ucomisd", "Vdq,Wq", "66 0F 2E"],
  ["comiss", "Vdq,Wd", "0F 2F"],
  ["comisd", "Vdq,Wq", "66 0F 2F"],
  ["cvtsi2ss", "Vdq,Ey", "F3 0F 2A"],
  ["cvtsi2sd", "Vdq,Ey", "F2 0F 2A"],
  ["cvttss2si", "Gy,Wd", "F3 0F 2C"],
  ["cvttsd2si", "Gy,Wq", "F2 0F 2C"],
  ["cvtss2sd", "Vdq,Wd", "F3 0F 5A"],
  ["cvtsd2ss", "Vdq,Wq", "F2 0F 5A"],
  ["addsd", "Vdq,Wq", "F2 0F 58"],
  ["subsd", "Vdq,Wq", "F2 0F 5C"],
  ["mulsd", "Vdq,Wq", "F2 0F 59"],
  ["xorps", "Vdq,Wdq", "0F 57"],
  ["pxor", "Vdq,Wdq", "66 0F EF"],

  // AVX: SDM Vol. 2, VMOVDQU, VMOVUPS, VZEROUPPER, VZEROALL
  ["vmovdqu", "Vdq,Wdq", "F3 V128 0F 6F"],
  ["vmovdqu", "Wdq,Vdq", "F3 V128 0F 7F"],
  ["vmovdqu", "Vqq,Wqq", "F3 V256 0F 6F"],
  ["vmovdqu", "Wqq,Vqq", "F3 V256 0F 7F"],
  ["vmovups", "Vdq,Wdq", "V128 0F 10"],
  ["vmovups", "Wdq,Vdq", "V128 0F 11"],
  ["vmovups", "Vqq,Wqq", "V256 0F 10"],
  ["vmovups", "Wqq,Vqq", "V256 0F 11"],
  ["vmovaps", "Vqq,Wqq", "V256 0F 28"],
  ["vmovaps", "Wqq,Vqq", "V256 0F 29"],
  ["vpxor", "Vdq,Hdq,Wdq", "66 V128 0F EF"],
  ["vpxor", "Vqq,Hqq,Wqq", "66 V256 0F EF"],
  ["vzeroupper", "", "V128 0F 77"],
  ["vzeroall", "", "V256 0F 77"],
] as const;

type Families = typeof families;
type Expand<M extends string> = M extends keyof Families
  ? Exclude<Families[M][number], "">
  : M extends `${infer Stem}CC`
    ? `${Stem}${Families["CC"][number]}`
    : M;

/** Every instruction that the assembler knows, families written out; a typo does not compile. */
export type Mnemonic = Expand<(typeof forms)[number][0]>;

/** Instructions that may carry LOCK when their destination is memory (SDM Vol. 2A, LOCK). */
export const lockable: ReadonlySet<string> = new Set(
  (
    "add adc and btc btr bts cmpxchg cmpxchg8b cmpxchg16b dec inc neg not or sbb sub xor " +
    "xadd xchg"
  ).split(" "),
);

/**
 * The recommended multi-byte NOPs by length (SDM Vol. 2B, NOP, table 4-12); index 0 is not used.
 * The five-byte one is what compilers leave at the entry of a function to be patched.
 */
export const nops: readonly (readonly number[])[] = [
  [],
  [0x90],
  [0x66, 0x90],
  [0x0f, 0x1f, 0x00],
  [0x0f, 0x1f, 0x40, 0x00],
  [0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
  [0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

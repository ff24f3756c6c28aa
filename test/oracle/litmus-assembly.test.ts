/**
 * The text of litmus tests against GNU as: every way of writing an instruction that the parser
 * takes gives the bytes that the assembler gives.
 */
import { describe, expect, it } from "vitest";
import { hexBytes } from "../../src/base/brand.ts";
import type { LitmusIsa, Names } from "../../src/model/litmus/isa.ts";
import { aarch64Litmus } from "../../src/model/litmus/isa-aarch64.ts";
import { riscvLitmus } from "../../src/model/litmus/isa-riscv.ts";
import { x86Litmus } from "../../src/model/litmus/isa-x86.ts";
import { assembleText, hasBinutils } from "./binutils.ts";
import type { Isa } from "./capstone.ts";

/** A label 16 bytes behind the beginning of each line, which stands at 0. */
const here = 0n;
const names: Names = {
  label: (name) => (name === "Lab" ? 16n : undefined),
  variable: (name) => (name === "x" ? 0x1000n : undefined),
};

const aarch64 = `
NOP
MOV W0,#1
MOV X0,#0x123400000000
MOV W1, W10
MOV X3,XZR
MOVZ X0,#5,LSL #16
MOVK X0,#5,LSL #32
ADD X4,X4,X3
ADD X4,X4,#8
ADD W4,W4,W3,LSL #2
ADD X4,X4,W3,SXTW
SUBS W1,W2,W3
EOR X3,X0,X0
EOR W3,W0,#1
AND W2,W2,W4
ORR X1,X2,X3,LSR #3
BIC X1,X2,X3
CMP W2,#1
CMP X1,X11
CMN W1,W2
TST W1,#4
CSET W3,EQ
CSEL W10,WZR,WZR,EQ
CSEL X1,X14,X24,NE
CSINC W1,W2,W3,HS
CCMP W1,#2,#4,NE
LSL W1,W2,#3
LSR X1,X2,X3
UBFX W1,W2,#3,#4
SXTW X1,W2
MVN W1,W2
NEG W1,W2
MUL X1,X2,X3
UDIV W1,W2,W3
CLZ W1,W2
LDR W0,[X1]
LDR X0, [X1,#8]
LDR W4,[X5,W6,SXTW]
LDR W4,[X5,W6,UXTW #2]
LDR X4,[X5,X6]
LDR X4,[X5,X6,LSL #3]
LDR X4,[X5,#8]!
LDR X4,[X5],#8
LDR W4,[SP,#16]
LDUR W4,[X5,#-3]
LDRB W1,[X2]
LDRSB X1,[X2,#1]
LDRH W1,[X2,#2]
LDRSW X1,[X2]
LDR X1,Lab
STR W0,[X1]
STRB W0,[X1,#1]
STP X2,X3,[X1]
STP W2,W3,[X1,#-8]!
LDP X2,X3,[X1],#16
LDPSW X2,X3,[X1]
LDAR W0,[X1]
LDAPR X0,[X1]
STLR W0,[X1]
LDXR W0,[X1]
LDAXR X0,[X1]
STXR W2,W0,[X1]
STLXR W2,X0,[X1]
CAS W0,W1,[X2]
CASAL X0,X1,[X2]
SWP W0,W1,[X2]
SWPAL X0,X1,[X2]
LDADD W0,W1,[X2]
LDADDA X0,X1,[X2]
LDCLRL W0,W1,[X2]
LDEORAL W0,W1,[X2]
LDSETB W0,W1,[X2]
STADD W0,[X2]
B Lab
B .+12
BL Lab
B.EQ Lab
B.NE Lab
CBZ W0,Lab
CBNZ X0,Lab
TBZ W0,#3,Lab
TBNZ X0,#35,Lab
BR X1
BLR X1
RET
RET X1
ADR X9,Lab
ADRP X9,Lab
SVC #0
BRK #1
UDF #0
ERET
ISB
DMB SY
DMB ISH
DMB ISHST
DMB LD
DMB ST
DMB OSHLD
DSB ISH
DSB SY
DSB LD
DSB ISHST
DC CVAU,X1
DC CVAU, X4
DC CIVAC,X1
IC IVAU,X1
IC IALLU
IC IALLUIS
MRS X0,CTR_EL0
MRS X0,NZCV
MSR TPIDR_EL0,X0
MSR ELR_EL1,X9
MRS X9,ELR_EL1
MRS X9,ESR_EL1
MSR SPSR_EL1,X9
MSR VBAR_EL1,X9
PRFM PSTL1KEEP,[X1]
PRFM PLIL1KEEP,[X1]
PRFM PLDL3STRM,[X1]
YIELD
`;

const riscv = `
nop
ori x10,x0,2
li a0,-1
li a0,5
mv t0,a0
addi x5,x6,-8
xor x8,x6,x6
add x8,x8,x1
sub x8,x8,x1
sltu x5,x6,x7
andi x5,x6,1
slli x5,x6,3
addiw x5,x6,1
lui x5,0x12345
auipc x5,0
lb x5,1(x6)
lbu x5,(x6)
lw x5,0(x6)
lwu x5,4(x6)
ld x5,8(sp)
sb x5,0(x6)
sw x5,-4(x6)
sd x5,0(x6)
beq x5,x6,Lab
bne x5,x0,Lab
beqz x5,Lab
bltu x5,x6,Lab
jal x1,Lab
jal x0,Lab
j Lab
jalr x0,0(x1)
jr x1
ret
fence rw,rw
fence r,r
fence w,w
fence r,rw
fence.tso
fence.i
fence
amoadd.w x5,x6,(x7)
amoswap.w.aq x5,x6,(x7)
amoor.d.rl x5,x6,(x7)
lr.w x5,(x6)
lr.d.aq x5,(x6)
sc.w x5,x6,(x7)
sc.w.rl x5,x6,(x7)
ecall
ebreak
c.nop
c.li a0,3
c.ebreak
c.jr ra
`;

const x86 = `
movl $1,(%rbx)
movl $1,x
movb %al,(%rbx)
movl %ecx,1(%rbx)
movq %rax,(%rbx)
movl (%rbx),%ecx
movl -8(%rbp),%r10d
movq $-1,%rax
movb $2,%dil
xchgl %ebx,(%rcx)
lock incl (%rbx)
lock addl $2,(%rbx)
lock xaddl %ecx,(%rbx)
lock cmpxchgl %ecx,(%rbx)
incl (%rbx)
cmpl $1,%eax
cmpl %ecx,%eax
addl %ecx,%eax
subq $8,%rsp
andl $3,%eax
xorl %eax,%eax
testl %eax,%eax
leaq 8(%rbx),%rax
jmp *%rax
call *%rax
ret
int3
ud2
cpuid
mfence
lfence
sfence
serialize
iretq
pushq %rax
popq %rax
`;

const lines = (text: string): string[] => text.trim().split("\n");

/** GNU as, one instruction a line, each at the beginning of 16 bytes with the label behind it. */
function assembleEach(isa: Isa, texts: readonly string[], prologue: string): string[] {
  const source = texts.map((text, index) => {
    const own = text.replace(/\bLab\b/, `.Lab${index}`);
    const compressed = text.startsWith("c.") ? ".option rvc\n" : "";
    const after = compressed === "" ? "" : ".option norvc\n";
    return `${compressed}${own}\n${after}.balign 16, 0\n.Lab${index}:`;
  });
  const bytes = assembleText(isa, `${prologue}\n${source.join("\n")}`);
  return texts.map((_, index) => hexBytes(bytes.slice(16 * index, 16 * index + 16)));
}

function check(isa: Isa, own: LitmusIsa, texts: readonly string[], prologue = ""): void {
  describe.skipIf(!hasBinutils(isa))(own.arch, () => {
    const expected = hasBinutils(isa) ? assembleEach(isa, texts, prologue) : [];
    it.each(texts.map((text, index) => [text, expected[index] ?? ""] as const))(
      "%s",
      (text, bytes) => {
        const found = own.assemble(text, here, names);
        expect(found, String(found)).toBeInstanceOf(Uint8Array);
        if (typeof found === "string") return;
        expect(hexBytes(found)).toBe(bytes.slice(0, 3 * found.length - 1));
      },
    );
  });
}

check("aarch64", aarch64Litmus, lines(aarch64), ".arch armv8.5-a");
check("riscv64", riscvLitmus, lines(riscv), ".option norelax\n.option norvc");
check("x86-64", x86Litmus, lines(x86), ".att_syntax prefix\n.set x, 0x1000");

/**
 * The data half of the litmus models against the textbooks: verdicts that the papers and manuals
 * print for tests without any modified code.
 *
 * AArch64: Pulte et al., "Simplifying ARM Concurrency" (POPL 2018), and the Arm ARM's K14 litmus
 * tests. RISC-V: Volume I, "RVWMO Explanatory Material" (appendix A). x86: Sewell et al., "x86-TSO"
 * (CACM 2010), Intel SDM Vol. 3A, 9.2.3 examples.
 */
import { expect, it } from "vitest";
import { runLitmus } from "../../src/index.ts";

type Row = {
  readonly name: string;
  readonly init: string;
  /** Threads, instructions separated by semicolons. */
  readonly threads: readonly string[];
  readonly condition: string;
  readonly verdict: "Allowed" | "Forbidden" | "Required";
};

const row = (
  name: string,
  verdict: Row["verdict"],
  threads: readonly string[],
  condition: string,
  init: string,
): Row => ({ name, init, threads, condition, verdict });

const textOf = (arch: string, { name, init, threads, condition }: Row): string => {
  const columns = threads.map((thread) => thread.split(";").map((line) => line.trim()));
  const height = Math.max(...columns.map((column) => column.length));
  const heads = columns.map((_, thread) => `P${thread}`).join("|");
  const rows = Array.from({ length: height }, (_, at) =>
    columns.map((column) => column[at] ?? "").join("|"),
  );
  const program = [heads, ...rows].join(";\n");
  return `${arch} ${name.replaceAll(" ", "-")}\n{${init}}\n${program};\n${condition}\n`;
};

const check = (arch: string, rows: readonly Row[]): void => {
  it.each(rows.map((each) => [each.name, each] as const))(`${arch}: %s`, (_, each) => {
    const results = runLitmus(textOf(arch, each), { machine: "all" });
    expect(new Set(results.map(({ verdict }) => verdict))).toEqual(new Set([each.verdict]));
  });
};

const armInit = "0:X1=x; 0:X3=y; 0:X5=z; 1:X1=x; 1:X3=y; 1:X5=z; 2:X1=x; 2:X3=y;";
const twoThreads = armInit.slice(0, armInit.indexOf("2:"));
const arm = (
  name: string,
  verdict: Row["verdict"],
  threads: readonly string[],
  condition: string,
): Row => row(name, verdict, threads, condition, threads.length > 2 ? armInit : twoThreads);

const stale = "exists 1:X0=1 /\\ 1:X2=0";
const writer = "MOV W0,#1; STR W0,[X1]; DMB SY; STR W0,[X3]";
/** Reads an own store back, and something else at an address that depends on it. */
const throughZ = "LDR W6,[X5]; EOR W7,W6,W6; LDR W2,[X1,W7,SXTW]";
const bothZero = "exists 0:X2=0 /\\ 1:X2=0";
const bothOne = "exists 0:X0=1 /\\ 1:X0=1";

check("AArch64", [
  arm("MP", "Allowed", ["MOV W0,#1; STR W0,[X1]; STR W0,[X3]", "LDR W0,[X3]; LDR W2,[X1]"], stale),
  arm("MP+dmbs", "Forbidden", [writer, "LDR W0,[X3]; DMB SY; LDR W2,[X1]"], stale),
  arm(
    "MP+dmb.st+dmb.ld",
    "Forbidden",
    ["MOV W0,#1; STR W0,[X1]; DMB ST; STR W0,[X3]", "LDR W0,[X3]; DMB LD; LDR W2,[X1]"],
    stale,
  ),
  arm(
    "MP+dmb.ld+dmb",
    "Allowed",
    ["MOV W0,#1; STR W0,[X1]; DMB LD; STR W0,[X3]", "LDR W0,[X3]; DMB SY; LDR W2,[X1]"],
    stale,
  ),
  arm(
    "MP+dmb+addr",
    "Forbidden",
    [writer, "LDR W0,[X3]; EOR W4,W0,W0; LDR W2,[X1,W4,SXTW]"],
    stale,
  ),
  arm("MP+dmb+ctrl", "Allowed", [writer, "LDR W0,[X3]; CBNZ W0,L; L: LDR W2,[X1]"], stale),
  arm(
    "MP+dmb+ctrlisb",
    "Forbidden",
    [writer, "LDR W0,[X3]; CBNZ W0,L; L: ISB; LDR W2,[X1]"],
    stale,
  ),
  arm("MP+dmb+isb", "Allowed", [writer, "LDR W0,[X3]; ISB; LDR W2,[X1]"], stale),
  arm(
    "MP+rel+acq",
    "Forbidden",
    ["MOV W0,#1; STR W0,[X1]; STLR W0,[X3]", "LDAR W0,[X3]; LDR W2,[X1]"],
    stale,
  ),
  arm(
    "MP+dmb+pick-addr",
    "Allowed",
    [writer, "LDR W0,[X3]; CMP W0,#1; CSEL X4,X1,X1,EQ; LDR W2,[X4]"],
    stale,
  ),
  arm(
    "S+dmb+pick-addr",
    "Forbidden",
    [
      "MOV W0,#2; STR W0,[X1]; DMB SY; MOV W2,#1; STR W2,[X3]",
      "LDR W0,[X3]; CMP W0,#1; CSEL X4,X1,X1,EQ; MOV W6,#1; STR W6,[X4]",
    ],
    "exists 1:X0=1 /\\ x=2",
  ),
  arm(
    "PPOCA",
    "Allowed",
    [writer, `LDR W0,[X3]; CBNZ W0,L; L: MOV W4,#1; STR W4,[X5]; ${throughZ}`],
    stale,
  ),
  arm(
    "PPOAA",
    "Forbidden",
    [writer, `LDR W0,[X3]; EOR W8,W0,W0; MOV W4,#1; STR W4,[X5,W8,SXTW]; ${throughZ}`],
    stale,
  ),
  arm(
    "SB",
    "Allowed",
    ["MOV W0,#1; STR W0,[X1]; LDR W2,[X3]", "MOV W0,#1; STR W0,[X3]; LDR W2,[X1]"],
    bothZero,
  ),
  arm(
    "SB+dmbs",
    "Forbidden",
    ["MOV W0,#1; STR W0,[X1]; DMB SY; LDR W2,[X3]", "MOV W0,#1; STR W0,[X3]; DMB SY; LDR W2,[X1]"],
    bothZero,
  ),
  arm(
    "SB+rel-acq",
    "Forbidden",
    ["MOV W0,#1; STLR W0,[X1]; LDAR W2,[X3]", "MOV W0,#1; STLR W0,[X3]; LDAR W2,[X1]"],
    bothZero,
  ),
  arm(
    "SB+rel-acqpc",
    "Allowed",
    ["MOV W0,#1; STLR W0,[X1]; LDAPR W2,[X3]", "MOV W0,#1; STLR W0,[X3]; LDAPR W2,[X1]"],
    bothZero,
  ),
  arm(
    "SB+swpal",
    "Forbidden",
    ["MOV W0,#1; SWPAL W0,W4,[X1]; LDR W2,[X3]", "MOV W0,#1; SWPAL W0,W4,[X3]; LDR W2,[X1]"],
    bothZero,
  ),
  arm(
    "LB",
    "Allowed",
    ["LDR W0,[X1]; MOV W2,#1; STR W2,[X3]", "LDR W0,[X3]; MOV W2,#1; STR W2,[X1]"],
    bothOne,
  ),
  arm("LB+datas", "Forbidden", ["LDR W0,[X1]; STR W0,[X3]", "LDR W0,[X3]; STR W0,[X1]"], bothOne),
  arm(
    "LB+ctrls",
    "Forbidden",
    [
      "LDR W0,[X1]; CBNZ W0,L; L: MOV W2,#1; STR W2,[X3]",
      "LDR W0,[X3]; CBNZ W0,L; L: MOV W2,#1; STR W2,[X1]",
    ],
    bothOne,
  ),
  arm(
    "2+2W",
    "Allowed",
    [
      "MOV W0,#1; STR W0,[X1]; MOV W2,#2; STR W2,[X3]",
      "MOV W0,#1; STR W0,[X3]; MOV W2,#2; STR W2,[X1]",
    ],
    "exists x=1 /\\ y=1",
  ),
  arm("CoRR", "Forbidden", ["MOV W0,#1; STR W0,[X1]", "LDR W0,[X1]; LDR W2,[X1]"], stale),
  arm(
    "CoWR",
    "Forbidden",
    ["MOV W0,#1; STR W0,[X1]; LDR W2,[X1]", "MOV W0,#2; STR W0,[X1]"],
    "exists 0:X2=2 /\\ x=1",
  ),
  arm(
    "WRC+addrs",
    "Forbidden",
    [
      "MOV W0,#1; STR W0,[X1]",
      "LDR W0,[X1]; EOR W4,W0,W0; MOV W6,#1; STR W6,[X3,W4,SXTW]",
      "LDR W0,[X3]; EOR W4,W0,W0; LDR W2,[X1,W4,SXTW]",
    ],
    "exists 1:X0=1 /\\ 2:X0=1 /\\ 2:X2=0",
  ),
  arm(
    "counters with LDADD",
    "Required",
    ["MOV W0,#1; LDADD W0,W2,[X1]", "MOV W0,#1; LDADD W0,W2,[X1]"],
    "forall x=2",
  ),
  arm(
    "counters with exclusives",
    "Forbidden",
    ["LDXR W0,[X1]; ADD W0,W0,#1; STXR W2,W0,[X1]", "LDXR W0,[X1]; ADD W0,W0,#1; STXR W2,W0,[X1]"],
    "exists 0:X2=0 /\\ 1:X2=0 /\\ x=1",
  ),
  arm(
    "counters with neither",
    "Allowed",
    ["LDR W0,[X1]; ADD W0,W0,#1; STR W0,[X1]", "LDR W0,[X1]; ADD W0,W0,#1; STR W0,[X1]"],
    "exists x=1",
  ),
  arm(
    "a pair of stores is two",
    "Allowed",
    ["MOV W0,#1; STP W0,W0,[X1]", "LDR W0,[X1]; DMB LD; LDR W2,[X1,#4]"],
    stale,
  ),
  arm(
    "bytes of one store are one",
    "Forbidden",
    ["MOV W0,#0x101; STRH W0,[X1]", "LDRB W0,[X1]; DMB LD; LDRB W2,[X1,#1]"],
    stale,
  ),
  arm(
    "a loop that waits",
    "Required",
    ["MOV W0,#1; STR W0,[X1]; STLR W0,[X3]", "L: LDAR W0,[X3]; CBZ W0,L; LDR W2,[X1]"],
    "forall 1:X2=1",
  ),
]);

const riscvInit = "0:x1=x; 0:x3=y; 1:x1=x; 1:x3=y; 1:x4=z;";
const riscv = (
  name: string,
  verdict: Row["verdict"],
  threads: readonly string[],
  condition: string,
): Row => row(name, verdict, threads, condition, riscvInit);
const riscvStale = "exists 1:x6=1 /\\ 1:x7=0";
const riscvWriter = "ori x5,x0,1; sw x5,0(x1); fence rw,w; sw x5,0(x3)";
const riscvZero = "exists 0:x6=0 /\\ 1:x6=0";
/** Another load of z, and one of x at an address that depends on it. */
const throughTwo = "lw x10,0(x4); xor x11,x10,x10; add x11,x11,x1; lw x7,0(x11)";
const buffered = (between: string): string[] => [
  `ori x5,x0,1; sw x5,0(x1); ${between}; lw x6,0(x3)`,
  `ori x5,x0,1; sw x5,0(x3); ${between}; lw x6,0(x1)`,
];

check("RISCV", [
  riscv(
    "MP",
    "Allowed",
    ["ori x5,x0,1; sw x5,0(x1); sw x5,0(x3)", "lw x6,0(x3); lw x7,0(x1)"],
    riscvStale,
  ),
  riscv(
    "MP+fences",
    "Forbidden",
    [riscvWriter, "lw x6,0(x3); fence r,rw; lw x7,0(x1)"],
    riscvStale,
  ),
  riscv(
    "MP+fence+w.w",
    "Allowed",
    [riscvWriter, "lw x6,0(x3); fence w,w; lw x7,0(x1)"],
    riscvStale,
  ),
  riscv(
    "MP+fence+addr",
    "Forbidden",
    [riscvWriter, "lw x6,0(x3); xor x8,x6,x6; add x8,x8,x1; lw x7,0(x8)"],
    riscvStale,
  ),
  riscv(
    "MP+fence+ctrl",
    "Allowed",
    [riscvWriter, "lw x6,0(x3); bne x6,x0,L; L: lw x7,0(x1)"],
    riscvStale,
  ),
  riscv("SB+fence.rw.rw", "Forbidden", buffered("fence rw,rw"), riscvZero),
  riscv("SB+fence.tso", "Allowed", buffered("fence.tso"), riscvZero),
  riscv(
    "SB+amoswap.aqrl",
    "Forbidden",
    [
      "ori x5,x0,1; amoswap.w.aq.rl x9,x5,(x1); lw x6,0(x3)",
      "ori x5,x0,1; amoswap.w.aq.rl x9,x5,(x3); lw x6,0(x1)",
    ],
    riscvZero,
  ),
  riscv(
    "LB+datas",
    "Forbidden",
    ["lw x6,0(x1); sw x6,0(x3)", "lw x6,0(x3); sw x6,0(x1)"],
    "exists 0:x6=1 /\\ 1:x6=1",
  ),
  riscv("CoRR", "Forbidden", ["ori x5,x0,1; sw x5,0(x1)", "lw x6,0(x1); lw x7,0(x1)"], riscvStale),
  riscv(
    "RSW (rule 2: two loads of one store)",
    "Allowed",
    [riscvWriter, `lw x6,0(x3); xor x8,x6,x6; add x8,x8,x4; lw x9,0(x8); ${throughTwo}`],
    riscvStale,
  ),
  riscv(
    "LR and SC",
    "Forbidden",
    ["lr.w x5,(x1); addi x5,x5,1; sc.w x6,x5,(x1)", "lr.w x5,(x1); addi x5,x5,1; sc.w x6,x5,(x1)"],
    "exists 0:x6=0 /\\ 1:x6=0 /\\ x=1",
  ),
]);

const x86 = (
  name: string,
  verdict: Row["verdict"],
  threads: readonly string[],
  condition: string,
): Row => row(name, verdict, threads, condition, "0:rbx=1; 1:rbx=1;");
const x86Zero = "exists 0:rax=0 /\\ 1:rax=0";

check("X86_64", [
  x86("SB", "Allowed", ["movl $1,(x); movl (y),%eax", "movl $1,(y); movl (x),%eax"], x86Zero),
  x86(
    "SB+mfences",
    "Forbidden",
    ["movl $1,(x); mfence; movl (y),%eax", "movl $1,(y); mfence; movl (x),%eax"],
    x86Zero,
  ),
  x86(
    "SB+xchg",
    "Forbidden",
    ["xchgl %ebx,(x); movl (y),%eax", "xchgl %ebx,(y); movl (x),%eax"],
    x86Zero,
  ),
  x86(
    "MP",
    "Forbidden",
    ["movl $1,(x); movl $1,(y)", "movl (y),%eax; movl (x),%ecx"],
    "exists 1:rax=1 /\\ 1:rcx=0",
  ),
  x86(
    "LB",
    "Forbidden",
    ["movl (x),%eax; movl $1,(y)", "movl (y),%eax; movl $1,(x)"],
    "exists 0:rax=1 /\\ 1:rax=1",
  ),
  x86(
    "n6: a store buffer is read by its own processor",
    "Allowed",
    ["movl $1,(x); movl (x),%eax; movl (y),%ecx", "movl $2,(y); movl $2,(x)"],
    "exists 0:rax=1 /\\ 0:rcx=0 /\\ x=1",
  ),
  x86("locked counters", "Required", ["lock incl (x)", "lock incl (x)"], "forall x=2"),
  x86("counters", "Allowed", ["incl (x)", "incl (x)"], "exists x=1"),
]);

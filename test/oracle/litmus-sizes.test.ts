/**
 * Accesses of different sizes to the same bytes: a naturally aligned access is seen whole (Arm ARM
 * B2.2.1; RISC-V Volume I, RVWMO; Intel SDM Vol. 3A, 9.1.1), two are two, and each byte has an
 * order of its own.
 */
import { describe, expect, it } from "vitest";
import { runLitmus } from "../../src/index.ts";

const verdictOf = (
  arch: string,
  init: string,
  threads: readonly string[],
  condition: string,
): string | undefined => {
  const columns = threads.map((thread) => thread.split(";").map((line) => line.trim()));
  const height = Math.max(...columns.map(({ length }) => length));
  const heads = columns.map((_, thread) => `P${thread}`).join("|");
  const rows = Array.from({ length: height }, (_, at) =>
    columns.map((column) => column[at] ?? "").join("|"),
  );
  const text = `${arch} sizes\n{${init}}\n${[heads, ...rows].join(";\n")};\nexists (${condition})`;
  return runLitmus(text)[0]?.verdict;
};

describe("AArch64", () => {
  const both = "MOV X0,#0x100000001; STR X0,[X1]";
  it.each([
    [
      "8 bytes, read by halves",
      "Forbidden",
      [both, "LDR W5,[X1]; DMB LD; LDR W6,[X1,#4]"],
      "1:X5=1 /\\ 1:X6=0",
    ],
    ["halves in any order", "Allowed", [both, "LDR W5,[X1]; LDR W6,[X1,#4]"], "1:X5=1 /\\ 1:X6=0"],
    [
      "two halves, read whole",
      "Allowed",
      ["MOV W0,#1; STR W0,[X1]; STR W0,[X1,#4]", "LDR X5,[X1]"],
      "1:X5=0x100000000",
    ],
    [
      "two halves in order",
      "Forbidden",
      ["MOV W0,#1; STR W0,[X1]; DMB ST; STR W0,[X1,#4]", "LDR X5,[X1]"],
      "1:X5=0x100000000",
    ],
    [
      "a byte, then all",
      "Forbidden",
      ["MOV W0,#0x101; STR W0,[X1]", "LDRB W5,[X1]; LDR W6,[X1]"],
      "1:X5=1 /\\ 1:X6=0",
    ],
    [
      "an own byte beside another's",
      "Allowed",
      ["MOV W0,#1; STRB W0,[X1]; LDR W5,[X1]", "MOV W0,#2; STRB W0,[X1,#1]"],
      "0:X5=0x201",
    ],
  ] as const)("%s is %s", (_, verdict, threads, condition) => {
    const init = "uint64_t x; 0:X1=x; 1:X1=x;";
    expect(verdictOf("AArch64", init, threads, condition)).toBe(verdict);
  });
});

describe("RISC-V", () => {
  const both = "li x5,1; slli x6,x5,32; or x5,x5,x6; sd x5,0(x1)";
  it.each([
    [
      "8 bytes, read by halves",
      "Forbidden",
      [both, "lw x7,0(x1); fence r,r; lw x8,4(x1)"],
      "1:x7=1 /\\ 1:x8=0",
    ],
    ["halves in any order", "Allowed", [both, "lw x7,0(x1); lw x8,4(x1)"], "1:x7=1 /\\ 1:x8=0"],
    [
      "two halves, read whole",
      "Allowed",
      ["li x5,1; sw x5,0(x1); sw x5,4(x1)", "ld x7,0(x1)"],
      "1:x7=0x100000000",
    ],
    [
      "two halves in order",
      "Forbidden",
      ["li x5,1; sw x5,0(x1); fence w,w; sw x5,4(x1)", "ld x7,0(x1)"],
      "1:x7=0x100000000",
    ],
  ] as const)("%s is %s", (_, verdict, threads, condition) => {
    const init = "uint64_t x; 0:x1=x; 1:x1=x;";
    expect(verdictOf("RISCV", init, threads, condition)).toBe(verdict);
  });
});

describe("x86-64", () => {
  it.each([
    [
      "two bytes, read whole",
      "Forbidden",
      ["movb $1,(x); movb $1,1(%rsi)", "movw (x),%ax"],
      "1:rax=0x100",
    ],
    [
      "an own byte, early, beside another's",
      "Allowed",
      ["movb $1,(x); movl (x),%eax; movl (y),%ecx", "movl $1,(y); mfence; movl (x),%eax"],
      "0:rax=1 /\\ 0:rcx=0 /\\ 1:rax=0",
    ],
  ] as const)("%s is %s", (_, verdict, threads, condition) => {
    expect(verdictOf("X86_64", "0:rsi=x;", threads, condition)).toBe(verdict);
  });
});

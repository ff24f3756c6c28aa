/** Ways of writing one test: all are read as the same, and what is not read is refused clearly. */
import { describe, expect, it } from "vitest";
import { runLitmus } from "./run.ts";

const init = "0:X1=x; 0:X3=y; 1:X1=y; 1:X3=x;";
const program = [
  " P0          | P1          ;",
  " MOV W0,#1   | LDR W0,[X1] ;",
  " STR W0,[X1] | LDR W2,[X3] ;",
  " STR W0,[X3] |             ;",
].join("\n");
const condition = "exists (1:X0=1 /\\ 1:X2=0)";

type Parts = { head?: string; init?: string; program?: string; condition?: string };

const textOf = (parts: Parts = {}): string =>
  [
    parts.head ?? "AArch64 MP",
    `{${parts.init ?? init}}`,
    parts.program ?? program,
    parts.condition ?? condition,
  ].join("\n");

const small = (text: string): string =>
  text.replaceAll(/\b(MOV|STR|LDR|[WX]\d)\b/g, (word) => word.toLowerCase());

const plain = textOf();
const states = ["1:X0=0; 1:X2=0;", "1:X0=0; 1:X2=1;", "1:X0=1; 1:X2=0;", "1:X0=1; 1:X2=1;"];

const diy = `AArch64 MP
"PodWW Rfe PodRR Fre"
Generator=diyone7 (version 7.56)
Prefetch=0:x=F,0:y=W,1:y=F,1:x=T
Com=Rf Fr
Orig=PodWW Rfe PodRR Fre`;

describe("message passing in AArch64", () => {
  it.each([
    ["plain", plain],
    ["with CR and LF", plain.replaceAll("\n", "\r\n")],
    ["with CR alone", plain.replaceAll("\n", "\r")],
    ["with a byte order mark", `\uFEFF${plain}`],
    ["with tabs", plain.replaceAll("  ", "\t")],
    ["with blanks at the ends of lines", plain.replaceAll("\n", " \t \n")],
    ["with comments", `(* one (* two *) *)\n${plain.replace("MOV", "(* set *) MOV")}`],
    ["as diy writes it", textOf({ head: diy })],
    ["with braces in quotes", textOf({ head: 'AArch64 MP\n"a {b} c"' })],
    ["with a quoted text over two lines", textOf({ head: 'AArch64 MP\n"a\nb"\nCom=Rf Fr' })],
    ["with the text behind the name", textOf({ head: 'AARCH64 MP+x-[y].z "PodWW Rfe"' })],
    ["with values", textOf({ init: `x=0; [y]=0x0; 0:X9=-1; 0:W8=0xFF; ${init}` })],
    ["with types", textOf({ init: `int x=0; uint64_t y; uint64_t 1:X0; int32_t 0:X9=3; ${init}` })],
    ["with addresses of", textOf({ init: "0:X1=&x; 0:X3=&y; 1:X1=&y; 1:X3=&x" })],
    ["with blanks in the initial state", textOf({ init: init.replaceAll(/([:=;])/g, " $1 ") })],
    ["twice the same value", textOf({ init: `${init} 0:X1=x;` })],
    ["in small letters", textOf({ init: small(init), program: small(program) })],
    ["with blanks in operands", plain.replaceAll(",", " , ").replaceAll("[X1]", "[ X1 ]")],
    ["without #", plain.replace("#1", "1")],
    ["with offsets of nothing", plain.replaceAll("[X1]", "[X1,#0]")],
    ["without blanks", textOf({ program: program.replaceAll(/ *([|;]) */g, "$1").trim() })],
    ["in one line", textOf({ program: program.replaceAll("\n", " ") })],
    ["with rows over two lines", textOf({ program: program.replaceAll(" | ", "\n | ") })],
    ["with empty rows", textOf({ program: program.replaceAll(";\n", ";\n\n   |   ;\n") })],
    ["with short rows", textOf({ program: program.replace("|             ;", ";") })],
    ["without the last ;", textOf({ program: program.slice(0, -1) })],
    ["with labels", textOf({ program: program.replace(" STR", " L0: L1: STR") })],
    [
      "with a label in a row of its own",
      textOf({ program: program.replace(" STR", " L0: |;\n STR") }),
    ],
    ["with hints", textOf({ program: `${program}\n HINT #0 | nop ;\n YIELD | HINT #2 ;` })],
    ["over lines", textOf({ condition: "exists\n (1:X0 = 1\n  /\\ 1:X2 = 0\n )\n" })],
    ["without parentheses", textOf({ condition: "exists 1:X0=0x1 /\\ 1:X2=0x0;" })],
  ])("%s", (_, text) => {
    const [result] = runLitmus(text);
    expect(result).toMatchObject({ verdict: "Allowed", ok: true, warnings: [] });
    expect(result?.states.map((state) => state.text)).toEqual(states);
  });

  it.each([
    ["~exists (1:X0=1 /\\ 1:X2=0)", "Allowed", false],
    ["~ exists 1:X2=7", "Forbidden", true],
    ["forall (1:X0=0 \\/ 1:X2=1)", "Allowed", false],
    ["forall 1:X0=0 \\/ 1:X0=1", "Required", true],
    ["exists 1:X0=1 /\\ 1:X2=7 \\/ 1:X0=1 /\\ 1:X2=0", "Allowed", true],
    ["exists ~(1:X0=0 \\/ 1:X0=1)", "Forbidden", false],
    ["forall (1:X0=1 => (1:X2=0 \\/ 1:X2=1))", "Required", true],
    ["exists 0:X1=x /\\ 0:X1=1:X3", "Allowed", true],
    ["locations [x; 0:X1]\nfilter 1:X0=1\nforall 1:X0=1", "Required", true],
  ])("%s", (asked, verdict, ok) => {
    expect(runLitmus(textOf({ condition: asked }))[0]).toMatchObject({ verdict, ok });
  });

  it("warns of a variable that nobody can store to", () => {
    const [result] = runLitmus(textOf({ condition: "exists z=1" }));
    expect(result?.warnings).toEqual(["only the condition names z: it stays 0"]);
  });
});

describe("what is refused in one line", () => {
  const row = (from: string, to: string): string => textOf({ program: program.replace(from, to) });

  it.each([
    ["a row without ;", row("[X1] ;", "[X1]"), /line 4: .* a row ends with ;$/],
    ["a head without ;", row("P1          ;", "P1"), /line 3: .* a row ends with ;$/],
    ["two values", textOf({ init: `${init} 0:X1=y;` }), /line 2: 0:X1 has two values$/],
    [
      "a register of nobody",
      textOf({ condition: "exists 1:R7=1" }),
      /line 7: .* no register 1:R7$/,
    ],
    ["a thread of nobody", textOf({ condition: "\nexists 5:X0=1" }), /line 8: .* register 5:X0$/],
    ["pairs of exclusives", row("MOV W0,#1", "LDXP X5,X6,[X1]"), /line 4: "LDXP .* instruction$/],
    ["vectors", row("MOV W0,#1", "LDR D0,[X1]"), /line 4: "LDR D0/],
    ["DC ZVA", row("MOV W0,#1", "DC ZVA,X1"), /line 4: dc zva is not modelled$/],
  ])("%s", (_, text, message) => {
    expect(() => runLitmus(text)).toThrow(message);
    expect(() => runLitmus(text)).toThrow(/^[^\n]*$/);
  });

  it("names the file", () => {
    const options = { fileName: "a/b.litmus" };
    expect(() => runLitmus(row("MOV", "FROB"), options)).toThrow(
      "run litmus test a/b.litmus: line 4",
    );
  });
});

const onX86 = (instruction: string): string =>
  `X86_64 T\n{0:rsi=x; x=5; y=7;}\nP0;\n${instruction.split("; ").join(";\n")};\n` +
  "locations [0:rax; x; y]\nexists true";

describe("x86-64", () => {
  it.each([
    ["movl $1,x(%rip)", "0:rax=0; x=1; y=7;"],
    ["MOVL $0x10,(x)", "0:rax=0; x=16; y=7;"],
    ["movl (%RSI),%EAX", "0:rax=5; x=5; y=7;"],
    ["movl (%rsi,%rcx,4),%eax", "0:rax=5; x=5; y=7;"],
    ["movl x(%rcx),%eax", "0:rax=5; x=5; y=7;"],
    ["movzbl (x),%eax", "0:rax=5; x=5; y=7;"],
    ["movslq (x),%rax", "0:rax=5; x=5; y=7;"],
    ["xchgl (x),%eax", "0:rax=5; x=0; y=7;"],
    ["testl %eax,(x); jz L; incl (y); L:", "0:rax=0; x=5; y=7;"],
    ["movabsq $0x123456789abcdef,%rax", "0:rax=0x123456789abcdef; x=5; y=7;"],
  ])("%s", (instruction, state) => {
    expect(runLitmus(onX86(instruction))[0]?.states.map(({ text }) => text)).toEqual([state]);
  });

  it.each([
    ["lock btsl $1,(x)", "what it does is not modelled"],
    ["movsb", "what it does is not modelled"],
    ["rdtscp", "what it does is not modelled"],
    ["movl (%eex),%eax", "%eex is neither a register nor a variable"],
    ["movl (%rax,%rsp),%ecx", "rsp can't be an index"],
    ["movntil %eax,(x)", "no such instruction"],
    ["movl %eax,%rcx", "no form takes these operands"],
    ["lock movl $1,(x)", "mov can't be locked"],
  ])("refuses %s", (instruction, why) => {
    expect(() => runLitmus(onX86(instruction))).toThrow(`line 4: "${instruction}": ${why}`);
  });
});

const onRiscv = (instruction: string): string =>
  `RISCV T\n{0:x5=x; 0:x7=3; x=5;}\nP0;\n${instruction.split("; ").join(";\n")};\n` +
  "locations [0:x8; x]\nexists true";

describe("RISC-V", () => {
  it.each([
    ["LW s0, 0 ( t0 )", "0:x8=5; x=5;"],
    ["lr.w.aq.rl x8,0(x5)", "0:x8=5; x=5;"],
    ["amoadd.w.aq.rl X8,X7,0(X5)", "0:x8=5; x=8;"],
    ["FENCE RW, RW; fence iorw,iorw; fence; fence.tso", "0:x8=0; x=5;"],
    ["li x8,0x12345fff", "0:x8=0x12345fff; x=5;"],
    ["li x8,-0x12345678", "0:x8=0xffffffffedcba988; x=5;"],
    ["la x8,x; lw x8,0(x8)", "0:x8=5; x=5;"],
    ["bgt x7,x0,L; sw x0,0(x5); L:", "0:x8=0; x=5;"],
    ["bleu x0,x7,L; sw x0,0(x5); L:", "0:x8=0; x=5;"],
    [".4byte 0x00300413", "0:x8=3; x=5;"],
  ])("%s", (instruction, state) => {
    const [result] = runLitmus(onRiscv(instruction), { machine: "riscv-ziccif" });
    expect(result?.states.map(({ text }) => text)).toEqual([state]);
  });

  it.each([
    ["lw.aq x8,0(x5)", "no such instruction"],
    ["li x8,0x123456789", "4886718345 does not fit 32 bits"],
    ["addi x8,x8,5000", "imm = 5000 is outside of -2048 to 2047"],
  ])("refuses %s", (instruction, why) => {
    expect(() => runLitmus(onRiscv(instruction))).toThrow(`line 4: "${instruction}": ${why}`);
  });
});

import { describe, expect, it } from "vitest";
import { type LitmusResult, runLitmus } from "./run.ts";

const only = (text: string, machine?: string): LitmusResult => {
  const [first, ...rest] = runLitmus(text, machine === undefined ? {} : { machine });
  expect(rest).toEqual([]);
  if (first === undefined) throw new Error("no result");
  return first;
};

const texts = (result: LitmusResult): string[] => result.states.map(({ text }) => text);

const coff = (header: string): string => `AArch64 CoFF
${header}
{ 0:X0=NOP; 0:X1=P1:L0; }
 P0          | P1            ;
 STR W0,[X1] | BL L0         ;
             | MOV W10,W9    ;
             | BL L0         ;
             | B end         ;
             | L0: B old     ;
             | MOV W9,#2     ;
             | RET           ;
             | old: MOV W9,#1;
             | RET           ;
             | end:          ;
exists (1:X10=2 /\\ 1:X9=1)`;

describe("running a litmus test", () => {
  it("takes the machine from the header, and from the call before that", () => {
    expect(only(coff(""))).toMatchObject({ machine: "armv8-dic0-idc0", verdict: "Allowed" });
    for (const header of ["CacheType=DIC1.IDC1", "Variant=self,DIC,IDC", "cachetype = dic-idc"]) {
      expect(only(coff(header))).toMatchObject({
        machine: "armv8-dic1-idc1",
        verdict: "Forbidden",
      });
    }
    expect(only(coff("CacheType=DIC1.IDC1"), "armv8-dic0-idc1").verdict).toBe("Allowed");
    expect(only(coff("Variant=no-dic,IDC")).machine).toBe("armv8-dic0-idc1");
    expect(runLitmus(coff(""), { machine: "all" })).toHaveLength(4);
    expect(() => runLitmus(coff(""), { machine: "x86-amd" })).toThrow("armv8-dic0-idc0");
  });

  it("finds the same where code is stored as a number", () => {
    const raw = coff("").replace("NOP;", "0xd503201f;");
    expect(texts(only(raw))).toEqual(texts(only(coff(""))));
  });

  it("answers exists, ~exists and forall", () => {
    const asked = (condition: string): LitmusResult =>
      only(`AArch64 T\n{ 0:X1=x; 1:X1=x; }\nP0|P1;\nMOV W0,#1|LDR W0,[X1];\nSTR W0,[X1]|;
${condition}`);
    expect(asked("exists 1:X0=1")).toMatchObject({ verdict: "Allowed", ok: true, positive: 1 });
    expect(asked("~exists 1:X0=1")).toMatchObject({ verdict: "Allowed", ok: false, negative: 1 });
    expect(asked("~exists 1:X0=2")).toMatchObject({ verdict: "Forbidden", ok: true });
    expect(asked("forall 1:X0=1")).toMatchObject({ verdict: "Allowed", ok: false });
    expect(asked("forall x=1")).toMatchObject({ verdict: "Required", ok: true });
    expect(asked("locations [x]\nfilter 1:X0=1\nexists true").states.map((s) => s.text)).toEqual([
      "x=1; 1:X0=1;",
    ]);
  });

  it("sends undefined instructions to the handler, or ends the thread with a fault", () => {
    const program = (head: string, rows: string[], condition: string): string =>
      `AArch64 T\n{ 0:X1=P0:f; }\n${head};\n${rows.join(";\n")};\n${condition}`;
    const cells = ["STR W0,[X1]", "DC CVAU,X1", "DSB ISH", "IC IVAU,X1", "DSB ISH", "ISB"];
    const own = [...cells, "f: NOP", "e: MOV W9,#1"];
    const alone = only(program("P0", own, "exists fault(P0:f,UndefinedInstruction)"));
    expect(alone).toMatchObject({ verdict: "Allowed", negative: 0 });
    const handler = ["ADR X8,e", "MSR ELR_EL1,X8", "MOV W7,#3", "ERET"];
    const rows = own.map((cell, row) => `${cell}|${handler[row] ?? ""}`);
    const handled = only(program("P0|P0.F", rows, "exists (0:X9=1 /\\ 0:X7=3)"));
    expect(handled).toMatchObject({ verdict: "Allowed", negative: 0 });
    expect(handled.warnings).toEqual([]);
  });

  it("goes on behind a call of the supervisor, with its context synchronised", () => {
    const text = (between: string): string => `AArch64 T
{ 0:X0=NOP; 0:X1=P1:f; 0:X3=x; 0:X2=1; 1:X3=x; 1:X9=1; }
P0          | P1          | P1.F;
STR W0,[X1] | LDR W2,[X3] | ERET;
DC CVAU,X1  | DSB LD      |;
DSB ISH     | ${between}  |;
IC IVAU,X1  | f: B e      |;
DSB ISH     | MOV W9,#2   |;
STR W2,[X3] | e:          |;
exists (1:X2=1 /\\ 1:X9=1)`;
    expect(only(text("SVC #0")).verdict).toBe("Forbidden");
    expect(only(text("NOP")).verdict).toBe("Allowed");
  });

  it("warns where code is changed that may not be, and where a loop was cut", () => {
    const changed = (code: string): readonly string[] =>
      only(`AArch64 T\n{ 0:X0=instr:"${code}"; 0:X1=P1:f; }\nP0|P1;\nSTR W0,[X1]|f: NOP;
exists true`).warnings;
    expect(changed("B .+4")).toEqual([]);
    expect(changed("MOV W0,#1")).toEqual([expect.stringContaining("P1:f is changed")]);
    const loop = "AArch64 T\n{}\nP0;\nL: ADD W0,W0,#1;\nB L;\nexists true";
    expect(only(loop).warnings).toEqual([expect.stringContaining("loops")]);
  });

  it("draws an execution for every state when asked", () => {
    const [result] = runLitmus(coff(""), { witnesses: true });
    const relaxed = result?.states.find((state) => state.holds);
    const lines = relaxed?.witness?.split("\n") ?? [];
    expect(lines[0]).toMatch(/^P0 +\| P1$/);
    expect(lines.filter((line) => line.includes("fetch P1:L0 (from "))).toHaveLength(1);
    expect(lines.filter((line) => line.includes("fetch P1:L0 (initial)"))).toHaveLength(1);
    expect(runLitmus(coff(""))[0]?.states.every((state) => state.witness === undefined)).toBe(true);
  });

  it("makes two names one place", () => {
    const text = `AArch64 T\n{ 0:X0=NOP; 0:X1=x; pte_l0=(oa:phy_x); }
P0;\nSTR W0,[X1];\nDC CVAU,X1;\nDSB SY;\nIC IVAU,X1;\nDSB SY;\nISB;\nl0: B l1;\nMOV W9,#1;\nl1:;
forall 0:X9=1`;
    expect(only(text).verdict).toBe("Required");
  });

  it("refuses what is too large to search", () => {
    const stores = Array.from({ length: 8 }, (_, i) => `MOV W0,#${i};STR W0,[X1];`).join("");
    const rows = `P0|P1|P2;${stores}`.split(";").filter((row) => row !== "");
    const loads = Array.from({ length: 6 }, (_, i) => `LDR W${i + 10},[X1]`);
    const text = rows.map((row, i) => (i === 0 ? row : `${row}|${loads[i - 1] ?? ""}|`)).join(";");
    const large = `AArch64 T\n{ 0:X1=x; 1:X1=x; }\n${text};\nexists 1:X15=9`;
    expect(() => runLitmus(large)).toThrow(/line 1: .*(ways to run|too many|to judge)/);
  });

  it("counts no further than there are stores", () => {
    const add = "LDR W0,[X1];\nADD W0,W0,#1;\nSTR W0,[X1];";
    expect(texts(only(`AArch64 T\n{ 0:X1=x; }\nP0;\n${add}\nlocations [x]\nexists x=1`))).toEqual([
      "x=1;",
    ]);
  });
});

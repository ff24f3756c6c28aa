import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PatchbayError } from "../../base/error.ts";
import { parseLitmus } from "./parse.ts";
import { runLitmus } from "./run.ts";

const sample = String.raw`AArch64 Sample
"a doc string"
Variant=self
(* a comment (* nested *) over
   two lines *)
{
int64_t x; uint64_t 0:X2=1; int y=-1; uint8_t t[3]={1,2,0x3};
ins_t 0:X0=NOP; 0:X1=P1:L0; 1:X4=label:"P1:L1"; ins_t *1:X5; *z; [w]=instr:"B .+4";
0:X3=&x;
}
 P0          | P1           | P1.F  ;
 STR W0,[X1] | L0: L1:      | ERET  ;
 DMB ST      | L2: B L3     |       ;
             | L3:          |       ;
locations [x; t[2]; 1:X4; y int;]
filter true
exists (0:X0=NOP /\ 1:X4=P1:L1 \/ ~(x=2)
  => [y]=[x] /\ not (t[1] != 1) /\ fault(P1:L0,MMU:Translation))
`;

const at = (line: number): RegExp => new RegExp(`line ${line}: `);

describe("a test file in herd's format", () => {
  it("is read section by section", () => {
    const test = parseLitmus(sample);
    expect(test).toMatchObject({ arch: "AArch64", name: "Sample", quantifier: "exists" });
    expect(test.info.get("variant")).toEqual({ value: "self", line: 3 });
    expect(test.columns.map(({ thread, role }) => `${thread} ${role}`)).toEqual([
      ...["0 main", "1 main", "1 handler"],
    ]);
    expect(test.columns[1]?.code).toEqual([
      { line: 12, labels: ["L0", "L1"], text: undefined },
      { line: 13, labels: ["L2"], text: "B L3" },
      { line: 14, labels: ["L3"], text: undefined },
    ]);
    expect(test.locations).toHaveLength(4);
    expect(test.filter).toEqual({ op: "true" });
  });

  it("has typed, array and pointer variables, labels and instructions as values", () => {
    const { init } = parseLitmus(sample);
    expect(init.map(({ type }) => type)).toEqual([
      ...["int64_t", "uint64_t", "int", "uint8_t", "ins_t", undefined, undefined],
      ...["ins_t *", "*", undefined, undefined],
    ]);
    expect(init[3]).toMatchObject({ length: 3, place: { name: "t" } });
    expect(init[3]?.values.map((value) => "value" in value && value.value)).toEqual([1n, 2n, 3n]);
    expect(init[4]?.values).toEqual([{ kind: "instruction", text: "NOP" }]);
    expect(init[5]?.values).toEqual([{ kind: "label", thread: 1, label: "L0" }]);
    expect(init[6]?.values).toEqual([{ kind: "label", thread: 1, label: "L1" }]);
    expect(init[10]?.values).toEqual([{ kind: "symbol", name: "x", index: 0 }]);
  });

  it("binds ~ before and, and before or, or before =>", () => {
    const { condition } = parseLitmus(sample);
    expect(condition).toMatchObject({
      op: "implies",
      a: { op: "or", a: { op: "and" }, b: { op: "not" } },
      b: { op: "and", a: { op: "and", a: { op: "same" }, b: { op: "not" } }, b: { op: "fault" } },
    });
  });

  it("takes 1:X0=1:X2 for two registers and 1:X0=1:L2 for a label", () => {
    const condition = (text: string): unknown =>
      parseLitmus(`AArch64 T\n{}\nP0|P1;\n|L2: a1: NOP;\nexists ${text}`).condition;
    expect(condition("1:X0=1:X2")).toMatchObject({ op: "same" });
    expect(condition("1:X0=1:L2")).toMatchObject({ op: "equals", value: { kind: "label" } });
    expect(condition("1:X0=P1:a1")).toMatchObject({ op: "equals", value: { kind: "label" } });
  });

  it.each([
    ["an unknown architecture", "PPC T\n{}\nP0;\nexists true", 1],
    ["a missing initial state", "AArch64 T\nP0;\nexists true", 1],
    ["an open initial state", "AArch64 T\n\n{ x=1;\nP0;\nexists true", 3],
    ["an open comment", "AArch64 T\n{}\nP0;\n(* oh\nexists true", 4],
    ["a missing condition", "AArch64 T\n{}\nP0;\nNOP;\n", 5],
    ["a column that is none", "AArch64 T\n{}\nQ0;\nexists true", 3],
    ["threads out of order", "AArch64 T\n{}\nP1|P0;\nexists true", 3],
    ["too many cells", "AArch64 T\n{}\nP0;\nNOP|NOP;\nexists true", 4],
    ["page tables", "AArch64 T\n{\npte_x=(oa:phy_y, valid:0);}\nP0;\nexists true", 3],
    ["a wrong array", "AArch64 T\n{\n\nint x[2]={1};}\nP0;\nexists true", 4],
    ["text after the condition", "AArch64 T\n{}\nP0;\nNOP;\nexists true true", 5],
  ])("refuses %s with the line", (_, text, line) => {
    expect(() => parseLitmus(text)).toThrow(at(line));
  });

  it.each([
    ["an unknown instruction", "AArch64 T\n{}\nP0;\nFROB X1;\nexists true", 4, "FROB"],
    ["an unknown label", "AArch64 T\n{}\nP0;\n\nB L9;\nexists true", 5, "L9"],
    ["an unknown label as data", "AArch64 T\n{\n0:X1=P0:L9;}\nP0;\nNOP;\nexists true", 3, "L9"],
    ["an unknown register", "AArch64 T\n{\n0:Q99=1;}\nP0;\nNOP;\nexists true", 3, "Q99"],
    ["an unknown type", "AArch64 T\n{\nwide x=1;}\nP0;\nNOP;\nexists true", 3, "wide"],
    ["an instruction of a hypervisor", "AArch64 T\n{}\nP0;\nNOP;\nHVC #0;\nexists true", 5, "hyp"],
    ["a variant", "AArch64 T\nVariant=memtag\n{}\nP0;\nNOP;\nexists true", 2, "memtag"],
    ["a bad literal", 'AArch64 T\n{\n0:X1=instr:"FROB";}\nP0;\nNOP;\nexists true', 3, "FROB"],
  ])("refuses %s with the line and the reason", (_, text, line, word) => {
    expect(() => runLitmus(text)).toThrow(at(line));
    expect(() => runLitmus(text)).toThrow(word);
  });

  it("never crashes on a damaged file", () => {
    const damage = fc.record({
      at: fc.nat(sample.length - 1),
      cut: fc.nat(12),
      put: fc.oneof(
        fc.string({ maxLength: 4 }),
        fc.constantFrom("{", "}", ";", "|", "(*", "exists", ":", "=", "P1:", "[", "0x", "B L3"),
      ),
    });
    const source = sample.replace(/filter[\s\S]*/, "exists (1:X4=1)");
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (changes) => {
        let text = source;
        for (const { at: from, cut, put } of changes) {
          text = text.slice(0, from) + put + text.slice(from + cut);
        }
        try {
          runLitmus(text);
        } catch (error) {
          if (!(error instanceof PatchbayError)) throw error;
          expect(error.message).toMatch(/line \d+: |there is no machine/);
        }
      }),
      { numRuns: 400 },
    );
  });
});

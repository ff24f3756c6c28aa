/**
 * Code that another processor, or the same one, fetches after it was changed, on the four cache
 * types of Armv8-A: every way to maintain caches (complete, incomplete, in the wrong order, of the
 * wrong line) with every way to wait for the news. What the Arm ARM (B2.4.4, CTR_EL0.DIC and IDC)
 * asks of each half is written beside it; the outcome is forbidden where both halves have it.
 */
import { describe, expect, it } from "vitest";
import { runLitmus } from "../../src/index.ts";

/** Whether it is enough with neither DIC nor IDC, with IDC, with DIC, with both. */
type Enough = readonly [boolean, boolean, boolean, boolean];

const enough = (machines: string): Enough => {
  const has = (at: number): boolean => machines[at] === "+";
  return [has(0), has(1), has(2), has(3)];
};

/** What stands between the store of code and the store of the flag. */
const writers: readonly (readonly [code: string, enough: Enough])[] = [
  ["", enough("----")],
  ["ISB", enough("----")],
  ["DMB LD", enough("----")],
  // With DIC and IDC a store is seen by fetches like by loads: its order is all.
  ["DMB ISHST", enough("---+")],
  ["DMB ISH", enough("---+")],
  ["DSB ISHST", enough("---+")],
  ["STLR", enough("---+")],
  // With DIC alone it has to be cleaned, and the cleaning waited for; DMB does, DMB ST does not.
  ["DC CVAU,X1", enough("----")],
  ["DC CVAU,X1; DMB ISH", enough("--++")],
  ["DC CVAU,X1; DMB ISHST", enough("---+")],
  ["DC CVAU,X1; DSB ISH", enough("--++")],
  ["DC CVAU,X1; DSB ISHST", enough("---+")],
  // With IDC alone the store has to be waited for, then the line invalidated.
  ["DSB ISH; IC IVAU,X1; DSB ISH", enough("-+-+")],
  ["DSB ISHST; IC IVAU,X1; DSB ISH", enough("-+-+")],
  ["IC IVAU,X1; DSB ISH", enough("---+")],
  // With neither: clean, wait, invalidate, wait.
  ["DC CVAU,X1; DSB ISH; IC IVAU,X1; DSB ISH", enough("++++")],
  ["DC CVAC,X1; DSB ISH; IC IVAU,X1; DSB SY", enough("++++")],
  ["DC CIVAC,X1; DSB SY; IC IVAU,X1; DSB ISH", enough("++++")],
  ["DC CVAU,X1; DSB ISH; IC IALLUIS; DSB ISH", enough("++++")],
  // IC IALLU is for the processor that executes it.
  ["DC CVAU,X1; DSB ISH; IC IALLU; DSB ISH", enough("--++")],
  // Something is missing.
  ["DC CVAU,X1; IC IVAU,X1; DSB ISH", enough("--++")],
  ["DC CVAU,X1; DMB ISH; IC IVAU,X1; DSB ISH", enough("--++")],
  ["DC CVAU,X1; DSB NSH; IC IVAU,X1; DSB ISH", enough("--++")],
  ["DC CVAU,X1; DSB ISH; IC IVAU,X1", enough("--++")],
  ["DC CVAU,X1; DSB ISH; IC IVAU,X1; ISB", enough("--++")],
  ["DC CVAU,X1; DSB ISH; IC IVAU,X1; DMB ISH", enough("--++")],
  ["DC CVAU,X1; DSB ISH; IC IVAU,X1; DSB ISHST", enough("--++")],
  // In the wrong order, or of another line.
  ["IC IVAU,X1; DSB ISH; DC CVAU,X1; DSB ISH", enough("--++")],
  ["DC CVAU,X3; DSB ISH; IC IVAU,X1; DSB ISH", enough("-+-+")],
  ["DC CVAU,X1; DSB ISH; IC IVAU,X3; DSB ISH", enough("--++")],
];

/** What stands between the load of the flag and the code: an ISB has to wait for the load. */
const readers: readonly (readonly [code: string, waits: boolean])[] = [
  ["", false],
  ["ISB", false],
  ["DSB ISH", false],
  ["DMB SY", false],
  ["CBNZ W8,L; L:", false],
  ["ISB; CBNZ W8,L; L:", false],
  ["CBNZ W8,L; L: ISB", true],
  ["CMP W8,#1; B.NE L; L: NOP; ISB; NOP", true],
  ["DSB ISH; ISB", true],
  ["DSB ISHLD; ISB", true],
  ["DSB ISHST; ISB", false],
  ["DMB ISH; ISB", false],
  ["DMB LD; ISB", false],
  ["LDAR", false],
  ["LDAR; ISB", false],
  ["LDAR; CBNZ W8,L; L: ISB", true],
  ["EOR W7,W8,W8; LDR W6,[X4,W7,SXTW]", false],
  ["EOR W7,W8,W8; LDR W6,[X4,W7,SXTW]; ISB", true],
  ["STR W8,[X4]; ISB", false],
  ["EOR X7,X8,X8; ADD X5,X5,X7; BR X5", false],
];

const linesOf = (code: string): readonly string[] =>
  code.split("; ").filter((line) => !["", "STLR", "LDAR"].includes(line));

const textOf = (columns: readonly (readonly string[])[], condition: string): string => {
  const height = Math.max(...columns.map(({ length }) => length));
  const heads = columns.map((_, thread) => `P${thread}`).join("|");
  const rows = Array.from({ length: height }, (_, at) =>
    columns.map((column) => column[at] ?? "").join("|"),
  );
  const code = columns.length - 1;
  const init =
    `0:X0=NOP; 0:X1=P${code}:f; 0:X2=1; 0:X3=x; ${code}:X3=x; ${code}:X4=z; ` +
    `${code}:X5=P${code}:f; ${code}:X9=1;`;
  return `AArch64 T\n{${init}}\n${[heads, ...rows].join(";\n")};\nexists (${condition})\n`;
};

/** The old instruction jumps over the new one's continuation: X9 stays 1. */
const code = ["f: B fend", "MOV W9,#2", "fend:"];

/** On the four machines. */
const verdictsOf = (text: string): readonly string[] =>
  runLitmus(text, { machine: "all" }).map(({ verdict }) => verdict);

const expected = (machines: Enough, also: boolean): readonly string[] =>
  machines.map((is) => (is && also ? "Forbidden" : "Allowed"));

describe("another processor runs the code when it has seen a flag", () => {
  it.each(writers)("writer: %s", (between, machines) => {
    const store = between === "STLR" ? "STLR" : "STR";
    const writer = ["STR W0,[X1]", ...linesOf(between), `${store} W2,[X3]`];
    for (const [waiting, waits] of readers) {
      const load = waiting.startsWith("LDAR") ? "LDAR" : "LDR";
      const reader = [`${load} W8,[X3]`, ...linesOf(waiting), ...code];
      const text = textOf([writer, reader], "1:X8=1 /\\ 1:X9=1");
      expect(verdictsOf(text), waiting).toEqual(expected(machines, waits));
    }
  });
});

describe("the processor that changed the code runs it", () => {
  it.each([
    ["", enough("----")],
    ["ISB", enough("----")],
    ["DMB ISH; ISB", enough("----")],
    ["DSB LD; ISB", enough("----")],
    ["DSB ISH", enough("----")],
    ["DSB ISH; ISB", enough("---+")],
    ["DSB ISHST; ISB", enough("---+")],
    ["DC CVAU,X1; ISB", enough("----")],
    ["DC CVAU,X1; DSB ISH; ISB", enough("--++")],
    ["DSB ISH; IC IVAU,X1; DSB ISH; ISB", enough("-+-+")],
    ["DC CVAU,X1; DSB ISH; IC IVAU,X1; DSB ISH", enough("----")],
    ["DC CVAU,X1; DSB ISH; IC IVAU,X1; ISB", enough("--++")],
    ["DC CVAU,X1; DSB ISH; IC IVAU,X1; DSB ISH; ISB", enough("++++")],
    ["DC CVAU,X1; DSB ISH; IC IALLU; DSB ISH; ISB", enough("++++")],
    ["DC CVAU,X1; IC IVAU,X1; DSB ISH; ISB", enough("--++")],
    ["ISB; DC CVAU,X1; DSB ISH; IC IVAU,X1; DSB ISH", enough("----")],
  ] as const)("%s", (between, machines) => {
    const text = textOf([["STR W0,[X1]", ...linesOf(between), ...code]], "0:X9=1");
    expect(verdictsOf(text)).toEqual(expected(machines, true));
  });
});

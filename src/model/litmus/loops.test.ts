/** Loops: rounds that change nothing are left out without a loss; others are not taken for done. */
import { describe, expect, it } from "vitest";
import { runLitmus } from "./run.ts";

const textOf = (arch: string, init: string, threads: readonly string[], condition: string) => {
  const columns = threads.map((thread) => thread.split(";").map((line) => line.trim()));
  const height = Math.max(...columns.map(({ length }) => length));
  const heads = columns.map((_, thread) => `P${thread}`).join("|");
  const rows = Array.from({ length: height }, (_, at) =>
    columns.map((column) => column[at] ?? "").join("|"),
  );
  return `${arch} loop\n{${init}}\n${[heads, ...rows].join(";\n")};\n${condition}\n`;
};

const registers = ["0:X1=x; 0:X3=y;", "1:X1=x; 1:X3=y;", "2:X1=x; 2:X3=y;"];

const locked = (unlock: string): string =>
  `L: LDAXR W5,[X1]; CBNZ W5,L; MOV W6,#1; STXR W7,W6,[X1]; CBNZ W7,L;
   LDR W8,[X3]; ADD W8,W8,#1; STR W8,[X3]; ${unlock} WZR,[X1]`;

const onArm = (threads: readonly string[], condition: string) =>
  runLitmus(textOf("AArch64", registers.slice(0, threads.length).join(" "), threads, condition))[0];

const onX86 = (thread: string, condition: string) =>
  runLitmus(textOf("X86_64", "", [thread, thread], condition), { machine: "x86-intel" })[0];

describe("locks keep counters whole", () => {
  it.each([
    ["exclusives, twice", onArm([locked("STLR"), locked("STLR")], "forall y=2")],
    ["exclusives, three times", onArm(Array(3).fill(locked("STLR")), "forall y=3")],
    [
      "a counter of exclusives",
      onArm(
        Array(3).fill("L: LDXR W5,[X1]; ADD W5,W5,#1; STXR W7,W5,[X1]; CBNZ W7,L"),
        "forall x=3",
      ),
    ],
    [
      "xchg",
      onX86(
        "L: movl $1,%eax; xchgl %eax,(x); testl %eax,%eax; jne L; incl (z); movl $0,(x)",
        "forall z=2",
      ),
    ],
    [
      "cmpxchg",
      onX86(
        "L: movl (x),%eax; movl %eax,%ecx; addl $1,%ecx; lock cmpxchgl %ecx,(x); jne L",
        "forall x=2",
      ),
    ],
    [
      "tickets",
      onX86(
        "movl $1,%eax; lock xaddl %eax,(x); L: movl (y),%ecx; cmpl %eax,%ecx; jne L; incl (z); incl (y)",
        "forall z=2",
      ),
    ],
  ])("%s", (_, result) => {
    expect(result).toMatchObject({ verdict: "Required", ok: true, warnings: [] });
  });

  it("and a lock without release does not", () => {
    const result = onArm([locked("STR"), locked("STR")], "exists y=1");
    expect(result).toMatchObject({ verdict: "Allowed", warnings: [] });
  });
});

describe("what is not followed is not decided", () => {
  const counts = "MOV W5,#9; L: SUB W5,W5,#1; CBNZ W5,L; MOV W6,#1; STR W6,[X1]";

  it.each(["exists x=1", "~exists x=1", "forall x=1", "exists x=2"])("%s", (condition) => {
    const result = onArm([counts], condition);
    expect(result).toMatchObject({ verdict: "Undecided", ok: false });
    expect(result?.warnings.join()).toContain("6 times only");
  });

  it("but a state that was found is", () => {
    const either = `LDR W9,[X3]; CBNZ W9,M; ${counts}; M: MOV W6,#2; STR W6,[X1]`;
    const threads = [either, "MOV W0,#1; STR W0,[X3]"];
    expect(onArm(threads, "exists x=2")).toMatchObject({ verdict: "Allowed", ok: true });
  });
});

it("says so where no run comes to an end", () => {
  const result = onArm(["L: LDR W5,[X1]; CBZ W5,L"], "forall x=1");
  expect(result?.warnings).toEqual(["there is no final state"]);
});

it("keeps dependencies that a round of a loop takes away", () => {
  // The address of the last load depends on the first one, and after a second round no more.
  const reader = `LDR W0,[X3]; EOR W4,W0,W0;
    L: LDR W9,[X5]; MOV W8,W4; MOV W4,#0; CBZ W9,L; LDR W2,[X1,W8,SXTW]`;
  const writer = "MOV W0,#1; STR W0,[X1]; DMB SY; STR W0,[X3]";
  const text = textOf(
    "AArch64",
    `${registers.join(" ")} 1:X5=z; 2:X5=z;`,
    [writer, reader, "MOV W0,#1; STR W0,[X5]"],
    "exists 1:X0=1 /\\ 1:X2=0",
  );
  expect(runLitmus(text)[0]?.verdict).toBe("Allowed");
  // One round alone keeps the dependency.
  const once = text.replace("CBZ W9,L", "NOP");
  expect(runLitmus(once)[0]?.verdict).toBe("Forbidden");
});

it("forgets a reservation that CLREX has taken", () => {
  const result = onArm(["LDXR W0,[X1]; CLREX; MOV W2,#1; STXR W3,W2,[X1]"], "exists 0:X3=0");
  expect(result?.verdict).toBe("Forbidden");
});

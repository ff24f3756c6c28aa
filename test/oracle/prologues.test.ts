/**
 * Functions without sites, held to objdump and readelf on programs that are installed: no branch
 * goes into a window that is offered, what is moved is whole instructions, and frame descriptions
 * are read as readelf reads them.
 */
import { describe, expect, it } from "vitest";
import { frameEntries } from "../../src/elf/frame-entries.ts";
import { openProgramFile } from "../../src/session/program-file.ts";
import { compile, outputOf } from "../support/compile.ts";

const files = ["/usr/lib/x86_64-linux-gnu/libc.so.6", "/bin/bash"] as const;

/** Beginnings of instructions, and targets of direct jumps and branches, as objdump has them. */
function disassemble(file: string) {
  const beginnings = new Set<number>();
  const targets = new Set<number>();
  const text = outputOf("objdump", ["-d", "--no-show-raw-insn", "-w", file]);
  const line = /^ *([0-9a-f]+):\t(?:[a-z0-9]+ )*?(j[a-z]+|loop[a-z]*|call)?\S* *([0-9a-f]+)?/gm;
  for (const [, at, flow, target] of text.matchAll(line)) {
    beginnings.add(Number.parseInt(at ?? "", 16));
    const isBranch = flow !== undefined && target !== undefined;
    if (isBranch) targets.add(Number.parseInt(target, 16));
  }
  return { beginnings, targets };
}

describe.each(files)("functions of %s", (file) => {
  const program = openProgramFile(file);
  const { sites, refused } = program.prologues();

  it("are offered where no branch goes into the window", () => {
    const { beginnings, targets } = disassemble(file);
    expect(targets.size).toBeGreaterThan(10_000);
    const entered = sites.filter(({ addr }) =>
      [1, 2, 3, 4].some((offset) => targets.has(Number(addr) + offset)),
    );
    expect(entered.map(({ symbol }) => symbol)).toEqual([]);
    const split = sites.filter(({ addr, displaced }) => {
      const end = Number(addr) + (displaced?.length ?? 0);
      return !beginnings.has(Number(addr)) || !beginnings.has(end);
    });
    // What follows a function that ends within the window is padding, which may have no name.
    expect(split.length).toBeLessThan(sites.length / 500);
  });

  it("are nearly all offered, and the others have a reason", () => {
    const own = ["ifunc", "not-called", "split-part", "no-size"];
    const others = refused.filter(({ reason }) => !own.includes(reason));
    expect(others.length).toBeLessThan(sites.length / 20);
    const by = (name: string) => sites.find(({ symbol }) => symbol === name);
    for (const name of ["_setjmp", "vfork", "dlsym", "getcontext"]) {
      if (by(name) !== undefined) expect(by(name)?.entriesOnly).toContain("return address");
    }
  });

  it("have the frame descriptions that readelf reads", () => {
    const entries = frameEntries(program.elf);
    const text = outputOf("readelf", ["-wN", "--debug-dump=frames", file]);
    const found = [...text.matchAll(/ FDE cie=\S+ pc=([0-9a-f]+)\.\.([0-9a-f]+)\n(?: +(\S+))?/g)]
      .map(([, start, end, first]) => {
        const from = Number.parseInt(start ?? "", 16);
        return { start: from, size: Number.parseInt(end ?? "", 16) - from, first };
      })
      .sort((a, b) => a.start - b.start);
    expect(found.length).toBeGreaterThan(1_000);
    expect([...entries.starts]).toEqual(found.map(({ start }) => start));
    expect([...entries.sizes]).toEqual(found.map(({ size }) => size));
    const changed = found.filter(({ first }) => first?.startsWith("DW_CFA_def_cfa_offset"));
    const called = new Set([...entries.starts].filter((_, i) => entries.called[i] === 1));
    expect(changed.filter(({ start }) => called.has(start))).toEqual([]);
  });
});

describe("functions that Go's compiler made", () => {
  it("are refused, and the C functions beside them have entries alone", () => {
    const path = compile("gcc", ["-O1"], "go-like.c");
    const { sites, refused } = openProgramFile(path).prologues();
    expect(refused.find(({ symbol }) => symbol === "go_main")?.reason).toBe("runtime");
    expect(sites.find(({ symbol }) => symbol === "in_c")?.entriesOnly).toContain("Go");
  });
});

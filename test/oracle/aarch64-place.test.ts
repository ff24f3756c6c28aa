/**
 * AArch64 instructions that depend on their place, held to objdump over all code of several
 * libraries: it names an address for just those, and the same one. What a moved instruction does is
 * held to what it did, by the effects of both.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseElf } from "../../src/elf/elf-file.ts";
import { aarch64 } from "../../src/isa/aarch64/isa.ts";
import { moveWord } from "../../src/isa/aarch64/move-word.ts";
import { type PlaceUse, placeUse } from "../../src/isa/aarch64/place.ts";
import { type Cpu, execute } from "../../src/isa/execute.ts";
import { codeRanges, viewOf } from "../../src/patch/code-ranges.ts";
import { openProgramFile } from "../../src/session/program-file.ts";
import { linesOf, outputOf } from "../support/compile.ts";

const libraries = ["libc.so.6", "ld-linux-aarch64.so.1", "libm.so.6", "libgcc_s.so.1"].map(
  (name) => `/usr/aarch64-linux-gnu/lib/${name}`,
);

type Row = {
  readonly at: number;
  readonly word: number;
  readonly mnemonic: string;
  readonly text: string;
};

/** Instructions as objdump reads them. */
function disassemble(path: string): readonly Row[] {
  const rows: Row[] = [];
  for (const line of linesOf(outputOf("aarch64-linux-gnu-objdump", ["-d", "-z", "-w", path]))) {
    const match = /^ *([0-9a-f]+):\t([0-9a-f]{8}) *\t(\S+)\s*(.*)$/.exec(line);
    if (match === null) continue;
    const [, at = "", word = "", mnemonic = "", text = ""] = match;
    rows.push({
      ...{ at: Number.parseInt(at, 16), word: Number.parseInt(word, 16) },
      ...{ mnemonic, text },
    });
  }
  return rows;
}

/** The address that objdump shows as the last operand. */
const shown = (text: string): number | undefined => {
  const found = /(?:^|, )(0x)?([0-9a-f]+)(?: <.*>)?(?:\s*\/\/.*)?$/.exec(text)?.[2];
  return found === undefined ? undefined : Number.parseInt(found, 16);
};

/** What objdump's mnemonic says that the instruction has to do with its place. */
function expectedKind({ mnemonic, text }: Row): PlaceUse["kind"] {
  if (mnemonic === ".word" || mnemonic === "udf") return "undefined";
  if (mnemonic === "adr" || mnemonic === "adrp") return "address";
  if (mnemonic === "b" || mnemonic === "bl") return "branch";
  if (/^(b\.|cbn?z|tbn?z)/.test(mnemonic)) return "condition";
  const isLiteral = /^(ldr|ldrsw|prfm)$/.test(mnemonic) && !text.includes("[");
  if (isLiteral) return mnemonic === "prfm" ? "prefetch" : /^[xw]/.test(text) ? "load" : "fixed";
  if (mnemonic === "svc") return "systemCall";
  return /^(blr|brk|hlt|hvc|smc|eret|drps|dcps)/.test(mnemonic) ? "fixed" : "none";
}

describe.each(libraries)("the code of %s", (path) => {
  const rows = disassemble(path);

  it("depends on its place where objdump says so", () => {
    expect(rows.length).toBeGreaterThan(5_000);
    const wrong = rows.flatMap((row) => {
      const use = placeUse(row.word, row.at);
      const kind = expectedKind(row);
      // Data among the code, which objdump has no instruction for.
      if (kind === "undefined" && row.mnemonic === ".word") return [];
      const target = "target" in use ? use.target : undefined;
      const isRight = use.kind === kind && (target === undefined || target === shown(row.text));
      return isRight ? [] : [{ ...row, use }];
    });
    expect(wrong).toEqual([]);
    const kinds = new Set(rows.map(({ word, at }) => placeUse(word, at).kind));
    for (const kind of ["none", "address", "branch", "condition"]) expect(kinds).toContain(kind);
  });

  it("has functions of which nearly all begin with what can be moved", () => {
    const { sites, refused } = openProgramFile(path).prologues();
    const own = ["ifunc", "not-called", "split-part", "no-size"];
    const others = refused.filter(({ reason }) => !own.includes(reason));
    expect(others.length).toBeLessThan(sites.length / 20);
    const targets = new Map<number, number[]>();
    for (const row of rows) {
      const isBranch = /^(b$|b\.|cbn?z|tbn?z)/.test(row.mnemonic);
      const target = isBranch ? shown(row.text) : undefined;
      if (target !== undefined) targets.set(target, [...(targets.get(target) ?? []), row.at]);
    }
    const table = openProgramFile(path).symbols();
    const sizes = new Map([...table.addrs].map((addr, i) => [addr, table.sizes[i] ?? 0]));
    const loops = sites.filter(({ addr, functionAddr }) => {
      const start = Number(functionAddr);
      const end = start + (sizes.get(start) ?? 0);
      return (targets.get(Number(addr)) ?? []).some((at) => at >= start && at < end);
    });
    expect(loops.map(({ symbol }) => symbol)).toEqual([]);
  });
});

/** Runs from `at` until control leaves what `words` says; what registers hold then, and where. */
function runFrom(at: number, words: ReadonlyMap<number, number>, seed: bigint) {
  const registers = new Map<string, bigint>();
  const loads: string[] = [];
  const cpu: Cpu = {
    read: (name) =>
      registers.get(name) ??
      BigInt.asUintN(name.length > 1 ? 64 : 1, (seed * BigInt(name.charCodeAt(1) | 5)) >> 3n),
    write: (name, value) => void registers.set(name, value),
    load: (addr, bytes) => {
      loads.push(`load ${addr} ${bytes}`);
      return BigInt.asUintN(bytes * 8, addr * 31n + seed);
    },
    store: (addr, value, bytes) => void loads.push(`store ${addr} ${value} ${bytes}`),
  };
  let pc = at;
  for (let word = words.get(pc); word !== undefined; word = words.get(pc)) {
    const insn = aarch64.decodeWord(word);
    if (insn === undefined) return undefined;
    const outcome = execute(aarch64.effects(insn), cpu, BigInt(pc), 4, 64);
    pc = Number(outcome.pc);
  }
  // A veneer's register may be lost.
  registers.delete("x16");
  return { pc, registers, loads };
}

describe("moved instructions", () => {
  it("do what they did", () => {
    const seen = new Map<string, number>();
    const [libc = ""] = libraries;
    const elf = parseElf(readFileSync(libc));
    for (const { addr, bytes } of codeRanges(elf)) {
      const view = viewOf(bytes);
      for (let offset = 0; offset + 4 <= bytes.length; offset += 4) {
        const at = 0x40_0000_0000 + addr + offset;
        const word = view.getUint32(offset, true);
        const { kind } = placeUse(word, at);
        if (kind === "none" && offset % 388 !== 0) continue;
        const form = aarch64.decodeWord(word)?.form;
        const count = seen.get(`${kind} ${form}`) ?? 0;
        if (kind === "prefetch" || form === undefined || count >= 40) continue;
        seen.set(`${kind} ${form}`, count + 1);
        // Near, at B's last reach, and beyond it.
        for (const distance of [0x1000, -0x7ff_0000, 2 ** 30]) {
          const to = at + distance;
          const moved = moveWord(word, at, to);
          if (!moved.ok) continue;
          const copy = new Map(moved.value.map((one, i) => [to + 4 * i, one]));
          for (const seed of [0n, 0x1234_5678_9abc_def1n, 0xffff_ffff_ffff_ffffn]) {
            const expected = runFrom(at, new Map([[at, word]]), seed);
            expect([form, runFrom(to, copy, seed)]).toEqual([form, expected]);
          }
        }
      }
    }
    const kinds = new Set([...seen.keys()].map((key) => key.split(" ")[0]));
    for (const kind of ["none", "address", "branch", "condition"]) expect(kinds).toContain(kind);
  });

  it("include literals, which compilers leave to large constants", () => {
    const at = 0x40_0000_1000;
    for (const opc of [0, 1, 2]) {
      const word = ((opc << 30) | 0x1800_0000 | (20 << 5) | 3) >>> 0;
      const moved = moveWord(word, at, at + 2 ** 28);
      const words = moved.ok ? moved.value : [];
      const copy = new Map(words.map((one, i) => [at + 2 ** 28 + 4 * i, one]));
      const done = runFrom(at + 2 ** 28, copy, 7n);
      expect(done?.pc).toBe(at + 4);
      expect(done?.loads).toEqual([`load ${at + 80} ${opc === 1 ? 8 : 4}`]);
      expect([...(done?.registers.keys() ?? [])]).toEqual(["x3"]);
    }
  });
});

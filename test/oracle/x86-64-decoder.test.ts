/**
 * The x86-64 decoder against objdump and Capstone: functions of real programs, and random bytes.
 *
 * Functions come from the frame descriptions that every program carries for unwinding, so stripped
 * ones are read too and nothing but code is. PATCHBAY_ALL=1 takes all functions and not a sample.
 */
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ensure } from "../../src/base/assert.ts";
import { codeAddr, hexBytes } from "../../src/base/brand.ts";
import { type Decoded, decode } from "../../src/isa/x86-64/decode.ts";
import { decodeInto, Instruction } from "../../src/isa/x86-64/decode-into.ts";
import type { Flow } from "../../src/isa/x86-64/opcode-attributes.ts";
import { hasBinutils, objdump, objdumpEach } from "./binutils.ts";
import { type Disassembled, openCapstone } from "./capstone.ts";
import { functionsOf, type ProgramFunction } from "./x86-64-programs.ts";
import { type Choices, choices, runSeed } from "./x86-64-random.ts";

const programs = [
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
  "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
  "/bin/bash",
  "/usr/bin/python3",
  "/usr/bin/git",
  "/usr/bin/gdb",
  process.execPath,
].filter((path) => existsSync(path));

const hasPrograms = process.arch === "x64" && hasBinutils("x86-64");
const sampleBytes = 150_000;
const chunkBytes = 2_000_000;
const slotBytes = 64;

const sample = (c: Choices, functions: readonly ProgramFunction[]): ProgramFunction[] => {
  if (process.env["PATCHBAY_ALL"] === "1") return [...functions];
  const taken: ProgramFunction[] = [];
  for (let size = 0; size < sampleBytes; ) {
    const one = c.pick(functions);
    taken.push(one);
    size += one.code.length;
  }
  return taken;
};

/** Functions one after the other, each on a slot boundary after enough NOPs to get into step. */
const layOut = (functions: readonly ProgramFunction[]): { blob: Uint8Array; starts: number[] } => {
  const starts: number[] = [];
  let size = 0;
  for (const { code } of functions) {
    starts.push(size);
    size = Math.ceil((size + code.length + 16) / slotBytes) * slotBytes;
  }
  const blob = new Uint8Array(size).fill(0x90);
  functions.forEach(({ code }, index) => {
    blob.set(code, ensure(starts[index], "a start"));
  });
  return { blob, starts };
};

const inChunks = (functions: readonly ProgramFunction[]): ProgramFunction[][] => {
  const chunks: ProgramFunction[][] = [[]];
  let size = 0;
  for (const one of functions) {
    if (size > chunkBytes) {
      chunks.push([]);
      size = 0;
    }
    chunks.at(-1)?.push(one);
    size += one.code.length;
  }
  return chunks;
};

const flowByText: readonly (readonly [text: RegExp, flow: Flow])[] = [
  [/^call +0x/, "call"],
  [/^call /, "indirectCall"],
  [/^jmp +0x/, "jump"],
  [/^jmp /, "indirectJump"],
  [/^(j\w+|loop\w*|xbegin)( |,|$)/, "branch"],
  [/^ret\b/, "return"],
  [/^(iret|lret|sysret|sysexit|uiret|ljmp|lcall|jmpf|rsm)/, "far"],
  [/^(int3|int1|icebp|ud[012])/, "trap"],
  [/^(int|syscall|sysenter)\b/, "system"],
];

/** objdump's text without what stands before the mnemonic. */
const withoutPrefixes = (text: string): string =>
  text.replace(/^((bnd|notrack|rep\w*|[c-g]s|data16|addr32|lock|rex\S*) +)+/, "");

const flowOfText = (text: string): Flow => {
  const plain = withoutPrefixes(text).replace(/,p[nt]/, "");
  return flowByText.find(([pattern]) => pattern.test(plain))?.[1] ?? "next";
};

/** What the decoder should have found, from objdump's line; undefined where all is as it says. */
const disagreement = (ours: Decoded | undefined, theirs: Disassembled): string | undefined => {
  const text = `${theirs.mnemonic} ${theirs.operands}`;
  const isBad = text.includes("(bad)");
  if (ours === undefined) return isBad ? undefined : "is an instruction";
  if (isBad) return "is none";
  if (ours.length !== theirs.size) return `has ${theirs.size} bytes, not ${ours.length}`;
  const flow = flowOfText(text);
  if (ours.flow !== flow) return `goes on as ${flow}, not ${ours.flow}`;
  const target = /(?: |,)0x(\w+)$/.exec(text)?.[1];
  if (ours.branch !== undefined && BigInt(`0x${target}`) !== ours.branch.target) {
    return `goes to ${target}, not ${ours.branch.target.toString(16)}`;
  }
  const rip = /\[rip([+-])0x(\w+)\]/.exec(text);
  if ((rip === null) !== (ours.rip === undefined)) return "is rip-relative or not";
  if (rip === null || ours.rip === undefined) return undefined;
  const to = ours.at + BigInt(ours.length) + BigInt(`0x${rip[2]}`) * (rip[1] === "-" ? -1n : 1n);
  return BigInt.asUintN(64, to) === ours.rip.target ? undefined : `names ${to.toString(16)}`;
};

const compareWithObjdump = (functions: readonly ProgramFunction[], wrong: string[]): number => {
  const { blob, starts } = layOut(functions);
  const inFunction = new Uint8Array(blob.length);
  functions.forEach(({ code }, i) => {
    const start = ensure(starts[i], "a start");
    inFunction.fill(1, start, start + code.length);
  });
  let count = 0;
  for (const theirs of objdump("x86-64", blob)) {
    const at = Number(theirs.at);
    if (inFunction[at] !== 1) continue;
    count++;
    const problem = disagreement(decode(blob, at, codeAddr(theirs.at)), theirs);
    if (problem === undefined) continue;
    const bytes = hexBytes(blob.subarray(at, at + 15));
    wrong.push(`${bytes} (${theirs.mnemonic} ${theirs.operands}) ${problem}`);
  }
  return count;
};

describe.skipIf(!hasPrograms)("the x86-64 decoder on programs", () => {
  const seed = runSeed();
  const c = choices(seed);

  it.each(programs)(
    `reads %s as objdump does (PATCHBAY_SEED=${seed})`,
    (path) => {
      const wrong: string[] = [];
      const functions = sample(c, functionsOf(path));
      let count = 0;
      for (const chunk of inChunks(functions)) count += compareWithObjdump(chunk, wrong);
      console.info(`${path}: ${functions.length} functions, ${count} instructions`);
      expect(wrong.slice(0, 20)).toEqual([]);
      expect(count).toBeGreaterThan(10_000);
    },
    600_000,
  );

  it(`finds the lengths that Capstone finds (PATCHBAY_SEED=${seed})`, async () => {
    const capstone = await openCapstone("x86-64");
    const scratch = new Instruction();
    const wrong: string[] = [];
    let count = 0;
    for (const path of programs) {
      for (const { code } of sample(c, functionsOf(path)).slice(0, 40)) {
        for (const theirs of capstone.disassemble(code)) {
          count++;
          const at = Number(theirs.at);
          if (decodeInto(code, at, scratch) === theirs.size) continue;
          wrong.push(
            `${hexBytes(code.subarray(at, at + 15))} (${theirs.mnemonic}): ${theirs.size}`,
          );
        }
      }
    }
    capstone.close();
    expect(wrong.slice(0, 20)).toEqual([]);
    expect(count).toBeGreaterThan(1_000);
  });
});

/**
 * Where random bytes are read differently on purpose; the first that matches explains a
 * difference. `bytes` is the hexadecimal text.
 */
const knownDifferences: readonly (readonly [why: string, bytes: RegExp])[] = [
  [
    "near branch with 66: Intel and AMD differ, so it is refused",
    /^([2-6]. |f. )*66 .*(e8|e9|0f 8.|c7 f8)/,
  ],
  ["ud0, ud1: Capstone leaves ModRM out", /^([2-6]. |f. )*0f (b9|ff)/],
  ["segment registers that there are not, cs as destination", /^([2-6]. |f. )*8[ce]/],
  [
    "Capstone takes reserved vector lengths, and zeroing without a mask",
    /^([2-6]. )*62 .. .. ([67ef].|[89a-d][08]) /,
  ],
  ["objdump takes wait and the x87 instruction after it for one", /^([2-6]. |f. )*9b/],
  ["x87 instructions of the 8087 and 287, aliases", /^([2-6]. |f. )*(d9 d[89a-f]|db e[0145])/],
  [
    "VEX, EVEX, XOP after a prefix that they exclude",
    /^(.. )*(66|f[023]|4.) ([2-6]. )*(c[45]|62|8f)/,
  ],
  ["VIA's PadLock", /^([2-6]. |f. )*0f a[67]/],
  ["lock where it faults", /^([2-6]. |f[23] )*f0 /],
  [
    "an instruction that a mandatory prefix makes invalid (NP in the manual)",
    /^([2-6]. |f. )*(66|f2|f3) ([2-6]. |f. )*0f/,
  ],
];

type Counts = Record<"agree" | "onlyOurs" | "onlyObjdump" | "explained", number>;

/** Compares lengths where all three find an instruction; counts who stands alone. */
const compareRandom = async (
  chunks: readonly Uint8Array[],
): Promise<{ counts: Counts; wrong: string[] }> => {
  const capstone = await openCapstone("x86-64");
  const scratch = new Instruction();
  const listing = objdumpEach("x86-64", chunks);
  const counts: Counts = { agree: 0, onlyOurs: 0, onlyObjdump: 0, explained: 0 };
  const wrong: string[] = [];
  for (const [index, chunk] of chunks.entries()) {
    const ours = decodeInto(chunk, 0, scratch);
    const first = capstone.one(chunk);
    const second = ensure(listing[index], "a line for every chunk");
    const text = `${second.mnemonic} ${second.operands}`;
    // objdump gives a prefix that the processor ignores a line of its own.
    const isPrefix = /(rex(\.[WRXB]+)?|data16|addr32|repn?z|lock|[c-g]s|bnd) *$/.test(text);
    const sizes = [first?.size ?? 0, text.includes("(bad)") ? 0 : second.size];
    if (isPrefix) sizes.pop();
    const bytes = hexBytes(chunk);
    if (sizes.every((size) => size === ours)) counts.agree++;
    else if (knownDifferences.some(([, pattern]) => pattern.test(bytes))) counts.explained++;
    else if (ours !== 0 && sizes.every((size) => size === 0)) counts.onlyOurs++;
    // objdump does not look at everything: mandatory prefixes, REX before VEX, register forms.
    else if (ours === 0 && sizes[0] === 0) counts.onlyObjdump++;
    // One tool of the two knows the instruction and has the same length: the other is older.
    else if (sizes.includes(ours) && sizes.every((size) => size === 0 || size === ours))
      counts.agree++;
    else wrong.push(`${bytes}: ${ours}, Capstone ${sizes[0]}, objdump ${text} ${sizes[1]}`);
  }
  capstone.close();
  return { counts, wrong };
};

describe.skipIf(!hasBinutils("x86-64"))("the x86-64 decoder on random bytes", () => {
  const seed = runSeed();
  const c = choices(seed);
  const chunksAfter = (head: readonly number[], count: number): Uint8Array[] =>
    Array.from({ length: count }, () => {
      const tail = Array.from({ length: 15 - head.length }, () => c.below(256));
      return new Uint8Array([...head, ...tail]);
    });

  it(`agrees with both disassemblers on uniform bytes (PATCHBAY_SEED=${seed})`, async () => {
    const { counts, wrong } = await compareRandom(chunksAfter([], 20_000));
    expect(wrong).toEqual([]);
    expect(counts.agree).toBeGreaterThan(19_500);
    expect(counts.onlyOurs).toBeLessThan(100);
    expect(counts.onlyObjdump).toBeLessThan(100);
  });

  // Opcode maps, and the vector prefixes with the fields that most instructions have.
  const heads: readonly (readonly number[])[] = [
    ...[[0x0f], [0x66, 0x0f], [0xf2, 0x0f], [0xf3, 0x0f], [0x48, 0x0f]],
    ...[
      [0x0f, 0x38],
      [0x66, 0x0f, 0x38],
      [0x0f, 0x3a],
      [0x66, 0x0f, 0x3a],
      [0x0f, 0x0f],
    ],
    ...[[0xc5], [0xc4, 0xe1], [0xc4, 0xe2], [0xc4, 0xe3], [0xd9], [0xdb], [0xdd], [0xdf]],
    ...[
      [0x8f, 0xe8],
      [0x8f, 0xe9],
      [0x8f, 0xea],
    ],
  ];
  it.each(heads.map((head) => [hexBytes(new Uint8Array(head)), head] as const))(
    `after %s (PATCHBAY_SEED=${seed})`,
    async (_, head) => {
      const { counts, wrong } = await compareRandom(chunksAfter(head, 2_000));
      expect(wrong).toEqual([]);
      expect(counts.onlyOurs).toBeLessThan(200);
      expect(counts.onlyObjdump).toBeLessThan(100);
    },
  );

  const evexHeads = [0xf1, 0xf2, 0xf3, 0xf5, 0xf6].flatMap((map) =>
    [0x7c, 0x7d, 0xfd, 0x7e, 0x7f].map((p1) => [0x62, map, p1, 0x48]),
  );
  it.each(evexHeads.map((head) => [hexBytes(new Uint8Array(head)), head] as const))(
    `after EVEX %s has their lengths (PATCHBAY_SEED=${seed})`,
    async (_, head) => {
      // Which lengths, masks and broadcasts an EVEX instruction takes is not in the maps, so
      // there are some that only we take.
      const { counts, wrong } = await compareRandom(chunksAfter(head, 500));
      expect(wrong).toEqual([]);
      expect(counts.onlyObjdump).toBeLessThan(50);
    },
  );
});

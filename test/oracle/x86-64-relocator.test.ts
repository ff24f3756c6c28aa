/**
 * Moved instructions, run by the processor: functions of every kind that has to be rewritten are
 * moved near and out of reach, and leave the same registers, flags, data and stack behind as they
 * did where they stood. Then prologues of real programs, moved and read by Capstone.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type CodeAddr, codeAddr, hexBytes } from "../../src/base/brand.ts";
import { type Relocated, relocatePrologue } from "../../src/isa/x86-64/relocator.ts";
import { assembleText, hasBinutils } from "./binutils.ts";
import { openCapstone } from "./capstone.ts";
import { functionsOf } from "./x86-64-programs.ts";
import { type Choices, choices, runSeed } from "./x86-64-random.ts";

const low = codeAddr(0x1000_0000n);
const high = codeAddr(0x6e00_8123_4000n);
/** Where the function stands, and where its copy. */
const places = {
  near: { at: high, to: codeAddr(high + 0x100_0000n), isFar: false },
  "out of reach": { at: high, to: codeAddr(low + 0x123n), isFar: true },
  "out of reach from low memory": { at: low, to: high, isFar: true },
};
const windowBytes = 5;
const dataOffset = 0x400;

type Behaviour = {
  readonly name: string;
  /** Intel syntax; `data` is writable memory, `slot` holds the address of `helper`. */
  readonly text: string;
  /** What r12 holds, and whether only a copied return address will do. */
  readonly helperInR12?: true;
  readonly returnAddress?: "copy";
  /** The processor must have this. */
  readonly flag?: string;
  /** The longer form writes under rsp where the original calls or jumps away for good. */
  readonly usesRedZone?: true;
  /** Refused out of reach, with this. */
  readonly farRefusal?: string;
};

const behaviours: readonly Behaviour[] = [
  { name: "nothing special", text: "push rbp; mov rbp, rsp; push r15; pop rax; pop rbp; ret" },
  { name: "endbr64 first", text: "endbr64; add rdi, rsi; add rdi, 3; ret" },
  { name: "a load", text: "mov rax, [rip+data]; add rax, rcx; ret" },
  { name: "a 32-bit load", text: "mov r11d, [rip+data]; ret" },
  { name: "a load of r13, r12", text: "mov r13, [rip+data]; ret" },
  { name: "a load of 16 bits", text: "mov bx, [rip+data]; ret" },
  { name: "an address", text: "lea r9, [rip+data]; ret" },
  { name: "a 32-bit address", text: "lea r9d, [rip+data]; ret" },
  { name: "a store", text: "mov [rip+data], r11; ret" },
  { name: "a store of ah", text: "mov [rip+data], ah; ret", farRefusal: "outOfReach" },
  { name: "a store of sil", text: "mov [rip+data], sil; ret" },
  { name: "a store of an immediate", text: "mov dword ptr [rip+data], 0x12345678; ret" },
  { name: "a comparison", text: "cmp dword ptr [rip+data], 5; ret" },
  { name: "a comparison with r11", text: "cmp r11, [rip+data]; ret" },
  { name: "an addition", text: "add qword ptr [rip+data], r11; ret" },
  { name: "adc", text: "adc rax, [rip+data]; ret" },
  { name: "and with an immediate", text: "and dword ptr [rip+data], 0xf0f; ret" },
  { name: "a shift", text: "shl dword ptr [rip+data], 3; ret" },
  { name: "a shift by cl", text: "rcr qword ptr [rip+data], cl; ret" },
  { name: "not", text: "not byte ptr [rip+data]; ret" },
  { name: "setcc", text: "setc [rip+data]; ret" },
  { name: "cmovcc", text: "cmovs rax, [rip+data]; ret" },
  { name: "movzx", text: "movzx r9d, byte ptr [rip+data]; ret" },
  { name: "imul", text: "imul r11, [rip+data], 7; ret" },
  { name: "mul", text: "mul qword ptr [rip+data]; ret" },
  { name: "bts", text: "bts dword ptr [rip+data], 9; ret" },
  { name: "lock xadd", text: "lock xadd [rip+data], r10; ret" },
  { name: "lock cmpxchg", text: "lock cmpxchg [rip+data], rcx; ret" },
  { name: "cmpxchg16b", text: "cmpxchg16b [rip+data]; ret" },
  { name: "push of memory", text: "push [rip+data]; pop rax; ret", farRefusal: "outOfReach" },
  { name: "shlx", text: "shlx r11, [rip+data], r10; ret", flag: "bmi2" },
  { name: "andn", text: "andn rax, r11, [rip+data]; ret", flag: "bmi1" },
  { name: "rorx", text: "rorx r10, [rip+data], 5; ret", flag: "bmi2" },
  { name: "crc32", text: "crc32 eax, dword ptr [rip+data]; ret", flag: "sse4_2" },
  { name: "SSE", text: "movups xmm1, [rip+data]; movups [rip+data+64], xmm1; ret" },
  { name: "SSE, compared", text: "ucomisd xmm15, [rip+data]; ret" },
  { name: "x87", text: "fld qword ptr [rip+data]; fstp qword ptr [rip+data+64]; ret" },
  {
    name: "AVX with the short prefix",
    text: "vmovdqu ymm3, [rip+data]; vmovdqu [rip+data+64], ymm3; ret",
    flag: "avx",
  },
  {
    name: "AVX with the short prefix and R",
    text: "vpaddd ymm11, ymm2, [rip+data]; vmovdqu [rip+data+64], ymm11; ret",
    flag: "avx2",
  },
  {
    name: "AVX with the long prefix",
    text: "vpshufb ymm9, ymm2, [rip+data]; vmovdqu [rip+data+64], ymm9; ret",
    flag: "avx2",
  },
  {
    name: "AVX-512",
    text: "vmovdqu64 zmm21, [rip+data]; vmovdqu64 [rip+data+64], zmm21; ret",
    flag: "avx512f",
  },
  { name: "a short branch", text: "test edi, edi; jz 1f; inc rax; nop; 1: ret" },
  { name: "a near branch", text: "jg 1f; inc rax; .skip 140, 0x90; ret; 1: dec rax; ret" },
  { name: "jrcxz", text: "jrcxz 1f; inc rax; nop; 1: ret" },
  { name: "loop", text: "loop 1f; inc rax; nop; 1: ret" },
  { name: "a loop inside", text: "nop; 1: shl ecx, 1; jnz 1b; ret" },
  { name: "a loop to the beginning", text: "1: shl ecx, 1; jnz 1b; mov eax, 0; ret" },
  { name: "a jump", text: "inc rax; jmp 1f; .skip 140, 0x90; 1: ret" },
  { name: "a jump away", text: "jmp 1f; nop; nop; nop; 1: inc rax; ret" },
  { name: "a call", text: "call helper; add rax, 1; ret" },
  { name: "a call after something", text: "push rbx; call helper; pop rcx; ret" },
  { name: "a call for its own address", text: "call 1f; 1: pop rax; ret" },
  { name: "a call through a slot", text: "call [rip+slot]; add rax, 1; ret", usesRedZone: true },
  { name: "a jump through a slot", text: "jmp [rip+slot]", usesRedZone: true },
  { name: "a call through a register", text: "nop; nop; call r12; ret", helperInR12: true },
  {
    name: "a call in the middle",
    text: "push rbx; call r12; pop rbx; mov edx, 0; ret",
    helperInR12: true,
    returnAddress: "copy",
  },
  {
    name: "a call that returns to the copy",
    text: "call helper; mov edx, 0; ret",
    returnAddress: "copy",
  },
];

const cpuFlags = new Set(
  /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "latin1"))?.[1]?.split(" "),
);
const isRunnable = ({ flag }: Behaviour): boolean => flag === undefined || cpuFlags.has(flag);

type Assembled = {
  readonly at: CodeAddr;
  readonly code: Uint8Array;
  readonly body: Uint8Array;
  readonly helper: bigint;
};

/** The function at 0, its helper at 0x300, data at 0x400. */
const assembleBehaviour = ({ text }: Behaviour, at: CodeAddr): Assembled => {
  // Distances are counted from the start of the section, so `data` and `slot` are resolved there.
  const code = assembleText(
    "x86-64",
    `start:\n${text.replaceAll(";", "\n")}\nend:
.org 0x300\nhelper: mov rdx, [rsp]\nlea rax, [rax+rdi]\nret
.org ${dataOffset}\ndata: .quad 0x1122334455667788, 5, -1, 0x4010000000000000, 9, 8, 7, 6
.skip 64\nslot: .quad ${at} + 0x300\n.quad end - start`,
  );
  const end = Number(new DataView(code.buffer).getBigUint64(code.length - 8, true));
  return { at, code, body: code.subarray(0, end), helper: at + 0x300n };
};

/** A case for the driver, see `fixtures/run-moved.c`. */
const encodeCase = (
  b: Behaviour,
  one: Assembled,
  moved: Relocated,
  to: bigint,
  c: Choices,
): Uint8Array => {
  const registers = Array.from({ length: 16 }, () =>
    BigInt.asUintN(64, (BigInt(c.below(2 ** 32)) << 32n) | BigInt(c.below(2 ** 32))),
  );
  if (b.helperInR12) registers[12] = one.helper;
  if (c.below(3) === 0) registers[1] = 0n;
  if (c.below(3) === 0) registers[7] = 0n;
  const words = [
    ...[
      one.at,
      BigInt(one.code.length),
      moved.window - one.at,
      BigInt(windowBytes),
      BigInt(dataOffset),
    ],
    ...[to, BigInt(moved.bytes.length), b.usesRedZone || b.returnAddress ? 0n : 1n],
    ...registers,
    BigInt(c.below(2 ** 12)),
  ];
  const out = new Uint8Array(words.length * 8 + one.code.length + moved.bytes.length);
  const view = new DataView(out.buffer);
  words.forEach((word, index) => {
    view.setBigUint64(index * 8, word, true);
  });
  out.set(one.code, words.length * 8);
  out.set(moved.bytes, words.length * 8 + one.code.length);
  return out;
};

const canRun = (): boolean => {
  if (process.arch !== "x64" || !hasBinutils("x86-64")) return false;
  try {
    execFileSync("gcc", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

const runCases = (cases: readonly Uint8Array[]): string[] => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-moved-"));
  try {
    const driver = join(folder, "run-moved");
    const source = new URL("fixtures/run-moved.c", import.meta.url).pathname;
    execFileSync("gcc", ["-O1", "-no-pie", "-o", driver, source]);
    writeFileSync(join(folder, "cases"), Buffer.concat(cases));
    const lines = execFileSync(driver, [join(folder, "cases")], { encoding: "latin1" });
    return lines.trimEnd().split("\n");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

const runsPerCase = 8;

describe.skipIf(!canRun())("moved x86-64 functions do what they did", () => {
  const seed = runSeed();
  const runnable = behaviours.filter(isRunnable);

  it.each(Object.entries(places))(`moved %s (PATCHBAY_SEED=${seed})`, (_, { at, to, isFar }) => {
    const c = choices(seed);
    const names: string[] = [];
    const cases: Uint8Array[] = [];
    for (const behaviour of runnable) {
      const assembled = assembleBehaviour(behaviour, at);
      const { returnAddress = "original" } = behaviour;
      const moved = relocatePrologue(assembled.body, at, windowBytes, to, { returnAddress });
      if (isFar && behaviour.farRefusal !== undefined) {
        expect(moved.ok ? "moved" : moved.error.kind).toBe(behaviour.farRefusal);
        continue;
      }
      expect(moved.ok ? "moved" : moved.error, behaviour.name).toBe("moved");
      if (!moved.ok) continue;
      for (let run = 0; run < runsPerCase; run++) {
        names.push(`${behaviour.name}: ${hexBytes(moved.value.bytes)}`);
        cases.push(encodeCase(behaviour, assembled, moved.value, to, c));
      }
    }
    const outcomes = runCases(cases);
    const wrong = names.flatMap((text, index) => {
      const outcome = outcomes[index] ?? "did not end";
      return outcome === "ok" ? [] : [`${text}: ${outcome}`];
    });
    expect(wrong).toEqual([]);
    expect(names.length).toBeGreaterThan(300);
  });
});

const programs = ["/lib/x86_64-linux-gnu/libc.so.6", "/bin/bash", "/usr/bin/gdb", process.execPath];

/** Capstone's text with rip-relative operands as addresses. */
const absoluteText = (text: string, end: bigint): string =>
  text.replace(/\[rip ([+-]) (0x[0-9a-f]+|\d+)\]/, (_, sign: string, digits: string) => {
    const distance = BigInt(digits);
    return `[${BigInt.asUintN(64, sign === "-" ? end - distance : end + distance)}]`;
  });

describe.skipIf(process.arch !== "x64")("moved prologues of programs", () => {
  const seed = runSeed();
  const present = programs.filter((path) => existsSync(path));

  it.each(present)(`%s (PATCHBAY_SEED=${seed})`, async (path) => {
    const c = choices(seed);
    const capstone = await openCapstone("x86-64");
    const functions = functionsOf(path);
    const outcomes: Record<string, number> = { moved: 0 };
    const wrong: string[] = [];
    for (let i = 0; i < 1500; i++) {
      const { code, at: where } = c.pick(functions);
      const from = codeAddr(BigInt(where));
      const to = codeAddr(from + 0x1000_0000n);
      const moved = relocatePrologue(code, from, windowBytes, to);
      const outcome = moved.ok ? "moved" : moved.error.kind;
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (!moved.ok) continue;
      const { moves, bytes } = moved.value;
      for (const move of moves) {
        const before = capstone.one(code.subarray(Number(move.from - from)), move.from);
        const after = capstone.one(bytes.subarray(Number(move.to - to)), move.to);
        if (before === undefined || before.mnemonic.startsWith("call")) continue;
        const old = absoluteText(before.operands, move.from + BigInt(before.size));
        const now = absoluteText(after?.operands ?? "", move.to + BigInt(after?.size ?? 0));
        if (before.mnemonic === after?.mnemonic && old === now) continue;
        wrong.push(`${before.mnemonic} ${old} became ${after?.mnemonic} ${now}`);
      }
    }
    capstone.close();
    console.info(path, outcomes);
    expect(wrong.slice(0, 10)).toEqual([]);
    expect(outcomes["moved"]).toBeGreaterThan(1000);
  });
});

/**
 * GNU binutils as oracles: `as` and `objdump` of each architecture, run once over many
 * instructions. Native names for x86-64, Debian's cross prefixes for the others.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensure } from "../../src/base/assert.ts";
import type { Disassembled, Isa } from "./capstone.ts";

type Tools = {
  readonly prefix: string;
  /** First line of every source text. */
  readonly header: string;
  readonly asFlags: readonly string[];
  readonly objdumpFlags: readonly string[];
  /** One-unit padding that decodes by itself, to bring objdump back into step. */
  readonly nop: readonly number[];
};

const tools: Record<Isa, Tools> = {
  "x86-64": {
    prefix: process.arch === "x64" ? "" : "x86_64-linux-gnu-",
    // The directive, not -msyntax and -mnaked-reg, which misread `fs:[...]`.
    header: ".intel_syntax noprefix",
    asFlags: ["--64"],
    objdumpFlags: ["-m", "i386:x86-64", "-M", "intel"],
    nop: [0x90],
  },
  aarch64: {
    prefix: process.arch === "arm64" ? "" : "aarch64-linux-gnu-",
    header: "",
    asFlags: ["-march=armv8.5-a"],
    objdumpFlags: ["-m", "aarch64"],
    nop: [0x1f, 0x20, 0x03, 0xd5],
  },
  riscv64: {
    prefix: process.arch === "riscv64" ? "" : "riscv64-linux-gnu-",
    header: "",
    asFlags: ["-march=rv64gc_zifencei_zicsr", "-mabi=lp64d"],
    objdumpFlags: ["-m", "riscv:rv64", "-M", "no-aliases"],
    nop: [0x01, 0x00],
  },
  riscv32: {
    prefix: process.arch === "riscv64" ? "" : "riscv64-linux-gnu-",
    header: "",
    asFlags: ["-march=rv32gc_zifencei_zicsr", "-mabi=ilp32d"],
    objdumpFlags: ["-m", "riscv:rv32", "-M", "no-aliases"],
    nop: [0x01, 0x00],
  },
};

const outputBytesMax = 2 ** 30;

const run = (command: string, args: readonly string[]): string =>
  execFileSync(command, args, {
    encoding: "latin1",
    maxBuffer: outputBytesMax,
    stdio: ["ignore", "pipe", "pipe"],
  });

const inScratch = <T>(work: (folder: string) => T): T => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-binutils-"));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/** Whether the binutils of `isa` are installed; tests skip, saying so, when they are not. */
export const hasBinutils = (isa: Isa): boolean => {
  try {
    const { prefix } = tools[isa];
    run(`${prefix}as`, ["--version"]);
    run(`${prefix}objdump`, ["--version"]);
    return true;
  } catch {
    return false;
  }
};

/**
 * The bytes of `.text` that GNU as makes of `text` (Intel syntax without `%` on x86-64); throws
 * with the assembler's messages when it refuses.
 * @param flags more options for `as`, after the usual ones.
 */
export const assembleText = (
  isa: Isa,
  text: string,
  flags: readonly string[] = [],
): Uint8Array<ArrayBuffer> =>
  inScratch((folder) => {
    const { prefix, asFlags, header } = tools[isa];
    const file = (name: string): string => join(folder, name);
    writeFileSync(file("a.s"), `${header}\n${text}\n`);
    run(`${prefix}as`, [...asFlags, ...flags, "-o", file("a.o"), file("a.s")]);
    run(`${prefix}objcopy`, ["-O", "binary", "-j", ".text", file("a.o"), file("a.bin")]);
    return new Uint8Array(readFileSync(file("a.bin")));
  });

// "  401000:\t48 89 e5 \tmov    rbp,rsp" or, for fixed-size units, "  401000:\td503201f \tnop".
const line = /^\s*([0-9a-f]+):\t([0-9a-f ]+?)\s*(?:\t(.*))?$/;

const parseListing = (listing: string): Disassembled[] => {
  const found: Disassembled[] = [];
  for (const text of listing.split("\n")) {
    const match = line.exec(text);
    if (match === null) continue;
    const bytes = ensure(match[2], "the bytes' column").replaceAll(" ", "");
    const instruction = (match[3] ?? "").replace(/\s*(# |\/\/).*$/, "").trim();
    const [, mnemonic = "", operands = ""] = /^(\S*)\s*(.*)$/.exec(instruction) ?? [];
    const at = BigInt(`0x${match[1]}`);
    found.push({ at, size: bytes.length / 2, mnemonic, operands });
  }
  return found;
};

/**
 * objdump's reading of `bytes` from beginning to end, as if loaded at `at`. Undecodable bytes come
 * as `(bad)`, `.byte`, `.word` and the like. On x86 a prefix is part of the mnemonic's text: the
 * mnemonic is the first word, the rest stands in `operands`.
 */
export const objdump = (isa: Isa, bytes: Uint8Array, at = 0n): Disassembled[] =>
  inScratch((folder) => {
    const { prefix, objdumpFlags } = tools[isa];
    const file = join(folder, "a.bin");
    writeFileSync(file, bytes);
    const base = `--adjust-vma=0x${at.toString(16)}`;
    return parseListing(
      // -z: runs of zeros are instructions too; --insn-width: one line per instruction.
      run(
        `${prefix}objdump`,
        ["-D", "-z", "-w", "-b", "binary", "--insn-width=16"].concat(objdumpFlags, base, file),
      ),
    );
  });

/**
 * objdump's reading of the instruction at the beginning of each chunk (at most 16 bytes each), all
 * in one run: every chunk stands at a multiple of 64 bytes with padding after it, so that one bad
 * chunk can't shift the next.
 */
export const objdumpEach = (
  isa: Isa,
  chunks: readonly Uint8Array[],
): (Disassembled | undefined)[] => {
  const slot = 64;
  const blob = new Uint8Array(chunks.length * slot);
  const { nop } = tools[isa];
  for (let i = 0; i < blob.length; i++) blob[i] = ensure(nop[i % nop.length], "padding");
  chunks.forEach((chunk, index) => {
    blob.set(chunk, index * slot);
  });
  const firsts: (Disassembled | undefined)[] = chunks.map(() => undefined);
  for (const instruction of objdump(isa, blob)) {
    if (instruction.at % BigInt(slot) === 0n) {
      firsts[Number(instruction.at / BigInt(slot))] = { ...instruction, at: 0n };
    }
  }
  return firsts;
};

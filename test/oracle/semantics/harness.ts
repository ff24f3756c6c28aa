/**
 * Runs random instructions on random registers, on a machine that we did not write, and compares
 * every register, the memory and the place where execution went on with the reference interpreter.
 *
 * All trials of a batch are one static program: for each, load every register from the trial's
 * block, carry the instructions out, and arrive at one of several landing pads (the one that
 * follows, or one that the instruction jumped to). A pad notes its own address in a register that
 * the instruction does not know; then everything is stored to the block. At its end the program
 * writes the blocks and the scratch memory to standard output.
 */
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, ensure } from "../../../src/base/assert.ts";
import { codeAddr, hex, hexBytes } from "../../../src/base/brand.ts";
import type { Effect, Expr } from "../../../src/isa/effects.ts";
import { evaluate, execute } from "../../../src/isa/execute.ts";
import type { Instruction } from "../../../src/isa/isa.ts";
import type { Random } from "../random.ts";
import type { Driver, State, Trial } from "./driver.ts";
import { OutOfScratch, ReferenceCpu, type Region, registersIn, registersOf } from "./reference.ts";
import { machines, makeElf } from "./tiny-elf.ts";

const codeAddress = 0x100000n;
const blocksAddress = 0x4000000n;
const scratchAddress = 0x8000000n;
const scratchBytes = 0x40000;
const scratchMiddle = scratchAddress + BigInt(scratchBytes / 2);
/** Landing pads before the instructions, and as many after them. */
export const padsEachSide = 3;
const windowBytes = 64;
const drawsMax = 1000;

type Placed<I extends Instruction> = {
  readonly insns: readonly I[];
  readonly effects: readonly (readonly Effect[])[];
  readonly targets: readonly string[];
  readonly open: readonly string[];
  readonly block: bigint;
  readonly base: string;
  readonly link: string;
  /** Address of the first instruction. */
  readonly at: bigint;
  /** Addresses where execution may go on. */
  readonly pads: readonly bigint[];
};

type Expected = {
  readonly before: State;
  readonly after: State;
  /** Memory that is compared at once: around the first access. */
  readonly window: bigint;
  readonly windowAfter: Uint8Array;
};

/** Writes the program's code and says where every trial stands. */
const buildProgram = <I extends Instruction>(
  driver: Driver<I>,
  trials: readonly Trial<I>[],
  blockBytes: number,
  random: Random,
): { readonly placed: readonly Placed<I>[]; readonly code: Uint8Array } => {
  const builder = driver.build(codeAddr(codeAddress));
  const placed = trials.map(({ insns, targets = [], open = [] }, index): Placed<I> => {
    const effects = insns.map((insn) => driver.isa.effects(insn));
    const used = registersOf(effects.flat());
    const free = driver.free.filter((name) => !used.has(name));
    const base = random.pick(free);
    const link = random.pick(free.filter((name) => name !== base));
    const block = blocksAddress + BigInt(index * blockBytes);
    const start = builder.place();
    const common = builder.place();
    const pads: bigint[] = [];
    const landing = (): void => {
      for (let i = 0; i < padsEachSide; i++) {
        pads.push(builder.here());
        builder.noteAddress(link);
        common.jump();
      }
    };
    builder.loadState(block, base);
    start.jump();
    landing();
    start.bind();
    const at = builder.here();
    for (const insn of insns) builder.bytes(driver.encode(insn));
    landing();
    common.bind();
    builder.storeState(base);
    builder.copyWindow(base, windowBytes);
    return { insns, effects, targets, open, block, base, link, at, pads };
  });
  builder.finish([
    { address: blocksAddress, sizeBytes: trials.length * blockBytes },
    { address: scratchAddress, sizeBytes: scratchBytes },
  ]);
  return { placed, code: builder.code() };
};

/** The value of an expression that has no temporaries; `undefined` where it has. */
const valueIn = (expr: Expr, state: State, pc: bigint): bigint | undefined => {
  const hasTemp = (e: Expr): boolean =>
    e.op === "temp" ||
    Object.values(e).some((part) => typeof part === "object" && "op" in part && hasTemp(part));
  if (hasTemp(expr)) return undefined;
  return evaluate(expr, (name) => ensure(state.get(name), name), new Map(), pc);
};

/** Changes one register so that `expr`, an address, becomes one of those that `wanted` allows. */
const steer = (
  expr: Expr,
  state: State,
  pc: bigint,
  bits: number,
  wanted: bigint,
  isGood: (value: bigint) => boolean,
): void => {
  const value = valueIn(expr, state, pc);
  if (value === undefined || isGood(BigInt.asUintN(bits, value))) return;
  for (const name of registersIn(expr)) {
    const before = ensure(state.get(name), name);
    const at = (register: bigint): bigint => {
      state.set(name, register);
      return BigInt.asUintN(bits, valueIn(expr, state, pc) ?? 0n);
    };
    const zero = at(0n);
    // In steps of 64: low bits may be masked off.
    const factor = BigInt.asIntN(bits, at(64n) - zero) / 64n;
    if (factor > 0n) {
      const register = BigInt.asUintN(bits, BigInt.asIntN(bits, wanted - zero) / factor);
      if (isGood(at(register))) return;
    }
    state.set(name, before);
  }
};

const isInScratch = (addr: bigint): boolean =>
  addr >= scratchAddress + 64n && addr + 128n <= scratchAddress + BigInt(scratchBytes);

/** Atomic, exclusive and ordered accesses have to be aligned; all others need not be. */
const mayBeMisaligned = (effect: Effect): boolean => {
  if (effect.kind === "atomic" || effect.kind === "storeExclusive") return false;
  if (effect.kind !== "load" && effect.kind !== "store") return true;
  const exclusive = effect.kind === "load" && effect.exclusive === true;
  return !exclusive && effect.acquire !== true && effect.release !== true;
};

const steerTrial = <I extends Instruction>(
  driver: Driver<I>,
  { effects, insns, at, pads, targets }: Placed<I>,
  state: State,
  random: Random,
): void => {
  const bits = 8 * driver.isa.wordBytes;
  const aligned = !effects.flat().every(mayBeMisaligned);
  for (const name of targets) state.set(name, random.pick(pads));
  let pc = at;
  effects.forEach((list, index) => {
    for (const effect of list) {
      if (effect.kind === "jump") {
        steer(effect.target, state, pc, bits, random.pick(pads), (v) => pads.includes(v));
      } else if ("addr" in effect && effect.addr !== undefined) {
        // Index registers have to be small for the base to make up for them.
        const names = [...registersIn(effect.addr)];
        if (names.length > 1) {
          for (const name of names.slice(1)) state.set(name, BigInt(random.below(256)));
        }
        const offset = aligned ? 16 * random.below(64) : random.below(1024);
        const fits = (v: bigint): boolean => isInScratch(v) && (!aligned || v % 16n === 0n);
        steer(effect.addr, state, pc, bits, scratchMiddle + BigInt(offset), fits);
      }
    }
    pc += BigInt(ensure(insns[index], "as many as effects").size);
  });
};

/** Draws a state that the trial can be run on, and what comes of it by the reference. */
const draw = <I extends Instruction>(
  driver: Driver<I>,
  placed: Placed<I>,
  regions: readonly Region[],
  random: Random,
): Expected => {
  for (let tries = 0; tries < drawsMax; tries++) {
    const before = driver.randomState(random);
    steerTrial(driver, placed, before, random);
    before.set(placed.base, placed.block);
    const cpu = new ReferenceCpu(before, regions);
    const landed = runReference(driver, placed, cpu);
    if (landed === undefined) {
      cpu.rollback();
      continue;
    }
    cpu.state.set(placed.link, landed);
    const touched = cpu.touched.find(isInScratch) ?? scratchMiddle;
    const window = touched & ~15n;
    const scratch = ensure(regions[0], "the scratch memory");
    const from = Number(window - scratch.address);
    const windowAfter = scratch.bytes.slice(from, from + windowBytes);
    return { before, after: cpu.state, window, windowAfter };
  }
  const texts = placed.insns.map((insn) => driver.isa.format(insn, placed.at));
  throw new Error(`no state found to run ${texts.join("; ")}`);
};

/** The pad where the reference arrives; `undefined` where it does not stay within the trial. */
const runReference = <I extends Instruction>(
  driver: Driver<I>,
  { insns, effects, at, pads }: Placed<I>,
  cpu: ReferenceCpu,
): bigint | undefined => {
  const bits = driver.isa.wordBytes === 8 ? 64 : 32;
  let pc = at;
  try {
    for (const [index, insn] of insns.entries()) {
      const outcome = execute(ensure(effects[index], "effects"), cpu, pc, insn.size, bits);
      if (outcome.kind === "trap") return undefined;
      if (outcome.kind === "jump" && index !== insns.length - 1) return undefined;
      pc = outcome.pc;
    }
  } catch (error) {
    if (error instanceof OutOfScratch) return undefined;
    throw error;
  }
  return pads.includes(pc) ? pc : undefined;
};

const runElf = (emulator: readonly string[], elf: Uint8Array): Uint8Array => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-semantics-"));
  try {
    const program = join(folder, "program");
    writeFileSync(program, elf, { mode: 0o755 });
    const output = join(folder, "output");
    const fd = openSync(output, "w");
    const [command, ...args] = [...emulator, program];
    const { status, signal, stderr } = spawnSync(command, args, {
      stdio: ["ignore", fd, "pipe"],
      timeout: 60_000,
    });
    closeSync(fd);
    assert(status === 0, `${command}: status ${status}, signal ${signal}, ${String(stderr)}`);
    return new Uint8Array(readFileSync(output));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/** Runs the trials; a line for every one that did not end as the reference says. */
export const compareWithMachine = <I extends Instruction>(
  driver: Driver<I>,
  trials: readonly Trial<I>[],
  random: Random,
): string[] => {
  const { isa, stateBytes } = driver;
  const blockBytes = Math.ceil((stateBytes + 16 + windowBytes) / 64) * 64;
  const { placed, code } = buildProgram(driver, trials, blockBytes, random);
  const scratch = Uint8Array.from({ length: scratchBytes }, () => random.below(256));
  const initialScratch = scratch.slice();
  const regions = [
    { address: scratchAddress, bytes: scratch, writable: true },
    { address: codeAddress, bytes: code, writable: false },
  ];
  const blocks = new Uint8Array(trials.length * blockBytes);
  const expected = placed.map((one, index) => {
    const wanted = draw(driver, one, regions, random);
    blocks.set(driver.pack(wanted.before), index * blockBytes);
    const pointer = new DataView(new ArrayBuffer(8));
    pointer.setBigUint64(0, wanted.window, true);
    blocks.set(new Uint8Array(pointer.buffer), index * blockBytes + stateBytes);
    return wanted;
  });
  const elf = makeElf(isa.wordBytes, machines[isa.name], driver.elfFlags, codeAddress, [
    { address: codeAddress, bytes: code, writable: false, executable: true },
    { address: blocksAddress, bytes: blocks, writable: true, executable: false },
    { address: scratchAddress, bytes: initialScratch, writable: true, executable: false },
  ]);
  const output = runElf(driver.emulator, elf);
  assert(output.length === blocks.length + scratchBytes, `${output.length} bytes of output`);
  const failures = placed.flatMap((one, index) => {
    const block = output.subarray(index * blockBytes, (index + 1) * blockBytes);
    const problems = compareTrial(driver, one, ensure(expected[index], "expectation"), block);
    return problems.length === 0 ? [] : [describe(driver, one, problems)];
  });
  const same = hexBytes(output.subarray(blocks.length)) === hexBytes(scratch);
  return same || failures.length > 0 ? failures : ["the scratch memory differs outside of windows"];
};

const compareTrial = <I extends Instruction>(
  driver: Driver<I>,
  { link, open }: Placed<I>,
  { before, after, windowAfter }: Expected,
  block: Uint8Array,
): string[] => {
  const found = driver.unpack(block.subarray(0, driver.stateBytes));
  const problems = [...after].flatMap(([name, want]) => {
    const got = ensure(found.get(name), name);
    if (got === want || open.includes(name)) return [];
    const shown = name === link ? "landed at" : name;
    return [
      `${shown}: was ${hex(ensure(before.get(name), name))}, want ${hex(want)}, got ${hex(got)}`,
    ];
  });
  const window = block.subarray(driver.stateBytes + 16, driver.stateBytes + 16 + windowBytes);
  if (hexBytes(window) !== hexBytes(windowAfter)) {
    problems.push(`memory: want ${hexBytes(windowAfter)}, got ${hexBytes(window)}`);
  }
  return problems;
};

const describe = <I extends Instruction>(
  { isa }: Driver<I>,
  { insns, at }: Placed<I>,
  problems: readonly string[],
): string =>
  `${insns.map((insn) => isa.format(insn, at)).join("; ")} at ${hex(at)}: ${problems.join("; ")}`;

/** A distance from the only instruction of a trial, of `size` bytes, to one of the pads. */
export const distanceToPad = (padBytes: number, size: number, random: Random): number => {
  const pad = random.below(2 * padsEachSide);
  return pad < padsEachSide ? -padBytes * (pad + 1) : size + padBytes * (pad - padsEachSide);
};

/**
 * A world: the addresses and contents that a check runs in. Sites with their windows cut into the
 * machine's blocks, words of data, trampolines and ops, each at a fixed place, and the set of
 * instructions that the site's states mean to have (everything else is "nobody wrote it").
 */
import { assert, ensure } from "../base/assert.ts";
import { type CodeAddr, codeAddr, hexBytes } from "../base/brand.ts";
import type { Instruction, Isa } from "../isa/isa.ts";
import type { Design } from "../patch/design.ts";
import type { Trampoline } from "../patch/trampolines.ts";
import { type IsaKit, kits } from "./kits.ts";
import type { Machine } from "./machine.ts";
import { Bank, type Block, type BlockStore } from "./memory.ts";
import {
  codeAddresses,
  funcBase,
  opsBase,
  opsStride,
  siteBase,
  siteStride,
  wordBase,
} from "./places.ts";

/** Code beside the sites. */
export type Code = {
  readonly name: string;
  readonly at: bigint;
  readonly steps: Trampoline;
  /** Its bit among the things that can be freed. */
  readonly bit: number;
};

export type OpsObject = {
  readonly name: string;
  readonly at: bigint;
  /** Address of its function. */
  readonly func: bigint;
  /** Address of its direct call, or 0. */
  readonly direct: bigint;
  readonly takesAny: boolean;
  readonly bit: number;
};

/** A word of data: a literal, or one that sites share. */
export type DataWord = {
  readonly name: string;
  readonly at: bigint;
  readonly size: number;
  readonly bank: number;
};

export type WorldSite = {
  readonly at: CodeAddr;
  /** First byte behind the window: the function's body. */
  readonly end: bigint;
  readonly bank: number;
  /** Index of the window's first block in the bank. */
  readonly firstBlock: number;
  readonly literal: DataWord | undefined;
};

export type World = {
  readonly machine: Machine;
  readonly design: Design;
  readonly isa: Isa;
  readonly kit: IsaKit;
  readonly sites: readonly WorldSite[];
  readonly banks: readonly Bank[];
  readonly words: ReadonlyMap<string, DataWord>;
  readonly code: ReadonlyMap<bigint, Code>;
  readonly codeByName: ReadonlyMap<string, Code>;
  readonly ops: ReadonlyMap<string, OpsObject>;
  readonly targets: ReadonlyMap<string, CodeAddr>;
  /** Names of freeable things by bit. */
  readonly objects: readonly string[];
  /** Instructions by `pc:bytes` that the states of the sites mean to have. */
  readonly written: Set<string>;
  /** First byte of harmless instructions whose other bytes can be anything, by `coverKey`. */
  readonly covers: Set<string>;
};

const alignDown = (value: bigint, align: bigint): bigint => value - (value % align);

/** Cuts [at, at + size) at the multiples of `atom`. */
function cut(at: bigint, size: number, atom: number): { at: bigint; size: number }[] {
  const pieces: { at: bigint; size: number }[] = [];
  const end = at + BigInt(size);
  for (let from = at; from < end; ) {
    const next = alignDown(from, BigInt(atom)) + BigInt(atom);
    const to = next < end ? next : end;
    pieces.push({ at: from, size: Number(to - from) });
    from = to;
  }
  return pieces;
}

/**
 * Cuts a word of data into the parts that one access sees at one moment: naturally aligned ones.
 */
function cutWord(at: bigint, size: number, storeAtom: number): { at: bigint; size: number }[] {
  if (storeAtom > 0) return cut(at, size, storeAtom);
  let atom = size;
  while (at % BigInt(atom) !== 0n) atom /= 2;
  return cut(at, size, atom);
}

export type WorldOptions = {
  /** Added to the site's address: where in its alignment it lies. */
  readonly phase: number;
  readonly sites: 1 | 2;
  readonly harts: number;
  /** Addresses that a check wants for some code, by name. */
  readonly places?: Readonly<Record<string, bigint>>;
};

/** A little-endian word. */
export function wordBytes(value: bigint, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

export const wordValue = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);

/** Lays out a world for a design on a machine; sites are in state `idle`. */
export function buildWorld(design: Design, machine: Machine, options: WorldOptions): World {
  const kit = kits[design.isa];
  const objects = [...Object.keys(design.code), ...design.ops.map((ops) => `ops:${ops.name}`)];
  assert(objects.length <= 16, "too many objects in a design");
  const { code, targets } = placeCode(design, { ...design.places, ...options.places });
  const firstBit = objects.length - design.ops.length;
  const ops = placeOps(design, targets, firstBit, kit.isa.wordBytes);
  const banks: Bank[] = [];
  const addBank = (blocks: readonly Block[], use: "code" | "data"): number =>
    banks.push(new Bank(machine, options.harts, blocks, use)) - 1;
  const words = placeWords(design, machine, kit.isa.wordBytes, ops, targets, addBank);
  const sites = placeSites(design, machine, options, targets, ops, addBank);
  return {
    machine,
    design,
    isa: kit.isa,
    kit,
    sites,
    banks,
    words,
    code: new Map(code.map((c) => [c.at, c])),
    codeByName: new Map(code.map((c) => [c.name, c])),
    ops,
    targets,
    objects,
    written: new Set(),
    covers: new Set(),
  };
}

function placeCode(
  design: Design,
  places: Readonly<Record<string, bigint>>,
): { code: Code[]; targets: Map<string, CodeAddr> } {
  const code = Object.entries(design.code).map(([name, steps], bit): Code => {
    const at = places[name] ?? ensure(codeAddresses[bit], "too much code in a design");
    return { name, at, steps, bit };
  });
  return { code, targets: new Map(code.map((c) => [c.name, codeAddr(c.at)])) };
}

function placeOps(
  design: Design,
  targets: ReadonlyMap<string, CodeAddr>,
  firstBit: number,
  wordBytes: 4 | 8,
): Map<string, OpsObject> {
  return new Map(
    design.ops.map(({ name, direct, takesAny = false }, index) => {
      const target = direct === undefined ? 0n : ensure(targets.get(direct), direct);
      const at = opsBase + BigInt(index) * opsStride(wordBytes);
      const func = funcBase + BigInt(index) * 0x40n;
      return [name, { name, at, func, direct: target, takesAny, bit: firstBit + index }];
    }),
  );
}

/**
 * What a data word holds: `NAME` is the ops' address, `func:NAME` its function's, `direct:CODE`.
 */
export function addressNamed(
  name: string,
  ops: ReadonlyMap<string, OpsObject>,
  targets: ReadonlyMap<string, CodeAddr>,
): bigint {
  if (name.startsWith("func:")) return ensure(ops.get(name.slice(5)), name).func;
  return ops.get(name)?.at ?? ensure(targets.get(name), `nothing is called ${name}`);
}

function placeWords(
  design: Design,
  machine: Machine,
  size: number,
  ops: ReadonlyMap<string, OpsObject>,
  targets: ReadonlyMap<string, CodeAddr>,
  addBank: (blocks: readonly Block[], use: "data") => number,
): Map<string, DataWord> {
  return new Map(
    Object.entries(design.words ?? {}).map(([name, held], index) => {
      const at = wordBase + BigInt(index) * 0x40n;
      const initial = wordBytes(addressNamed(held, ops, targets), size);
      const bank = addBank(blocksOf(at, initial, cutWord(at, size, machine.storeAtom)), "data");
      return [name, { name, at, size, bank }];
    }),
  );
}

const blocksOf = (
  at: bigint,
  bytes: Uint8Array,
  pieces: readonly { at: bigint; size: number }[],
): Block[] =>
  pieces.map((piece) => {
    const from = Number(piece.at - at);
    return { at: piece.at, initial: bytes.slice(from, from + piece.size) };
  });

function placeSites(
  design: Design,
  machine: Machine,
  options: WorldOptions,
  targets: ReadonlyMap<string, CodeAddr>,
  ops: ReadonlyMap<string, OpsObject>,
  addBank: (blocks: readonly Block[], use: "code" | "data") => number,
): WorldSite[] {
  // With fetches in program order one order spans all code, so all windows are in one bank.
  const shared: Block[] = [];
  const oneBank = machine.fetchOrder === "program";
  const drafts = Array.from({ length: options.sites }, (_, index) => {
    const at = codeAddr(siteBase + BigInt(index) * siteStride + BigInt(options.phase));
    const bytes = design.states.idle.window(at, targets);
    assert(bytes.length === design.windowSize, `${design.id}: window of ${bytes.length} bytes`);
    const blocks = blocksOf(at, bytes, cut(at, bytes.length, machine.fetchAtom));
    const firstBlock = oneBank ? shared.push(...blocks) - blocks.length : 0;
    return { at, end: at + BigInt(bytes.length), blocks, firstBlock };
  });
  const sharedBank = oneBank ? addBank(shared, "code") : 0;
  return drafts.map(({ at, end, blocks, firstBlock }, index) => {
    const bank = oneBank ? sharedBank : addBank(blocks, "code");
    const literal = placeLiteral(design, machine, at, ops, addBank, index);
    return { at, end, bank, firstBlock, literal };
  });
}

function placeLiteral(
  design: Design,
  machine: Machine,
  site: bigint,
  ops: ReadonlyMap<string, OpsObject>,
  addBank: (blocks: readonly Block[], use: "data") => number,
  index: number,
): DataWord | undefined {
  if (design.literal === undefined) return undefined;
  const { offset, size } = design.literal;
  const at = site + BigInt(offset);
  const held = ensure(design.states.idle.literal, `${design.id}: idle has no literal`);
  const initial = wordBytes(ensure(ops.get(held), held).at, size);
  const bank = addBank(blocksOf(at, initial, cutWord(at, size, machine.storeAtom)), "data");
  return { name: `literal ${index + 1}`, at, size, bank };
}

/** Stores of `bytes` at `at`, one per piece that becomes visible at one moment. */
export function cutStore(
  world: World,
  at: bigint,
  bytes: Uint8Array,
  how: "single" | "pieces",
): { bank: number; stores: BlockStore[]; at: bigint; size: number }[] {
  // Parts smaller than the smallest instruction would break nothing that those do not.
  const pieces =
    how === "pieces"
      ? cut(at, bytes.length, world.isa.instructionAlign)
      : cutWord(at, bytes.length, world.machine.storeAtom);
  return pieces.map((piece) => {
    const from = Number(piece.at - at);
    const part = bytes.slice(from, from + piece.size);
    return { ...findStores(world, piece.at, part), at: piece.at, size: piece.size };
  });
}

/** The blocks that bytes at an address fall into. */
export function findStores(
  world: World,
  at: bigint,
  bytes: Uint8Array,
): { bank: number; stores: BlockStore[] } {
  const end = at + BigInt(bytes.length);
  for (const [bank, { blocks }] of world.banks.entries()) {
    const stores = blocks.flatMap((block, index): BlockStore[] => {
      const blockEnd = block.at + BigInt(block.initial.length);
      const from = at > block.at ? at : block.at;
      const to = end < blockEnd ? end : blockEnd;
      if (from >= to) return [];
      const part = bytes.slice(Number(from - at), Number(to - at));
      return [{ block: index, offset: Number(from - block.at), bytes: part }];
    });
    if (stores.length > 0) return { bank, stores };
  }
  throw new Error(`assertion failed: a store to ${at.toString(16)}, where nothing is`);
}

/** What an instruction does to control, as far as finding the next written instruction needs it. */
function successors(isa: Isa, insn: Instruction, pc: bigint): readonly bigint[] {
  const next = pc + BigInt(insn.size);
  for (const effect of isa.effects(insn)) {
    if (effect.kind === "trap" && effect.when === undefined) return [];
    if (effect.kind !== "jump") continue;
    if (effect.as === "call" || effect.when !== undefined) return [next];
    const { target } = effect;
    // A jump relative to pc stays in the window; every other one leaves it.
    const direct = jumpTarget(target, pc);
    return direct === undefined ? [] : [direct];
  }
  return [next];
}

function jumpTarget(
  expr: Extract<ReturnType<Isa["effects"]>[number], { kind: "jump" }>["target"],
  pc: bigint,
): bigint | undefined {
  if (expr.op === "pc") return pc;
  if (expr.op === "const") return expr.value;
  if (expr.op !== "binary" || expr.fn !== "add") return undefined;
  const a = jumpTarget(expr.a, pc);
  const b = jumpTarget(expr.b, pc);
  return a === undefined || b === undefined ? undefined : BigInt.asUintN(expr.bits, a + b);
}

/**
 * Adds the instructions that control reaches from the start of `bytes`, put at `at` by one writer,
 * to what somebody wrote. An instruction with bytes of two writers is one that nobody wrote.
 */
export function declareWritten(world: World, at: bigint, bytes: Uint8Array): void {
  const end = at + BigInt(bytes.length);
  const todo = [at];
  const met = new Set<bigint>();
  for (let pc = todo.pop(); pc !== undefined; pc = todo.pop()) {
    if (pc < at || pc >= end) continue;
    const offset = Number(pc - at);
    const insn = world.isa.decode(bytes, offset);
    if (insn === undefined) continue;
    if (met.has(pc)) continue;
    met.add(pc);
    world.written.add(writtenKey(pc, bytes.subarray(offset, offset + insn.size)));
    todo.push(...successors(world.isa, insn, pc));
  }
}

/** Whether somebody wrote the instruction `bytes` that is met at `pc`. */
export const isWritten = (world: World, pc: bigint, bytes: Uint8Array): boolean =>
  world.written.has(writtenKey(pc, bytes)) ||
  world.covers.has(coverKey(pc, bytes[0] ?? 0, bytes.length));

/** An instruction of `size` bytes at `pc` that is known by its first byte. */
export const coverKey = (pc: bigint, first: number, size: number): string =>
  `${pc.toString(16)}:${first}:${size}`;

const writtenKey = (pc: bigint, bytes: Uint8Array): string =>
  `${pc.toString(16)}:${hexBytes(bytes)}`;

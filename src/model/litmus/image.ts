/**
 * A litmus test laid out in memory: every variable and label gets an address, every instruction its
 * bytes, every register its initial value. From here on there are numbers only; names come back
 * for printing.
 */

import { ensure } from "../../base/assert.ts";
import { hex } from "../../base/brand.ts";
import { type Decoding, type LitmusIsa, noNames } from "./isa.ts";
import {
  type CodeLine,
  type Column,
  type InitEntry,
  type LitmusTest,
  type Place,
  type Proposition,
  refusal,
  type ValueText,
} from "./test-file.ts";

/** A piece of memory with its bytes before any thread has run. */
type Region = { readonly start: bigint; readonly bytes: Uint8Array; readonly code: boolean };

/** A variable: its address and the size of one element, where a type says it. */
type Variable = {
  readonly address: bigint;
  readonly strideBytes: number;
  /** Bytes that a condition compares. */
  readonly bytes: number;
};

type ColumnCode = { readonly column: Column; readonly start: bigint; readonly end: bigint };

export type Image = {
  readonly test: LitmusTest;
  readonly isa: LitmusIsa;
  readonly threads: number;
  /** Address of the first instruction of a thread, or of its handler. */
  readonly entry: (thread: number, role: Column["role"]) => bigint | undefined;
  /** Whether `pc` is the end of a column: a thread that gets there is done. */
  readonly isEnd: (pc: bigint) => boolean;
  /** Where the columns' code is. */
  readonly codeRanges: readonly { readonly start: bigint; readonly bytes: number }[];
  /** Whether `pc` is inside of the test's code. */
  readonly isCode: (pc: bigint) => boolean;
  /** What the bytes are as an instruction at `pc`; remembered. */
  readonly decode: (bytes: readonly number[], pc: bigint) => Decoding;
  /** Bytes of memory before the test; `undefined` where some of them are not there. */
  readonly bytesAt: (address: bigint, count: number) => Uint8Array | undefined;
  /** Initial value of a register by the name that effects use. */
  readonly registers: readonly ReadonlyMap<string, bigint>[];
  readonly valueOf: (value: ValueText, line: number) => bigint;
  readonly variable: (name: string, line: number) => Variable;
  readonly labelAt: (thread: number, label: string) => bigint | undefined;
  /** The line that the instruction at an address stands in; 1 where there is none. */
  readonly lineOf: (pc: bigint) => number;
  /** Name of an address or of a word that is an instruction of the test's; else a number. */
  readonly nameOf: (value: bigint) => string;
};

const codeBase = 0x400000n;
const columnBytes = 0x10000n;
const dataBase = 0x1000_0000n;
/** Variables stand on cache lines of their own. */
const lineBytes = 64;

/** Return addresses and pushed values that a thread has room for. */
const stackSlots = 16;

const typeBytes: Readonly<Record<string, number>> = {
  int8_t: 1,
  uint8_t: 1,
  char: 1,
  int16_t: 2,
  uint16_t: 2,
  int: 4,
  int32_t: 4,
  uint32_t: 4,
  ins_t: 4,
  int64_t: 8,
  uint64_t: 8,
  long: 8,
  intptr_t: 8,
  uintptr_t: 8,
};

const littleEndian = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);

/** The value that `count` bytes are, least significant first. */
export const valueOfBytes: (bytes: Uint8Array) => bigint = littleEndian;

/** The low bytes of a value, least significant first. */
export function bytesOfValue(value: bigint, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

/** Names of variables that a proposition speaks of. */
function namesIn(proposition: Proposition, add: (name: string) => void): void {
  const place = (p: Place): void => {
    if (p.kind === "memory") add(p.name);
  };
  switch (proposition.op) {
    case "and":
    case "or":
    case "implies":
      namesIn(proposition.a, add);
      namesIn(proposition.b, add);
      return;
    case "not":
      namesIn(proposition.a, add);
      return;
    case "equals":
      place(proposition.place);
      if (proposition.value.kind === "symbol") add(proposition.value.name);
      return;
    case "same":
      place(proposition.a);
      place(proposition.b);
      return;
    default:
  }
}

/** Everything that is laid out; built step by step by `makeImage`. */
class Layout {
  readonly #test: LitmusTest;
  readonly #isa: LitmusIsa;
  readonly #labels = new Map<string, bigint>();
  readonly #variables = new Map<string, Variable>();
  readonly #regions: Region[] = [];
  readonly #words = new Map<bigint, string>();
  readonly #lines = new Map<bigint, number>();
  readonly columns: ColumnCode[] = [];

  constructor(test: LitmusTest, isa: LitmusIsa) {
    this.#test = test;
    this.#isa = isa;
  }

  #refuse(line: number, why: string): never {
    throw refusal(this.#test.source, line, why);
  }

  lineOf(pc: bigint): number {
    return this.#lines.get(pc) ?? 1;
  }

  labelAt(thread: number, label: string): bigint | undefined {
    return this.#labels.get(`${thread}:${label}`);
  }

  /** The label of any thread, for pages that name one without its thread. */
  #labelOfAny(label: string): bigint | undefined {
    const found = this.#test.columns.flatMap(({ thread }) => this.labelAt(thread, label) ?? []);
    return new Set(found).size === 1 ? found[0] : undefined;
  }

  #encode(line: CodeLine, thread: number, pc: bigint, firstPass: boolean): Uint8Array {
    if (line.text === undefined) return new Uint8Array(0);
    const label = (name: string): bigint | undefined =>
      this.labelAt(thread, name) ?? (firstPass ? pc : undefined);
    const variable = (name: string): bigint => this.#declare(name, undefined, 1).address;
    const bytes = this.#isa.assemble(line.text, pc, { label, variable });
    if (typeof bytes === "string") this.#refuse(line.line, `"${line.text}": ${bytes}`);
    return bytes;
  }

  /** Lays out a column at `start`; `firstPass`: labels are not known yet, only sizes count. */
  #place(column: Column, start: bigint, firstPass: boolean): Uint8Array {
    const parts: number[] = [];
    for (const line of column.code) {
      const pc = start + BigInt(parts.length);
      for (const label of line.labels) {
        const key = `${column.thread}:${label}`;
        if (firstPass && this.#labels.has(key)) this.#refuse(line.line, `label ${label} twice`);
        this.#labels.set(key, pc);
      }
      if (line.text !== undefined) this.#lines.set(pc, line.line);
      parts.push(...this.#encode(line, column.thread, pc, firstPass));
    }
    return Uint8Array.from(parts);
  }

  placeCode(): void {
    const { columns } = this.#test;
    const starts = columns.map((_, index) => codeBase + BigInt(index) * columnBytes);
    for (const firstPass of [true, false]) {
      for (const [index, column] of columns.entries()) {
        const start = ensure(starts[index], "a column's address");
        const bytes = this.#place(column, start, firstPass);
        if (firstPass) continue;
        this.#regions.push({ start, bytes, code: true });
        this.columns.push({ column, start, end: start + BigInt(bytes.length) });
      }
    }
  }

  #declare(name: string, type: string | undefined, length: number): Variable {
    const there = this.#variables.get(name);
    if (there !== undefined) return there;
    const known =
      type === undefined ? undefined : typeBytes[type.replace(/^(const|volatile) /, "")];
    const pointer = type?.endsWith("*") === true;
    const bytes = pointer ? this.#isa.pointerBytes : (known ?? 8);
    const strideBytes = pointer ? bytes : (known ?? 4);
    const lines = BigInt(Math.ceil((length * strideBytes + 16) / lineBytes));
    const last = [...this.#regions].findLast((region) => !region.code);
    const address = last === undefined ? dataBase : last.start + BigInt(last.bytes.length);
    const variable = { address, strideBytes, bytes };
    this.#variables.set(name, variable);
    const content = new Uint8Array(Number(lines) * lineBytes);
    this.#regions.push({ start: address, bytes: content, code: false });
    return variable;
  }

  /** Variables that the initial state declares; before the code, which may name them. */
  placeDeclared(): void {
    for (const entry of this.#test.init) this.#declareOf(entry);
  }

  /** Second names, and every variable that the test names anywhere; after the code. */
  placeData(): void {
    const { init, aliases, condition, filter, locations } = this.#test;
    for (const { name, target, line } of aliases) this.#alias(name, target, line);
    const add = (name: string): void => {
      this.#declare(name, undefined, 1);
    };
    for (const { values } of init) {
      for (const value of values) if (value.kind === "symbol") add(value.name);
    }
    namesIn(condition, add);
    if (filter !== undefined) namesIn(filter, add);
    for (const place of locations) if (place.kind === "memory") add(place.name);
  }

  #declareOf(entry: InitEntry): void {
    const { place, type, length = 1, line } = entry;
    if (place.kind !== "memory") return;
    if (type !== undefined && !type.endsWith("*") && typeBytes[type] === undefined) {
      this.#refuse(line, `type ${type} is not known`);
    }
    if (!this.#test.aliases.some(({ name }) => name === place.name)) {
      this.#declare(place.name, type, length);
    }
  }

  /** Makes `name` and `target` one place: the label's, where one of them is a label. */
  #alias(name: string, target: string, line: number): void {
    if (name === target) return;
    const label = this.#labelOfAny(name);
    const address = label ?? this.#labelOfAny(target);
    if (address === undefined) {
      this.#declare(target, undefined, 1);
      this.#variables.set(name, ensure(this.#variables.get(target), target));
      return;
    }
    if (label !== undefined && this.#variables.has(target)) {
      this.#refuse(line, `${target} has a value of its own`);
    }
    const variable = { address, strideBytes: 4, bytes: 4 };
    this.#variables.set(label === undefined ? name : target, variable);
  }

  /** Top of a thread's stack: where calls push their return addresses (x86-64). */
  stackOf(thread: number): bigint {
    const { address } = this.#declare(`stack${thread}`, "uint64_t", stackSlots);
    return address + BigInt(8 * stackSlots);
  }

  variable(name: string, line: number): Variable {
    return this.#variables.get(name) ?? this.#refuse(line, `${name} is not declared`);
  }

  /** The number that a value stands for. */
  valueOf(value: ValueText, line: number): bigint {
    switch (value.kind) {
      case "number":
        return BigInt.asUintN(64, value.value);
      case "symbol": {
        const { address, strideBytes } = this.variable(value.name, line);
        return address + BigInt(value.index * strideBytes);
      }
      case "label":
        return (
          this.labelAt(value.thread, value.label) ??
          this.#refuse(line, `thread ${value.thread} has no label ${value.label}`)
        );
      case "instruction": {
        const bytes = this.#isa.assemble(value.text, 0n, noNames);
        if (typeof bytes === "string") this.#refuse(line, `instr:"${value.text}": ${bytes}`);
        const word = littleEndian(bytes);
        this.#words.set(word, value.text);
        return word;
      }
      default:
        return value satisfies never;
    }
  }

  region(address: bigint, count: number): Region | undefined {
    return this.#regions.find(
      ({ start, bytes }) =>
        address >= start && address + BigInt(count) <= start + BigInt(bytes.length),
    );
  }

  /** Writes an initial value of a variable to memory. */
  store(entry: InitEntry): void {
    if (entry.place.kind !== "memory") return;
    const { address, strideBytes, bytes } = this.variable(entry.place.name, entry.line);
    for (const [index, value] of entry.values.entries()) {
      const at = address + BigInt((entry.place.index + index) * strideBytes);
      const size = entry.length === undefined ? bytes : strideBytes;
      const region = this.region(at, size);
      if (region === undefined) this.#refuse(entry.line, "it is outside of its array");
      region.bytes.set(
        bytesOfValue(this.valueOf(value, entry.line), size),
        Number(at - region.start),
      );
    }
  }

  /** `P1:L0`, `x`, `instr:"NOP"`, or a number. */
  nameOf(value: bigint): string {
    for (const [key, address] of this.#labels) if (address === value) return `P${key}`;
    for (const [name, { address }] of this.#variables) if (address === value) return name;
    if (value < 0x10000n) return String(value);
    const word = this.#words.get(value);
    return word === undefined ? hex(value) : `instr:"${word}"`;
  }
}

function initialRegisters(test: LitmusTest, isa: LitmusIsa, layout: Layout): Map<string, bigint>[] {
  const threads = test.columns.filter((column) => column.role === "main").length;
  const registers = Array.from({ length: threads }, () => new Map<string, bigint>());
  for (const [thread, file] of registers.entries()) {
    if (isa.stackPointer !== undefined) file.set(isa.stackPointer, layout.stackOf(thread));
  }
  for (const { place, values, line } of test.init) {
    if (place.kind !== "register") continue;
    const file = registers[place.thread];
    const found = isa.register(place.register);
    if (file === undefined) throw refusal(test.source, line, `there is no thread ${place.thread}`);
    if (found === undefined) throw refusal(test.source, line, `${place.register} is no register`);
    const value = values[0] === undefined ? 0n : layout.valueOf(values[0], line);
    file.set(found.name, BigInt.asUintN(found.bits, value));
  }
  return registers;
}

/** Decodes, and remembers what it decoded: the threads run the same few instructions many times. */
function rememberDecodings(isa: LitmusIsa): Image["decode"] {
  const known = new Map<string, Decoding>();
  return (bytes, pc) => {
    const key = `${pc} ${bytes.join()}`;
    const there = known.get(key);
    if (there !== undefined) return there;
    const decoding = isa.decode(Uint8Array.from(bytes), pc);
    known.set(key, decoding);
    return decoding;
  };
}

/** Lays out a test; what has no encoding or no meaning is refused with its line. */
export function makeImage(test: LitmusTest, isa: LitmusIsa): Image {
  const layout = new Layout(test, isa);
  layout.placeDeclared();
  layout.placeCode();
  layout.placeData();
  for (const entry of test.init) layout.store(entry);
  const registers = initialRegisters(test, isa, layout);
  const { columns } = layout;
  return {
    test,
    isa,
    threads: registers.length,
    registers,
    entry: (thread, role) =>
      columns.find(({ column }) => column.thread === thread && column.role === role)?.start,
    decode: rememberDecodings(isa),
    codeRanges: columns.map(({ start, end }) => ({ start, bytes: Number(end - start) })),
    isEnd: (pc) => columns.some(({ end }) => end === pc),
    isCode: (pc) => columns.some(({ start, end }) => pc >= start && pc < end),
    bytesAt: (address, count) => {
      const region = layout.region(address, count);
      if (region === undefined) return undefined;
      const at = Number(address - region.start);
      return region.bytes.slice(at, at + count);
    },
    valueOf: (value, line) => layout.valueOf(value, line),
    variable: (name, line) => layout.variable(name, line),
    lineOf: (pc) => layout.lineOf(pc),
    labelAt: (thread, label) => layout.labelAt(thread, label),
    nameOf: (value) => layout.nameOf(value),
  };
}

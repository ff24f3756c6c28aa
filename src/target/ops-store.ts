/**
 * What sites reach by CALL_OPS in the target: trampolines near them, the table of the ops'
 * functions, the functions, and the list of all ops. See `codegen/x86-64/call-ops.ts`.
 */
import { assert, ensure } from "../base/assert.ts";
import { codeAddr, type DataAddr, dataAddr } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { CallOpsBackEnd } from "../codegen/back-end.ts";
import { type Work, workKey } from "../codegen/work.ts";
import { type Trampolines, trampolineFor } from "../codegen/x86-64/call-ops.ts";
import type { ThunkPlan } from "../codegen/x86-64/record.ts";
import { listEntry, listedWorksMax } from "../codegen/x86-64/walk.ts";
import type { SiteDesign } from "../ftrace/dispatch.ts";
import { isOpsNumber, nopOps, opsMax } from "../patch/literal.ts";
import { findRoomNear, findRoomWithin } from "./address-space.ts";
import { prot, type Range } from "./bootstrap.ts";
import type { TargetProcess } from "./process.ts";

/** One of the ops in the list: its work, and a byte for each site, not 0 where it wants it. */
export type ListedOps = { readonly work: Work; readonly wanted: Uint8Array };

export type OpsParts = {
  readonly process: TargetProcess;
  readonly code: CallOpsBackEnd;
  /** How the call of a site gets to the trampoline. */
  readonly design: SiteDesign;
  readonly plan: ThunkPlan;
  /** Maps `bytes` at `start` in the target. */
  readonly map: (start: bigint, bytes: number, protection: number) => void;
  /** Stores a word that threads may be reading, whole. */
  readonly store: (at: bigint, value: bigint) => void;
};

const pageBytes = 4096;
const tableBytes = opsMax * 8;
const pageUp = (bytes: number): number => (bytes + pageBytes - 1) & ~(pageBytes - 1);

export class OpsStore {
  /** What is mapped. */
  readonly ranges: Range[] = [];
  /** Taken out of use: to be unmapped after a grace period. */
  #retired: Range[] = [];
  /** Numbers whose functions are retired: free after it. */
  #retiredNumbers: number[] = [];
  readonly #parts: OpsParts;
  #table: DataAddr | undefined;
  /** Where trampolines stand, and what each of them is. */
  readonly #trampolines: bigint[] = [];
  #trampolineCode: Trampolines | undefined;
  readonly #numbers = new Map<string, number>();
  readonly #functions = new Map<number, Range>();
  readonly #free: number[] = [];
  #nextNumber = nopOps + 1;
  /** What the list calls for each kind of work, by its bit. */
  readonly #listed = new Map<string, bigint>();
  #lists: Range[] = [];

  constructor(parts: OpsParts) {
    this.#parts = parts;
  }

  /** Whether `pc` is in code of the store. */
  isInside(pc: bigint): boolean {
    return this.ranges.some(({ start, bytes }) => pc >= start && pc < start + bytes);
  }

  /** Address of the word that holds the list's address. */
  get listWord(): DataAddr {
    return dataAddr(this.#functionTable() + BigInt(tableBytes));
  }

  /**
   * The trampoline for the site at `at`, whose literal is `distance` bytes before it; undefined
   * where no memory in a call's reach is free.
   */
  trampoline(at: number, distance: number): number | undefined {
    const { process, code: make, design } = this.#parts;
    const { branchReach } = process.backEnd;
    let start = this.#trampolines.find((to) => Math.abs(at - Number(to)) < Number(branchReach));
    this.#trampolineCode ??= make.makeTrampolines(this.#functionTable(), design);
    const code = this.#trampolineCode;
    if (start === undefined) {
      const near = BigInt(at);
      const { stubs } = code;
      const data = stubs === undefined ? 0 : stubs.words + 8 * stubs.count;
      const bytes = pageUp(Math.max(code.bytes.length, data));
      start = findRoomWithin(process.maps(), bytes, near, near, branchReach);
      if (start === undefined) return undefined;
      this.#take(start, bytes, prot.read | prot.exec);
      process.memory.write(start, code.bytes);
      if (stubs !== undefined) {
        const words = new BigUint64Array(stubs.count).fill(start + BigInt(stubs.target));
        process.memory.write(start + BigInt(stubs.words), new Uint8Array(words.buffer));
      }
      this.#trampolines.push(start);
    }
    return Number(trampolineFor(code, codeAddr(start), { at, distance }));
  }

  /** The number of the ops that do `work`; made when it is wanted for the first time. */
  numberOf(work: Work): number {
    const key = workKey(work);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const [action] = work;
    const { code: make, plan } = this.#parts;
    const code =
      action?.kind === "list"
        ? make.walkFunction(plan, dataAddr(action.at))
        : make.opsFunction(work, plan);
    const number = this.#free.pop() ?? this.#next();
    assert(number < opsMax, `there are at most ${opsMax} ops`);
    const placed = this.#place(code, this.#functionTable(), prot.read | prot.exec);
    // Nobody has that number yet.
    this.#write(this.#functionTable() + BigInt(number * 8), placed.start);
    this.#functions.set(number, placed);
    this.#numbers.set(key, number);
    return number;
  }

  /** A number that nobody has had. */
  #next(): number {
    const { name } = this.#parts.process.backEnd;
    while (this.#nextNumber < opsMax && !isOpsNumber(name, this.#nextNumber)) this.#nextNumber++;
    return this.#nextNumber++;
  }

  /** How many more ops there can be. */
  get room(): number {
    return opsMax - this.#nextNumber + this.#free.length;
  }

  /** Lets every walk from now on go through `ops`. */
  setList(ops: readonly ListedOps[]): void {
    const entries = ops.map(({ work, wanted }) => ({ code: this.#listedCode(work), wanted }));
    const head = (entries.length + 1) * listEntry.bytes;
    const bytes = new Uint8Array(head + entries.reduce((sum, one) => sum + one.wanted.length, 0));
    const placed = this.#room(bytes.length, this.#functionTable(), prot.read);
    const view = new DataView(bytes.buffer);
    let at = head;
    entries.forEach(({ code, wanted }, index) => {
      view.setBigUint64(index * listEntry.bytes + listEntry.function, code, true);
      view.setBigUint64(
        index * listEntry.bytes + listEntry.wanted,
        placed.start + BigInt(at),
        true,
      );
      bytes.set(wanted, at);
      at += wanted.length;
    });
    this.#parts.process.memory.write(placed.start, bytes);
    this.#parts.store(this.listWord, placed.start);
    this.#retired.push(...this.#lists);
    this.#lists = [placed];
  }

  /** Takes functions out of use that no site calls. @param inUse numbers of ops. */
  retireUnused(inUse: ReadonlySet<number>): void {
    for (const [key, number] of this.#numbers) {
      if (inUse.has(number)) continue;
      this.#numbers.delete(key);
      this.#parts.store(this.#functionTable() + BigInt(number * 8), this.#nop());
      this.#retired.push(ensure(this.#functions.get(number), "a function"));
      this.#functions.delete(number);
      this.#retiredNumbers.push(number);
    }
  }

  /** How much waits for a grace period. */
  get retiredCount(): number {
    return this.#retired.length;
  }

  /** Gives up what was retired, after a grace period; to be unmapped by the caller. */
  takeRetired(): readonly Range[] {
    const retired = this.#retired;
    this.#retired = [];
    this.#free.push(...this.#retiredNumbers.splice(0));
    for (const range of retired) this.ranges.splice(this.ranges.indexOf(range), 1);
    return retired;
  }

  #functionTable(): DataAddr {
    if (this.#table !== undefined) return this.#table;
    const { start } = this.#room(tableBytes + 8, 0n, prot.read);
    this.#table = dataAddr(start);
    const empty = this.#place(new Uint8Array(listEntry.bytes), start, prot.read);
    this.#write(this.listWord, empty.start);
    const nop = this.#place(
      this.#parts.code.opsFunction([], this.#parts.plan),
      start,
      prot.read | prot.exec,
    );
    const all = new BigUint64Array(opsMax).fill(nop.start);
    this.#parts.process.memory.write(start, new Uint8Array(all.buffer));
    return this.#table;
  }

  /** What does nothing: the function of ops 0. */
  #nop(): bigint {
    const { memory } = this.#parts.process;
    return new BigUint64Array(memory.read(this.#functionTable(), 8).buffer)[nopOps] ?? 0n;
  }

  #write(at: bigint, value: bigint): void {
    this.#parts.process.memory.write(at, new Uint8Array(new BigUint64Array([value]).buffer));
  }

  #listedCode(work: Work): bigint {
    const key = workKey(work);
    const known = this.#listed.get(key);
    if (known !== undefined) return known;
    if (this.#listed.size === listedWorksMax) {
      throw new PatchbayError({
        code: "unsupported",
        doing: "put ops into the list",
        why: `they do more than ${listedWorksMax} different things`,
        hint: "let another dispatch than list be used",
      });
    }
    const { code: make, plan } = this.#parts;
    const code = make.listedFunction(work, this.#listed.size, plan);
    const { start } = this.#place(code, this.#functionTable(), prot.read | prot.exec);
    this.#listed.set(key, start);
    return start;
  }

  #place(code: Uint8Array, near: bigint, protection: number): Range {
    const placed = this.#room(code.length, near, protection);
    this.#parts.process.memory.write(placed.start, code);
    return placed;
  }

  /** Maps room for `size` bytes that `near` can branch to. */
  #room(size: number, near: bigint, protection: number): Range {
    const { process } = this.#parts;
    const bytes = pageUp(size);
    const { branchReach } = process.backEnd;
    const start = findRoomNear(process.maps(), bytes, near, near, branchReach);
    return this.#take(start, bytes, protection);
  }

  #take(start: bigint, bytes: number, protection: number): Range {
    this.#parts.map(start, bytes, protection);
    const range = { start, bytes: BigInt(bytes) };
    this.ranges.push(range);
    return range;
  }
}

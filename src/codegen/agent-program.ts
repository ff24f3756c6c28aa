/**
 * Programs for the agent: lists of stores and system calls, as words in the arena. The agent
 * (`x86-64/agent.ts`) is an interpreter of a few dozen instructions, so that what it can do is
 * easy to see: nothing but this.
 *
 *     0                              end
 *     1 number a1 a2 a3 a4 a5 a6     system call; a result in -4095..-1 ends the program
 *     2 count (address value)*       1-byte stores
 *     3 count (address value)*       2-byte stores
 *     4 count (address value)*       4-byte stores
 *     5 count (address value)*       8-byte stores
 *     6 first end                    code from first up to end was stored: fetches are to see it
 *
 * Stores of up to 8 bytes that lie within one aligned 8 bytes are single-copy atomic.
 */
import { assert } from "../base/assert.ts";

export const agentOp = {
  end: 0,
  syscall: 1,
  store1: 2,
  store2: 3,
  store4: 4,
  store8: 5,
  syncCode: 6,
} as const;

export type StoreSize = 1 | 2 | 4 | 8;
const storeOp = { 1: agentOp.store1, 2: agentOp.store2, 4: agentOp.store4, 8: agentOp.store8 };
const syscallArguments = 6;

const two32 = 2 ** 32;

/**
 * Builds one program. Addresses are the target's, as plain numbers (below 2^47); words are written
 * as two u32 halves, because a batch has hundreds of thousands of them.
 */
export class AgentProgram {
  #halves: Uint32Array<ArrayBuffer>;
  #words = 0;
  /** The present run of stores: where its count stands, and of what size they are. */
  #countAt = 0;
  #runSize: StoreSize | 0 = 0;

  /** @param wordsExpected more than that is no error, only slower. */
  constructor(wordsExpected = 1024) {
    this.#halves = new Uint32Array(wordsExpected * 2);
  }

  /** Bytes, the end mark included. */
  get bytes(): number {
    return (this.#words + 1) * 8;
  }

  get isEmpty(): boolean {
    return this.#words === 0;
  }

  #reserve(words: number): void {
    const wanted = (this.#words + words) * 2;
    if (wanted <= this.#halves.length) return;
    const larger = new Uint32Array(wanted * 2);
    larger.set(this.#halves);
    this.#halves = larger;
  }

  #push(low: number, high: number): void {
    const at = this.#words++ * 2;
    this.#halves[at] = low;
    this.#halves[at + 1] = high;
  }

  #pushBig(value: bigint): void {
    const word = BigInt.asUintN(64, value);
    this.#push(Number(word & 0xffff_ffffn), Number(word >> 32n));
  }

  syscall(number: number, ...args: readonly bigint[]): this {
    assert(args.length <= syscallArguments, "a system call takes six arguments");
    this.#reserve(syscallArguments + 2);
    this.#runSize = 0;
    this.#push(agentOp.syscall, 0);
    this.#push(number, 0);
    for (let index = 0; index < syscallArguments; index++) this.#pushBig(args[index] ?? 0n);
    return this;
  }

  /**
   * Lets the processor see stores to the code at [`first`, `end`), where it does not by itself: not
   * on x86-64. What other threads' processors have fetched already is a matter of membarrier(2).
   */
  syncCode(first: number, end: number): this {
    this.#reserve(3);
    this.#runSize = 0;
    this.#push(agentOp.syncCode, 0);
    this.#pushBig(BigInt(first));
    this.#pushBig(BigInt(end));
    return this;
  }

  /**
   * One store of the low `size` bytes of `low` and `high`, within one aligned 8 bytes. Stores are
   * carried out in the order in which they were added.
   */
  store(address: number, size: StoreSize, low: number, high = 0): this {
    const addressHigh = Math.floor(address / two32);
    const addressLow = address - addressHigh * two32;
    assert((addressLow & 7) + size <= 8, "a store lies within one aligned 8 bytes");
    return this.#store(addressLow, addressHigh, size, low, high);
  }

  /** Stores `size` bytes of `bytes` (borrowed) from `from` on, in pieces of any size and place. */
  storeBytes(address: number, bytes: Uint8Array, from = 0, size: number = bytes.length): this {
    const end = from + size;
    for (let at = from; at < end; ) {
      const to = address + at - from;
      const addressHigh = Math.floor(to / two32);
      const piece = end - at >= 4 ? 4 : end - at >= 2 ? 2 : 1;
      let value = 0;
      for (let i = piece - 1; i >= 0; i--) value = value * 256 + (bytes[at + i] ?? 0);
      this.#store(to - addressHigh * two32, addressHigh, piece, value, 0);
      at += piece;
    }
    return this;
  }

  #store(
    addressLow: number,
    addressHigh: number,
    size: StoreSize,
    low: number,
    high: number,
  ): this {
    this.#reserve(4);
    if (this.#runSize !== size) {
      this.#push(storeOp[size], 0);
      this.#countAt = this.#words * 2;
      this.#runSize = size;
      this.#push(0, 0);
    }
    const halves = this.#halves;
    const at = this.#words * 2;
    halves[at] = addressLow;
    halves[at + 1] = addressHigh;
    halves[at + 2] = low;
    halves[at + 3] = high;
    this.#words += 2;
    halves[this.#countAt] = (halves[this.#countAt] ?? 0) + 1;
    return this;
  }

  /** Whether another program is the same, word for word. */
  equals(other: AgentProgram): boolean {
    if (this.#words !== other.#words) return false;
    for (let at = 0; at < this.#words * 2; at++) {
      if (this.#halves[at] !== other.#halves[at]) return false;
    }
    return true;
  }

  /** Adds all that another program does. */
  append(other: AgentProgram): this {
    this.#reserve(other.#words);
    this.#halves.set(other.#halves.subarray(0, other.#words * 2), this.#words * 2);
    this.#words += other.#words;
    this.#runSize = 0;
    return this;
  }

  /** The program with its end mark; shares the builder's memory. */
  finish(): Uint8Array {
    this.#reserve(1);
    this.#halves.fill(agentOp.end, this.#words * 2, this.#words * 2 + 2);
    return new Uint8Array(this.#halves.buffer, 0, this.bytes);
  }
}

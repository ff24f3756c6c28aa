/**
 * Numbers that have a meaning, told apart by the compiler and not at run time.
 *
 * Addresses are `bigint` in every API (the high half of the address space exceeds 2^53); inner
 * loops use plain numbers or u32 halves and say so where they do.
 */

declare const brand: unique symbol;

/** `T`, marked at compile time as a `Name`. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Address of an instruction in a running process (after the load bias). */
export type CodeAddr = Brand<bigint, "CodeAddr">;
/** Address of data in a running process. */
export type DataAddr = Brand<bigint, "DataAddr">;
/** Address as the ELF file states it, before the load bias is added. */
export type LinkAddr = Brand<bigint, "LinkAddr">;
/** Offset in bytes from the beginning of a file. */
export type FileOffset = Brand<number, "FileOffset">;
/** Process id. */
export type Pid = Brand<number, "Pid">;
/** Thread id, as gettid(2) gives it. */
export type Tid = Brand<number, "Tid">;
/** Index of a patch site in its session, 0 to 2^23 - 1; what an event carries. */
export type SiteId = Brand<number, "SiteId">;
/** Ticks of the target's clock: TSC on x86-64. */
export type Cycles = Brand<bigint, "Cycles">;
/** Nanoseconds. */
export type Nanoseconds = Brand<bigint, "Nanoseconds">;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);

export const codeAddr = (value: bigint): CodeAddr => u64(value) as CodeAddr;
export const dataAddr = (value: bigint): DataAddr => u64(value) as DataAddr;
export const linkAddr = (value: bigint): LinkAddr => u64(value) as LinkAddr;
export const cycles = (value: bigint): Cycles => u64(value) as Cycles;
export const nanoseconds = (value: bigint): Nanoseconds => value as Nanoseconds;

const natural = (value: number, what: string): number => {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${what}: ${value}`);
  return value;
};

export const fileOffset = (value: number): FileOffset =>
  natural(value, "file offset") as FileOffset;
export const pid = (value: number): Pid => natural(value, "pid") as Pid;
export const tid = (value: number): Tid => natural(value, "tid") as Tid;
export const siteId = (value: number): SiteId => natural(value, "site id") as SiteId;

/** An address or word as people read it: `0x401000`. */
export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** Bytes as people read them: `0f 1f 44 00 00`. */
export const hexBytes = (bytes: Uint8Array): string =>
  Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(" ");

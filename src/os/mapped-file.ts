/** A part of a file mapped into this process, shared with whoever else maps it. */
import { PatchbayError } from "../base/error.ts";
import { errno, errorName, mapFailed, mmap, munmap, syscall, viewMemory } from "./libc.ts";

const protReadWrite = 3;
const mapShared = 1;

export class MappedFile {
  /** The mapped bytes; not to be used after disposing. */
  readonly buffer: ArrayBuffer;
  /** Where the mapping begins in this process. */
  readonly address: bigint;

  /** Maps `length` bytes at `offset`, a multiple of the page size, of the open file `fd`. */
  constructor(fd: number, offset: number, length: number) {
    const address = mmap(0n, BigInt(length), protReadWrite, mapShared, fd, BigInt(offset));
    if (address === mapFailed) {
      throw new PatchbayError({
        code: "system",
        doing: `map ${length} bytes of a target's rings`,
        why: errorName(errno()),
      });
    }
    this.address = address;
    this.buffer = viewMemory(this.address, length);
  }

  [Symbol.dispose](): void {
    munmap(this.address, BigInt(this.buffer.byteLength));
  }
}

const sysFallocate = 285;
/** FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE. */
const punchHole = 3n;

/** Gives the pages of a part of a memory file back; it reads as zeros, for whoever maps it. */
export function freePages(fd: number, offset: number, length: number): void {
  const result = syscall(
    sysFallocate,
    BigInt(fd),
    punchHole,
    BigInt(offset),
    BigInt(length),
    0n,
    0n,
  );
  if (result === 0) return;
  throw new PatchbayError({
    code: "system",
    doing: "give the memory of a target's rings back",
    why: errorName(errno()),
  });
}

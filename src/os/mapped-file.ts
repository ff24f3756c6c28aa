/** A part of a file mapped into this process, shared with whoever else maps it. */
import { PatchbayError } from "../base/error.ts";
import { errno, errorName, mapFailed, mmap, munmap, viewMemory } from "./libc.ts";

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

/**
 * Futexes in memory that is shared with a target: waiting for a word to change, waking whoever
 * waits, and a lock whose holder's death the kernel notes in the word itself.
 */
import { PatchbayError } from "../base/error.ts";
import { allocateFixed, errno, errorName, syscall, viewMemory } from "./libc.ts";

/** System call numbers of x86-64. */
const sysFutex = 202;
const sysGettid = 186;
const sysSetRobustList = 273;
const futexWait = 0n;
const futexWake = 1n;
const wakeAll = 0x7fff_ffffn;

/** Wakes all threads, of any process, that wait on the u32 at `address`. */
export const wake = (address: bigint): void => {
  syscall(sysFutex, address, futexWake, wakeAll, 0n, 0n, 0n);
};

let timespec: { readonly address: bigint; readonly words: BigInt64Array } | undefined;

/** Waits while the u32 at `address` is `value`, at most `timeoutMs`. May return early. */
export function waitWhile(address: bigint, value: number, timeoutMs: number): void {
  timespec ??= allocate();
  timespec.words[0] = BigInt(Math.floor(timeoutMs / 1000));
  timespec.words[1] = BigInt(Math.round((timeoutMs % 1000) * 1e6));
  syscall(sysFutex, address, futexWait, BigInt(value), timespec.address, 0n, 0n);
}

/**
 * The same without keeping the calling thread: for waits that are long. One at a time: it has one
 * place for the time.
 */
export class BackgroundWait {
  readonly #time = allocate();

  /** Waits while the u32 at `address` is `value`, at most `timeoutMs`. May end early. */
  waitWhile(address: bigint, value: number, timeoutMs: number): Promise<void> {
    this.#time.words[0] = BigInt(Math.floor(timeoutMs / 1000));
    this.#time.words[1] = BigInt(Math.round((timeoutMs % 1000) * 1e6));
    const time = this.#time.address;
    return new Promise((resolve) => {
      syscall.async(sysFutex, address, futexWait, BigInt(value), time, 0n, 0n, () => resolve());
    });
  }
}

const pageBytes = 4096;

/** A page of this process' memory at a fixed place; kept for good. */
function allocate(): { readonly address: bigint; readonly words: BigInt64Array } {
  const { address, buffer } = allocateFixed(pageBytes);
  return { address, words: new BigInt64Array(buffer) };
}

/**
 * Makes the calling OS thread the holder of the word at `address` for as long as it lives: the
 * word is its thread id, and when the thread dies - with its process, or by SIGKILL - the kernel
 * sets FUTEX_OWNER_DIED in it (Documentation/locking/robust-futexes.rst). One word per thread.
 */
export function holdWhileAlive(address: bigint): void {
  const tid = syscall(sysGettid, 0n, 0n, 0n, 0n, 0n, 0n);
  const list = allocate();
  // struct robust_list_head { next, futex_offset, list_op_pending }, then one entry { next }.
  const entry = list.address + 24n;
  list.words[0] = entry;
  list.words[1] = address - entry;
  list.words[2] = 0n;
  list.words[3] = list.address;
  new Uint32Array(viewMemory(address, 4))[0] = tid;
  if (syscall(sysSetRobustList, list.address, 24n, 0n, 0n, 0n, 0n) !== 0) {
    throw new PatchbayError({
      code: "system",
      doing: "let the target notice when this tracer dies",
      why: errorName(errno()),
    });
  }
}

/**
 * The time stamp counter, read by a few instructions of our own, and how fast it runs.
 */
import { callU64, clockGetTime, mmap, mprotect, viewMemory } from "./libc.ts";

/** rdtsc; shl rdx, 32; or rax, rdx; ret */
const readTsc = Uint8Array.of(0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0xc3);
const pageBytes = 4096;
const protReadWrite = 3;
const protReadExec = 5;
const mapPrivateAnonymous = 0x22;

let entry: bigint | undefined;

/** The counter now, in ticks. */
export function tscNow(): bigint {
  if (entry === undefined) {
    entry = mmap(0n, BigInt(pageBytes), protReadWrite, mapPrivateAnonymous, -1, 0n);
    new Uint8Array(viewMemory(entry, pageBytes)).set(readTsc);
    mprotect(entry, BigInt(pageBytes), protReadExec);
  }
  return callU64(entry);
}

/** CNTVCT_EL0 under qemu-user is the time of day, in ticks of 16 ns. */
const emulatedCounterNs = 16n;
const clockRealTime = 0;
const time = new BigInt64Array(2);

function emulatedCounter(): bigint {
  clockGetTime(clockRealTime, time);
  const [seconds = 0n, ns = 0n] = time;
  return (seconds * 1_000_000_000n + ns) / emulatedCounterNs;
}

/**
 * The clocks that generated code reads: the time stamp counter, which emulators pass on to
 * programs of RISC-V too, and what AArch64 programs read under qemu-user.
 */
export type ClockName = "tsc" | "emulated-cntvct";

const clocks: Readonly<Record<ClockName, () => bigint>> = {
  tsc: tscNow,
  "emulated-cntvct": emulatedCounter,
};

/** Reads the clock `name` now, in its ticks. */
export const clockNow = (name: ClockName): (() => bigint) => clocks[name];

/** The counter and the wall clock (ns since 1970) at one moment, as near as both can be read. */
export type ClockReading = {
  readonly ticks: bigint;
  readonly monotonicNs: bigint;
  readonly wallNs: bigint;
};

/** Reads the clocks several times and keeps the reading that took least. */
export function readClocks(name: ClockName): ClockReading {
  const now = clockNow(name);
  let best: ClockReading | undefined;
  let bestSpan = 2n ** 63n;
  for (let attempt = 0; attempt < 20; attempt++) {
    const before = now();
    const monotonicNs = process.hrtime.bigint();
    const after = now();
    const span = after - before;
    if (span >= bestSpan) continue;
    bestSpan = span;
    const wallNs = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6));
    best = { ticks: before + span / 2n, monotonicNs, wallNs };
  }
  return best as ClockReading;
}

/** Ticks in a second by two readings; more exact the further they are apart. */
export const ticksPerSecond = (from: ClockReading, to: ClockReading): number =>
  Math.round(
    (Number(to.ticks - from.ticks) * 1e9) / Math.max(1, Number(to.monotonicNs - from.monotonicNs)),
  );

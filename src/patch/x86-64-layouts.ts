/**
 * x86-64 layouts. A window begins with an instruction and ends with one, and is at least the 5
 * bytes of `call rel32` and `jmp rel32`; what a longer window has behind them is one no-op.
 *
 * | compiled                          | idle             | call              | jump              |
 * | --------------------------------- | ---------------- | ----------------- | ----------------- |
 * | `90 90 90 90 90` (gcc)            | `0f 1f 44 00 00` | `e8 rel32`        | `e9 rel32`        |
 * | `0f 1f 44 00 08` (clang)          | `0f 1f 44 00 00` | `e8 rel32`        | `e9 rel32`        |
 * | one no-op of n > 5 bytes          | n-byte no-op     | `e8 rel32`, no-op | `e9 rel32`, no-op |
 * | `e8 rel32` of `__fentry__` (-pg)  | `0f 1f 44 00 00` | `e8 rel32`        | `e9 rel32`        |
 * | `ff 15 disp32` of the same (-fPIC)| 6-byte no-op     | `e8 rel32 90`     | `e9 rel32 90`     |
 *
 * Source: Intel SDM volume 2, CALL, JMP, NOP (table of recommended multi-byte no-ops).
 */
import { assert } from "../base/assert.ts";
import { type CodeAddr, codeAddr } from "../base/brand.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { ReachRefusal } from "../isa/isa.ts";
import type { Layout, SiteState } from "./layout.ts";

/** Bytes of `call rel32` and of `jmp rel32`: the shortest window. */
export const branchSize = 5;
const callOpcode = 0xe8;
const jumpOpcode = 0xe9;

/** The no-op of each length, by the SDM's table; index 0 is unused. */
const nops: readonly (readonly number[])[] = [
  [],
  [0x90],
  [0x66, 0x90],
  [0x0f, 0x1f, 0x00],
  [0x0f, 0x1f, 0x40, 0x00],
  [0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x0f, 0x1f, 0x80, 0, 0, 0, 0],
  [0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
  [0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
];
const tableSizeMax = nops.length - 1;
/** Bytes of the longest instruction there can be (SDM volume 2, section 2.3.11). */
const instructionSizeMax = 15;

/** One no-op of `size` bytes, 0 to 15; a fresh array. Beyond the table's, 66 prefixes fill up. */
export function nopBytes(size: number): Uint8Array {
  assert(size <= instructionSizeMax, `a no-op of ${size} bytes`);
  const prefixes = Math.max(0, size - tableSizeMax);
  return Uint8Array.from([...Array(prefixes).fill(0x66), ...(nops[size - prefixes] ?? [])]);
}

/** Index behind the prefixes that compilers and assemblers put before a no-op. */
function skipNopPrefixes(bytes: Uint8Array, at: number): number {
  let end = at;
  while (bytes[end] === 0x66 || bytes[end] === 0x2e) end++;
  return end;
}

/** Length of ModRM, SIB and displacement in 64-bit mode (SDM volume 2, section 2.1.3). */
function modRmSize(modRm: number, sib: number): number {
  const mod = modRm >> 6;
  const rm = modRm & 7;
  if (mod === 3) return 1;
  const withSib = rm === 4 ? 1 : 0;
  if (mod === 1) return 2 + withSib;
  if (mod === 2) return 5 + withSib;
  const baseIsDisplacement = rm === 5 || (rm === 4 && (sib & 7) === 5);
  return 1 + withSib + (baseIsDisplacement ? 4 : 0);
}

/** Length of the no-op at `bytes[at]` (`90` or `0f 1f /0`, prefixed or not); 0: it is none. */
export function nopSizeAt(bytes: Uint8Array, at: number): number {
  const opcode = skipNopPrefixes(bytes, at);
  let size = 0;
  if (bytes[opcode] === 0x90) {
    size = opcode + 1 - at;
  } else if (bytes[opcode] === 0x0f && bytes[opcode + 1] === 0x1f) {
    const modRm = bytes[opcode + 2];
    if (modRm === undefined || (modRm & 0x38) !== 0) return 0;
    size = opcode + 2 - at + modRmSize(modRm, bytes[opcode + 3] ?? 0);
  }
  return size <= instructionSizeMax && at + size <= bytes.length ? size : 0;
}

/** Bytes of `endbr64`, the landing pad of indirect branches (CET). */
export const endbr64: Uint8Array = Uint8Array.of(0xf3, 0x0f, 0x1e, 0xfa);

export const isEndbr64 = (bytes: Uint8Array, at: number): boolean =>
  bytes[at] === 0xf3 && bytes[at + 1] === 0x0f && bytes[at + 2] === 0x1e && bytes[at + 3] === 0xfa;

/** Whether a 5-byte branch at `at` reaches `target`; the distance counts from its end. */
export function canReach(at: CodeAddr, target: CodeAddr): Result<number, ReachRefusal> {
  const distance = BigInt.asIntN(64, target - at - BigInt(branchSize));
  if (BigInt.asIntN(32, distance) === distance) return ok(Number(distance));
  const limit = distance < 0n ? -(2n ** 31n) : 2n ** 31n - 1n;
  return err({ kind: "outOfRange", distance, limit });
}

const branch =
  (opcode: number, windowSize: number) =>
  (at: CodeAddr, target: CodeAddr): Result<Uint8Array, ReachRefusal> => {
    const reach = canReach(at, target);
    if (!reach.ok) return reach;
    const bytes = new Uint8Array(windowSize);
    bytes[0] = opcode;
    new DataView(bytes.buffer).setInt32(1, reach.value, true);
    bytes.set(nopBytes(windowSize - branchSize), branchSize);
    return ok(bytes);
  };

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

/** Target of the 5-byte branch at the beginning of `bytes`, which stand at `at`. */
export function branchTarget(bytes: Uint8Array, at: CodeAddr): CodeAddr {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return codeAddr(at + BigInt(branchSize) + BigInt(view.getInt32(1, true)));
}

function recognise(bytes: Uint8Array, at: CodeAddr, compiled: Uint8Array): SiteState | undefined {
  if (sameBytes(bytes, compiled)) return { kind: "compiled" };
  if (bytes.length !== compiled.length || bytes.length < branchSize) return undefined;
  if (sameBytes(bytes, nopBytes(bytes.length))) return { kind: "idle" };
  const tail = bytes.subarray(branchSize);
  if (!sameBytes(tail, nopBytes(tail.length))) return undefined;
  if (bytes[0] === callOpcode) return { kind: "call", target: branchTarget(bytes, at) };
  if (bytes[0] === jumpOpcode) return { kind: "jump", target: branchTarget(bytes, at) };
  return undefined;
}

function makeLayout(name: string, compiledSizes: readonly number[], summary: string): Layout {
  const windowSize = compiledSizes.reduce((sum, size) => sum + size, 0);
  return {
    id: `x86-64/${name}`,
    isa: "x86-64",
    summary,
    windowSize,
    compiledSizes,
    idle: () => nopBytes(windowSize),
    call: branch(callOpcode, windowSize),
    jump: branch(jumpOpcode, windowSize),
    recognise,
  };
}

/** gcc's `-fpatchable-function-entry=5` (and more): single-byte no-ops. */
export const nop1x5: Layout = makeLayout(
  "nop1x5",
  [1, 1, 1, 1, 1],
  "gcc -fpatchable-function-entry=5: five 1-byte no-ops",
);

/** clang's `-fpatchable-function-entry=n`, gcc's `-mnop-mcount`: one no-op; by its length. */
export const longNops: ReadonlyMap<number, Layout> = new Map(
  [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].map((size) => [
    size,
    makeLayout(`nop${size}`, [size], `one ${size}-byte no-op, as clang and -mnop-mcount leave it`),
  ]),
);

/** `-pg -mfentry`: the window calls the profiler's `__fentry__`. */
export const fentryCall5: Layout = makeLayout("fentry5", [5], "-pg -mfentry: call __fentry__");
export const fentryCall6: Layout = makeLayout(
  "fentry6",
  [6],
  "-pg -mfentry -fPIC: call *__fentry__@GOT, or addr32 call __fentry__",
);

/** To whoever executes it, a sled is one instruction: its jump hides the no-op behind it. */
export const xraySled: Layout = makeLayout(
  "xray-sled",
  [11],
  "clang -fxray-instrument: a jump over nine bytes",
);

/** Every x86-64 layout, by its id. */
export const x8664Layouts: ReadonlyMap<string, Layout> = new Map(
  [nop1x5, ...longNops.values(), fentryCall5, fentryCall6, xraySled].map((layout) => [
    layout.id,
    layout,
  ]),
);

/**
 * Makes the mapping of a fix in a process: the switch between versions, copies of instructions
 * that had to move, and the record. What is in it: `codegen/x86-64/version-switch.ts`.
 */
import { type CodeAddr, codeAddr, dataAddr } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import {
  newVersionsOffset,
  recordOffset,
  stubsOffset,
  switchStubs,
  versionSwitch,
} from "../codegen/x86-64/version-switch.ts";
import { moveWindow as moveInstructions } from "../patch/moved-window.ts";
import { findRoomNear } from "./address-space.ts";
import { findTidOffset, prot } from "./bootstrap.ts";
import { encodeRecord, fixMappingName, type PatchRecord } from "./patch-record.ts";
import type { TargetMemory, TargetProcess } from "./process.ts";
import { copyBytesMax } from "./prologue-copies.ts";
import { RemoteThread } from "./remote-call.ts";

/** A window that is to lead to the switch, and what stands there. */
export type FixWindow = {
  readonly at: CodeAddr;
  /** As they stand in memory; 5 bytes or more. */
  readonly original: Uint8Array;
  /** The whole instructions that the window lies in, where they have to run elsewhere. */
  readonly displaced: Uint8Array | undefined;
  /** What was there leads to another fix's stub, which the old version goes on with. */
  readonly stackedOn: CodeAddr | undefined;
};

/** Part of the process' address space, by what lies there. */
export type FixRegion = {
  readonly base: bigint;
  readonly bytes: number;
  readonly tidOffset: number;
};

const mapPrivate = 2n;
const mapFixedNoReplace = 0x100000n;
const memfdCloseOnExec = 1n;
const pageBytes = 4096;
const stubBytesMax = 128;
/** Below the stack pointer's red zone: room for a few words, which nobody else uses. */
const scratchBelow = 512n;

/** Bytes of the mapping for `windows` and a record of `recordBytes`. */
function regionBytes(windows: readonly FixWindow[], recordBytes: number): number {
  const code = windows.length * (stubBytesMax + copyBytesMax) + 16;
  const size = stubsOffset(windows.length, recordBytes) + code;
  return Math.ceil(size / pageBytes) * pageBytes;
}

/** Maps the region within reach of all windows, on the back of a held thread. */
export function mapRegion(
  process: TargetProcess,
  remote: RemoteThread,
  windows: readonly FixWindow[],
  recordBytes: number,
): FixRegion {
  const { memory, backEnd } = process;
  const { branchReach } = backEnd;
  const bytes = regionBytes(windows, recordBytes);
  const ends = windows.map(({ at }) => at).sort((a, b) => (a < b ? -1 : 1));
  const place = findRoomNear(process.maps(), bytes, ends[0] ?? 0n, ends.at(-1) ?? 0n, branchReach);
  const scratch = (remote.registers.get("rsp") - scratchBelow) & ~15n;
  memory.write(scratch, new TextEncoder().encode(`${fixMappingName}\0`));
  const fd = remote.syscall("make room for the fix", "memfdCreate", scratch, memfdCloseOnExec);
  const size = BigInt(bytes);
  try {
    remote.syscall("size the fix's room", "ftruncate", fd, size);
    const flags = mapPrivate | mapFixedNoReplace;
    const protection = BigInt(prot.read | prot.exec);
    remote.syscall("map the fix's room", "mmap", place, size, protection, flags, fd, 0n);
  } finally {
    remote.syscall("close the fix's room", "close", fd);
  }
  memory.write(place, new Uint8Array(bytes).fill(0xcc, stubsOffset(windows.length, recordBytes)));
  const tidOffset = findTidOffset(remote, process, dataAddr(scratch));
  return { base: place, bytes, tidOffset };
}

/** What was made of the windows: where their old versions go on, and their stubs. */
export type FilledRegion = {
  readonly stubs: readonly CodeAddr[];
  readonly newVersions: readonly CodeAddr[];
};

/** Puts the instructions of a window to `to`. */
export function moveWindow(one: FixWindow, to: CodeAddr): ReturnType<typeof moveInstructions> {
  return moveInstructions(one.displaced ?? one.original, one.at, to);
}

/** Where the copy of window `index`'s instructions stands. */
export const copyAt = (
  region: Pick<FixRegion, "base">,
  count: number,
  recordBytes: number,
  index: number,
): CodeAddr =>
  codeAddr(region.base + BigInt(stubsOffset(count, recordBytes) + index * copyBytesMax));

/** The region's code, its copies first. */
export function fillRegion(
  memory: TargetMemory,
  region: FixRegion,
  windows: readonly FixWindow[],
  newVersions: readonly CodeAddr[],
  recordBytes: number,
): FilledRegion {
  const { base, tidOffset } = region;
  const count = windows.length;
  const oldBodies = windows.map((one, index): CodeAddr => {
    if (one.stackedOn !== undefined) return one.stackedOn;
    if (one.displaced === undefined) return codeAddr(one.at + BigInt(one.original.length));
    const to = copyAt(region, count, recordBytes, index);
    const moved = moveWindow(one, to);
    if (!moved.ok || moved.value.bytes.length > copyBytesMax) {
      throw new PatchbayError({
        code: "unsupported",
        doing: `move the first instructions of the function at 0x${one.at.toString(16)}`,
        why: moved.ok ? "they get too long" : moved.error.reason,
      });
    }
    memory.write(to, moved.value.bytes);
    return to;
  });
  const { code, stubs } = switchStubs(copyAt(region, count, recordBytes, count), {
    base,
    tidOffset,
    oldBodies,
  });
  memory.write(code.origin, code.bytes);
  const words = new BigUint64Array(newVersions);
  memory.write(base + BigInt(newVersionsOffset), new Uint8Array(words.buffer));
  return { stubs, newVersions };
}

/** Writes the record and, at last, the magic number that makes it one. */
export function writeRecord(
  memory: TargetMemory,
  region: FixRegion,
  record: PatchRecord,
  recordBytes: number,
): void {
  const { base, bytes } = region;
  const count = record.functions.length;
  memory.write(base + BigInt(recordOffset(count)), encodeRecord(record, recordBytes));
  const head = new DataView(new ArrayBuffer(12));
  head.setUint32(0, recordBytes, true);
  head.setUint32(4, count, true);
  head.setUint32(8, bytes, true);
  memory.write(base + BigInt(versionSwitch.recordBytes), new Uint8Array(head.buffer));
  const magic = new BigUint64Array([versionSwitch.magic]);
  memory.write(base, new Uint8Array(magic.buffer));
}

/** Runs `work` on the back of a thread, whichever is to be had. */
export function onOneThread<T>(process: TargetProcess, work: (remote: RemoteThread) => T): T {
  using threads = process.holdOne();
  using remote = new RemoteThread(process, threads, threads.quietest);
  return work(remote);
}

/** Unmaps the region, which nobody comes to any more. */
export const unmapRegion = (
  process: TargetProcess,
  { base, bytes }: Pick<FixRegion, "base" | "bytes">,
): void => {
  onOneThread(process, (remote) =>
    remote.syscall("unmap the fix's room", "munmap", base, BigInt(bytes)),
  );
};

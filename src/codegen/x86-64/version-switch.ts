/**
 * Version switches: what a patched function's entry jumps to. One switch serves all functions of a
 * fix, so that they change together: a byte says which version threads run, and a list names
 * those that run the other one for the time being, because they are still inside of it.
 *
 *     function: jmp stub        stub: switching? ──no──► mode? ──► new version, or old body
 *     (old body)                        └─yes─► is this thread on the list? then the other one
 *
 * The switch is data and code in one mapping that stays in the process, so that nothing of
 * Patchbay's has to run there while the fix is in force:
 *
 *       0  magic             8 bytes
 *       8  mode              1 byte: 0 old, 1 new
 *       9  switching         1 byte: 1 while somebody is on the list
 *      10  request           1 byte, for whoever carries out the change: `switchRequest`
 *      16  owner             u32: process id of who carries out a change; 0 nobody
 *      24  owner's start     u64: in clock ticks, as /proc has it
 *      32  bytes of the record, functions, bytes of the mapping: u32 each
 *      64  list              8 bytes a thread: its id (u32; 0 ends the list) and 1 while it holds
 *     end  report            who holds the change up: see `target/switch-report.ts`
 *     end  new versions      u64 a function
 *     end  record            JSON, see `target/patch-record.ts`
 *    page  code              stubs
 *
 * All registers stay as they were. Flags do not: no caller passes any to a function.
 */
import { type CodeAddr, codeAddr, dataAddr } from "../../base/brand.ts";
import { type Assembled, Assembler } from "../../isa/x86-64/assembler.ts";
import { mem, mem8, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";

export const versionSwitch = {
  magic: 0x3248435441504250n,
  mode: 8,
  switching: 9,
  request: 10,
  owner: 16,
  ownerStart: 24,
  recordBytes: 32,
  list: 64,
  listEntryBytes: 8,
  /** Where an entry says whether its thread still holds. */
  holds: 4,
} as const;

/** What somebody else wants of a change that is under way. */
export const switchRequest = { none: 0, cancel: 1, force: 2 } as const;

/** Threads that can be on the list, the end mark not counted. */
export const switchThreadsMax = 8191;

/** Offset of what whoever carries out a change has last seen, and its room in bytes. */
export const reportOffset: number =
  versionSwitch.list + (switchThreadsMax + 1) * versionSwitch.listEntryBytes;
export const reportBytes = 16_384;

/** Offset of the new versions' addresses. */
export const newVersionsOffset: number = reportOffset + reportBytes;

const pageBytes = 4096;

/** Offset of the record behind the addresses of `count` functions. */
export const recordOffset = (count: number): number => newVersionsOffset + count * 8;

/** Offset of the code, behind a record of `recordBytes`. */
export const stubsOffset = (count: number, recordBytes: number): number =>
  Math.ceil((recordOffset(count) + recordBytes) / pageBytes) * pageBytes;

export type SwitchPlan = {
  /** Where the mapping begins in the target. */
  readonly base: bigint;
  /** From the thread pointer to the thread's id. */
  readonly tidOffset: number;
  /** Where each function's old version goes on. */
  readonly oldBodies: readonly CodeAddr[];
};

export type SwitchCode = {
  readonly code: Assembled;
  /** Each function's stub. */
  readonly stubs: readonly CodeAddr[];
};

const { rax, rdx } = r64;

/** The stubs, to be placed at `origin`. */
export function switchStubs(
  origin: CodeAddr,
  { base, tidOffset, oldBodies }: SwitchPlan,
): SwitchCode {
  const a = new Assembler(origin);
  const data = (offset: number) => dataAddr(base + BigInt(offset));
  const mode = mem8(data(versionSwitch.mode));
  const stubs = oldBodies.map((oldBody, index) => {
    a.align(16, "int3");
    const start = a.bindNew();
    const [look, toNew, toOld] = [a.label(), a.label(), a.label()];
    const [next, listed, free] = [a.label(), a.label(), a.label()];
    a.i("cmp", mem8(data(versionSwitch.switching)), 0);
    a.i("jne", look);
    a.i("cmp", mode, 0);
    a.i("je", toOld);
    a.bind(toNew);
    a.i("jmp", mem64(data(newVersionsOffset + index * 8)));
    a.bind(toOld);
    a.i("jmp", oldBody);

    a.bind(look);
    a.i("push", rax);
    a.i("push", rdx);
    a.i("mov", r32.eax, mem32({ seg: "fs", disp: tidOffset }));
    a.i("lea", rdx, mem(data(versionSwitch.list)));
    a.bind(next);
    a.i("cmp", mem32(rdx), 0);
    a.i("je", free);
    a.i("cmp", mem32(rdx), r32.eax);
    a.i("je", listed);
    a.i("add", rdx, versionSwitch.listEntryBytes);
    a.i("jmp", next);

    a.bind(listed);
    a.i("cmp", mem8(rdx, { disp: versionSwitch.holds }), 0);
    a.i("je", free);
    a.i("pop", rdx);
    a.i("pop", rax);
    a.i("cmp", mode, 0);
    a.i("je", toNew);
    a.i("jmp", toOld);

    a.bind(free);
    a.i("pop", rdx);
    a.i("pop", rax);
    a.i("cmp", mode, 0);
    a.i("je", toOld);
    a.i("jmp", toNew);
    return start;
  });
  const code = a.finish();
  return { code, stubs: stubs.map((label) => codeAddr(code.labels(label))) };
}

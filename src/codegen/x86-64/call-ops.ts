/**
 * CALL_OPS: a site calls the trampoline that all sites near it share. The trampoline finds the
 * literal beside the site at a fixed distance from the return address, and in the literal the ops,
 * whose function does all their work and goes back to the site.
 *
 *     literal:   ops, site id             trampoline: push return address; save
 *     site:      call trampoline                      id := literal's; go to functions[ops]
 *     body:      ...                      function:   work; restore; return to the site
 *
 * Other ops are another literal: one store of 8 bytes, and no code changes. A list of all ops is
 * ops, too: its function goes through them and calls those that want the site, as Linux'
 * ftrace_ops_list_func does (kernel/trace/ftrace.c).
 *
 * The frame is that of a thunk's routine (`thunk.ts`), so that emitters need not know the
 * difference: above what `save` pushes, a return address, the site's id, and the return address of
 * the traced function.
 */
import { type CodeAddr, codeAddr, type DataAddr } from "../../base/brand.ts";
import { Assembler } from "../../isa/x86-64/assembler.ts";
import { mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { literalBytes, literalSiteShift, opsMax } from "../../patch/literal.ts";
import { branchSize } from "../../patch/x86-64-layouts.ts";
import type { Work } from "../work.ts";
import { emitEntries } from "./actions.ts";
import {
  finishRoutine,
  makeRoutine,
  restore,
  routineFrame,
  save,
  savedBytes,
  type ThunkPlan,
} from "./record.ts";
import { emitWalk, walk } from "./walk.ts";

const { rax, rcx, rdx, rsp } = r64;

/** Distances from a literal to its site's window: none, or `endbr64`, is between. */
const literalDistances: readonly number[] = [literalBytes, literalBytes + 4];

/** The id of the site, in a function of ops. */
const site = mem32(rsp, { disp: routineFrame.site });
/** Bytes that a function drops together with its return: the id. */
const droppedBytes = 8;

/** Back to the site. */
const leave = (a: Assembler): void => {
  restore(a);
  a.i("ret", droppedBytes);
};

/** The trampolines for sites near each other. The code can stand anywhere. */
export type Trampolines = {
  readonly bytes: Uint8Array;
  /** Offset of the one for each of `literalDistances`. */
  readonly offsets: readonly number[];
  /** What sites call in their place, if they do. */
  readonly stubs?: StubTable;
};

/** Stubs from offset 0 on that go on where a word of data says. All in bytes. */
export type StubTable = {
  readonly count: number;
  readonly stride: number;
  /** Offset of the words, a u64 for each stub, in a page of their own. */
  readonly words: number;
  /** Offset of what they lead to at first. */
  readonly target: number;
};

/** @param functions address of the ops' functions by their numbers: 8 bytes each. */
export function makeTrampolines(functions: DataAddr): Trampolines {
  const a = new Assembler(codeAddr(0n));
  const offsets = literalDistances.map((distance) => {
    a.align(64);
    const offset = a.size;
    const none = a.label();
    a.i("push", mem64(rsp));
    save(a);
    a.i("mov", rax, mem64(rsp, { disp: savedBytes }));
    a.i("mov", rax, mem64(rax, { disp: -distance - branchSize }));
    a.i("mov", r32.ecx, r32.eax);
    a.i("shr", rax, 32 + literalSiteShift);
    a.i("mov", mem64(rsp, { disp: routineFrame.site }), rax);
    a.i("cmp", r32.ecx, opsMax);
    a.i("jae", none);
    a.i("mov", rdx, functions);
    a.i("jmp", mem64(rdx, { index: rcx, scale: 8 }));
    a.bind(none);
    leave(a);
    return offset;
  });
  return { bytes: a.finish().bytes, offsets };
}

/** The function of ops that do `work`, which hooks no returns; nothing for no work. */
export function opsFunction(work: Work, plan: ThunkPlan): Uint8Array {
  const a = new Assembler(codeAddr(0n));
  const routine = makeRoutine(a, plan);
  emitEntries(routine, work, { site, slot: undefined, saved: 0 });
  leave(a);
  finishRoutine(routine);
  return a.finish().bytes;
}

/** The function of ops that walk the list of all. */
export function walkFunction(plan: ThunkPlan, list: DataAddr): Uint8Array {
  const a = new Assembler(codeAddr(0n));
  emitWalk(makeRoutine(a, plan), list);
  leave(a);
  return a.finish().bytes;
}

/**
 * What the walk calls for ops that do `work`. What several ops want alike is done for the first.
 * @param bit the work's own, below `listedWorksMax`.
 */
export function listedFunction(work: Work, bit: number, plan: ThunkPlan): Uint8Array {
  const a = new Assembler(codeAddr(0n));
  const routine = makeRoutine(a, plan);
  const done = a.label();
  const doneWorks = mem32(rsp, { disp: walk.done });
  a.i("bts", doneWorks, bit);
  a.i("jb", done);
  // A return address, the walk's two words, then the frame of the walking routine.
  const saved = walk.done + walk.bytes;
  const listedSite = mem32(rsp, { disp: saved + routineFrame.site });
  emitEntries(routine, work, { site: listedSite, slot: undefined, saved });
  a.bind(done);
  a.i("ret");
  finishRoutine(routine);
  return a.finish().bytes;
}

/** What the site at `at` calls, whose literal stands `distance` bytes before it. */
export function trampolineFor(
  { offsets, stubs }: Trampolines,
  start: CodeAddr,
  { at, distance }: { readonly at: number; readonly distance: number },
): CodeAddr {
  const offset =
    stubs === undefined
      ? (offsets[literalDistances.indexOf(distance)] ?? 0)
      : stubs.stride * ((at / literalBytes) % stubs.count);
  return codeAddr(start + BigInt(offset));
}

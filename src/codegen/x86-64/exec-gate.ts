/**
 * The gate of execs: what `execve` calls at its entry while a recording follows the programs that a
 * process becomes. A thread takes a place in the arena, tells the tracer and waits until that says
 * to go on; by then the tracer holds the thread's exec by ptrace, and the new program will stop
 * before its first instruction.
 *
 * It runs in forked children, too, whose threads have the same arena, and in vforked ones. The wait
 * ends by itself: when the tracer goes, and after ten seconds in any case.
 */
import { codeAddr, type DataAddr } from "../../base/brand.ts";
import { Assembler } from "../../isa/x86-64/assembler.ts";
import { type Label, mem, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { control, execPlace, execPlaces, execState } from "../../ring/arena.ts";
import { emitOwnNote } from "./fork-gate.ts";
import { emitSlice, emitSystemCall, emitWaitSlice, emitWake } from "./gate-wait.ts";

const { rax, rdx, rbx, r12, r13, r14 } = r64;
/** The others are the caller's to save. */
const saved = [rbx, r12, r13, r14];
const word = (disp: number) => mem32(r12, { disp });
const place = (disp: number) => mem32(rbx, { disp });
const sys = { getpid: 39, gettid: 186 } as const;
/** Looks at the place at the most. */
const slices = 500;

/** Takes a free place: rbx leads to it. Without one the thread goes on, which is counted. */
function emitTake(a: Assembler, out: Label): void {
  const [look, taken] = [a.label(), a.label()];
  a.i("lea", rbx, mem(r12, { disp: control.execPlaces }));
  a.i("mov", r32.r13d, execPlaces);
  a.bind(look);
  a.i("mov", r32.eax, execState.free);
  a.i("mov", r32.ecx, execState.taken);
  a.lock().i("cmpxchg", place(execPlace.state), r32.ecx);
  a.i("je", taken);
  a.i("add", rbx, execPlace.bytes);
  a.i("dec", r32.r13d);
  a.i("jne", look);
  a.lock().i("inc", word(control.execMissed));
  a.i("jmp", out);
  a.bind(taken);
}

/** Waits at the place until the tracer lets this thread pass, or does not answer for long. */
function emitWait(a: Assembler, slice: Label): void {
  const [look, late, free] = [a.label(), a.label(), a.label()];
  a.i("mov", r32.r13d, slices);
  a.bind(look);
  a.i("cmp", place(execPlace.state), execState.waiting);
  a.i("jne", free);
  a.i("cmp", word(control.execArmed), 0);
  a.i("je", free);
  a.i("dec", r32.r13d);
  a.i("js", late);
  a.i("mov", r32.edx, execState.waiting);
  emitWaitSlice(a, mem(rbx, { disp: execPlace.state }), slice);
  a.i("jmp", look);
  a.bind(late);
  a.lock().i("inc", word(control.execMissed));
  a.bind(free);
  a.i("mov", place(execPlace.state), execState.free);
}

/**
 * Notes at the place who has made the process, whose thread's id is in eax. The C library tells the
 * thread of a vforked child its parent's id, and that was just now.
 */
function emitForker(a: Assembler, stamp: DataAddr | undefined, tidOffset: number): void {
  const [own, unknown, put] = [a.label(), a.label(), a.label()];
  a.i("mov", r32.ecx, mem32({ seg: "fs", disp: tidOffset }));
  a.i("cmp", r32.ecx, r32.eax);
  a.i("je", own);
  a.i("rdtsc");
  a.i("shl", rdx, 32);
  a.i("or", rdx, rax);
  a.i("jmp", put);
  a.bind(own);
  if (stamp !== undefined) {
    emitOwnNote(a, stamp, unknown);
    // What the thread has noted itself is of a child of its own.
    a.i("cmp", r32.ecx, place(execPlace.tid));
    a.i("jne", put);
  }
  a.bind(unknown);
  a.i("xor", r32.ecx, r32.ecx);
  a.bind(put);
  a.i("mov", place(execPlace.forkThread), r32.ecx);
  a.i("mov", mem64(rbx, { disp: execPlace.forkTime }), rdx);
}

/**
 * The function.
 * @param arena with the words.
 * @param stamp where threads note their forks; undefined where they do not.
 * @param tidOffset from the thread pointer to the thread's id.
 */
export function execGate(
  arena: DataAddr,
  stamp: DataAddr | undefined,
  tidOffset: number,
): Uint8Array {
  const a = new Assembler(codeAddr(0n));
  const [wanted, out, slice] = [a.label(), a.label(), a.label()];
  for (const register of saved) a.i("push", register);
  a.i("mov", r12, arena);
  a.i("cmp", word(control.execArmed), 0);
  a.i("je", out);
  emitSystemCall(a, sys.getpid);
  a.i("mov", r32.r14d, r32.eax);
  a.i("cmp", word(control.execPid), 0);
  a.i("je", wanted);
  a.i("cmp", word(control.execPid), r32.eax);
  a.i("jne", out);
  a.bind(wanted);
  emitTake(a, out);
  a.i("mov", place(execPlace.pid), r32.r14d);
  emitSystemCall(a, sys.gettid);
  a.i("mov", place(execPlace.tid), r32.eax);
  emitForker(a, stamp, tidOffset);
  a.i("mov", place(execPlace.state), execState.waiting);
  a.lock().i("inc", word(control.execEvents));
  emitWake(a, mem(r12, { disp: control.execEvents }));
  emitWait(a, slice);
  a.bind(out);
  for (const register of saved.toReversed()) a.i("pop", register);
  a.i("ret");
  emitSlice(a, slice);
  return a.finish().bytes;
}

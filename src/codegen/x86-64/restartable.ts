/**
 * Sections that the kernel restarts: what a signal handler (or another thread that gets the
 * processor) would interrupt goes back to its beginning instead (rseq(2); C libraries register
 * each thread). So a section may read, decide and store at its end by one plain instruction, as if
 * it had been the only one. `cmpxchg` does the same everywhere, and takes three times as long.
 *
 * The thread's word for the section is cleared behind it: the kernel looks at where it leads long
 * after, and the code may be gone by then.
 */
import { type Label, mem, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r64 } from "../../isa/x86-64/registers.ts";
import type { RestartPlan, Routine } from "./record.ts";

const { rax } = r64;

/** In `struct rseq`: below 0 in a thread that is not registered; then the address of a section. */
const fieldCpu = 4;
const fieldSection = 8;
/** Of `struct rseq_cs`. */
const sectionAlignment = 32;
/** ud1 with the signature as its displacement, so that disassemblers keep in step. */
const signatureBefore = [0x0f, 0xb9, 0x3d];

/**
 * Emits `section`, whose last instruction is its only store that counts, and which may be left by
 * jumps; `clearSection` has to follow on all ways. Clobbers rax beside what the section does.
 * @param unregistered where to go on in a thread that has no restarts.
 */
export function emitRestartable(
  { a, cold, addresses }: Routine,
  { offset, signature }: RestartPlan,
  unregistered: Label,
  section: () => void,
): void {
  const [again, aborted, descriptor] = [a.bindNew(), a.label(), a.label()];
  a.i("cmp", mem32({ seg: "fs", disp: offset + fieldCpu }), 0);
  a.i("jl", unregistered);
  a.i("lea", rax, mem(descriptor));
  a.i("mov", mem64({ seg: "fs", disp: offset + fieldSection }), rax);
  const start = a.bindNew();
  const from = a.here;
  section();
  const bytes = a.here - from;
  cold.push(() => {
    a.bytes(signatureBefore).u32(signature);
    a.bind(aborted);
    a.i("jmp", again);
    a.align(sectionAlignment, "int3");
    a.bind(descriptor);
    a.u32(0).u32(0);
    addresses.push(Number(a.here));
    a.u64(start).u64(bytes);
    addresses.push(Number(a.here));
    a.u64(aborted);
  });
}

/** Ends what `emitRestartable` began. */
export const clearSection = ({ a }: Routine, { offset }: RestartPlan): void => {
  a.i("mov", mem64({ seg: "fs", disp: offset + fieldSection }), 0);
};

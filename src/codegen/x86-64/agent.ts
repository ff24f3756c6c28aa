/**
 * The agent: one more thread in the target, made of generated code alone. It waits on a futex in
 * the arena, runs the program that the tracer has put there, and reports back. It uses no libc, no
 * thread-local storage and no stack but for its own; every signal is blocked.
 *
 * When its tracer has died - the kernel says so in `control.owner`, which is a robust futex that
 * the tracer holds - it runs the journal, the program that puts every site back, and ends.
 */
import { codeAddr, type DataAddr } from "../../base/brand.ts";
import { type Assembled, Assembler } from "../../isa/x86-64/assembler.ts";
import { type Label, mem, mem8, mem16, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r8 as byte, r16, r32, r64 } from "../../isa/x86-64/registers.ts";
import {
  type ArenaShape,
  agentCommand,
  control,
  ownerDied,
  programOffset,
} from "../../ring/arena.ts";
import { agentOp } from "../agent-program.ts";

/** The agent's code before it is known where it and the arena will be. */
export type AgentTemplate = {
  /** One hole, `arena`: the arena's address in the target. It can stand anywhere. */
  readonly code: Assembled;
  /**
   * Offset of a system call instruction behind which a child goes on as the agent (clone returns
   * 0), and its parent meets a trap.
   */
  readonly clone: number;
};

const { rax, rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r12, r15 } = r64;
const sysExit = 60;
const sysFutex = 202;
const futexWait = 0;
const futexWake = 1;
/** The longest that a dead tracer stays unnoticed, in ns. */
const patienceNs = 200_000_000n;
const wakeAll = 0x7fff_ffff;

/** Loop over `count` pairs of address (rsi) and value (rdx) behind rbx; `store` does one. */
function emitStores(a: Assembler, next: Label, store: () => void): void {
  const more = a.label();
  a.i("mov", rcx, mem64(rbx, { disp: 8 }));
  a.i("lea", rbx, mem(rbx, { disp: 16 }));
  a.bind(more);
  a.i("test", rcx, rcx);
  a.i("je", next);
  a.i("mov", rsi, mem64(rbx));
  a.i("mov", rdx, mem64(rbx, { disp: 8 }));
  store();
  a.i("add", rbx, 16);
  a.i("dec", rcx);
  a.i("jmp", more);
}

/** `execute`: runs the program at rbx; rax = 0, or the result of the call that failed. */
function emitExecute(a: Assembler): void {
  const loop = a.label();
  const kinds = [agentOp.store1, agentOp.store2, agentOp.store4, agentOp.store8].map((op) => ({
    op,
    label: a.label(),
  }));
  const call = a.label();
  const done = a.label();
  a.bind(loop);
  a.i("mov", rax, mem64(rbx));
  for (const { op, label } of kinds) {
    a.i("cmp", rax, op);
    a.i("je", label);
  }
  a.i("cmp", rax, agentOp.syscall);
  a.i("je", call);
  a.i("xor", r32.eax, r32.eax);
  a.i("ret");

  a.bind(call);
  a.i("mov", rax, mem64(rbx, { disp: 8 }));
  [rdi, rsi, rdx, r10, r8, r9].forEach((register, index) => {
    a.i("mov", register, mem64(rbx, { disp: 16 + 8 * index }));
  });
  a.i("syscall");
  a.i("mov", mem64(r15, { disp: control.result }), rax);
  a.i("add", rbx, 64);
  a.i("cmp", rax, -4095);
  a.i("jae", done);
  a.i("jmp", loop);
  a.bind(done);
  a.i("ret");

  const emit = [
    () => a.i("mov", mem8(rsi), byte.dl),
    () => a.i("mov", mem16(rsi), r16.dx),
    () => a.i("mov", mem32(rsi), r32.edx),
    () => a.i("mov", mem64(rsi), rdx),
  ];
  kinds.forEach(({ label }, index) => {
    a.bind(label);
    emitStores(a, loop, () => emit[index]?.());
  });
}

const emitFutex = (a: Assembler, op: number, value: number): void => {
  a.i("mov", r32.eax, sysFutex);
  a.i("lea", rdi, mem(r15, { disp: control.command }));
  a.i("mov", r32.esi, op);
  a.i("mov", r32.edx, value);
  a.i("syscall");
};

/** Code of the agent for arenas of that shape. */
export function agentTemplate(shape: ArenaShape): AgentTemplate {
  const origin = codeAddr(0n);
  const a = new Assembler(origin);
  const start = a.label();
  const loop = a.label();
  const run = a.label();
  const orphaned = a.label();
  const quit = a.label();
  const execute = a.label();
  const timeout = a.label();

  const clone = Number(a.here - origin);
  a.i("syscall");
  a.i("test", rax, rax);
  a.i("je", start);
  // The borrowed thread returns to its own (`target/way-back.ts`).
  a.i("ret");

  a.bind(start);
  a.i("mov", r15, a.hole("arena", 8));
  a.i("lea", r12, mem(timeout));
  a.bind(loop);
  a.i("mov", r32.eax, mem32(r15, { disp: control.command }));
  a.i("cmp", r32.eax, agentCommand.run);
  a.i("je", run);
  a.i("cmp", r32.eax, agentCommand.quit);
  a.i("je", quit);
  a.i("test", mem32(r15, { disp: control.owner }), ownerDied);
  a.i("jne", orphaned);
  a.i("mov", r10, r12);
  emitFutex(a, futexWait, agentCommand.idle);
  a.i("jmp", loop);

  a.bind(run);
  a.i("lea", rbx, mem(r15, { disp: programOffset(shape, 0) }));
  a.i("call", execute);
  a.i("mov", mem64(r15, { disp: control.failure }), rax);
  a.i("mov", mem32(r15, { disp: control.command }), agentCommand.idle);
  emitFutex(a, futexWake, wakeAll);
  a.i("jmp", loop);

  a.bind(orphaned);
  a.i("mov", r32.eax, mem32(r15, { disp: control.journal }));
  a.i("test", r32.eax, r32.eax);
  a.i("je", quit);
  a.i("imul", rax, rax, shape.programBytes);
  a.i("lea", rbx, mem(r15, { index: rax, disp: programOffset(shape, 0) }));
  a.i("call", execute);
  a.i("inc", mem64(r15, { disp: control.rescues }));

  a.bind(quit);
  a.i("xor", r32.edi, r32.edi);
  a.i("mov", r32.eax, sysExit);
  a.i("syscall");
  a.i("int3");

  a.bind(execute);
  emitExecute(a);
  a.align(8);
  a.bind(timeout);
  a.u64(0n);
  a.u64(patienceNs);
  return { code: a.finish(), clone };
}

/** The agent's code for the arena at `arena`, in a buffer of the caller's own. */
export function agentBytes({ code }: AgentTemplate, arena: DataAddr): Uint8Array {
  const bytes = code.bytes.slice();
  for (const { offset } of code.holes) {
    new DataView(bytes.buffer).setBigUint64(offset, arena, true);
  }
  return bytes;
}

/**
 * The agent on AArch64 and RISC-V: `x86-64/agent.ts` tells what it is. It differs by one
 * instruction of its programs: where the processor does not see stores to code by itself, they are
 * followed by one that makes it look (`agentOp.syncCode`).
 */
import type { DataAddr } from "../../base/brand.ts";
import { codeAddr } from "../../base/brand.ts";
import type { Assembled, Label } from "../../isa/assembler.ts";
import {
  type ArenaShape,
  agentCommand,
  control,
  ownerDied,
  programOffset,
} from "../../ring/arena.ts";
import { agentOp } from "../agent-program.ts";
import { at, type Machine, type Reg } from "./machine.ts";

/** The agent's code before it is known where it and the arena will be. */
export type AgentTemplate = {
  /** One hole, `arena`: the arena's address in the target. It can stand anywhere. */
  readonly code: Assembled;
  /** Offset of a system call behind which a child goes on as the agent (clone returns 0). */
  readonly clone: number;
};

/** System calls by their numbers (include/uapi/asm-generic/unistd.h). */
const sysExit = 93;
const sysFutex = 98;
const futexWait = 0;
const futexWake = 1;
/** The longest that a dead tracer stays unnoticed, in ns. */
const patienceNs = 200_000_000n;
const wakeAll = 0x7fff_ffff;
const syscallBytes = 64;

/** Registers of the agent's own: no system call changes them. */
type Names = {
  readonly arena: Reg;
  /** Where in the program it is. */
  readonly pc: Reg;
  readonly count: Reg;
  readonly address: Reg;
  readonly value: Reg;
  readonly work: Reg;
  readonly result: Reg;
};

function namesOf({ scratch, syscallArguments }: Machine): Names {
  const [arena = 0, pc = 0, count = 0, address = 0, value = 0, work = 0] = scratch;
  const result = syscallArguments[0] ?? 0;
  return { arena, pc, count, address, value, work, result };
}

/** Loop over `count` pairs of address and value behind `pc`; `store` does one. */
function emitStores(m: Machine, n: Names, next: Label, store: () => void): void {
  m.load(n.count, at(n.pc, 8), 8);
  m.addConstant(n.pc, n.pc, 16);
  const more = m.code.bindNew();
  m.ifZero(n.count, next);
  m.load(n.address, at(n.pc), 8);
  m.load(n.value, at(n.pc, 8), 8);
  store();
  m.addConstant(n.pc, n.pc, 16);
  m.addConstant(n.count, n.count, -1);
  m.jump(more);
}

function emitCall(m: Machine, n: Names, next: Label): void {
  m.load(m.syscallNumber, at(n.pc, 8), 8);
  m.syscallArguments.forEach((register, index) => {
    m.load(register, at(n.pc, 16 + 8 * index), 8);
  });
  m.syscall();
  m.store(n.result, at(n.arena, control.result), 8);
  m.addConstant(n.pc, n.pc, syscallBytes);
  // Results are addresses and small numbers, or errors, which are negative.
  m.shiftRight(n.work, n.result, 63);
  m.ifZero(n.work, next);
  m.goBack();
}

/** `execute`: runs the program at `pc`; `result` = 0, or that of the call that failed. */
function emitExecute(m: Machine, n: Names): void {
  const { code } = m;
  const loop = code.bindNew();
  m.load(n.value, at(n.pc), 8);
  const stores = [
    { op: agentOp.store1, bytes: 1 },
    { op: agentOp.store2, bytes: 2 },
    { op: agentOp.store4, bytes: 4 },
    { op: agentOp.store8, bytes: 8 },
  ] as const;
  const kinds = stores.map((kind) => ({ ...kind, label: code.label() }));
  const [call, sync] = [code.label(), code.label()];
  const choose = (op: number, to: Label): void => {
    m.constant(n.work, op);
    m.ifEqual(n.value, n.work, to);
  };
  for (const { op, label } of kinds) choose(op, label);
  choose(agentOp.syscall, call);
  choose(agentOp.syncCode, sync);
  m.constant(n.result, 0);
  m.goBack();

  code.bind(call);
  emitCall(m, n, loop);
  for (const { bytes, label } of kinds) {
    code.bind(label);
    emitStores(m, n, loop, () => m.store(n.value, at(n.address), bytes));
  }
  code.bind(sync);
  m.load(n.address, at(n.pc, 8), 8);
  m.load(n.value, at(n.pc, 16), 8);
  m.addConstant(n.pc, n.pc, 24);
  m.syncCode(n.address, n.value, [n.work, n.count]);
  m.jump(loop);
}

/** A futex call on the command word; `timeout`: the address of a time, or none. */
function emitFutex(m: Machine, n: Names, op: number, value: number, timeout?: Label): void {
  const [word = 0, operation = 0, expected = 0, time = 0] = m.syscallArguments;
  m.constant(m.syscallNumber, sysFutex);
  m.addConstant(word, n.arena, control.command);
  m.constant(operation, op);
  m.constant(expected, value);
  if (timeout !== undefined) m.addressOf(time, timeout);
  m.syscall();
}

/** Code of the agent for arenas of that shape, made with a fresh machine at address 0. */
export function agentTemplate(m: Machine, shape: ArenaShape): AgentTemplate {
  const { code } = m;
  const n = namesOf(m);
  const [start, loop, run, orphaned] = [code.label(), code.label(), code.label(), code.label()];
  const [quit, execute, timeout, arena] = [code.label(), code.label(), code.label(), code.label()];

  m.syscall();
  m.ifZero(n.result, start);
  m.trap();

  code.bind(start);
  m.loadFrom(n.arena, arena);
  code.bind(loop);
  m.load(n.work, at(n.arena, control.command), 4);
  m.constant(n.value, agentCommand.run);
  m.ifEqual(n.work, n.value, run);
  m.constant(n.value, agentCommand.quit);
  m.ifEqual(n.work, n.value, quit);
  m.load(n.work, at(n.arena, control.owner), 4);
  m.shiftRight(n.work, n.work, Math.log2(ownerDied));
  m.lowBits(n.work, n.work, 1);
  m.ifNotZero(n.work, orphaned);
  emitFutex(m, n, futexWait, agentCommand.idle, timeout);
  m.jump(loop);

  // What the tracer wrote before the command is read after it.
  code.bind(run);
  m.fence();
  m.constant(n.work, programOffset(shape, 0));
  m.add(n.pc, n.arena, n.work);
  m.call(execute);
  m.store(n.result, at(n.arena, control.failure), 8);
  m.fence();
  m.storeZero(at(n.arena, control.command), 4);
  emitFutex(m, n, futexWake, wakeAll);
  m.jump(loop);

  code.bind(orphaned);
  m.fence();
  m.load(n.work, at(n.arena, control.journal), 4);
  m.ifZero(n.work, quit);
  m.constant(n.value, shape.programBytes);
  m.multiply(n.work, n.work, n.value);
  m.constant(n.value, programOffset(shape, 0));
  m.add(n.work, n.work, n.value);
  m.add(n.pc, n.arena, n.work);
  m.call(execute);
  m.addConstant(n.work, n.arena, control.rescues);
  m.increment(n.work, n.value);

  code.bind(quit);
  m.constant(n.result, 0);
  m.constant(m.syscallNumber, sysExit);
  m.syscall();
  m.trap();

  code.bind(execute);
  emitExecute(m, n);
  code.align(8);
  code.bind(timeout);
  code.u64(0n);
  code.u64(patienceNs);
  code.bind(arena);
  code.u64(code.hole("arena"));
  return { code: m.finish(), clone: 0 };
}

/** The agent's code for the arena at `arena`, in a buffer of the caller's own. */
export function agentBytes({ code }: AgentTemplate, arena: DataAddr): Uint8Array {
  const bytes = new Uint8Array(code.bytes.length);
  code.copyTo(bytes, 0, codeAddr(0n), [arena]);
  return bytes;
}

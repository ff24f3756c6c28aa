/** The x86-64 back end: System V ABI, Linux' system calls (entry/syscalls/syscall_64.tbl). */

import { copyFew } from "../../base/columns.ts";
import { moveWindow } from "../../patch/moved-window.ts";
import { chooseLiveProtocol, liveProtocols } from "../../patch/protocols/x86-64-live.ts";
import { nopBytes } from "../../patch/x86-64-layouts.ts";
import type { BackEnd } from "../back-end.ts";
import { thunkFrames } from "../frame-description.ts";
import { agentBytes, agentTemplate } from "./agent.ts";
import { listedFunction, makeTrampolines, opsFunction, walkFunction } from "./call-ops.ts";
import { execGate } from "./exec-gate.ts";
import { fillThunks, thunkStride } from "./fill-thunks.ts";
import { forkGate } from "./fork-gate.ts";
import { jumpGate } from "./jump-gate.ts";
import { loaderGate } from "./loader-gate.ts";
import { makeThunk, thunkRoutines } from "./thunk.ts";

/** `call rel32` and `jmp rel32`. */
const callOpcode = 0xe8;
const jumpOpcode = 0xe9;
const jumpBytes = 5;

/** By their size; there may be a hundred thousand to fill. */
const noOps = Array.from({ length: 16 }, (_, size) => nopBytes(size));

function fillBranch(
  opcode: number,
  at: number,
  target: number,
  bytes: Uint8Array,
  from: number,
): void {
  const distance = target - (at + jumpBytes);
  bytes[from] = opcode;
  for (let i = 0; i < 4; i++) bytes[from + 1 + i] = distance >> (8 * i);
}

export const x8664: BackEnd = {
  name: "x86-64",
  registers: {
    pc: "rip",
    sp: "rsp",
    thread: "fs_base",
    syscallNumber: "rax",
    syscallArguments: ["rdi", "rsi", "rdx", "r10", "r8", "r9"],
    syscallResult: "rax",
    callArguments: ["rdi", "rsi", "rdx", "rcx", "r8", "r9"],
    callResult: "rax",
  },
  syscalls: {
    close: 3,
    mmap: 9,
    mprotect: 10,
    munmap: 11,
    sigprocmask: 14,
    madvise: 28,
    clone: 56,
    ftruncate: 77,
    munlock: 150,
    prctl: 157,
    memfdCreate: 319,
    membarrier: 324,
  },
  syscallInstruction: Uint8Array.of(0x0f, 0x05),
  trapInstruction: Uint8Array.of(0xcc),
  trapPcOffset: 1n,
  redZone: 128n,
  tidWithin: [0, 1024],
  cloneArguments: (flags, stackTop, tidWord) => [flags, stackTop, tidWord, tidWord, 0n],
  branchReach: 0x7fff_0000n,
  agentCode: (shape) => {
    const template = agentTemplate(shape);
    return { clone: template.clone, bytes: (arena) => agentBytes(template, arena) };
  },
  thunkCode: (work) => {
    const template = makeThunk(work);
    return {
      returnPoint: template.returnPoint,
      stride: thunkStride(template),
      fill: (out, start, sites, routines) => fillThunks(out, template, start, sites, routines),
    };
  },
  thunkRoutines,
  thunkFrames,
  syncCode: () => undefined,
  loaderGate,
  execGate,
  forkGate,
  jumpGate,
  callOps: {
    designs: ["call-ops"],
    makeTrampolines,
    opsFunction,
    walkFunction,
    listedFunction,
    fillCall: (at, target, bytes, from) => fillBranch(callOpcode, at, target, bytes, from),
  },
  protocols: liveProtocols,
  chooseProtocol: chooseLiveProtocol,
  moveWindow,
  movesLive: false,
  fillJump: (at, size, target, bytes, from) => {
    fillBranch(jumpOpcode, at, target, bytes, from);
    if (size > jumpBytes) bytes.set(nopBytes(size - jumpBytes), from + jumpBytes);
  },
  fillIdle: (size, bytes, from) => copyFew(noOps[size] ?? nopBytes(size), 0, bytes, from, size),
};

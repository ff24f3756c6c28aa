/** The AArch64 back end: AAPCS64, Linux' system calls (include/uapi/asm-generic/unistd.h). */
import { codeAddr } from "../../base/brand.ts";
import { branch, branchLink, breakpoint, move, nop } from "../../patch/aarch64-code.ts";
import { moveFirst } from "../../patch/aarch64-moved-word.ts";
import { aarch64LiveProtocols } from "../../patch/protocols/word-live.ts";
import type { BackEnd } from "../back-end.ts";
import { aarch64Frames, thunkFrames } from "../frame-description.ts";
import { genericSyscalls, startsWith, wordBackEnd } from "../word/back-end.ts";
import { wordCallOps } from "../word/call-ops.ts";
import { setBranch } from "./branch.ts";
import { aarch64Machine } from "./machine.ts";

const registers = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => `x${n}`);
/** From a window's start to its branch. */
const slot = 4;
/** Keeps the return address while the site calls. */
const saveLink = move(9, 30);

export const aarch64: BackEnd = {
  name: "aarch64",
  registers: {
    pc: "pc",
    sp: "sp",
    thread: "tpidr_el0",
    link: "x30",
    syscallNumber: "x8",
    syscallArguments: registers(6),
    syscallResult: "x0",
    callArguments: registers(8),
    callResult: "x0",
  },
  syscalls: genericSyscalls,
  // svc #0
  syscallInstruction: Uint8Array.of(0x01, 0x00, 0x00, 0xd4),
  trapInstruction: breakpoint(),
  // mrs x0, tpidr_el0
  threadInstruction: Uint8Array.of(0x40, 0xd0, 0x3b, 0xd5),
  branchReach: 0x7ff_0000n,
  ...wordBackEnd(() => aarch64Machine(codeAddr(0n)), setBranch),
  thunkFrames: (start, size, delta) => thunkFrames(start, size, delta, undefined, aarch64Frames),
  syncCode: (program, start, end) => void program.syncCode(start, end),
  protocols: aarch64LiveProtocols,
  callOps: {
    ...wordCallOps(() => aarch64Machine(codeAddr(0n))),
    fillCall: (at, target, bytes, from) => {
      bytes.set(saveLink, from);
      bytes.set(branchLink(target - (at + slot)), from + slot);
    },
    rest: (bytes, from) => {
      const hasCalled = startsWith({ bytes, from }, saveLink);
      if (hasCalled) bytes.set(nop(), from + slot);
      return hasCalled;
    },
  },
  compareFirst: (before, after) => {
    if (startsWith(before, after.bytes.subarray(after.from, after.from + slot))) return "kept";
    return startsWith(after, saveLink) ? "needed" : "any";
  },
  chooseProtocol: ({ moved, first }) => {
    if (moved) return "moved";
    return { kept: "word", needed: "link", any: "unlink" }[first];
  },
  moveWindow: moveFirst,
  movesLive: true,
  fillJump: (at, size, target, bytes, from) => {
    if (size > slot) bytes.set(nop(), from);
    bytes.set(branch(target - (at + size - slot)), from + size - slot);
  },
  fillIdle: (size, bytes, from) => {
    for (let i = 0; i < size; i += slot) bytes.set(nop(), from + i);
  },
};

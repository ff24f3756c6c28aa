/** The AArch64 back end: AAPCS64, Linux' system calls (include/uapi/asm-generic/unistd.h). */
import { codeAddr } from "../../base/brand.ts";
import { branch, breakpoint, nop } from "../../patch/aarch64-code.ts";
import { moveFirst } from "../../patch/aarch64-moved-word.ts";
import { aarch64LiveProtocols } from "../../patch/protocols/word-live.ts";
import type { BackEnd } from "../back-end.ts";
import { aarch64Frames, thunkFrames } from "../frame-description.ts";
import { genericSyscalls, wordBackEnd } from "../word/back-end.ts";
import { setBranch } from "./branch.ts";
import { aarch64Machine } from "./machine.ts";

const registers = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => `x${n}`);
/** From a window's start to its branch. */
const slot = 4;

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
  chooseProtocol: ({ moved }) => (moved ? "moved" : "word"),
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

/** The RV64 back end: RISC-V ELF psABI, Linux' system calls (include/uapi/asm-generic/unistd.h). */
import { codeAddr } from "../../base/brand.ts";
import { riscvLiveProtocols } from "../../patch/protocols/word-live.ts";
import { fourCNops } from "../../patch/riscv-layouts.ts";
import type { BackEnd } from "../back-end.ts";
import { riscvFrames, thunkFrames } from "../frame-description.ts";
import { genericSyscalls, wordBackEnd } from "../word/back-end.ts";
import { setBranch } from "./branch.ts";
import { riscv64Machine } from "./machine.ts";

const argumentRegisters: readonly string[] = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"];
/** `auipc t0, 0; jalr zero, 0(t0)`. */
const jumpPair = Uint8Array.of(0x97, 0x02, 0x00, 0x00, 0x67, 0x80, 0x02, 0x00);

export const riscv64: BackEnd = {
  name: "riscv64",
  registers: {
    pc: "pc",
    sp: "sp",
    thread: "tp",
    link: "ra",
    syscallNumber: "a7",
    syscallArguments: argumentRegisters.slice(0, 6),
    syscallResult: "a0",
    callArguments: argumentRegisters,
    callResult: "a0",
  },
  syscalls: genericSyscalls,
  // ecall
  syscallInstruction: Uint8Array.of(0x73, 0x00, 0x00, 0x00),
  // ebreak
  trapInstruction: Uint8Array.of(0x73, 0x00, 0x10, 0x00),
  branchReach: 0x7fff_0000n,
  ...wordBackEnd(() => riscv64Machine(codeAddr(0n)), setBranch),
  thunkFrames: (start, size, delta) => thunkFrames(start, size, delta, undefined, riscvFrames),
  syncCode: (program, start, end) => void program.syncCode(start, end),
  protocols: riscvLiveProtocols,
  chooseProtocol: ({ moved }) => (moved ? undefined : "skip"),
  movesLive: false,
  fillJump: (at, _size, target, bytes, from) => {
    bytes.set(jumpPair, from);
    setBranch(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), from, target - at);
  },
  fillIdle: (_size, bytes, from) => bytes.set(fourCNops.idle(), from),
};

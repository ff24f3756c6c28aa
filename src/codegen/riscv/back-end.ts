/** The RV64 back end: RISC-V ELF psABI, Linux' system calls (include/uapi/asm-generic/unistd.h). */
import { codeAddr } from "../../base/brand.ts";
import { jalrT0 } from "../../patch/designs/riscv.ts";
import { riscvLiveProtocols } from "../../patch/protocols/word-live.ts";
import { fourCNops } from "../../patch/riscv-layouts.ts";
import type { BackEnd } from "../back-end.ts";
import { riscvFrames, thunkFrames } from "../frame-description.ts";
import { genericSyscalls, startsWith, wordBackEnd } from "../word/back-end.ts";
import { wordCallOps } from "../word/call-ops.ts";
import { setBranch } from "./branch.ts";
import { riscv64Machine } from "./machine.ts";
import { riscvDesigns, riscvTrampolines } from "./stubs.ts";

const argumentRegisters: readonly string[] = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"];
/** `auipc t0, 0; jalr zero, 0(t0)`. */
const jumpPair = Uint8Array.of(0x97, 0x02, 0x00, 0x00, 0x67, 0x80, 0x02, 0x00);
/** `auipc t0, 0; jalr t0, 0(t0)`. */
const callPair = Uint8Array.of(0x97, 0x02, 0x00, 0x00, 0xe7, 0x82, 0x02, 0x00);
const windowBytes = 8;
const jalrOffset = 4;
/** `auipc t0, any`. */
const auipcT0 = { mask: 0xfff, match: 0x297 } as const;
/** `addi zero, zero, 0`. */
const plainNop = 0x13;

function fillPair(
  pair: Uint8Array,
  at: number,
  target: number,
  bytes: Uint8Array,
  from: number,
): void {
  bytes.set(pair, from);
  setBranch(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), from, target - at);
}

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
  callOps: {
    ...wordCallOps(() => riscv64Machine(codeAddr(0n))),
    designs: riscvDesigns,
    makeTrampolines: riscvTrampolines,
    fillCall: (at, target, bytes, from) => fillPair(callPair, at, target, bytes, from),
    rest: (bytes, from) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset + from, windowBytes);
      const [auipc, next] = [view.getUint32(0, true), view.getUint32(jalrOffset, true)];
      const isCall = (next & jalrT0.mask) >>> 0 === jalrT0.match || next === plainNop;
      if ((auipc & auipcT0.mask) !== auipcT0.match || !isCall) return false;
      view.setUint32(jalrOffset, plainNop, true);
      return true;
    },
  },
  compareFirst: (before, { bytes, from }) =>
    startsWith(before, bytes.subarray(from, from + jalrOffset)) ? "kept" : "any",
  chooseProtocol: ({ moved, first, offset }) => {
    if (moved) return undefined;
    return first === "kept" && offset % jalrOffset === 0 ? "slot" : "skip";
  },
  movesLive: false,
  fillJump: (at, _size, target, bytes, from) => fillPair(jumpPair, at, target, bytes, from),
  fillIdle: (_size, bytes, from) => bytes.set(fourCNops.idle(), from),
};

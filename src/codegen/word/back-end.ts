/** What the back ends of AArch64 and RISC-V have in common. */
import type { BackEnd, SyscallName, WindowBytes } from "../back-end.ts";
import { agentBytes, agentTemplate } from "./agent.ts";
import { fillThunks, type SetBranch, thunkStride } from "./fill-thunks.ts";
import type { Machine } from "./machine.ts";
import { makeThunk, thunkRoutines } from "./thunk.ts";

/** include/uapi/asm-generic/unistd.h */
export const genericSyscalls: Readonly<Record<SyscallName, number>> = {
  ftruncate: 46,
  close: 57,
  sigprocmask: 135,
  prctl: 167,
  munmap: 215,
  clone: 220,
  mmap: 222,
  mprotect: 226,
  munlock: 229,
  madvise: 233,
  memfdCreate: 279,
  membarrier: 283,
};

/** Whether a window's first instruction is `word`. */
export const startsWith = ({ bytes, from }: WindowBytes, word: Uint8Array): boolean =>
  word.every((byte, i) => byte === bytes[from + i]);

type Common = Pick<
  BackEnd,
  | "trapPcOffset"
  | "redZone"
  | "tidWithin"
  | "cloneArguments"
  | "agentCode"
  | "thunkCode"
  | "thunkRoutines"
>;

/** @param fresh makes an empty machine at address 0. */
export const wordBackEnd = (fresh: () => Machine, setBranch: SetBranch): Common => ({
  trapPcOffset: 0n,
  redZone: 0n,
  // Before the thread pointer: glibc's struct pthread is 1700 to 2300 bytes long, musl's less.
  tidWithin: [-2304, 0],
  cloneArguments: (flags, stackTop, tidWord) => [flags, stackTop, tidWord, 0n, tidWord],
  agentCode: (shape) => {
    const template = agentTemplate(fresh(), shape);
    return { clone: template.clone, bytes: (arena) => agentBytes(template, arena) };
  },
  thunkCode: (work) => {
    const template = makeThunk(fresh(), work);
    return {
      returnPoint: template.returnPoint,
      stride: thunkStride(template),
      fill: (out, start, sites, routines) =>
        fillThunks(out, template, start, sites, routines, setBranch),
    };
  },
  thunkRoutines: (work, plan) => ({
    ...thunkRoutines(fresh(), work, plan, makeThunk(fresh(), work)),
    personality: undefined,
    addresses: [],
  }),
});

/**
 * What Patchbay has to know of an instruction set to trace programs of it: registers by what they
 * are for, system calls, and the code that is brought into a process. One instance per ISA; all
 * that is not said here (holding threads, the agent's programs, rings, plans) is common to all.
 */
import type { CodeAddr, DataAddr } from "../base/brand.ts";
import type { Result } from "../base/result.ts";
import type { Machine } from "../elf/elf-file.ts";
import type { SiteDesign } from "../ftrace/dispatch.ts";
import type { FirstChange, VendorRules, WindowFacts } from "../patch/protocols/x86-64-live.ts";
import type { Step } from "../patch/steps.ts";
import type { ArenaShape } from "../ring/arena.ts";
import type { AgentProgram } from "./agent-program.ts";
import type { FrameImage } from "./frame-description.ts";
import type { Work } from "./work.ts";
import type { Trampolines } from "./x86-64/call-ops.ts";
import type { ThunkSites } from "./x86-64/fill-thunks.ts";
import type { JumpPlan } from "./x86-64/jump-gate.ts";
import type { ThunkPlan } from "./x86-64/record.ts";
import type { ThunkRoutines } from "./x86-64/thunk.ts";

/** Registers by their role, under the names that ptrace's and GDB's descriptions give them. */
export type RegisterRoles = {
  readonly pc: string;
  readonly sp: string;
  /** What the thread pointer is kept in; thread-local data is found through it. */
  readonly thread: string;
  /** Where a call leaves the return address; absent where that is on the stack. */
  readonly link?: string;
  /** The number of a system call, its arguments, its result. */
  readonly syscallNumber: string;
  readonly syscallArguments: readonly string[];
  readonly syscallResult: string;
  /** Arguments and result of a function. */
  readonly callArguments: readonly string[];
  readonly callResult: string;
};

/** The system calls that Patchbay makes in a process. */
export type SyscallName =
  | "clone"
  | "close"
  | "ftruncate"
  | "madvise"
  | "membarrier"
  | "memfdCreate"
  | "mmap"
  | "mprotect"
  | "munlock"
  | "munmap"
  | "prctl"
  | "sigprocmask";

/** The agent's code for arenas of one shape; it can stand anywhere. */
export type AgentCode = {
  /**
   * Offset of a system call behind which a child goes on as the agent (clone returns 0), and its
   * parent meets a trap.
   */
  readonly clone: number;
  /** The code for the arena at `arena`, in a buffer of the caller's own. */
  bytes(arena: DataAddr): Uint8Array;
};

/** The thunks of one work. */
export type ThunkCode = {
  /** Offset of the point that the body returns to; undefined when returns are not hooked. */
  readonly returnPoint: number | undefined;
  /** Bytes from one thunk to the next. */
  readonly stride: number;
  /**
   * Puts the thunks of `sites` into `out` (borrowed), which is to stand at `start`.
   * @param routines addresses of what all thunks call.
   */
  fill(
    out: Uint8Array,
    start: number,
    sites: ThunkSites,
    routines: { readonly enter: number; readonly leave: number },
  ): void;
};

/** Code for sites that call one trampoline and find their ops in the literal beside them. */
export type CallOpsBackEnd = {
  /** The designs of sites that there are. */
  readonly designs: readonly SiteDesign[];
  /** The trampolines for sites near each other; the code can stand anywhere. */
  makeTrampolines(functions: DataAddr, design: SiteDesign): Trampolines;
  /** The function of ops that do `work`. */
  opsFunction(work: Work, plan: ThunkPlan): Uint8Array;
  /** The function of ops that walk the list at which the word at `list` points. */
  walkFunction(plan: ThunkPlan, list: DataAddr): Uint8Array;
  /** What the walk calls for ops that do `work`, which has bit `bit` of what was done already. */
  listedFunction(work: Work, bit: number, plan: ThunkPlan): Uint8Array;
  /** A window at `at` that calls `target`, put into `bytes` (borrowed) from `from` on. */
  fillCall(at: number, target: number, bytes: Uint8Array, from: number): void;
  /**
   * Takes the call alone out of a window that has one (`bytes`, borrowed, from `from` on), so that
   * it comes back in one store; false for a window without. Absent where windows are stored whole.
   */
  readonly rest?: (bytes: Uint8Array, from: number) => boolean;
};

/** Instructions that were moved: their bytes, and where each one went. */
export type Moved = {
  readonly bytes: Uint8Array;
  readonly moves: readonly { readonly from: CodeAddr; readonly to: CodeAddr }[];
};

/** Why they were not, for people. */
export type MoveProblem = { readonly reason: string };
/** Bytes (borrowed) of a window from an offset on. */
export type WindowBytes = { readonly bytes: Uint8Array; readonly from: number };

/** An instruction set as the target layer sees it. */
export type BackEnd = {
  readonly name: Machine;
  readonly registers: RegisterRoles;
  readonly syscalls: Readonly<Record<SyscallName, number>>;
  /** One instruction that makes a system call, and one that traps. */
  readonly syscallInstruction: Uint8Array;
  readonly trapInstruction: Uint8Array;
  /** Puts the thread pointer into the result's register, where stubs do not tell it. */
  readonly threadInstruction?: Uint8Array;
  /** From the trap's address to the pc that a thread has when it has hit it, in bytes. */
  readonly trapPcOffset: bigint;
  /** Bytes below the stack pointer that belong to the function that runs. */
  readonly redZone: bigint;
  /**
   * Where the C library has the thread's id, relative to the thread pointer: searched in
   * [first, second), in bytes, where the kernel does not tell the place.
   */
  readonly tidWithin: readonly [number, number];
  /** Arguments of clone(2), whose order is each ISA's own, of a thread without a thread pointer. */
  cloneArguments(flags: bigint, stackTop: bigint, tidWord: DataAddr): readonly bigint[];
  /** How far the branch at a site reaches, less a margin for the size of what is reached. */
  readonly branchReach: bigint;

  agentCode(shape: ArenaShape): AgentCode;
  thunkCode(work: Work): ThunkCode;
  /** What all thunks of a region call. */
  thunkRoutines(work: Work, plan: ThunkPlan): ThunkRoutines;
  /** An .eh_frame image for the thunks in `size` bytes from `start` on. */
  thunkFrames(
    start: CodeAddr,
    size: number,
    mirrorDelta: bigint,
    personality: CodeAddr | undefined,
  ): FrameImage;

  /**
   * Adds what makes stores to the code at [`start`, `end`) visible to fetches of it, where it is
   * not by itself; other threads are synchronised by membarrier(2) behind it.
   */
  syncCode(program: AgentProgram, start: number, end: number): void;

  /**
   * What the dynamic linker's empty function for debuggers jumps to while somebody waits for
   * libraries; absent where they are not waited for. It can stand anywhere.
   */
  loaderGate?(arena: DataAddr): Uint8Array;
  /**
   * A function that threads call before they exec, and that returns when the tracer says so; absent
   * where nobody waits for that. It can stand anywhere. Where threads note their forks at `stamp`,
   * it passes on what a child has of it.
   */
  execGate?(arena: DataAddr, stamp: DataAddr | undefined, tidOffset: number): Uint8Array;
  /**
   * A function that threads call before a longjmp, with its first argument; absent where nobody
   * learns of these. It can stand anywhere.
   */
  jumpGate?(plan: JumpPlan): Uint8Array;

  /**
   * A function that threads call before they fork, to note it at `stamp`; absent where nobody
   * notes that. It can stand anywhere.
   */
  forkGate?(stamp: DataAddr, tidOffset: number): Uint8Array;

  /** CALL_OPS; absent where no site calls with a literal beside it. */
  readonly callOps?: CallOpsBackEnd;

  /** How windows are changed while everybody runs: lists of steps by name, and which one serves. */
  readonly protocols: Readonly<Record<string, readonly Step[]>>;
  chooseProtocol(facts: WindowFacts, rules: VendorRules): string | undefined;
  /** What becomes of a window's first instruction; absent where no protocol depends on it. */
  compareFirst?(before: WindowBytes, after: WindowBytes): FirstChange;
  /**
   * The instructions of a function without a site (borrowed; they stand at `window`), moved to
   * `to`; absent where they are not moved.
   */
  moveWindow?(displaced: Uint8Array, window: CodeAddr, to: CodeAddr): Result<Moved, MoveProblem>;
  /** Whether such windows change while everybody runs: each is one instruction, stored whole. */
  readonly movesLive: boolean;
  /** A window at `at` that goes to `target`, put into `bytes` (borrowed) from `from` on. */
  fillJump(at: number, size: number, target: number, bytes: Uint8Array, from: number): void;
  /** An idle window that is one instruction as far as it is executed. */
  fillIdle(size: number, bytes: Uint8Array, from: number): void;
};

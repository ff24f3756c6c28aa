/**
 * P12. The same problems in user space, where there are no interrupts to send and no machine to
 * stop: membarrier(PRIVATE_EXPEDITED_SYNC_CORE) makes every running thread of the process execute a
 * core-serialising instruction, and a rolling look at the threads' program counters is the drain
 * and the grace period. Threads are preempted anywhere and signal handlers call what they like.
 *
 * Two machines beside Linux' own: a tracer that stops all threads through ptrace, and Arm's
 * aarch64_insn_patch_text, are `stop` with nobody moved out of the way.
 */
import { ensure } from "../../base/assert.ts";
import { arm64CallOps } from "../designs/aarch64.ts";
import { rv64CallOps } from "../designs/riscv.ts";
import { userDesign } from "../designs/x86-64.ts";
import type { Layout } from "../layout.ts";
import { type Check, checksFor, type Family, type Protocol } from "../protocol.ts";
import {
  drain,
  literal,
  maintain,
  membarrierSync,
  quiesceTasks,
  type Step,
  stop,
  storeBarrier,
  toBytes,
  toNew,
  toSkip,
  toTrap,
  trap,
  untrap,
  window,
  write,
  writePieces,
} from "../steps.ts";
import { longNops, nop1x5 } from "../x86-64-layouts.ts";

const first = window(0, 1);
const tail = window(1, "rest");
const head = window(0, 2);
const behindHead = window(2, "rest");
const retire = [quiesceTasks];
const sync = membarrierSync;

const protocolOf = (id: string, title: string, steps: readonly Step[]): Protocol => ({
  id: `P12/${id}`,
  title,
  enable: steps,
  disable: steps,
  retire,
});

const one: readonly Step[] = [write(window(0, "rest"), toNew), sync];
/** All bytes of the window lie in one aligned quadword. */
export const quadword: Protocol = protocolOf("quadword", "one 8-byte store, membarrier", one);

const skipped: readonly Step[] = [
  write(head, toSkip),
  sync,
  writePieces(behindHead, toNew),
  sync,
  write(head, toNew),
  sync,
];
export const shortJump: Protocol = protocolOf(
  "short-jump",
  "a 2-byte jump over the tail, tail, head, membarrier behind each",
  skipped,
);

const trapped: readonly Step[] = [
  trap("new", false),
  write(first, toTrap),
  sync,
  writePieces(tail, toNew),
  sync,
  write(first, toNew),
  sync,
  untrap,
];
/** The SIGTRAP handler may itself be preempted and interrupted by other signals. */
export const int3Signal: Protocol = protocolOf(
  "int3",
  "int3, tail, first byte, membarrier behind each; SIGTRAP's handler acts as the new code",
  trapped,
);

/** 66 before every 90 but the last: one no-op, in any order of stores. */
const merge = (size: number): readonly Step[] => [
  writePieces(window(0, size - 1), toBytes(...Array.from({ length: size - 1 }, () => 0x66))),
  sync,
  drain,
];
const firstTime = (normal: Protocol, steps: readonly Step[]): Protocol => ({
  ...normal,
  id: `P12/first-${normal.id.slice(4)}`,
  title: `five no-ops merged into one by prefixes, membarrier, drain; then ${normal.id}`,
  enable: [...merge(5), ...steps],
  modify: steps,
});
export const firstQuadword: Protocol = firstTime(quadword, one);
export const firstShortJump: Protocol = firstTime(shortJump, skipped);
export const firstInt3: Protocol = firstTime(int3Signal, trapped);

/**
 * Signal handlers that go on running handlers' code while a thread is looked at: the same drain.
 */
export const stopped: Protocol = protocolOf("stop", "all threads stopped, wherever they are", [
  stop(writePieces(window(0, "rest"), toNew)),
]);

const armSlot = window(4, 4);
const armSwing: readonly Step[] = [
  write(literal, toNew),
  storeBarrier,
  write(armSlot, toNew),
  ...maintain(armSlot),
];
export const arm64User: Protocol = {
  ...protocolOf("arm64", "P1, with membarrier before what a site used is freed", armSwing),
  retire: [sync, ...retire],
};
export const riscvUser: Protocol = protocolOf(
  "riscv",
  "literal, nop <-> jalr, membarrier (fence.i on return to user space)",
  [write(literal, toNew), storeBarrier, write(window(4, 4), toNew), sync],
);

const getLongNop = (size: number): Layout => ensure(longNops.get(size), `no-op of ${size}`);
const nop5 = userDesign(getLongNop(5), "call");
const nop5Jump = userDesign(getLongNop(5), "jump");
const nop8Jump = userDesign(getLongNop(8), "jump");
const nop8Call = userDesign(getLongNop(8), "call");
const five = userDesign(nop1x5, "call");
const threads = [
  ["preemption", "modify", "free"],
  ["preemption", "interrupts"],
  ["retarget", "preemption", "free"],
] as const;
const x86 = ["x86-amd", "x86-observed"] as const;
/** From the compiled window to a call, to a no-op, to another call. */
const life = [
  { to: "a", free: false },
  { to: "nop", free: true },
  { to: "b", free: false },
];

export const checks: readonly Check[] = [
  ...checksFor(
    {
      protocol: quadword,
      design: nop5,
      expected: "safe",
      reason: "one store, and one fetch, of one aligned quadword",
    },
    x86,
    threads,
  ),
  ...checksFor(
    {
      protocol: quadword,
      design: nop8Jump,
      expected: "safe",
      reason: "the whole window lies in one aligned quadword",
    },
    x86,
    [["preemption", "modify", "free"]],
  ),
  ...checksFor(
    {
      protocol: quadword,
      design: nop8Call,
      expected: "unwritten-instruction",
      reason: "a call returns to the no-op behind it, which idle does not have",
    },
    ["strong"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: shortJump,
      design: nop5Jump,
      phase: 4,
      expected: "safe",
      reason: "the head lies in one quadword, and nobody executes the tail",
    },
    x86,
    threads,
  ),
  ...checksFor(
    {
      protocol: shortJump,
      design: nop5,
      phase: 4,
      expected: "safe",
      reason: "a call returns behind the window, which never changes",
    },
    x86,
    [["preemption", "modify", "free"]],
  ),
  ...checksFor(
    {
      protocol: int3Signal,
      design: nop5,
      expected: "safe",
      reason: "one byte is always seen whole, and handlers that run are waited for",
    },
    ["x86-intel", ...x86],
    [
      ["preemption", "modify"],
      ["preemption", "interrupts"],
    ],
  ),
  ...checksFor(
    {
      protocol: firstQuadword,
      design: five,
      history: life,
      expected: "safe",
      reason: "the merged no-op is right from each of its bytes on, and is drained",
    },
    x86,
    [["preemption", "free"]],
  ),
  ...checksFor(
    {
      protocol: firstShortJump,
      design: five,
      phase: 4,
      history: life,
      expected: "safe",
      reason: "the merged no-op is right from each of its bytes on, and is drained",
    },
    x86,
    [["preemption"]],
  ),
  ...checksFor(
    {
      protocol: firstInt3,
      design: five,
      history: life,
      expected: "safe",
      reason: "any mixture of 66 and 90 is no-ops, even byte by byte",
    },
    ["x86-intel", "x86-amd"],
    [["preemption"]],
  ),
  ...checksFor(
    {
      protocol: quadword,
      design: five,
      history: life,
      expected: "unwritten-instruction",
      reason: "a thread stands between two of the five no-ops",
    },
    ["strong"],
    [["preemption"]],
  ),
  ...checksFor(
    {
      protocol: stopped,
      design: nop5,
      expected: "safe",
      reason: "no thread can be inside of one instruction",
    },
    ["x86-intel", ...x86],
    [["preemption", "modify"]],
  ),
  ...checksFor(
    {
      protocol: stopped,
      design: five,
      expected: "unwritten-instruction",
      reason: "a thread that is stopped between two no-ops goes on in the middle of the call",
    },
    ["strong"],
    [["preemption"]],
  ),
  ...checksFor(
    {
      protocol: arm64User,
      design: arm64CallOps,
      expected: "safe",
      reason: "as P1",
    },
    ["armv8-dic0-idc0", "armv8-dic1-idc1"],
    [
      ["preemption", "retarget", "free"],
      ["preemption", "modify", "free"],
    ],
  ),
  ...checksFor(
    {
      protocol: riscvUser,
      design: rv64CallOps,
      expected: "safe",
      reason: "as P2: membarrier is the remote fence.i",
    },
    ["riscv-ziccif", "riscv-ziccid"],
    [
      ["preemption", "retarget", "free"],
      ["preemption", "modify", "free"],
    ],
  ),
];

export const p12: Family = {
  id: "P12",
  title: "User space: membarrier and drains",
  source: "membarrier(2), PRIVATE_EXPEDITED_SYNC_CORE; Patchbay's own engine",
  checks,
};

// table
/**
 * P7. Changing one instruction of five bytes on x86.
 *
 *   old    0f 1f 44 00 00   nop
 *   step 1 cc 1f 44 00 00   int3 first byte, sync     1-byte store
 *   step 2 cc e7 57 07 00   the tail, sync            any stores
 *   step 3 e8 e7 57 07 00   the first byte, sync      1-byte store
 *
 * Linux arch/x86/kernel/alternative.c, smp_text_poke_batch_finish. One byte is the most that
 * Intel's
 * manual lets a processor that was not serialised see whole (SDM Vol. 3A, 9.1.3); AMD's promises an
 * aligned quadword (APM Vol. 2, 7.6.1). Who meets int3 meanwhile does what the new code does.
 */
import {
  x86Call,
  x86FiveNops,
  x86Jump,
  x86OneByteSwitch,
  x86ShortJumpIdle,
} from "../designs/x86-64.ts";
import { type Check, checksFor, type Family, type Protocol } from "../protocol.ts";
import {
  drain,
  quiesceHarts,
  quiesceTasks,
  type Step,
  sync,
  toBytes,
  toNew,
  toSkip,
  toTrap,
  trap,
  untrap,
  untrapAtOnce,
  window,
  write,
  writePieces,
} from "../steps.ts";
import type { MachineName } from "../verdicts.ts";

const first = window(0, 1);
const tail = window(1, "rest");
const whole = window(0, "rest");
const head = window(0, 2);
const behindHead = window(2, "rest");
const retire = [quiesceHarts, quiesceTasks];

const protocolOf = (id: string, title: string, steps: readonly Step[]): Protocol => ({
  id: `P7/${id}`,
  title,
  enable: steps,
  disable: steps,
  retire,
});

const batch: readonly Step[] = [
  trap("new"),
  write(first, toTrap),
  sync,
  writePieces(tail, toNew),
  sync,
  write(first, toNew),
  sync,
  untrap,
];
const without = (...left: readonly number[]): readonly Step[] =>
  batch.filter((_, index) => !left.includes(index));

export const int3: Protocol = protocolOf(
  "int3",
  "int3, tail, first byte, a sync behind each",
  batch,
);
export const noFirstSync: Protocol = protocolOf("no-first-sync", "no sync behind int3", without(2));
export const noSecondSync: Protocol = protocolOf(
  "no-second-sync",
  "no sync behind the tail",
  without(4),
);
export const noThirdSync: Protocol = protocolOf(
  "no-third-sync",
  "no sync behind the first byte",
  without(6),
);
export const noHandler: Protocol = protocolOf("no-handler", "nobody handles int3", without(0, 7));
export const handlerFreed: Protocol = protocolOf(
  "handler-freed",
  "what the handler needs is freed without waiting for handlers that run",
  [trap("new", false), ...batch.slice(1, 7), untrapAtOnce],
);
export const handlerFreedBeforeSync: Protocol = protocolOf(
  "handler-freed-before-sync",
  "the handler's data are freed before the last sync",
  [...batch.slice(0, 6), untrapAtOnce, sync],
);
export const handlerRefs: Protocol = protocolOf(
  "handler-refs",
  "a handler that can be interrupted, its data freed when no handler runs",
  [trap("new", false), ...batch.slice(1)],
);
export const tailFirst: Protocol = protocolOf("tail-first", "the tail before int3", [
  trap("new"),
  writePieces(tail, toNew),
  sync,
  write(first, toTrap),
  sync,
  write(first, toNew),
  sync,
  untrap,
]);
export const plain: Protocol = protocolOf("plain", "all bytes at once, by any stores; sync", [
  writePieces(whole, toNew),
  sync,
]);
export const oneStore: Protocol = protocolOf("one-store", "all bytes by one store; sync", [
  write(whole, toNew),
  sync,
]);
export const shortJump: Protocol = protocolOf(
  "short-jump",
  "jmp +3 over the tail, tail, first two bytes, a sync behind each",
  [write(head, toSkip), sync, writePieces(behindHead, toNew), sync, write(head, toNew), sync],
);
/**
 * From and to `jmp +3`: nobody executes the tail, so it needs no guard of its own on the way there.
 */
export const sled: Protocol = protocolOf("sled", "the tail behind jmp +3, sync, first two bytes", [
  writePieces(behindHead, toNew),
  sync,
  write(head, toNew),
  sync,
]);
const sledBack: readonly Step[] = [write(head, toNew), sync, writePieces(behindHead, toNew), sync];
export const sledBothWays: Protocol = { ...sled, disable: sledBack, modify: shortJump.enable };
export const oneByteSwitch: Protocol = {
  ...protocolOf(
    "one-byte-switch",
    "the tail behind jmp +3, sync, then the first byte alone: eb <-> e8",
    [writePieces(behindHead, toNew), sync, write(first, toNew), sync],
  ),
  disable: [write(first, toNew), sync, writePieces(behindHead, toNew), sync],
  modify: [
    write(first, toBytes(0xeb)),
    sync,
    writePieces(behindHead, toNew),
    sync,
    write(first, toNew),
    sync,
  ],
};

/** The first change of five 1-byte no-ops: threads may stand between them. */
export const drained: Protocol = protocolOf(
  "drained",
  "as P7/int3, with a drain of the window behind int3's sync",
  [...batch.slice(0, 3), drain, ...batch.slice(3)],
);
/** Prefixes make one no-op of five, in any order of stores; then nobody comes to stand inside. */
const merge: readonly Step[] = [writePieces(window(0, 4), toBytes(0x66, 0x66, 0x66, 0x66))];
export const merged: Protocol = protocolOf(
  "merged",
  "66 before each 90: one no-op; sync, drain, then all bytes by one store",
  [...merge, sync, drain, write(whole, toNew), sync],
);

const vendors: readonly MachineName[] = ["x86-intel", "x86-amd", "x86-observed"];
const all: readonly MachineName[] = ["strong", ...vendors];

/** Places in a line: inside of a quadword, across quadwords, head across, across lines. */
const inside = [0, 3] as const;
const across = [4, 6, 7, 61, 63] as const;

const at = (phases: readonly number[], check: (phase: number) => readonly Check[]): Check[] =>
  phases.flatMap((phase) => check(phase));

const guarded: readonly Check[] = [
  ...checksFor(
    {
      protocol: int3,
      design: x86Call,
      expected: "safe",
      reason: "one byte is always seen whole, and nobody executes the tail while it changes",
    },
    all,
    [
      [],
      ["preemption", "modify", "free"],
      ["nmi", "modify"],
      ["retarget", "preemption", "free"],
      ["two-patchers", "preemption"],
      ["modify", "free", "idle-loop"],
    ],
  ),
  ...checksFor(
    {
      protocol: int3,
      design: x86Call,
      expected: "safe",
      reason: "a batch does each step for all its sites, and each site for itself is safe",
    },
    ["strong", "x86-intel", "x86-amd"],
    [["two-sites"]],
  ),
  ...at([3, 5, 7, 61, 63], (phase) =>
    checksFor(
      {
        protocol: int3,
        design: x86Call,
        phase,
        expected: "safe",
        reason: "wherever the instruction lies",
      },
      vendors,
      [["modify"]],
    ),
  ),
  ...checksFor(
    {
      protocol: int3,
      design: x86Jump,
      expected: "safe",
      reason: "the same for a jump",
    },
    vendors,
    [["preemption", "modify", "free"]],
  ),
  ...checksFor(
    {
      protocol: handlerRefs,
      design: x86Call,
      expected: "safe",
      reason: "handlers that run are waited for",
    },
    vendors,
    [
      ["preemption", "modify"],
      ["interrupts", "modify"],
    ],
  ),
];

const broken: readonly Check[] = [
  ...checksFor(
    {
      protocol: noFirstSync,
      design: x86Call,
      expected: "unwritten-instruction",
      reason: "the old first byte with bytes of the new tail",
    },
    ["x86-intel"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: noFirstSync,
      design: x86Call,
      phase: 5,
      expected: "unwritten-instruction",
      reason: "the old first quadword with the new second one",
    },
    ["x86-amd"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: noFirstSync,
      design: x86Call,
      phase: 61,
      expected: "unwritten-instruction",
      reason: "the old first line with the new second one",
    },
    ["x86-observed"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: noFirstSync,
      design: x86Call,
      expected: "safe",
      reason: "inside of one quadword int3 is always older than the tail",
    },
    ["x86-amd", "x86-observed"],
    [["preemption", "modify"]],
  ),
  ...checksFor(
    {
      protocol: noSecondSync,
      design: x86Call,
      expected: "unwritten-instruction",
      reason: "the new first byte with bytes of the old tail",
    },
    ["x86-intel"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: noSecondSync,
      design: x86Call,
      phase: 5,
      expected: "unwritten-instruction",
      reason: "the new first quadword with the old second one",
    },
    ["x86-amd"],
    [[]],
  ),
  ...at([0, 5, 61], (phase) =>
    checksFor(
      {
        protocol: noSecondSync,
        design: x86Call,
        phase,
        expected: "safe",
        reason: "stores are seen in order, so the first byte is never newer than the tail",
      },
      ["x86-observed"],
      [["preemption", "modify"]],
    ),
  ),
  ...checksFor(
    {
      protocol: noThirdSync,
      design: x86Call,
      expected: "unhandled-trap",
      reason: "int3 is still fetched when its handler has gone",
    },
    vendors,
    [[]],
  ),
  ...checksFor(
    {
      protocol: noHandler,
      design: x86Call,
      expected: "unhandled-trap",
      reason: "threads run into int3",
    },
    ["strong"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: handlerFreed,
      design: x86Call,
      expected: "unhandled-trap",
      reason: "a handler that was interrupted finds its data gone",
    },
    ["strong"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: handlerFreedBeforeSync,
      design: x86Call,
      expected: "unhandled-trap",
      reason: "a thread that has met int3 finds the handler's data gone",
    },
    ["strong", "x86-observed"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: tailFirst,
      design: x86Call,
      expected: "unwritten-instruction",
      reason: "the old first byte with the new tail",
    },
    all,
    [[]],
  ),
  ...checksFor(
    {
      protocol: plain,
      design: x86Call,
      expected: "unwritten-instruction",
      reason: "some bytes old, some new",
    },
    all,
    [[]],
  ),
  ...at(across, (phase) =>
    checksFor(
      {
        protocol: plain,
        design: x86Call,
        phase,
        expected: "unwritten-instruction",
        reason: "some bytes old, some new",
      },
      ["x86-observed"],
      [[]],
    ),
  ),
];

const trapless: readonly Check[] = [
  ...at(inside, (phase) =>
    checksFor(
      {
        protocol: oneStore,
        design: x86Call,
        phase,
        expected: "safe",
        reason: "the five bytes lie in one aligned quadword, and one store changes it",
      },
      ["strong", "x86-amd", "x86-observed"],
      [[], ["preemption", "modify"], ["nmi", "modify"], ["two-sites"]],
    ),
  ),
  ...at([4, 61], (phase) =>
    checksFor(
      {
        protocol: oneStore,
        design: x86Call,
        phase,
        expected: "unwritten-instruction",
        reason: "the store and the fetch are in two parts",
      },
      ["x86-amd"],
      [[]],
    ),
  ),
  ...at([61], (phase) =>
    checksFor(
      {
        protocol: oneStore,
        design: x86Call,
        phase,
        expected: "unwritten-instruction",
        reason: "the store and the fetch are in two parts",
      },
      ["x86-observed"],
      [[]],
    ),
  ),
  ...checksFor(
    {
      protocol: oneStore,
      design: x86Call,
      expected: "unwritten-instruction",
      reason: "Intel's manual says nothing of more than one byte of an instruction",
    },
    ["x86-intel"],
    [[]],
  ),
  ...at([0, 3, 4, 5, 6], (phase) =>
    checksFor(
      {
        protocol: shortJump,
        design: x86Call,
        phase,
        expected: "safe",
        reason: "the first two bytes lie in one quadword, and nobody executes the tail",
      },
      ["strong", "x86-amd", "x86-observed"],
      [
        ["preemption", "modify"],
        ["nmi", "modify"],
      ],
    ),
  ),
  ...checksFor(
    {
      protocol: shortJump,
      design: x86Call,
      phase: 7,
      expected: "unwritten-instruction",
      reason: "the first two bytes lie in two quadwords",
    },
    ["x86-amd"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: shortJump,
      design: x86Call,
      phase: 7,
      expected: "safe",
      reason: "the first two bytes lie in one line",
    },
    ["x86-observed"],
    [["modify"]],
  ),
  ...checksFor(
    {
      protocol: shortJump,
      design: x86Call,
      phase: 63,
      expected: "unwritten-instruction",
      reason: "the first two bytes lie in two lines",
    },
    ["x86-observed", "x86-amd"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: shortJump,
      design: x86Call,
      expected: "unwritten-instruction",
      reason: "eb with the old displacement, or 0f with the new one",
    },
    ["x86-intel"],
    [[]],
  ),
  ...at([0, 4], (phase) =>
    checksFor(
      {
        protocol: sledBothWays,
        design: x86ShortJumpIdle,
        phase,
        expected: "safe",
        reason: "nobody executes the tail behind jmp +3",
      },
      ["strong", "x86-amd", "x86-observed"],
      [["preemption"], ["preemption", "modify"]],
    ),
  ),
  ...checksFor(
    {
      protocol: oneByteSwitch,
      design: x86OneByteSwitch,
      expected: "safe",
      reason: "jmp +3 and the call share their second byte, so one byte decides",
    },
    all,
    [["preemption"], ["preemption", "modify", "free"], ["free", "idle-loop"], ["nmi"]],
  ),
];

const firstTime: readonly Check[] = [
  ...checksFor(
    {
      protocol: int3,
      design: x86FiveNops,
      history: [{ to: "a", free: false }],
      expected: "unwritten-instruction",
      reason: "a thread between the no-ops goes on in the middle of the new tail",
    },
    all,
    [[], ["preemption"]],
  ),
  ...checksFor(
    {
      protocol: oneStore,
      design: x86FiveNops,
      history: [{ to: "a", free: false }],
      expected: "unwritten-instruction",
      reason: "a thread between the no-ops goes on in the middle of the call",
    },
    ["strong", "x86-amd"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: shortJump,
      design: x86FiveNops,
      history: [{ to: "a", free: false }],
      expected: "unwritten-instruction",
      reason: "a thread behind the first no-op executes the displacement of jmp +3",
    },
    ["strong", "x86-amd"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: drained,
      design: x86FiveNops,
      history: [{ to: "a", free: false }],
      expected: "safe",
      reason: "behind int3 nobody enters, and the drain sees off who was inside",
    },
    all,
    [["preemption"], ["nmi"]],
  ),
  ...checksFor(
    {
      protocol: merged,
      design: x86FiveNops,
      history: [{ to: "a", free: false }],
      expected: "safe",
      reason: "66 66 66 66 90 is a no-op from each of its bytes on; merged, nobody enters it",
    },
    ["strong", "x86-amd", "x86-observed"],
    [["preemption"], ["nmi"]],
  ),
];

export const p7: Family = {
  id: "P7",
  title: "One instruction of five bytes on x86",
  source: "S. Rostedt, 2024-03-21; Linux arch/x86/kernel/alternative.c, smp_text_poke_batch_finish",
  checks: [...guarded, ...broken, ...trapless, ...firstTime],
};

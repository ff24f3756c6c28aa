/**
 * P8. The arm64 sequences of 2016.
 *
 *   (A)  stp x29, x30, [sp, #-16]!   (A') b over     (B)  nop    (B') b over
 *        mov x29, sp                      mov              nop         nop
 *        bl _mcount                       bl               nop         nop
 *        ldp x29, x30, [sp], #16          ldp              nop         nop
 *
 * Way (a): (A') <-> (A). Way (b): (B) -> (B') -> (A') -> (A) and back. Li Bin: one of three
 * changes.
 */
import { arm64FourBranch, arm64FourNops, arm64Three, arm64Two } from "../designs/aarch64.ts";
import { type Check, checksFor, type Family, type Protocol } from "../protocol.ts";
import {
  type InnerStep,
  maintain,
  quiesceHarts,
  quiesceTasks,
  type Step,
  stop,
  sync,
  toNew,
  toSkip,
  window,
  write,
  writePieces,
} from "../steps.ts";

const head = window(0, 4);
const rest = window(4, "rest");
const slot = window(4, 4);
const retire = [quiesceHarts, quiesceTasks];

const store = (span: typeof head, content: typeof toNew): readonly InnerStep[] => [
  write(span, content),
  ...maintain(span),
];

const protocolOf = (id: string, title: string, steps: readonly Step[]): Protocol => ({
  id: `P8/${id}`,
  title,
  enable: steps,
  disable: steps,
  retire,
});

const middle: readonly InnerStep[] = [writePieces(rest, toNew), ...maintain(rest)];

export const wayB: Protocol = protocolOf("b", "b over, the rest, the first; synced behind each", [
  ...store(head, toSkip),
  sync,
  ...middle,
  sync,
  ...store(head, toNew),
  sync,
]);
export const wayBStopped: Protocol = protocolOf("b-stop", "all of way (b) under stop_machine", [
  stop(...store(head, toSkip), ...middle, ...store(head, toNew)),
]);
/** Empty the sequence, then change the rest of it and its first word while harts are stopped. */
const emptied: readonly Step[] = [quiesceTasks, stop(...middle, ...store(head, toNew))];
/** nop may become b while it is executed, stp may not. */
const fromNop: readonly Step[] = [...store(head, toSkip), sync, ...emptied];
const fromStp: readonly Step[] = [stop(...store(head, toSkip)), ...emptied];
export const wayBGrace: Protocol = {
  ...protocolOf("b-grace", "b over, a grace period, the rest under stop_machine", fromNop),
  disable: fromStp,
  modify: fromStp,
};
/** stp becomes b under threads that execute it. */
export const wayBGraceUnstopped: Protocol = protocolOf(
  "b-grace-unstopped",
  "as P8/b-grace, with stp replaced by a store",
  fromNop,
);
/** The way back without its grace period: ldp turns into a no-op under a thread behind stp. */
export const wayBGraceOneWay: Protocol = {
  ...wayBGrace,
  id: "P8/b-grace-one-way",
  title: "as P8/b-grace on the way there, P8/b on the way back",
  disable: wayB.disable,
};

const toggled: readonly Step[] = [...store(head, toNew), sync];
export const wayA: Protocol = protocolOf("a", "b over <-> stp, synced", toggled);
export const wayAStopped: Protocol = protocolOf("a-stop", "b over <-> stp under stop_machine", [
  stop(...store(head, toNew)),
]);

const oneOfThree: readonly Step[] = store(slot, toNew);
export const liBin: Protocol = protocolOf(
  "three",
  "nop <-> bl between two moves, maintenance by the writer alone",
  oneOfThree,
);
/** Straight to trampolines that are freed: the old bl has to be out of every hart. */
export const liBinFreed: Protocol = {
  ...liBin,
  id: "P8/three-synced",
  title: "as P8/three, with a context synchronisation before the grace periods",
  retire: [sync, ...retire],
};

const arms = ["armv8-dic0-idc0", "armv8-dic0-idc1", "armv8-dic1-idc1"] as const;

const four: readonly Check[] = [
  ...checksFor(
    {
      protocol: wayB,
      design: arm64FourNops,
      expected: "lost-context",
      reason: "a thread behind the first no-op goes on with bl and ldp, but without stp",
    },
    ["strong"],
    [[], ["preemption"], ["nmi"]],
  ),
  ...checksFor(
    {
      protocol: wayB,
      design: arm64FourNops,
      expected: "unpredictable",
      reason: "no-ops become mov and ldp under a thread behind the first of them",
    },
    ["armv8-dic0-idc0", "armv8-dic1-idc1"],
    [["preemption"]],
  ),
  ...checksFor(
    {
      protocol: wayBStopped,
      design: arm64FourNops,
      expected: "lost-context",
      reason: "a thread preempted in the sequence resumes in another one",
    },
    ["strong", ...arms],
    [["preemption"]],
  ),
  ...checksFor(
    {
      protocol: wayBStopped,
      design: arm64FourNops,
      expected: "safe",
      reason: "without preemption harts stop outside of the sequence",
    },
    ["strong", ...arms],
    [[], ["modify"], ["interrupts"]],
  ),
  ...checksFor(
    {
      protocol: wayBStopped,
      design: arm64FourNops,
      expected: "lost-context",
      reason: "a handler that can't be masked runs the sequence while it is half written",
    },
    ["strong"],
    [["nmi"]],
  ),
  ...checksFor(
    {
      protocol: wayBGrace,
      design: arm64FourNops,
      expected: "safe",
      reason: "the grace periods empty the sequence, stp changes while harts are stopped",
    },
    ["strong", ...arms],
    [["preemption"], ["preemption", "modify"], ["modify", "idle-loop"]],
  ),
  ...checksFor(
    {
      protocol: wayBGrace,
      design: arm64FourNops,
      phase: 56,
      expected: "safe",
      reason: "the grace periods empty the sequence, stp changes while harts are stopped",
    },
    ["armv8-dic0-idc0", "armv8-dic0-idc1"],
    [["preemption"], ["preemption", "modify"]],
  ),
  ...checksFor(
    {
      protocol: wayBGraceOneWay,
      design: arm64FourNops,
      expected: "lost-context",
      reason: "a thread behind stp goes on with no-ops instead of ldp",
    },
    ["strong"],
    [["preemption"]],
  ),
  ...checksFor(
    {
      protocol: wayBGraceUnstopped,
      design: arm64FourNops,
      expected: "unpredictable",
      reason: "stp becomes b under threads that execute it",
    },
    ["armv8-dic0-idc0"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: wayA,
      design: arm64FourBranch,
      expected: "safe",
      reason: "one word changes and the rest fits both: as interleaving it is right",
      history: [
        { to: "a", free: false },
        { to: "idle", free: false },
      ],
    },
    ["strong"],
    [["preemption"], ["nmi"]],
  ),
  ...checksFor(
    {
      protocol: wayA,
      design: arm64FourBranch,
      expected: "unpredictable",
      reason: "stp is not in the list of instructions that may be changed while executed",
    },
    arms,
    [[]],
  ),
  ...checksFor(
    {
      protocol: wayAStopped,
      design: arm64FourBranch,
      expected: "safe",
      reason: "nobody executes the word while it changes, and the rest fits both",
    },
    ["strong", ...arms],
    [["preemption"], []],
  ),
];

const three: readonly Check[] = [
  ...checksFor(
    {
      protocol: liBin,
      design: arm64Three,
      expected: "safe",
      reason: "one listed instruction changes, the moves around it fit both",
    },
    ["strong", ...arms],
    [
      ["preemption", "modify"],
      ["nmi", "modify"],
    ],
  ),
  ...checksFor(
    {
      protocol: liBin,
      design: arm64Three,
      expected: "use-after-free",
      reason: "a hart without a context synchronisation may still fetch the old bl",
    },
    ["armv8-dic0-idc0"],
    [["free"]],
  ),
  ...checksFor(
    {
      protocol: liBinFreed,
      design: arm64Three,
      expected: "safe",
      reason: "after the context synchronisation nobody fetches the old bl",
    },
    ["armv8-dic0-idc0"],
    [
      ["preemption", "modify", "free"],
      ["free", "idle-loop"],
    ],
  ),
  ...checksFor(
    {
      protocol: liBin,
      design: arm64Two,
      expected: "safe",
      reason: "the trampoline restores x30, so the third instruction is not needed",
    },
    ["strong", ...arms],
    [
      ["preemption", "modify"],
      ["nmi", "modify"],
    ],
  ),
];

export const p8: Family = {
  id: "P8",
  title: "Four instructions or three on arm64",
  source: "T. Akashi and Li Bin, linux-arm-kernel, 2016-01-19 ([RFC] arm64: ftrace with regs ...)",
  checks: [...four, ...three],
};

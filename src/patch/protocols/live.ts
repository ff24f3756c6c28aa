/**
 * LIVE. What the engine does to running processes on x86-64 (`x86-64-live.ts`), checked on the
 * machines of both vendors; the other ISAs' checks are in `live-words.ts`.
 */
import {
  x86CallOps,
  x86CallOpsFive,
  x86CallOpsPad,
  x86FiveNopsCovered,
  x86Jump,
  x86JumpCovered,
  x86JumpSpinning,
} from "../designs/x86-64.ts";
import { type Check, checksFor, type Family, type Protocol } from "../protocol.ts";
import { quiesceHarts, quiesceTasks, type Step } from "../steps.ts";
import type { MachineName } from "../verdicts.ts";
import { wordChecks } from "./live-words.ts";
import { type LiveProtocolName, liveLiteral, liveProtocols } from "./x86-64-live.ts";

/** Thunks are freed when threads were seen outside of them, after the last sync. */
const retire = [quiesceHarts, quiesceTasks];

const protocolOf = (
  id: string,
  title: string,
  enable: LiveProtocolName,
  disable: LiveProtocolName = enable,
): Protocol => ({
  id: `LIVE/${id}`,
  title,
  enable: liveProtocols[enable],
  disable: liveProtocols[disable],
  retire,
});

export const liveStore: Protocol = protocolOf("store", "one store in one aligned 8 bytes", "store");
export const liveCover: Protocol = protocolOf(
  "cover",
  "a9 as the first byte, the tail, the first byte, a sync behind each",
  "cover",
);
export const liveCoverSeveral: Protocol = protocolOf(
  "cover-several",
  "as LIVE/cover, with a drain behind the first sync",
  "coverSeveral",
  "cover",
);
export const liveSkip: Protocol = protocolOf(
  "skip",
  "a short jump over the tail, the tail, the first two bytes, a sync behind each",
  "skip",
);
export const liveSpin: Protocol = protocolOf(
  "spin",
  "a jump to itself, the tail, the first two bytes, a sync behind each",
  "spin",
);

/** CALL_OPS by the protocol `window`; from one ops to another by the literal alone. */
const callOpsBy = (
  id: string,
  enable: LiveProtocolName,
  disable: LiveProtocolName = enable,
): Protocol => ({
  id: `LIVE/call-ops-${id}`,
  title: `the literal, then the window as LIVE/${id}; other ops by the literal alone`,
  enable: [...liveLiteral, ...liveProtocols[enable]],
  disable: [...liveLiteral, ...liveProtocols[disable]],
  modify: liveLiteral,
  retire,
});

export const liveCallOpsStore: Protocol = callOpsBy("store", "store");
export const liveCallOpsCover: Protocol = callOpsBy("cover", "cover");
export const liveCallOpsSeveral: Protocol = callOpsBy("cover-several", "coverSeveral", "cover");

/** The window changes with the literal: from a call to a jump, or the other way. */
const rewritten = ({ id, title, enable, disable }: Protocol): Protocol => ({
  id: `${id}-rewritten`,
  title: `${title.split(";")[0] ?? ""}, from call to jump and back`,
  enable,
  disable,
  retire,
});
export const liveCallOpsFreed: Protocol = {
  ...liveCallOpsCover,
  id: "LIVE/call-ops-freed-at-once",
  title: "as LIVE/call-ops-cover, ops freed without a grace period",
  retire: [],
};
/** The window first: whoever comes in between finds what the literal named before. */
const windowFirst: readonly Step[] = [...liveProtocols.cover, ...liveLiteral];
export const liveCallOpsWindowFirst: Protocol = {
  ...liveCallOpsCover,
  id: "LIVE/call-ops-window-first",
  title: "as LIVE/call-ops-cover, with the literal behind the window",
  enable: windowFirst,
  disable: windowFirst,
};

const withoutDrain: readonly Step[] = liveProtocols.coverSeveral.filter(({ op }) => op !== "drain");
export const liveNoDrain: Protocol = {
  ...protocolOf("cover-no-drain", "LIVE/cover-several without its drain", "coverSeveral", "cover"),
  enable: withoutDrain,
};
const withoutSync = (left: number): readonly Step[] => {
  const syncs = liveProtocols.cover.flatMap((step, index) => (step.op === "sync" ? [index] : []));
  return liveProtocols.cover.filter((_, index) => index !== syncs[left]);
};
export const liveNoFirstSync: Protocol = {
  ...protocolOf("cover-no-first-sync", "LIVE/cover without the sync behind a9", "cover"),
  enable: withoutSync(0),
  disable: withoutSync(0),
};
export const liveNoSecondSync: Protocol = {
  ...protocolOf("cover-no-second-sync", "LIVE/cover without the sync behind the tail", "cover"),
  enable: withoutSync(1),
  disable: withoutSync(1),
};

const vendors: readonly MachineName[] = ["x86-intel", "x86-amd", "x86-observed"];
const all: readonly MachineName[] = ["strong", ...vendors];
/** Every place in a line that makes a difference. */
const phases = [0, 3, 4, 7, 61, 63] as const;

/** The window behind `endbr64` of an aligned function. */
const landingPadBytes = 4;

const throughThunk = ["a", "thunk", "b", "idle"].map((to) => ({ to, free: true }));
const throughList = ["a", "list", "b", "list", "idle"].map((to) => ({ to, free: true }));

const callOpsChecks: readonly Check[] = [
  ...[
    { design: x86CallOps, phase: 0 },
    { design: x86CallOpsPad, phase: landingPadBytes },
  ].flatMap((site) =>
    checksFor(
      {
        protocol: liveCallOpsCover,
        ...site,
        expected: "safe",
        reason: "one word of data, and any literal that stood there is good until a grace period",
      },
      all,
      [
        ["preemption", "retarget", "free"],
        ["preemption", "modify", "free"],
        ["nmi", "modify", "free"],
      ],
    ),
  ),
  ...checksFor(
    {
      protocol: liveCallOpsCover,
      design: x86CallOps,
      expected: "safe",
      reason: "a batch writes all its literals before the first window",
    },
    ["strong", "x86-intel"],
    [["two-sites"]],
  ),
  ...checksFor(
    {
      protocol: liveCallOpsCover,
      design: x86CallOpsPad,
      expected: "torn-data",
      reason: "a literal across two quadwords is seen in part: such sites get thunks",
    },
    ["x86-intel", "x86-amd"],
    [["preemption", "modify"]],
  ),
  ...checksFor(
    {
      protocol: liveCallOpsStore,
      design: x86CallOps,
      expected: "safe",
      reason: "as LIVE/store, with a literal that is good before and after",
    },
    ["strong", "x86-amd", "x86-observed"],
    [
      ["preemption", "retarget", "free"],
      ["preemption", "modify", "free"],
    ],
  ),
  ...[liveCallOpsCover, liveCallOpsStore].flatMap((protocol) =>
    checksFor(
      {
        protocol,
        design: x86CallOps,
        history: throughList,
        expected: "safe",
        reason: "the list's function takes whatever ops it is called with",
      },
      ["strong", "x86-amd", "x86-observed"],
      [["preemption"]],
    ),
  ),
  ...checksFor(
    {
      protocol: rewritten(liveCallOpsCover),
      design: x86CallOps,
      history: throughThunk,
      expected: "safe",
      reason: "a call and a jump are one instruction each, at the same place",
    },
    all,
    [["preemption"]],
  ),
  ...checksFor(
    {
      protocol: liveCallOpsSeveral,
      design: x86CallOpsFive,
      history: [
        { to: "a", free: false },
        { to: "b", free: true },
      ],
      expected: "safe",
      reason: "as LIVE/cover-several",
    },
    all,
    [["preemption"]],
  ),
  ...checksFor(
    {
      protocol: liveCallOpsFreed,
      design: x86CallOps,
      expected: "use-after-free",
      reason: "a thread that has loaded the literal uses its ops later",
    },
    all,
    [["modify", "free"]],
  ),
  ...checksFor(
    {
      protocol: liveCallOpsWindowFirst,
      design: x86CallOps,
      expected: "safe",
      reason: "a literal that names no ops is good, too: the order only loses a call",
    },
    ["strong", "x86-intel", "x86-amd"],
    [["preemption", "retarget", "free"]],
  ),
];

const checks: readonly Check[] = [
  ...callOpsChecks,
  ...phases.flatMap((phase) =>
    checksFor(
      {
        protocol: liveCover,
        design: x86JumpCovered,
        phase,
        expected: "safe",
        reason: "one byte is seen whole by every vendor's rules, and what follows a9 is a number",
      },
      all,
      [
        ["preemption", "modify", "free"],
        ["nmi", "modify"],
      ],
    ),
  ),
  ...checksFor(
    {
      protocol: liveCover,
      design: x86JumpCovered,
      expected: "safe",
      reason: "a batch does each step for all its sites",
    },
    ["strong", "x86-intel", "x86-amd"],
    [["two-sites"]],
  ),
  ...checksFor(
    {
      protocol: liveCoverSeveral,
      design: x86FiveNopsCovered,
      history: [
        { to: "a", free: false },
        { to: "idle", free: false },
      ],
      expected: "safe",
      reason: "a9 takes the other no-ops as its number; who stands between them is waited for",
    },
    all,
    [[], ["preemption"], ["nmi"]],
  ),
  ...checksFor(
    {
      protocol: liveNoDrain,
      design: x86FiveNopsCovered,
      history: [{ to: "a", free: false }],
      expected: "unwritten-instruction",
      reason: "a thread between the no-ops goes on in the middle of the jump",
    },
    all,
    [["preemption"]],
  ),
  ...checksFor(
    {
      protocol: liveNoFirstSync,
      design: x86JumpCovered,
      expected: "unwritten-instruction",
      reason: "the old first byte with bytes of the new tail",
    },
    ["x86-intel"],
    [[]],
  ),
  ...checksFor(
    {
      protocol: liveNoSecondSync,
      design: x86JumpCovered,
      expected: "unwritten-instruction",
      reason: "the new first byte with bytes of the old tail",
    },
    ["x86-intel"],
    [[]],
  ),
  ...[0, 3].flatMap((phase) =>
    checksFor(
      {
        protocol: liveStore,
        design: x86Jump,
        phase,
        expected: "safe",
        reason: "AMD promises an aligned quadword; processors are not known to do less",
      },
      ["strong", "x86-amd", "x86-observed"],
      [
        ["preemption", "modify", "free"],
        ["nmi", "modify"],
      ],
    ),
  ),
  ...checksFor(
    {
      protocol: liveStore,
      design: x86Jump,
      expected: "unwritten-instruction",
      reason: "Intel's manual promises one byte: the engine covers there",
    },
    ["x86-intel"],
    [[]],
  ),
  ...[4, 6].flatMap((phase) =>
    checksFor(
      {
        protocol: liveSkip,
        design: x86Jump,
        phase,
        expected: "safe",
        reason: "the first two bytes lie in one quadword, and nobody executes the tail",
      },
      ["strong", "x86-amd", "x86-observed"],
      [["preemption", "modify", "free"]],
    ),
  ),
  ...[4, 6].flatMap((phase) =>
    checksFor(
      {
        protocol: liveSpin,
        design: x86JumpSpinning,
        phase,
        expected: "safe",
        reason: "the first two bytes lie in one quadword, and who comes waits before the tail",
      },
      ["strong", "x86-amd", "x86-observed"],
      [["preemption", "modify", "free"]],
    ),
  ),
  ...checksFor(
    {
      protocol: liveSpin,
      design: x86JumpSpinning,
      phase: 7,
      expected: "unwritten-instruction",
      reason: "the first two bytes lie in two quadwords: the journal leaves such windows",
    },
    ["x86-amd"],
    [[]],
  ),
];

export const live: Family = {
  id: "LIVE",
  title: "What the engine does to running processes",
  source: "Patchbay",
  checks: [...checks, ...wordChecks],
};

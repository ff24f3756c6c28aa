/**
 * LIVE. What the engine does to running processes on x86-64 (`x86-64-live.ts`), checked on the
 * machines of both vendors; the other ISAs' checks are in `live-words.ts`.
 */
import {
  x86FiveNopsCovered,
  x86Jump,
  x86JumpCovered,
  x86JumpSpinning,
  x86ReturnSite,
} from "../designs/x86-64.ts";
import { type Check, checksFor, type Family, type Protocol } from "../protocol.ts";
import { quiesceHarts, quiesceTasks, type Step } from "../steps.ts";
import type { MachineName } from "../verdicts.ts";
import { disableReturnSite, enableReturnSite } from "../x86-64-return-site.ts";
import { callOpsChecks } from "./live-call-ops.ts";
import { wordChecks } from "./live-words.ts";
import { type LiveProtocolName, liveProtocols } from "./x86-64-live.ts";

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

export const liveReturn: Protocol = {
  id: "LIVE/return",
  title: "a return that becomes a jump: the tail, the first byte; back, the first byte, the tail",
  enable: enableReturnSite,
  disable: disableReturnSite,
  retire,
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

const checks: readonly Check[] = [
  ...[0, 4].flatMap((phase) =>
    checksFor(
      {
        protocol: liveReturn,
        design: x86ReturnSite,
        phase,
        expected: "safe",
        reason: "nobody executes what is behind a return, and one byte is seen whole",
      },
      all,
      [["preemption", "free"], ["nmi"]],
    ),
  ),
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

/** CALL_OPS as the engine does it on x86-64: a literal, then the window; and its checks. */
import { x86CallOps, x86CallOpsFive, x86CallOpsPad } from "../designs/x86-64.ts";
import { type Check, checksFor, type Protocol } from "../protocol.ts";
import { quiesceHarts, quiesceTasks, type Step } from "../steps.ts";
import type { MachineName } from "../verdicts.ts";
import { type LiveProtocolName, liveLiteral, liveProtocols } from "./x86-64-live.ts";

const retire = [quiesceHarts, quiesceTasks];
const all: readonly MachineName[] = ["strong", "x86-intel", "x86-amd", "x86-observed"];

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

/** The window behind `endbr64` of an aligned function. */
const landingPadBytes = 4;

const throughThunk = ["a", "thunk", "b", "idle"].map((to) => ({ to, free: true }));
const throughList = ["a", "list", "b", "list", "idle"].map((to) => ({ to, free: true }));

export const callOpsChecks: readonly Check[] = [
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
        { to: "idle", free: true },
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

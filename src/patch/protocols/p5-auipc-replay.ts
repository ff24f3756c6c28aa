/**
 * P5. Rewriting AUIPC and JALR behind a jump, with a trap return that replays AUIPC.
 *
 *   start    auipc t0, hi   | jalr t0, lo(t0)
 *   step 1   6f 00 80 00 j +8 | jalr t0, lo(t0)     store, fence w,w, fence.i everywhere
 *   step 2   j +8           | jalr t0, lo'(t0)    the same
 *   step 3   auipc t0, hi'  | jalr t0, lo'(t0)    the same
 *
 * Each store is one aligned instruction (Ziccif). Whoever is interrupted between the two
 * instructions executes the first one again.
 */
import {
  rv64AuipcPair,
  rv64Pair,
  rv64ReplayAddress,
  rv64ReplayNotNmi,
  rv64ReplayWord,
} from "../designs/riscv.ts";
import { type Check, checksFor, type Family, type Protocol } from "../protocol.ts";
import {
  asyncSync,
  quiesceHarts,
  quiesceTasks,
  type Step,
  storeBarrier,
  sync,
  toNew,
  toSkip,
  window,
  write,
} from "../steps.ts";

const first = window(0, 4);
const second = window(4, 4);
const retire = [quiesceHarts, quiesceTasks];

const guarded = (flush: readonly Step[]): readonly Step[] => [
  write(first, toSkip),
  ...flush,
  write(second, toNew),
  ...flush,
  write(first, toNew),
  ...flush,
];

const protocolOf = (id: string, title: string, steps: readonly Step[]): Protocol => ({
  id,
  title,
  enable: steps,
  disable: steps,
  retire,
});

const threeSteps = guarded([storeBarrier, sync]);

export const replay: Protocol = protocolOf(
  "P5/replay",
  "j +8, jalr', auipc', fence.i everywhere behind each",
  threeSteps,
);
export const asynchronous: Protocol = protocolOf(
  "P5/asynchronous",
  "as P5/replay, without waiting for the other harts",
  guarded([storeBarrier, asyncSync]),
);

/** The same steps with one of them left out. */
const without = (index: number): readonly Step[] => threeSteps.filter((_, i) => i !== index);
export const withoutFirstSync: Protocol = protocolOf(
  "P5/no-first-sync",
  "as P5/replay, no fence.i behind the jump",
  without(2),
);
export const withoutSecondSync: Protocol = protocolOf(
  "P5/no-second-sync",
  "as P5/replay, no fence.i behind jalr'",
  without(5),
);
export const withoutThirdSync: Protocol = protocolOf(
  "P5/no-third-sync",
  "as P5/replay, no fence.i behind auipc'",
  without(8),
);

/**
 * With a grace period behind the jump, nobody is between the two instructions: no replay needed.
 */
const graceSteps: readonly Step[] = [
  ...threeSteps.slice(0, 3),
  quiesceTasks,
  ...threeSteps.slice(3),
];
export const grace: Protocol = protocolOf(
  "P5/grace",
  "j +8, fence.i everywhere, grace period, jalr', auipc'; plain trap returns",
  graceSteps,
);

const byAddress = { protocol: replay, design: rv64ReplayAddress } as const;
const good = "between the first and the last fence.i only j +8 can be executed, or auipc again";

export const checks: readonly Check[] = [
  ...checksFor(
    { ...byAddress, expected: "safe", reason: good },
    ["strong", "riscv-ziccif", "riscv-ziccid"],
    [
      ["modify"],
      ["modify", "preemption"],
      ["modify", "preemption", "nmi"],
      ["modify", "interrupts"],
      ["retarget", "preemption", "free"],
      ["modify", "preemption", "two-sites"],
      ["two-patchers", "preemption"],
      ["modify", "free", "idle-loop"],
    ],
  ),
  ...checksFor(
    {
      ...byAddress,
      design: { ...rv64Pair, trapReturn: { offset: 4, by: "address", nmi: true } },
      expected: "safe",
      reason: "from two nops: whoever executed the first one executes the first word again",
    },
    ["riscv-ziccif"],
    [["modify", "preemption"]],
  ),
  ...checksFor(
    {
      protocol: replay,
      design: rv64AuipcPair,
      expected: "wild-jump",
      reason: "the fence.i itself interrupts between auipc and jalr; jalr' uses the old base",
    },
    ["strong", "riscv-ziccif"],
    [["modify"]],
  ),
  ...checksFor(
    {
      ...byAddress,
      expected: "wild-jump",
      reason: "firmware returns straight to the second instruction: nobody replays auipc",
    },
    ["strong", "riscv-ziccif"],
    [["modify", "firmware-fences"]],
  ),
  ...checksFor(
    {
      protocol: asynchronous,
      design: rv64ReplayAddress,
      expected: "wild-jump",
      reason: "jalr' is written before the hart has answered",
    },
    ["strong", "riscv-ziccif"],
    [["modify"]],
  ),
  ...checksFor(
    {
      protocol: replay,
      design: rv64ReplayWord,
      expected: "wild-jump",
      reason: "from nop the word there is no jalr, and behind jalr' it is read too late",
    },
    ["riscv-ziccif"],
    [["modify", "preemption"]],
  ),
  ...checksFor(
    {
      protocol: replay,
      design: rv64ReplayNotNmi,
      expected: "safe",
      reason: "the rule is applied again when the sync's interrupt returns",
    },
    ["riscv-ziccif"],
    [["modify", "nmi"]],
  ),
  ...checksFor(
    {
      protocol: withoutFirstSync,
      design: rv64ReplayAddress,
      expected: "wild-jump",
      reason: "the old auipc is still executed when jalr' is written",
    },
    ["strong", "riscv-ziccif", "riscv-ziccid"],
    [["modify"]],
  ),
  ...checksFor(
    {
      protocol: withoutSecondSync,
      design: rv64ReplayAddress,
      expected: "wild-jump",
      reason: "auipc' is fetched new and jalr' old",
    },
    ["riscv-ziccif"],
    [["modify"]],
  ),
  ...checksFor(
    {
      protocol: withoutSecondSync,
      design: rv64ReplayAddress,
      expected: "safe",
      reason: "with Ziccid a hart that fetches auipc' new fetches jalr' new behind it",
    },
    ["strong", "riscv-ziccid"],
    [["modify", "preemption"]],
  ),
  ...checksFor(
    {
      protocol: withoutThirdSync,
      design: rv64ReplayAddress,
      expected: "safe",
      reason: "j +8 may be executed for as long as a hart likes: late, not wrong",
    },
    ["riscv-ziccif"],
    [["modify", "preemption"]],
  ),
  ...checksFor(
    {
      protocol: grace,
      design: rv64AuipcPair,
      expected: "safe",
      reason: "nobody is between the instructions any more when jalr' is written",
    },
    ["strong", "riscv-ziccif", "riscv-ziccid"],
    [
      ["modify", "preemption", "nmi"],
      ["modify", "preemption", "firmware-fences"],
    ],
  ),
  {
    ...byAddress,
    phase: 2,
    machine: "riscv-ziccif",
    adversities: ["modify"],
    expected: "unwritten-instruction",
    reason: "at 2 mod 4 no instruction of the site is one store or one fetch",
  },
];

export const p5: Family = {
  id: "P5",
  title: "AUIPC replay",
  source: "A. Chiu, linux-riscv, 2024-09-11 ([PATCH v2 3/6] riscv: ftrace: prepare ftrace ...)",
  checks,
};

/** What the engine does on AArch64 and RISC-V (`word-live.ts`), checked on all their machines. */
import { arm64CallOps, arm64CallOpsFresh, arm64Jump, arm64Moved } from "../designs/aarch64.ts";
import { rv64CallOps } from "../designs/riscv.ts";
import { rv64CallOpsFresh, rv64Jump } from "../designs/riscv-live.ts";
import { type Check, checksFor, type Protocol } from "../protocol.ts";
import { quiesceHarts, quiesceTasks, type Step, stop } from "../steps.ts";
import type { MachineName } from "../verdicts.ts";
import { aarch64LiveProtocols, riscvLiveProtocols } from "./word-live.ts";
import { liveLiteral } from "./x86-64-live.ts";

const retire = [quiesceHarts, quiesceTasks];
const protocolOf = (id: string, title: string, steps: readonly Step[]): Protocol => ({
  ...{ id: `LIVE/${id}`, title, enable: steps, disable: steps, retire },
});

export const liveWord: Protocol = protocolOf(
  "word",
  "nop <-> b in one aligned word, with the writer's maintenance",
  aarch64LiveProtocols.word,
);
const { moved } = aarch64LiveProtocols;
export const liveMoved: Protocol = protocolOf(
  "moved",
  "any instruction <-> b in one aligned word, with the writer's maintenance",
  moved,
);
const isInner = (step: Step): step is Parameters<typeof stop>[number] =>
  step.op !== "stop" && step.op !== "sync" && step.op !== "drain" && step.op !== "quiesce";
export const liveMovedStopped: Protocol = protocolOf(
  "moved-stopped",
  "LIVE/moved with all threads stopped for it",
  [stop(...moved.filter(isInner)), ...moved.filter(({ op }) => op === "sync")],
);
const { skip, slot } = riscvLiveProtocols;
const { word, link, unlink } = aarch64LiveProtocols;

/** CALL_OPS: the literal first; from one ops to another by the literal alone. */
const callOpsBy = (
  id: string,
  title: string,
  enable: readonly Step[],
  disable: readonly Step[] = enable,
): Protocol => ({
  id: `LIVE/call-ops-${id}`,
  title: `the literal, then ${title}; other ops by the literal alone`,
  enable: [...liveLiteral, ...enable],
  disable: [...liveLiteral, ...disable],
  modify: liveLiteral,
  retire,
});
export const liveCallWord: Protocol = callOpsBy("word", "nop <-> bl as LIVE/word", word);
export const liveCallLink: Protocol = callOpsBy(
  "link",
  "mov x9, x30, a drain, bl; back in the other order",
  link,
  unlink,
);
export const liveCallLinkUndrained: Protocol = callOpsBy(
  "link-no-drain",
  "mov x9, x30, bl; back in the other order",
  link.filter(({ op }) => op !== "drain"),
  unlink,
);
export const liveCallSlot: Protocol = callOpsBy("slot", "nop <-> jalr in one aligned word", slot);
export const liveCallSkip: Protocol = callOpsBy("skip-pair", "as LIVE/skip-pair", skip);

export const liveSkipPair: Protocol = protocolOf(
  "skip-pair",
  "c.j over auipc and jalr, a drain, the rest, the first parcel, a sync behind each",
  skip,
);
export const liveSkipUndrained: Protocol = protocolOf(
  "skip-pair-no-drain",
  "LIVE/skip-pair without its drain",
  skip.filter(({ op }) => op !== "drain"),
);

const arms: readonly MachineName[] = [
  ...(["armv8-dic0-idc0", "armv8-dic0-idc1", "armv8-dic1-idc0", "armv8-dic1-idc1"] as const),
];
const riscvs: readonly MachineName[] = ["riscv-ziccif", "riscv-ziccid", "riscv-parcel"];

const adversities = [
  ["preemption", "modify", "free"],
  ["nmi", "modify"],
] as const;

const movedChecks: readonly Check[] = [
  ...checksFor(
    {
      protocol: liveMoved,
      design: arm64Moved,
      expected: "safe",
      reason: "one aligned word is the old instruction or the new one where memory is what runs",
    },
    ["strong"],
    adversities,
  ),
  ...checksFor(
    {
      protocol: liveMoved,
      design: arm64Moved,
      expected: "unpredictable",
      reason: "a function's first instruction is not one that may change while it is executed",
    },
    arms,
    [["preemption"]],
  ),
  ...checksFor(
    {
      protocol: liveMovedStopped,
      design: arm64Moved,
      expected: "safe",
      reason: "nobody executes the word while it changes, and all are synchronised before they do",
    },
    ["strong", ...arms],
    [["preemption", "modify", "free"]],
  ),
];

const callChecks: readonly Check[] = [
  ...checksFor(
    {
      protocol: liveCallWord,
      design: arm64CallOps,
      expected: "safe",
      reason: "NOP and BL may change while they are executed, and any literal is valid",
    },
    ["strong", ...arms],
    [
      ["preemption", "retarget", "free"],
      ["preemption", "modify", "free"],
      ["nmi", "modify", "free"],
    ],
  ),
  ...checksFor(
    {
      protocol: liveCallLink,
      design: arm64CallOpsFresh,
      expected: "safe",
      reason: "where a word is seen whole: who calls has kept the return address",
    },
    ["strong"],
    [
      ["preemption", "modify", "free"],
      ["nmi", "modify", "free"],
    ],
  ),
  ...checksFor(
    {
      protocol: liveCallLink,
      design: arm64CallOpsFresh,
      expected: "unpredictable",
      reason: "MOV may not change while it is executed: processors need their threads held",
    },
    arms,
    [[]],
  ),
  ...checksFor(
    {
      protocol: liveCallLinkUndrained,
      design: arm64CallOpsFresh,
      expected: "lost-context",
      reason: "who stands behind the old no-op calls without the return address",
    },
    ["strong"],
    [["preemption"]],
  ),
  ...checksFor(
    {
      protocol: liveCallSlot,
      design: rv64CallOps,
      expected: "safe",
      reason: "one aligned word comes and goes, and any literal is valid",
    },
    ["strong", "riscv-ziccif", "riscv-ziccid"],
    [
      ["preemption", "retarget", "free"],
      ["preemption", "modify", "free"],
      ["nmi", "modify", "free"],
    ],
  ),
  ...checksFor(
    {
      protocol: liveCallSkip,
      design: rv64CallOpsFresh,
      expected: "safe",
      reason: "as LIVE/skip-pair, and any literal is valid",
    },
    ["strong", ...riscvs],
    [["preemption", "modify", "free"]],
  ),
];

export const wordChecks: readonly Check[] = [
  ...callChecks,
  ...checksFor(
    {
      protocol: liveWord,
      design: arm64Jump,
      expected: "safe",
      reason: "NOP and B may change while they are executed",
    },
    ["strong", ...arms],
    [
      ["preemption", "modify", "free"],
      ["nmi", "modify"],
    ],
  ),
  ...movedChecks,
  ...([0, 2, 6, 62] as const).flatMap((phase) =>
    checksFor(
      {
        protocol: liveSkipPair,
        design: rv64Jump,
        phase,
        expected: "safe",
        reason:
          "two bytes are seen whole at every place, and nobody is behind them when they change",
      },
      ["strong", ...riscvs],
      [["preemption", "modify", "free"]],
    ),
  ),
  ...checksFor(
    {
      protocol: liveSkipUndrained,
      design: rv64Jump,
      expected: "unwritten-instruction",
      reason: "a thread between the no-ops goes on in the middle of the pair",
    },
    riscvs,
    [["preemption"]],
  ),
];

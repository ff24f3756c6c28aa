/**
 * Numbers of states and depths, pinned: whatever changes the meaning of the models shows here, and
 * has to be explained by the commit that changes a number.
 */
import { describe, expect, it } from "vitest";
import { type Check, checkId } from "../patch/protocol.ts";
import { families } from "../patch/protocols/families.ts";
import { runCheck } from "./check.ts";

const byId = new Map<string, Check>(
  families.flatMap(({ checks }) => checks.map((check) => [checkId(check), check])),
);

/** Check, verdict, states, depth. */
const pinned: readonly (readonly [string, string, number, number])[] = [
  ["P1/call-ops aarch64/call-ops armv8-dic0-idc0", "safe", 445, 40],
  ["P1/no-maintenance aarch64/call-ops armv8-dic0-idc0 preemption+retarget+free", "safe", 1391, 42],
  ["P1/freed-at-once aarch64/call-ops strong free", "use-after-free", 203, 22],
  ["P1/freed-after-harts aarch64/call-ops armv8-dic0-idc0 modify+free+idle-loop", "safe", 699, 54],
  ["P1/freed-after-harts aarch64/call-ops strong preemption+free", "use-after-free", 914, 28],
  ["P1/freed-after-tasks aarch64/call-ops strong idle-loop+free", "use-after-free", 287, 26],
  ["P1/call-ops aarch64/call-ops armv8-dic1-idc1 modify phase 4", "torn-data", 47, 12],
  [
    "P1/straight aarch64/call-ops armv8-dic0-idc0 free straight 1-straight 2-idle",
    "use-after-free",
    210,
    33,
  ],
  [
    "P1/straight-synced aarch64/call-ops armv8-dic0-idc0 preemption+free straight 1-straight 2-idle",
    "safe",
    1665,
    60,
  ],
  ["P2/call-ops riscv64/call-ops-2023 riscv-ziccif", "safe", 500, 37],
  ["P2/call-ops riscv64/call-ops-2023 riscv-parcel", "unwritten-instruction", 38, 10],
  ["P2/freed-at-once riscv64/call-ops-2023 strong free", "use-after-free", 292, 27],
  ["P2/freed-after-harts riscv64/call-ops-2023 riscv-ziccif free", "safe", 541, 37],
  ["P2/freed-after-harts riscv64/call-ops-2023 strong preemption+free", "use-after-free", 1181, 33],
  ["P2/freed-after-tasks riscv64/call-ops-2023 riscv-ziccif preemption+free", "safe", 2431, 38],
  ["P2/freed-after-tasks riscv64/call-ops-2023 strong idle-loop+free", "use-after-free", 380, 31],
  ["P3/call-ops riscv64/call-ops riscv-ziccif", "safe", 775, 49],
  ["P3/one-flush riscv64/call-ops riscv-ziccif free+idle-loop", "safe", 728, 36],
  ["P3/call-ops riscv64/call-ops-split strong modify", "wrong-pairing", 167, 27],
  [
    "P3/direct-freed-early riscv64/call-ops strong free direct 1-direct 2-idle",
    "use-after-free",
    191,
    30,
  ],
  [
    "P3/call-ops riscv64/call-ops strong phase 0 common at 0x812780 direct 1 at 0x812880 near",
    "wild-jump",
    37,
    13,
  ],
  ["P4/stop-machine riscv64/nop-nop riscv-ziccif", "safe", 149, 26],
  ["P4/stop-machine riscv64/nop-nop strong preemption", "wild-jump", 90, 13],
  ["P4/grace-then-stop riscv64/nop-nop strong preemption", "wild-jump", 123, 16],
  ["P4/two-stores riscv64/nop-nop strong", "wild-jump", 26, 7],
  ["P5/replay riscv64/auipc-replay riscv-ziccif modify", "safe", 514, 65],
  ["P5/replay riscv64/nop-nop riscv-ziccif modify+preemption", "safe", 1647, 67],
  ["P5/replay riscv64/auipc-pair strong modify", "wild-jump", 162, 30],
  ["P5/replay riscv64/auipc-replay strong modify+firmware-fences", "wild-jump", 162, 30],
  ["P5/asynchronous riscv64/auipc-replay strong modify", "wild-jump", 230, 25],
  ["P5/replay riscv64/auipc-replay-word riscv-ziccif modify+preemption", "wild-jump", 1199, 52],
  ["P5/replay riscv64/auipc-replay-no-nmi riscv-ziccif modify+nmi", "safe", 2172, 67],
  ["P5/no-first-sync riscv64/auipc-replay strong modify", "wild-jump", 134, 22],
  ["P5/no-second-sync riscv64/auipc-replay riscv-ziccif modify", "wild-jump", 166, 31],
  ["P5/no-second-sync riscv64/auipc-replay riscv-ziccid modify+preemption", "safe", 2064, 58],
  ["P5/no-third-sync riscv64/auipc-replay riscv-ziccif modify+preemption", "safe", 1307, 58],
  ["P6/guard riscv64/auipc-pair riscv-ziccif modify", "safe", 620, 76],
  ["P6/guard riscv64/nop-nop riscv-ziccif modify+preemption", "safe", 1821, 78],
  ["P6/grace-too-early riscv64/auipc-pair strong modify", "wild-jump", 381, 45],
  ["P6/no-grace riscv64/auipc-pair strong modify", "wild-jump", 328, 39],
  ["P6/no-sync riscv64/auipc-pair riscv-ziccif modify", "wild-jump", 340, 40],
  ["P6/no-handler riscv64/auipc-pair strong modify", "unhandled-trap", 20, 6],
  ["P6/resume-behind riscv64/auipc-pair riscv-ziccif modify+preemption", "safe", 1402, 78],
  ["P6/stopped-only riscv64/auipc-pair strong modify+preemption", "wild-jump", 746, 44],
  ["P6/stopped-with-grace riscv64/auipc-pair riscv-ziccif modify+preemption", "safe", 1795, 87],
  ["P7/int3 x86-64/nop5-call x86-intel", "safe", 1472, 55],
  ["P7/no-first-sync x86-64/nop5-call x86-intel", "unwritten-instruction", 37, 8],
  ["P7/no-second-sync x86-64/nop5-call x86-intel", "unwritten-instruction", 602, 17],
  ["P7/no-third-sync x86-64/nop5-call x86-intel", "unhandled-trap", 831, 22],
  ["P7/no-handler x86-64/nop5-call strong", "unhandled-trap", 13, 5],
  ["P7/handler-freed x86-64/nop5-call strong", "unhandled-trap", 137, 24],
  ["P7/handler-freed-before-sync x86-64/nop5-call strong", "unhandled-trap", 113, 20],
  ["P7/tail-first x86-64/nop5-call strong", "unwritten-instruction", 11, 5],
  ["P7/plain x86-64/nop5-call strong", "unwritten-instruction", 9, 4],
  ["P7/one-store x86-64/nop5-call x86-amd phase 0", "safe", 102, 21],
  ["P7/one-store x86-64/nop5-call x86-amd phase 4", "unwritten-instruction", 13, 5],
  ["P7/short-jump x86-64/nop5-call x86-amd phase 7", "unwritten-instruction", 13, 5],
  ["P7/int3 x86-64/nop1x5-call strong a", "unwritten-instruction", 82, 11],
  ["P7/one-store x86-64/nop1x5-call strong a", "unwritten-instruction", 21, 5],
  ["P7/short-jump x86-64/nop1x5-call strong a", "unwritten-instruction", 18, 5],
  ["P8/b aarch64/four-nops strong", "lost-context", 77, 15],
  ["P8/b-stop aarch64/four-nops strong preemption", "lost-context", 271, 24],
  ["P8/b-stop aarch64/four-nops armv8-dic0-idc0", "safe", 145, 74],
  ["P8/b-grace aarch64/four-nops armv8-dic0-idc0 preemption", "safe", 1105, 90],
  ["P8/b-grace-one-way aarch64/four-nops strong preemption", "lost-context", 618, 43],
  ["P8/b-grace-unstopped aarch64/four-nops armv8-dic0-idc0", "unpredictable", 149, 46],
  ["P8/a aarch64/four-branch armv8-dic0-idc0", "unpredictable", 13, 5],
  ["P8/a-stop aarch64/four-branch armv8-dic0-idc0 preemption", "safe", 444, 40],
  ["P8/three aarch64/three armv8-dic0-idc0 free", "use-after-free", 278, 33],
  ["P8/three-synced aarch64/three armv8-dic0-idc0 preemption+modify+free", "safe", 2994, 61],
  ["P8/three aarch64/two armv8-dic0-idc0 preemption+modify", "safe", 2774, 42],
  ["P9/table riscv64/table riscv-ziccif modify+preemption", "safe", 804, 33],
  ["P9/switch-slot riscv64/table riscv-ziccif preemption+free a again-c-idle", "safe", 1278, 38],
  ["P9/switch-slot-at-once riscv64/table strong free a again-c-idle", "use-after-free", 133, 18],
  ["P10/b riscv64/jal riscv-ziccif modify+preemption", "safe", 564, 30],
  ["P10/split-immediate riscv64/auipc-pair strong modify", "wild-jump", 81, 18],
  ["P11/interrupt riscv64/global-pair strong modify", "wrong-pairing", 222, 21],
  ["P11/switch riscv64/global-pair riscv-ziccif modify", "safe", 849, 61],
  ["P11/switch riscv64/global-pair strong modify+preemption", "wrong-pairing", 686, 21],
  ["P11/stop riscv64/global-pair riscv-ziccif modify", "safe", 150, 43],
  ["P11/stop riscv64/global-pair strong modify+preemption", "wrong-pairing", 254, 15],
  ["P11/at-once riscv64/global-pair strong modify", "wrong-pairing", 55, 9],
  ["P12/quadword x86-64/nop5-call x86-amd preemption+modify+free", "safe", 946, 36],
  ["P12/quadword x86-64/nop8-jump x86-amd preemption+modify+free", "safe", 946, 36],
  ["P12/quadword x86-64/nop8-call strong", "unwritten-instruction", 75, 15],
  ["P12/quadword x86-64/nop1x5-call strong preemption a-nop-b", "unwritten-instruction", 42, 5],
  ["P12/stop x86-64/nop5-call x86-intel preemption+modify", "safe", 1476, 42],
  ["P12/stop x86-64/nop1x5-call strong preemption", "unwritten-instruction", 150, 13],
];

describe("runCheck", () => {
  it.each(pinned)("%s: %s", (id, verdict, states, depth) => {
    const check = byId.get(id);
    expect(check, `there is no check ${id} any more`).toBeDefined();
    if (check === undefined) return;
    expect(runCheck(check)).toMatchObject({ verdict, states, depth, exhaustive: true });
  });

  it("names every check once", () => {
    expect(byId.size).toBe(families.reduce((sum, { checks }) => sum + checks.length, 0));
  });

  it("has a reason for every expectation", () => {
    const bare = [...byId.values()].filter(({ reason }) => reason === "");
    expect(bare.map(checkId)).toEqual([]);
  });

  it("calls a verdict vacuous when what it is about does not happen", () => {
    const [check] = families[0]?.checks ?? [];
    if (check === undefined) throw new Error("no checks");
    const nothing = { ...check, history: [], protocol: { ...check.protocol, enable: [] } };
    expect(runCheck(nothing)).toMatchObject({ verdict: "vacuous", missing: ["called"] });
  });

  it("says that it was bounded when the states run out", () => {
    const check = byId.get("P1/call-ops aarch64/call-ops strong preemption");
    if (check === undefined) throw new Error("no check");
    expect(runCheck(check, 50)).toMatchObject({ verdict: "bounded", exhaustive: false });
  });

  it("reaches what it is about in every small check that is safe", () => {
    for (const check of byId.values()) {
      if (check.expected !== "safe" || check.machine !== "strong") continue;
      if (check.adversities.length > 1) continue;
      expect(runCheck(check).missing, checkId(check)).toEqual([]);
    }
  });
});

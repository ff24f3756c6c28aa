// table
/**
 * What the sources claim, each with the checks and computations that settle it. A claim counts as
 * settled while all of those come out as expected; `verdict` and `found` say what that means for
 * it.
 */
import type { Check } from "../patch/protocol.ts";
import { families } from "../patch/protocols/families.ts";
import type { MachineName } from "../patch/verdicts.ts";

export type ClaimVerdict = "confirmed" | "refuted" | "too strong" | "incomplete";

/** A statement of a source about protocols. */
export type Claim = {
  /** Who says it, when. */
  readonly source: string;
  readonly claim: string;
  readonly verdict: ClaimVerdict;
  /** What was found, in a sentence. */
  readonly found: string;
  readonly checks: readonly Check[];
  /** Ids of computations, and `P5/orders` for the table of orders. */
  readonly computations: readonly string[];
};

const allChecks: readonly Check[] = families.flatMap((family) => family.checks);

/** Checks of protocols by their ids, on all machines or on one. */
const of = (ids: readonly string[], machine?: MachineName): readonly Check[] =>
  allChecks.filter(
    (check) =>
      ids.includes(check.protocol.id) && (machine === undefined || check.machine === machine),
  );

const rutland2023 = "Rutland, linux-riscv, 2023-02-07";
const guoRen = "Guo Ren, linux-riscv, 2023-02-07";
const callOps = "Rutland, linux-kernel, 2023-01-13";
const liBin = "Li Bin, linux-arm-kernel, 2016-01-20";
const akashi = "Akashi, linux-arm-kernel, 2016-01-19";
const rutland2024 = "Rutland, linux-riscv, 2024-03-12";
const rostedt = "Rostedt, linux-riscv, 2024-03-21";
const chiu = "Chiu, linux-riscv, 2024-09-11";
const topel = "Töpel, linux-riscv, 2024-09-11";
const cmodx = "Linux, Documentation/arch/riscv/cmodx.rst";

const claim = (
  source: string,
  text: string,
  verdict: ClaimVerdict,
  found: string,
  checks: readonly Check[],
  computations: readonly string[] = [],
): Claim => ({ source, claim: text, verdict, found, checks, computations });

export const claims: readonly Claim[] = [
  claim(
    rutland2023,
    "with CALL_OPS only the literal and NOP <-> JALR are patched; stop_machine is not needed",
    "confirmed",
    "safe under preemption, NMIs, two patchers and batches, with Ziccif",
    of(["P2/call-ops"]),
  ),
  claim(
    guoRen,
    "ftrace_caller and ftrace_regs_caller have to be 2048-aligned",
    "refuted",
    "one common trampoline needs no alignment; two aligned ones share an AUIPC in half the places",
    of(["P2/call-ops"], "riscv-ziccif"),
    ["P2/aligned-2048"],
  ),
  claim(
    rutland2023,
    "only the literal has to be naturally aligned: 8 bytes on RV64, 4 on RV32",
    "confirmed",
    "RV64 at 4 mod 8 tears the literal, RV32 at 4 mod 8 is safe; 2 mod 4 tears JALR itself",
    of(["P2/call-ops"]),
  ),
  claim(
    rutland2023,
    "MV and AUIPC are harmless and can always be there",
    "confirmed",
    "the body finds all registers but t0 and t1 as they were, in every state",
    of(["P2/call-ops", "P3/call-ops"]),
  ),
  claim(
    rutland2023,
    "-fpatchable-function-entry=5,2 makes the room",
    "incomplete",
    "only without the C extension: the option counts no-ops, which have 2 bytes with it",
    [],
    ["P2/no-ops"],
  ),
  claim(
    rutland2023,
    "direct calls work by bouncing through ftrace_caller, which takes them from the ops",
    "confirmed",
    "safe, with the direct function freed after the grace periods",
    of(["P2/call-ops", "P3/direct-by-ops", "P3/call-ops"], "riscv-ziccif"),
  ),
  claim(
    callOps,
    "synchronize_rcu_tasks_rude and synchronize_rcu_tasks keep stale ops from being used",
    "confirmed",
    "safe with both; without either, or without the one that fits, freed ops are used",
    of(["P1/call-ops", "P1/freed-at-once", "P1/freed-after-harts", "P1/freed-after-tasks"]),
  ),
  claim(
    callOps,
    "the literal is updated atomically and loaded once, so ops and function always match",
    "confirmed",
    "and each condition counts: two loads mixed, or an unaligned literal, break it",
    of(["P1/call-ops"]).concat(of(["P3/call-ops"]).filter((c) => c.expected === "wrong-pairing")),
  ),
  claim(
    callOps,
    "updates of the ops pointer need no special care",
    "confirmed",
    "not even the order of literal and instruction matters while all old values are live",
    of(["P1/unordered-literal", "P2/unordered-literal"]),
  ),
  claim(
    callOps,
    "direct branches to ops or trampolines could rely on the same grace periods",
    "incomplete",
    "an arm64 hart that had no context synchronisation may still fetch the old BL: sync first",
    of(["P1/straight", "P1/straight-synced"]),
  ),
  claim(
    liBin,
    "going through (B'), (A'), (A) is not right, even under stop_machine, with preemption or NMI",
    "confirmed",
    "a thread in the sequence resumes in another one; right only with a grace period added",
    of(["P8/b", "P8/b-stop", "P8/b-grace"]),
  ),
  claim(
    akashi,
    "stepwise replacement runs no task in an intermediate state",
    "refuted",
    "BL is executed without STP, LDP is missing behind STP",
    of(["P8/b", "P8/b-grace-one-way"], "strong"),
  ),
  claim(
    akashi,
    "(A) <-> (A') can be used, though it costs a branch when idle",
    "too strong",
    "right as interleaving, but STP may not be changed while executed: it needs stop_machine",
    of(["P8/a", "P8/a-stop"]),
  ),
  claim(
    liBin,
    "mov; nop <-> bl; mov is safe as it is",
    "confirmed",
    "safe everywhere; the third instruction is not needed when the trampoline restores x30",
    of(["P8/three"]),
  ),
  claim(
    rutland2024,
    "a trapping instruction with a fixup handler and several grace periods works",
    "confirmed",
    "and one grace period is enough: the one between AUIPC's sync and JALR",
    of(["P6/guard", "P6/grace-too-early", "P6/no-grace"]),
  ),
  claim(
    rutland2024,
    "it can't be done under stop_machine, which would be needed several times with waits between",
    "confirmed",
    "three stops alone are unsafe, with the grace period between them safe",
    of(["P6/stopped-only", "P6/stopped-with-grace"]),
  ),
  claim(
    rostedt,
    "x86 needs INT3 because a plain store may be seen half old and half new",
    "confirmed",
    "always by Intel's manual; by AMD's one store inside an aligned quadword is enough",
    of(["P7/plain", "P7/one-store"]),
  ),
  claim(
    rostedt,
    "INT3, IPI, tail, IPI, first byte is safe",
    "confirmed",
    "for every place of the instruction, by both vendors' manuals, with a third IPI at the end",
    of(["P7/int3", "P7/no-third-sync"]),
  ),
  claim(
    "Linux, arch/x86/kernel/alternative.c",
    "the second IPI is very likely not needed by Intel's rules, and kept for others",
    "confirmed",
    "not needed where stores are fetched in order; needed by both manuals as written",
    of(["P7/no-second-sync"]),
  ),
  claim(
    rostedt,
    "the intermediate bytes are cc 17 44 00 00",
    "refuted",
    "a slip: only the first byte is replaced",
    [],
    ["P7/bytes"],
  ),
  claim(
    chiu,
    "two instructions can't be updated without a race",
    "confirmed",
    "AUIPC and JALR one after the other end in mixed targets",
    of(["P4/two-stores", "P10/split-immediate"]),
  ),
  claim(
    "Chiu's patch, linux-riscv, 2024-08",
    "a direct target within 2 KiB of ftrace_caller can be called by JALR alone",
    "refuted",
    "the window of 4 KiB lies by the site's place: for d bytes, d / 4096 of the places are wrong",
    allChecks.filter((c) => c.history?.some((change) => change.to === "near")),
    [64, 256, 1024, 2044, -64, -2044].map((d) => `P-RV-RANGE/${d}`),
  ),
  claim(
    topel,
    "the series breaks direct calls; they should come through call_ops",
    "confirmed",
    "through the ops they are safe at any distance",
    of(["P3/direct-by-ops", "P3/direct-freed-early", "P3/call-ops"]),
  ),
  claim(
    chiu,
    "J +8, JALR', AUIPC' with fences between is safe when trap returns replay AUIPC",
    "confirmed",
    "if the fences are interrupts that kernels return from and are waited for, at 4-aligned sites",
    of(["P5/replay", "P5/asynchronous"]),
  ),
  claim(
    chiu,
    "of the ten orders eight are impossible",
    "too strong",
    "seven are: in ff04f the new AUIPC is fetched before the third fence, which is safe",
    [],
    ["P5/orders"],
  ),
  claim(
    chiu,
    "the trap return has to match JALR and step back",
    "incomplete",
    "matching the word misses sites that were NOP, or are read too late; match the address",
    allChecks.filter((c) => c.design.id === "riscv64/auipc-replay-word"),
  ),
  claim(
    chiu,
    "remote fence.i is what the steps need",
    "incomplete",
    "not through firmware: it returns to the second instruction without any replay",
    allChecks.filter(
      (c) => c.protocol.id === "P5/replay" && c.adversities.includes("firmware-fences"),
    ),
  ),
  claim(
    chiu,
    "a page of 255 or 511 stubs is reached by changing JALR alone",
    "refuted",
    "all 255 from 516 of 1024 places, all 511 from 4; two copies of 170 from every place",
    [],
    ["P9/reach-255", "P9/reach-511", "P9/repaired"],
  ),
  claim(
    chiu,
    "stubs are ld t1, -2048(t1); jr t1",
    "refuted",
    "no register holds the stub's address there; auipc t1, hi(slot) has to come first",
    [],
    ["P9/stub-auipc", "P9/stub-link"],
  ),
  claim(
    chiu,
    "the first table ends with 2040: ftrace_tramp_255",
    "refuted",
    "a slip: slot n is at 8(n - 1)",
    [],
    ["P9/index"],
  ),
  claim(
    chiu,
    "with the table, enable, disable and modify are one atomic store",
    "confirmed",
    "for sites that reach their entries; old targets need their grace period",
    of(["P9/table", "P9/switch-slot", "P9/switch-slot-at-once"]),
  ),
  claim(
    cmodx,
    "two instructions under stop_machine are unsafe with full preemption",
    "confirmed",
    "a thread behind NOP, or behind the old AUIPC, goes on with the new JALR",
    of(["P4/stop-machine", "P4/grace-then-stop"]),
  ),
  claim(
    cmodx,
    "one aligned instruction with Ziccif is atomic, with full preemption",
    "confirmed",
    "safe, and torn without Ziccif or at 2 mod 4",
    of(["P3/call-ops"]),
  ),
  claim(
    "Töpel, linux-riscv, 2024-03-14",
    "patching two instructions with a split immediate is a no-go",
    "confirmed",
    "options B, C and D change one instruction and are safe",
    of(["P10/b", "P10/c", "P10/d", "P10/split-immediate"]),
  ),
  claim(
    "Rutland, linux-kernel, 2024-03-07",
    "function and ops as a global pair break with full preemption",
    "confirmed",
    "and without it, too, where the wait is only an interrupt on every hart",
    of(["P11/interrupt", "P11/switch", "P11/stop", "P11/tasks"]),
  ),
];

/** x86-64 designs: windows of five bytes that call a trampoline or jump to a thunk. */
import { ensure } from "../../base/assert.ts";
import type { Design, DesignState } from "../design.ts";
import type { Layout } from "../layout.ts";
import { callOpsPlain, dynamicTrampoline, entries } from "../trampolines.ts";
import { branchSize, longNops, nop1x5 } from "../x86-64-layouts.ts";

type Window = DesignState["window"];

const layout = ensure(longNops.get(5), "the layout of one 5-byte no-op");

/** Bytes that a layout makes; a target out of reach is an error of the design. */
const made = (result: ReturnType<Layout["call"]>): Uint8Array => {
  if (!result.ok) throw new Error(`assertion failed: ${result.error.kind}`);
  return result.value;
};

const callTo =
  (name: string): Window =>
  (at, targets) =>
    made(layout.call(at, ensure(targets.get(name), name)));

const jumpTo =
  (name: string): Window =>
  (at, targets) =>
    made(layout.jump(at, ensure(targets.get(name), name)));

const twoOps = [{ name: "a" }, { name: "b" }];
const owns = (name: string): readonly string[] => [`tramp ${name}`, `ops:${name}`];

const trampolines = {
  "tramp a": dynamicTrampoline(entries.x86, "a"),
  "tramp b": dynamicTrampoline(entries.x86, "b"),
};

/** One 5-byte no-op, as the kernel and clang have it, or a call. */
export const x86Call: Design = {
  id: "x86-64/nop5-call",
  isa: "x86-64",
  summary: "one 5-byte no-op <-> call rel32",
  windowSize: 5,
  align: 16,
  states: {
    idle: { window: () => layout.idle() },
    a: { window: callTo("tramp a"), owns: owns("a") },
    b: { window: callTo("tramp b"), owns: owns("b") },
  },
  code: trampolines,
  ops: twoOps,
  scratch: ["r10", "r11"],
};

/** The same with a jump to a thunk of the site's own. */
export const x86Jump: Design = {
  ...x86Call,
  id: "x86-64/nop5-jump",
  summary: "one 5-byte no-op <-> jmp rel32",
  states: {
    idle: { window: () => layout.idle() },
    a: { window: jumpTo("tramp a"), owns: owns("a") },
    b: { window: jumpTo("tramp b"), owns: owns("b") },
  },
  code: {
    "tramp a": dynamicTrampoline(entries.x86Jump, "a"),
    "tramp b": dynamicTrampoline(entries.x86Jump, "b"),
  },
};

/** 66 ... 66 90: one no-op of every length up to five, wherever it begins. */
const prefixedNops = [0, 1, 2, 3, 4].flatMap((offset) =>
  Array.from({ length: 5 - offset }, (_, prefixes) => ({
    offset,
    bytes: [...Array.from({ length: prefixes }, () => 0x66), 0x90],
  })),
);

/** gcc's five 1-byte no-ops: a thread can stand between any two of them. */
export const x86FiveNops: Design = {
  ...x86Call,
  id: "x86-64/nop1x5-call",
  summary: "five 1-byte no-ops <-> call rel32",
  states: {
    idle: { window: () => new Uint8Array(nop1x5.windowSize).fill(0x90) },
    a: { window: callTo("tramp a"), owns: owns("a") },
    b: { window: callTo("tramp b"), owns: owns("b") },
  },
  harmless: prefixedNops,
};

/**
 * `test eax, imm32`, whatever its immediate is: the cover of the live engine's protocols. It sets
 * the flags, which no caller passes (System V ABI, AMD64 supplement, section 3.2.1).
 */
const covered = {
  harmless: [{ offset: 0, bytes: [0xa9], size: 5 }],
  scratch: [...x86Call.scratch, "cf", "pf", "af", "zf", "sf", "of"],
};

/** What the live engine has: a jump to a thunk of the site's own, a cover meanwhile. */
export const x86JumpCovered: Design = {
  ...x86Jump,
  ...covered,
  id: "x86-64/nop5-jump-covered",
  summary: "one 5-byte no-op <-> jmp rel32, test eax, imm32 meanwhile",
};

/** The same where gcc left five 1-byte no-ops. */
export const x86FiveNopsCovered: Design = {
  ...x86JumpCovered,
  id: "x86-64/nop1x5-jump-covered",
  summary: "five 1-byte no-ops <-> jmp rel32, test eax, imm32 meanwhile",
  states: { ...x86Jump.states, idle: x86FiveNops.states.idle },
};

/** Bytes from a function to the literal before it. */
const literalDistance = 8;
/** `endbr64`. */
const landingPadBytes = 4;

/**
 * CALL_OPS: the site calls one trampoline that all sites share; the 8 bytes before the function
 * name the ops. Ops `nop` stand for every literal that names none, as the compiler's no-ops do;
 * ops `list` walk the list of all. In state `thunk` the site jumps to a thunk of its own.
 */
function callOps(id: string, padBytes: number, of: Layout): Design {
  const offset = -literalDistance - padBytes;
  const called = (name: string): DesignState => ({
    window: callTo("common"),
    literal: name,
    ...(name === "list" ? {} : { owns: [`ops:${name}`] }),
  });
  return {
    ...covered,
    id,
    isa: "x86-64",
    summary: "8 bytes that name the ops; no-op <-> call rel32 of the common trampoline",
    windowSize: 5,
    align: 16,
    literal: { offset, size: 8 },
    states: {
      idle: { window: () => compiledWindow(of), literal: "nop" },
      a: called("a"),
      b: called("b"),
      list: called("list"),
      thunk: { window: jumpTo("tramp t"), literal: "nop", owns: ["tramp t", "ops:t"] },
    },
    code: {
      common: callOpsPlain(entries.x86, 1, offset - branchSize),
      "tramp t": dynamicTrampoline(entries.x86Jump, "t"),
    },
    ops: ["nop", "a", "b", "t"].map((name) => ({ name })).concat({ name: "list" }),
  };
}

export const x86CallOps: Design = callOps("x86-64/call-ops", 0, layout);
/** The same behind `endbr64`. */
export const x86CallOpsPad: Design = callOps("x86-64/endbr64-call-ops", landingPadBytes, layout);
/** The same where gcc left five 1-byte no-ops. */
export const x86CallOpsFive: Design = callOps("x86-64/nop1x5-call-ops", 0, nop1x5);

/** A prologue that is put back: whoever comes meanwhile waits at a jump to itself. */
export const x86JumpSpinning: Design = {
  ...x86Jump,
  id: "x86-64/prologue-jump",
  summary: "one 5-byte instruction <-> jmp rel32, jmp to itself meanwhile",
  harmless: [{ offset: 0, bytes: [0xeb, 0xfe] }],
};

/** A function that only returns, with padding behind it: the dynamic linker's. */
export const x86ReturnSite: Design = {
  ...x86Jump,
  id: "x86-64/return-jump",
  summary: "ret and padding <-> jmp rel32",
  returns: true,
  states: {
    ...x86Jump.states,
    idle: { window: () => Uint8Array.of(0xc3, 0x66, 0x66, 0x2e, 0x0f) },
  },
};

/** `jmp +3` over the tail as the idle state, as XRay's sleds have it. */
export const x86ShortJumpIdle: Design = {
  ...x86Call,
  id: "x86-64/jmp2-call",
  summary: "jmp +3 over three bytes <-> call rel32",
  states: {
    idle: { window: () => Uint8Array.of(0xeb, 3, 0, 0, 0) },
    a: { window: callTo("tramp a"), owns: owns("a") },
    b: { window: callTo("tramp b"), owns: owns("b") },
  },
};

/** A layout's windows as the file has them: gcc's are several no-ops, others are one. */
function compiledWindow(of: Layout): Uint8Array {
  return of.compiledSizes.length > 1 ? new Uint8Array(of.windowSize).fill(0x90) : of.idle();
}

/** What a window does when it is enabled. */
export type Use = "call" | "jump";

/**
 * The design of a layout of user programs. It begins as the compiler left it (`idle` in the
 * checker's words); `nop` is the state that disabling goes to.
 */
export function userDesign(of: Layout, use: Use): Design {
  const to =
    (name: string): Window =>
    (at, targets) =>
      made(of[use](at, ensure(targets.get(name), name)));
  const entry = use === "call" ? entries.x86 : entries.x86Jump;
  const isOne = of.compiledSizes.length === 1;
  return {
    id: `${of.id}-${use}`,
    isa: "x86-64",
    summary: `${of.summary}; ${use} rel32 when it is enabled`,
    windowSize: of.windowSize,
    align: 16,
    states: {
      idle: { window: () => compiledWindow(of) },
      nop: { window: () => of.idle() },
      a: { window: to("tramp a"), owns: owns("a") },
      b: { window: to("tramp b"), owns: owns("b") },
    },
    code: { "tramp a": dynamicTrampoline(entry, "a"), "tramp b": dynamicTrampoline(entry, "b") },
    ops: twoOps,
    scratch: ["r10", "r11"],
    ...(isOne ? {} : { harmless: prefixedNops }),
  };
}

/**
 * The same with trampolines at addresses whose distance from the site has 03 as its low byte, like
 * `jmp +3`: then enabling changes the first byte and the tail alone.
 */
export const x86OneByteSwitch: Design = {
  ...x86ShortJumpIdle,
  id: "x86-64/jmp2-call-03",
  summary: "jmp +3 over three bytes <-> call rel32 whose low byte is 03",
  // The site ends at ...05; the distance's low byte is 03.
  places: { "tramp a": 0x0181_2308n, "tramp b": 0x0292_4508n },
};

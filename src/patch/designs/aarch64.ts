/** AArch64 designs: Linux' today, and those of the discussion of 2016. */
import { ensure } from "../../base/assert.ts";
import { branch, branchLink, move, nop, popFrame, pushFrame, setFrame } from "../aarch64-code.ts";
import { concat } from "../bytes.ts";
import type { Design, DesignState } from "../design.ts";
import {
  callOpsOnce,
  callOpsPlain,
  directFunction,
  dynamicTrampoline,
  entries,
} from "../trampolines.ts";

type Window = DesignState["window"];

/** Caller-saved registers that are not arguments: what the site may clobber. */
const scratch = ["x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17"];

/** A window of one instruction after the other; each may depend on where it stands. */
const windowOf =
  (...slots: readonly (() => Uint8Array)[]): Window =>
  () =>
    concat(...slots.map((slot) => slot()));

/** The same with `bl target` in slot `index`. */
const withCall =
  (index: number, target: string, ...slots: readonly (() => Uint8Array)[]): Window =>
  (site, targets) => {
    const to = ensure(targets.get(target), target);
    const call = branchLink(Number(to - site) - 4 * index);
    return concat(...slots.map((slot, i) => (i === index ? call : slot())));
  };

/** `nop; b target`. */
const withJump =
  (target: string): Window =>
  (site, targets) =>
    concat(nop(), branch(Number(ensure(targets.get(target), target) - site) - 4));

/** `b target`. */
const withBranch =
  (target: string): Window =>
  (site, targets) =>
    branch(Number(ensure(targets.get(target), target) - site));

const saveLink = (): Uint8Array => move(9, 30);
const restoreLink = (): Uint8Array => move(30, 9);

/**
 * Literal, `mov x9, x30`, `nop <-> bl`: CALL_OPS, Linux since v6.3. `pad`: a BTI before the site.
 */
function callOps(bti: boolean): Design {
  const call = (target: string): Window => withCall(1, target, saveLink, nop);
  const common = { window: call("common") };
  return {
    id: bti ? "aarch64/call-ops-bti" : "aarch64/call-ops",
    isa: "aarch64",
    summary: `literal; ${bti ? "bti c; " : ""}mov x9, x30; nop <-> bl: Linux since v6.3`,
    windowSize: 8,
    align: bti ? 4 : 8,
    literal: { offset: bti ? -12 : -8, size: 8 },
    words: { "direct:e": "direct 1" },
    states: {
      idle: { window: windowOf(saveLink, nop), literal: "nop" },
      a: { ...common, literal: "a", owns: ["ops:a"] },
      b: { ...common, literal: "b", owns: ["ops:b"] },
      direct: { ...common, literal: "d", owns: ["ops:d", "direct 1"] },
      "direct 1": {
        ...common,
        literal: "e",
        words: { "direct:e": "direct 1" },
        owns: ["direct 1"],
      },
      "direct 2": {
        ...common,
        literal: "e",
        words: { "direct:e": "direct 2" },
        owns: ["direct 2"],
      },
      "straight 1": { window: call("direct 1"), literal: "nop", owns: ["direct 1"] },
      "straight 2": { window: call("direct 2"), literal: "nop", owns: ["direct 2"] },
    },
    code: {
      common: callOpsOnce(entries.arm64, 8, -16),
      "direct 1": directFunction(entries.arm64),
      "direct 2": directFunction(entries.arm64),
    },
    ops: [
      { name: "nop" },
      { name: "a" },
      { name: "b" },
      { name: "d", direct: "direct 1" },
      { name: "e", direct: "direct 1" },
    ],
    scratch,
  };
}

export const arm64CallOps: Design = callOps(false);
export const arm64CallOpsBti: Design = callOps(true);

const twoOps = [{ name: "a" }, { name: "b" }];

/** `mov x9, x30; nop <-> bl`, the trampoline restores x30 (Linux since v5.5). */
export const arm64Two: Design = {
  id: "aarch64/two",
  isa: "aarch64",
  summary: "mov x9, x30; nop <-> bl: Linux since v5.5",
  windowSize: 8,
  align: 4,
  states: {
    idle: { window: windowOf(saveLink, nop) },
    a: { window: withCall(1, "tramp a", saveLink, nop), owns: ["tramp a"] },
    b: { window: withCall(1, "tramp b", saveLink, nop), owns: ["tramp b"] },
  },
  code: {
    "tramp a": dynamicTrampoline(entries.arm64, "a"),
    "tramp b": dynamicTrampoline(entries.arm64, "b"),
  },
  ops: twoOps,
  scratch,
};

/** What the live engine has: a jump to a thunk of the site's own, which clobbers nothing. */
export const arm64Jump: Design = {
  id: "aarch64/nop2-jump",
  isa: "aarch64",
  summary: "nop; nop <-> b: the live engine's",
  windowSize: 8,
  align: 4,
  states: {
    idle: { window: windowOf(nop, nop) },
    a: { window: withJump("tramp a"), owns: ["tramp a"] },
    b: { window: withJump("tramp b"), owns: ["tramp b"] },
  },
  code: {
    "tramp a": dynamicTrampoline(entries.arm64Jump, "a"),
    "tramp b": dynamicTrampoline(entries.arm64Jump, "b"),
  },
  ops: twoOps,
  scratch: [],
};

/**
 * A function without a site: its first instruction, here one that Arm does not list as one that may
 * change while it is executed, gives way to a jump to a thunk that goes on with a copy of it.
 */
export const arm64Moved: Design = {
  ...arm64Jump,
  id: "aarch64/prologue-jump",
  summary: "any instruction <-> b: a function without a site",
  windowSize: 4,
  states: {
    idle: { window: saveLink },
    a: { window: withBranch("tramp a"), owns: ["tramp a"] },
    b: { window: withBranch("tramp b"), owns: ["tramp b"] },
  },
  scratch: ["x9"],
};

/** CALL_OPS at a site that nothing has been put into: what the live engine begins with. */
export const arm64CallOpsFresh: Design = {
  ...arm64CallOps,
  id: "aarch64/call-ops-fresh",
  summary: "literal; nop; nop <-> mov x9, x30; bl: the live engine's",
  states: {
    idle: { window: windowOf(nop, nop), literal: "nop" },
    a: { window: withCall(1, "common", saveLink, nop), literal: "a", owns: ["ops:a"] },
    b: { window: withCall(1, "common", saveLink, nop), literal: "b", owns: ["ops:b"] },
  },
  code: { common: callOpsPlain(entries.arm64, 8, -16) },
  ops: [{ name: "nop" }, { name: "a" }, { name: "b" }],
  words: {},
};

/** `mov x9, x30; nop <-> bl; mov x30, x9` (Li Bin, 2016). */
export const arm64Three: Design = {
  id: "aarch64/three",
  isa: "aarch64",
  summary: "mov x9, x30; nop <-> bl; mov x30, x9: Li Bin 2016",
  windowSize: 12,
  align: 4,
  states: {
    idle: { window: windowOf(saveLink, nop, restoreLink) },
    a: { window: withCall(1, "tramp a", saveLink, nop, restoreLink), owns: ["tramp a"] },
    b: { window: withCall(1, "tramp b", saveLink, nop, restoreLink), owns: ["tramp b"] },
  },
  code: {
    "tramp a": dynamicTrampoline(entries.arm64SiteRestores, "a"),
    "tramp b": dynamicTrampoline(entries.arm64SiteRestores, "b"),
  },
  ops: twoOps,
  scratch,
};

/** `stp; mov x29, sp; bl; ldp`: what Akashi's sequence is when it traces. */
const framed = (target: string): Window => withCall(2, target, pushFrame, setFrame, nop, popFrame);

const framedCode = {
  "tramp a": dynamicTrampoline(entries.arm64Frame, "a"),
  "tramp b": dynamicTrampoline(entries.arm64Frame, "b"),
};

/** Idle is four no-ops (Akashi's way b, 2016). */
export const arm64FourNops: Design = {
  id: "aarch64/four-nops",
  isa: "aarch64",
  summary: "four no-ops <-> stp; mov x29, sp; bl; ldp: Akashi 2016, way (b)",
  windowSize: 16,
  align: 4,
  states: {
    idle: { window: windowOf(nop, nop, nop, nop) },
    a: { window: framed("tramp a"), owns: ["tramp a"] },
    b: { window: framed("tramp b"), owns: ["tramp b"] },
  },
  code: framedCode,
  ops: twoOps,
  scratch,
};

/** Idle is a branch over the prepared sequence (Akashi's way a). */
export const arm64FourBranch: Design = {
  ...arm64FourNops,
  id: "aarch64/four-branch",
  summary: "b over <-> stp, with mov x29, sp; bl; ldp behind it: Akashi 2016, way (a)",
  states: {
    idle: {
      window: (site, targets) => concat(branch(16), framed("tramp a")(site, targets).slice(4)),
    },
    a: { window: framed("tramp a") },
  },
};

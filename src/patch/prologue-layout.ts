/**
 * The layout of a function that was compiled without a site: its first instructions run elsewhere
 * while the window holds a jump. No no-op can stand here, so there is no `idle` but `compiled`.
 */
import { assert, ensure } from "../base/assert.ts";
import type { Layout } from "./layout.ts";
import { branchSize, branchTarget, longNops } from "./x86-64-layouts.ts";

const jumpOpcode = 0xe9;

export const prologue: Layout = {
  ...ensure(longNops.get(branchSize), "a layout of 5 bytes"),
  id: "x86-64/prologue",
  compiledSizes: [],
  summary: "no site: the first instructions are moved away",
  idle: () => {
    assert(false, "a prologue's idle bytes are its compiled ones");
  },
  recognise: (bytes, at, compiled) => {
    if (compiled.every((byte, i) => byte === bytes[i])) return { kind: "compiled" };
    if (bytes.length !== branchSize || bytes[0] !== jumpOpcode) return undefined;
    return { kind: "jump", target: branchTarget(bytes, at) };
  },
};

import { expect, it } from "vitest";
import { pid } from "../base/brand.ts";
import { isEnding, outlook } from "./outlook.ts";

const none = "0000000000000000";
const interrupt = "0000000000000002";
const kill = "0000000000000100";
const childAndWindow = "0000000008010000";

/** The fields of a thread that sleeps, but for `other`. */
const fields = (other: Readonly<Record<string, string>>): ReadonlyMap<string, string> => {
  const all = { SigPnd: none, ShdPnd: none, SigBlk: none, SigIgn: none, SigCgt: none };
  return new Map(Object.entries({ State: "S (sleeping)", ...all, ...other }));
};

it.each([
  ["goes-on", {}, 0],
  ["goes-on", { ShdPnd: childAndWindow }, 0],
  ["is-killed", { ShdPnd: interrupt }, 0],
  ["is-killed", { SigPnd: interrupt }, 0],
  ["goes-on", { ShdPnd: interrupt, SigBlk: interrupt }, 0],
  ["goes-on", { ShdPnd: interrupt, SigIgn: interrupt }, 0],
  ["goes-on", { ShdPnd: interrupt, SigCgt: interrupt }, 0],
  ["ends", { SigPnd: kill, SigBlk: "ffffffffffffffff" }, 0],
  ["ends", { State: "Z (zombie)" }, 0],
  ["ends", {}, 0x0040_0004],
  ["ends", {}, 0x0040_0400],
] as const)("a thread %s with %j and flags %i", (expected, other, flags) => {
  expect(outlook(fields(other), flags)).toBe(expected);
});

it("a process that runs is not about to end", () => {
  expect(isEnding(pid(process.pid))).toBe(false);
});

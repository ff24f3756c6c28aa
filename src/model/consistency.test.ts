import { describe, expect, it } from "vitest";
import {
  consistent,
  immediate,
  type SwitchProtocol,
  type SwitchStep,
  switchChecks,
} from "../patch/protocols/consistency.ts";
import { checkSwitch, computeSwitches } from "./consistency.ts";

describe("changing versions", () => {
  it.each(computeSwitches())("$id: $title", ({ found, expected }) => {
    expect(found).toBe(expected);
  });

  it("shows an old function that calls a new one when nobody is waited for", () => {
    const { verdict, trace } = checkSwitch(immediate);
    expect(verdict).toBe("mixed-versions");
    expect(trace.filter((line) => line.startsWith("thread 0"))).toEqual([
      "thread 0: old f",
      "thread 0: g's stub",
      "thread 0: new g",
    ]);
  });

  it.each(["leaveStubs", "listInside", "settle"] as const)("needs %s", (kind) => {
    const without: SwitchProtocol = {
      ...consistent,
      steps: consistent.steps.filter((step: SwitchStep) => step.kind !== kind),
    };
    expect(checkSwitch(without).verdict).not.toBe("safe");
  });

  it("has both kinds of verdicts among its checks", () => {
    const kinds = new Set(switchChecks.map(({ expected }) => expected));
    expect(kinds).toEqual(new Set(["safe", "mixed-versions", "late-version"]));
  });
});

import { describe, expect, it } from "vitest";
import { rv64ReplayAddress } from "../../patch/designs/riscv.ts";
import type { Check } from "../../patch/protocol.ts";
import { p7, plain } from "../../patch/protocols/p7-int3.ts";
import { p10, splitImmediate } from "../../patch/protocols/p10-riscv-options.ts";
import { describeStep } from "../../patch/steps.ts";
import { runCheck } from "../check.ts";
import { repair } from "./search.ts";

const find = (checks: readonly Check[], protocol: string, machine: string): Check => {
  const found = checks.find((c) => c.protocol.id === protocol && c.machine === machine);
  if (found === undefined) throw new Error(`no check of ${protocol} on ${machine}`);
  return found;
};

/** Steps of what is found; asserts that its proof stands. */
function stepsOf(check: Check, from: string, to: string): readonly string[] {
  const found = repair(check, from, to);
  if (!("protocol" in found)) throw new Error(`nothing found in ${found.tried} tries`);
  expect(found.proof.verdict).toBe("safe");
  expect(found.proof.exhaustive).toBe(true);
  expect(runCheck({ ...check, protocol: found.protocol }).verdict).toBe("safe");
  return found.protocol.enable.map(describeStep);
}

describe("repair", () => {
  it("finds the int3 protocol where one byte is all that is promised", () => {
    expect(stepsOf(find(p7.checks, plain.id, "x86-intel"), "idle", "a")).toEqual([
      "traps mean new",
      "write window[0, 1) = trap",
      "sync by interrupt",
      "write window[1, end) = new",
      "sync by interrupt",
      "write window[0, 1) = new",
      "sync by interrupt",
      "traps end, handlers waited for",
    ]);
  });

  it("finds the short jump where the head lies in one quadword and the window in two", () => {
    const check = { ...find(p7.checks, plain.id, "x86-amd"), phase: 4 };
    expect(stepsOf(check, "idle", "a")).toEqual([
      "write window[0, 2) = skip",
      "sync by interrupt",
      "write window[2, end) = new",
      "sync by interrupt",
      "write window[0, 2) = new",
      "sync by interrupt",
    ]);
  });

  it("finds one store where the window lies in one quadword", () => {
    expect(stepsOf(find(p7.checks, plain.id, "x86-amd"), "idle", "a")).toEqual([
      "write window[0, end) = new",
      "sync by interrupt",
    ]);
  });

  it("finds the J +8 protocol from auipc and jalr, where trap returns replay", () => {
    const naive = find(p10.checks, splitImmediate.id, "riscv-ziccif");
    const steps = stepsOf({ ...naive, design: rv64ReplayAddress }, "a", "b");
    expect(steps.filter((text) => text !== "store barrier")).toEqual([
      "write window[0, 4) = skip",
      "sync by interrupt",
      "write window[4, 8) = new",
      "sync by interrupt",
      "write window[0, 4) = new",
      "sync by interrupt",
    ]);
  });

  it("finds it with a grace period where they do not", () => {
    const steps = stepsOf(find(p10.checks, splitImmediate.id, "riscv-ziccif"), "a", "b");
    expect(steps).toContain("grace period (tasks)");
    expect(steps[0]).toBe("write window[0, 4) = skip");
  });
});

import { describe, expect, it } from "vitest";
import { p5, replay } from "../../patch/protocols/p5-auipc-replay.ts";
import { p7 } from "../../patch/protocols/p7-int3.ts";
import { storeBarrier, sync } from "../../patch/steps.ts";
import { minimise, tryWithoutEach } from "./necessity.ts";

const safeChecks = (family: typeof p5, id: string, few: number) =>
  family.checks
    .filter((c) => c.protocol.id === id && c.expected === "safe" && c.adversities.length <= few)
    .filter((c) => !c.adversities.includes("free"));

/** A busy machine is no failure. */
const timeoutMs = 60_000;

describe("tryWithoutEach", { timeout: timeoutMs }, () => {
  it("finds each step of the guarded scheme needed, and why", () => {
    const checks = safeChecks(p5, replay.id, 2);
    const kinds = tryWithoutEach(replay, checks).map(({ without }) => without.kind);
    const unsafe = "unsafe";
    expect(kinds).toEqual([
      ...[unsafe, unsafe, unsafe],
      ...["incomplete", unsafe, unsafe],
      ...["incomplete", "late", "late"],
    ]);
  });

  it("finds the handler's arming and disarming needed", () => {
    const checks = safeChecks(p7, "P7/int3", 0);
    const [first] = checks;
    if (first === undefined) throw new Error("no checks");
    const each = tryWithoutEach(first.protocol, checks);
    expect(each.at(0)?.without).toMatchObject({ kind: "unsafe", verdict: "unhandled-trap" });
    expect(each.at(-1)?.without).toEqual({ kind: "incomplete" });
  });
});

describe("minimise", { timeout: timeoutMs }, () => {
  it("takes out what is too much, and nothing else", () => {
    const steps = [...replay.enable.slice(0, 3), storeBarrier, sync, ...replay.enable.slice(3)];
    const wordy = { ...replay, enable: steps, disable: steps };
    const { protocol, removed } = minimise(wordy, safeChecks(p5, replay.id, 1));
    expect(removed).toHaveLength(2);
    expect(protocol.enable).toEqual(replay.enable);
  });
});

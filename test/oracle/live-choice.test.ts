/**
 * The engine picks a protocol for a window by what is known of it. Here the checker is asked at
 * every place of a line that makes a difference: what is picked is safe by the rules of the vendor
 * that it is picked for, and where a place would be torn, nothing that tears is picked.
 */
import { describe, expect, it } from "vitest";
import { ensure } from "../../src/base/assert.ts";
import { type Check, families, runCheck } from "../../src/index.ts";
import {
  chooseLiveProtocol,
  coverSize,
  type LiveProtocolName,
  liveProtocols,
  type VendorRules,
} from "../../src/patch/protocols/x86-64-live.ts";

const live = ensure(
  families.find(({ id }) => id === "LIVE"),
  "the engine's family",
);

/** A check of the table that is about a protocol, to be asked of other places. */
const checkOf = (id: string): Check =>
  ensure(
    live.checks.find(({ protocol }) => protocol.id === id),
    id,
  );

const checks: Readonly<Record<LiveProtocolName, Check>> = {
  store: checkOf("LIVE/store"),
  cover: checkOf("LIVE/cover"),
  coverSeveral: checkOf("LIVE/cover-several"),
  skip: checkOf("LIVE/skip"),
  spin: checkOf("LIVE/spin"),
};

const verdictAt = (
  name: LiveProtocolName,
  rules: VendorRules,
  phase: number,
  more: Pick<Check, "adversities" | "history">,
): string =>
  runCheck({
    ...checks[name],
    machine: rules === "intel" ? "x86-intel" : "x86-amd",
    phase,
    ...more,
  }).verdict;

/** Every place in a quadword, and the end of a line. */
const phases = [0, 1, 2, 3, 4, 5, 6, 7, 61, 63];

const toAndBack = [
  { to: "a", free: false },
  { to: "idle", free: false },
] as const;

describe.each(["intel", "amd"] as const)("by the rules of %s", (rules) => {
  it.each([false, true])("a window that may hold several instructions: %s", (several) => {
    for (const phase of phases) {
      const facts = { offset: phase % 8, size: coverSize, several, moved: false };
      const name = ensure(chooseLiveProtocol({ ...facts, first: "any" }, rules), `at ${phase}`);
      const more = several ? { history: toAndBack } : {};
      const verdict = verdictAt(name, rules, phase, { adversities: ["preemption"], ...more });
      expect(verdict, `${name} at ${phase}`).toBe("safe");
    }
  });
});

it("puts a moved prologue back by a store or by spinning, where AMD's rules make that safe", () => {
  for (const phase of phases) {
    const facts = { offset: phase % 8, size: coverSize, several: false, moved: true } as const;
    const name = chooseLiveProtocol({ ...facts, first: "any" }, "amd");
    const safe = (["store", "spin"] as const).filter(
      (way) => verdictAt(way, "amd", phase, { adversities: ["preemption"] }) === "safe",
    );
    // Where neither is, the prologue has to wait for somebody who holds the threads.
    if (name === undefined) expect(safe, `at ${phase}`).toEqual([]);
    else expect(safe, `at ${phase}`).toContain(name);
  }
});

it("would tear a window where it does not choose a store", () => {
  for (const phase of phases) {
    const verdict = verdictAt("store", "amd", phase, { adversities: [] });
    expect(verdict === "safe", `at ${phase}`).toBe((phase % 8) + coverSize <= 8);
    expect(verdictAt("store", "intel", phase, { adversities: [] })).toBe("unwritten-instruction");
  }
});

it("asks about the lists that the engine carries out", () => {
  const names = Object.keys(checks);
  expect(names.toSorted()).toEqual(Object.keys(liveProtocols).toSorted());
  expect(Object.values(checks).map(({ protocol }) => protocol.enable)).toEqual([
    ...[liveProtocols.store, liveProtocols.cover, liveProtocols.coverSeveral],
    ...[liveProtocols.skip, liveProtocols.spin],
  ]);
});

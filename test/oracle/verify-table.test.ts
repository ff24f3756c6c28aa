/**
 * The whole table of verdicts, and the necessity of every step of every safe protocol. Known
 * answers hold the models: published bugs (P4, P8, P11), counts of reachable places, manuals.
 */
import { describe, expect, it } from "vitest";
import {
  type Check,
  checkId,
  families,
  isExploration,
  type StepNecessity,
  tryWithoutEach,
  verify,
  whyItStays,
} from "../../src/index.ts";

describe("the whole table", () => {
  it("comes out as expected, claim by claim", { timeout: 300_000 }, () => {
    const report = verify({ names: [], now: () => performance.now() });
    const unexpected = report.rows.filter((row) => !row.asExpected).map((row) => row.id);
    expect(unexpected).toEqual([]);
    expect(report.rows.every((row) => row.search === "exhaustive")).toBe(true);
    expect(report.claims.filter((row) => !row.settled)).toEqual([]);
    expect(report.claims.length).toBeGreaterThan(30);
    expect(report.ok).toBe(true);
  });
});

/** Adversities that make checks large and have never been the only ones to miss a step. */
const heavy: readonly string[] = ["nmi", "interrupts", "two-sites", "two-patchers"];

/** Safe checks by protocol, the large ones left out where others remain. */
function safeChecks(): Map<string, Check[]> {
  const all = families.flatMap(({ checks }) => checks.filter((c) => c.expected === "safe"));
  const byProtocol = new Map<string, Check[]>();
  for (const check of all) {
    const { id } = check.protocol;
    byProtocol.set(id, [...(byProtocol.get(id) ?? []), check]);
  }
  return new Map(
    [...byProtocol].map(([id, checks]) => {
      const light = checks.filter((c) => !c.adversities.some((name) => heavy.includes(name)));
      const few = id.startsWith("LIVE/") ? light.filter((c) => (c.phase ?? 0) % 8 < 5) : light;
      return [id, few.length > 0 ? few : checks];
    }),
  );
}

const describeMissed = ({ roles, index, text }: StepNecessity): string =>
  `${roles.join("+")} ${index}: ${text}`;

describe("every step of a safe protocol", () => {
  const used = [...safeChecks()].filter(([id]) => !isExploration(id));
  it.each(used)("of %s is missed when it is taken out, or has a reason", (id, checks) => {
    const [first] = checks;
    expect(first, id).toBeDefined();
    if (first === undefined) return;
    const spare = tryWithoutEach(first.protocol, checks).filter(
      ({ without, text }) => without.kind === "not needed" && whyItStays(id, text) === undefined,
    );
    expect(spare.map(describeMissed), checks.map(checkId).join("\n")).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";
import { computeAll } from "./arithmetic.ts";
import { claims } from "./claims.ts";

describe("claims", () => {
  it("are each settled by something", () => {
    const bare = claims.filter(
      ({ checks, computations }) => checks.length + computations.length === 0,
    );
    expect(bare.map(({ claim }) => claim)).toEqual([]);
  });

  it("name computations that there are", () => {
    const known = new Set([...computeAll().map(({ id }) => id), "P5/orders"]);
    const named = claims.flatMap(({ computations }) => computations);
    expect(named.filter((id) => !known.has(id))).toEqual([]);
  });

  it("have counterexamples behind refutations and conditions", () => {
    for (const { claim, verdict, checks, computations } of claims) {
      if (verdict === "confirmed" || computations.length > 0) continue;
      const broken = checks.filter(({ expected }) => expected !== "safe");
      expect(broken.length, claim).toBeGreaterThan(0);
    }
  });
});

import fc from "fast-check";
import { expect, it } from "vitest";
import { SiteSet } from "./site-set.ts";

it("holds what a set of numbers holds", () => {
  const step = fc.record({ site: fc.nat(5_000), isAdded: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step), fc.nat(6_000), (steps, asked) => {
      const [sites, reference] = [new SiteSet(), new Set<number>()];
      for (const { site, isAdded } of steps) {
        if (isAdded) sites.add(site);
        else sites.delete(site);
        if (isAdded) reference.add(site);
        else reference.delete(site);
      }
      expect([...sites]).toEqual([...reference].sort((a, b) => a - b));
      expect(sites.has(asked)).toBe(reference.has(asked));
    }),
  );
});

import fc from "fast-check";
import { expect, it } from "vitest";
import { Reach } from "./reach.ts";

/** Paths by repeated search: slow, and nothing like rows of bits. */
function hasPath(pairs: readonly (readonly [number, number])[], from: number, to: number): boolean {
  const seen = new Set<number>();
  const stack = [from];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    for (const [a, b] of pairs) {
      if (a !== at || seen.has(b)) continue;
      seen.add(b);
      stack.push(b);
    }
  }
  return seen.has(to);
}

it("keeps what a search for paths finds, and refuses exactly the pairs that close a cycle", () => {
  const size = 34;
  const node = fc.nat(size - 1);
  fc.assert(
    fc.property(fc.array(fc.tuple(node, node), { maxLength: 60 }), (pairs) => {
      const reach = new Reach(size);
      const kept: [number, number][] = [];
      for (const [a, b] of pairs) {
        const cycle = a === b || hasPath(kept, b, a);
        expect(reach.add(a, b)).toBe(!cycle);
        if (!cycle) kept.push([a, b]);
      }
      for (let a = 0; a < size; a++) {
        for (let b = 0; b < size; b++) expect(reach.has(a, b)).toBe(hasPath(kept, a, b));
      }
      const order = reach.order();
      for (const [a, b] of kept) expect(order.indexOf(a)).toBeLessThan(order.indexOf(b));
    }),
    { numRuns: 25 },
  );
});

it("gives copies that go their own way", () => {
  const reach = new Reach(33);
  reach.add(0, 32);
  const copy = reach.copy();
  copy.add(32, 5);
  expect(copy.has(0, 5)).toBe(true);
  expect(reach.has(0, 5)).toBe(false);
  expect(copy.addAll([5, 6, 6, 0])).toBe(false);
});

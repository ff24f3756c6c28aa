import fc from "fast-check";
import { expect, it } from "vitest";
import { distinct, gather, indices, pick } from "./columns.ts";

it("picks, gathers and tells apart as the built-in ways do", () => {
  const rows = fc.uint8Array({ minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(rows, fc.nat(255), fc.integer({ min: 1, max: 20 }), (values, limit, width) => {
      const all = indices(values.length);
      expect([...all]).toEqual([...values.keys()]);
      const isMeant = (row: number): boolean => (values[row] ?? 0) < limit;
      const picked = pick(all, isMeant);
      expect([...picked]).toEqual([...values.keys()].filter(isMeant));
      const from = Uint8Array.from({ length: values.length * width }, (_, i) => i * 31);
      const to = new Uint8Array(picked.length * width);
      gather(from, picked, to, width);
      const slots = [...picked].map((row) => [...from.subarray(row * width, (row + 1) * width)]);
      expect([...to]).toEqual(slots.flat());
      expect([...distinct(values)]).toEqual([...new Set(values)].sort((a, b) => a - b));
    }),
  );
});

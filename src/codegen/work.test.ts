import { describe, expect, it } from "vitest";
import {
  hooksReturn,
  makeWork,
  noWork,
  WorkList,
  withoutExits,
  withoutFrameWords,
  workKey,
} from "./work.ts";

const record = { kind: "record", instance: 0, exits: true } as const;
const entries = { kind: "record", instance: 0, exits: false } as const;
const count = { kind: "count", instance: 0 } as const;

describe("a work", () => {
  it("is the same in whatever order its actions were asked for", () => {
    const reordered = { exits: true, kind: "record", instance: 0 } as const;
    expect(workKey(makeWork([record, count]))).toBe(workKey(makeWork([count, reordered])));
    expect(workKey(makeWork([record]))).not.toBe(workKey(makeWork([{ ...record, instance: 1 }])));
  });

  it("does once what several ask for", () => {
    expect(makeWork([count, entries, record, count])).toEqual(makeWork([count, record]));
    expect(makeWork([{ ...entries, instance: 1 }, record])).toHaveLength(2);
  });

  it("has entries left where returns can't be hooked", () => {
    expect(withoutExits(makeWork([count, record]))).toEqual(makeWork([count, entries]));
    expect(withoutExits(makeWork([entries, record]))).toEqual([entries]);
    expect([record, entries, count].map(hooksReturn)).toEqual([true, false, false]);
  });
});

describe("statistics of some calls", () => {
  const all = { kind: "statistics", instance: 1, exits: true } as const;
  const some = { ...all, sample: 3 } as const;

  it("are another action than those of all", () => {
    expect(makeWork([all, some, { ...some, exits: false }])).toEqual(makeWork([some, all]));
  });

  it("are of each value where somebody wants that, and not of all besides", () => {
    const place = { kind: "argument", index: 1 } as const;
    const by = { place, type: "i32", table: { keys: 0, firstRow: 100 } } as const;
    const apart = { ...all, by };
    expect(makeWork([all, apart])).toEqual([apart]);
    expect(withoutExits(makeWork([all, apart]))).toEqual([{ ...apart, exits: false }]);
    expect(makeWork([{ ...all, instance: 2 }, apart])).toHaveLength(2);
    expect(makeWork([some, apart])).toHaveLength(2);
  });

  it("keep their choice where frames have no words", () => {
    expect(withoutFrameWords([some], () => false)).toEqual([{ ...some, exits: false }]);
  });
});

describe("a list of works", () => {
  it("gives equal works one number, and 0 to none", () => {
    const list = new WorkList();
    const number = list.intern(makeWork([record, count]));
    expect(list.intern(noWork)).toBe(0);
    expect(list.intern(makeWork([count, record]))).toBe(number);
    expect(list.get(number)).toEqual(makeWork([record, count]));
    expect(list.all).toHaveLength(2);
  });
});

import { describe, expect, it } from "vitest";
import type { Work } from "../codegen/work.ts";
import { type KnownChange, KnownChanges } from "./known-changes.ts";
import type { TargetMemory } from "./process.ts";
import type { SiteChanges } from "./site-forms.ts";

const start = 0x1000;
const count: Work = [{ kind: "count", instance: 0 }];
const off: SiteChanges = {
  sites: Uint32Array.of(0, 1),
  works: [[], count],
  work: Uint16Array.of(0, 0),
  forms: Uint8Array.of(0, 0),
};
const on: SiteChanges = { ...off, work: Uint16Array.of(1, 1) };

/** Memory with nothing but some text. */
function memoryOf(text: Uint8Array): TargetMemory {
  const refuse = (): never => {
    throw new Error("only the text is looked at");
  };
  return {
    read: (address, length) => {
      const from = Number(address) - start;
      return text.slice(from, from + length);
    },
    readU64: refuse,
    write: refuse,
    writeText: refuse,
  };
}

const known = (changes: SiteChanges, text: Uint8Array): KnownChange => ({
  changes,
  text: [{ start, bytes: text.slice() }],
  sites: changes.sites,
  windows: {
    count: 0,
    at: new Float64Array(0),
    size: new Uint8Array(0),
    moved: new Uint8Array(0),
    bytes: new Uint8Array(0),
  },
  workOf: changes.work,
  planned: { programs: [], counts: {} },
});

describe("KnownChanges", () => {
  const text = Uint8Array.from({ length: 64 }, (_, i) => i);
  const memory = memoryOf(text);

  it("finds a change that is asked for again in the same text", () => {
    const changes = new KnownChanges();
    changes.note(known(on, text));
    changes.note(known(off, text));
    const again = {
      ...on,
      sites: on.sites.slice(),
      work: on.work.slice(),
      works: [[], [...count]],
    };
    expect(changes.find(again, memory)?.changes).toBe(on);
    expect(changes.find(off, memory)?.changes).toBe(off);
  });

  it("does not find it once a byte around its sites is another", () => {
    const changes = new KnownChanges();
    changes.note(known(on, text));
    const patched = text.slice();
    patched[63] = 0xcc;
    expect(changes.find(on, memoryOf(patched))).toBeUndefined();
  });

  it("does not take another change for it", () => {
    const changes = new KnownChanges();
    changes.note(known(on, text));
    const others: readonly SiteChanges[] = [
      off,
      { ...on, sites: Uint32Array.of(0, 2) },
      { ...on, forms: Uint8Array.of(0, 1) },
      { ...on, works: [[], [{ kind: "count", instance: 1 }]] },
      { ...on, works: [[]] },
    ];
    for (const other of others) expect(changes.find(other, memory)).toBeUndefined();
  });

  it("keeps the last two, and none when it is to forget", () => {
    const changes = new KnownChanges();
    const third: SiteChanges = { ...on, forms: Uint8Array.of(1, 1) };
    for (const one of [on, off, third]) changes.note(known(one, text));
    expect(changes.find(on, memory)).toBeUndefined();
    expect(changes.find(off, memory)).toBeDefined();
    changes.forget();
    expect(changes.find(off, memory)).toBeUndefined();
  });
});

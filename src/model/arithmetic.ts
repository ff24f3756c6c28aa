/**
 * What needs no exploration but arithmetic over all positions of a site: which targets one fixed
 * AUIPC reaches. Every 4-aligned place in a page is tried; there is nothing else to a site's place.
 *
 * JALR adds a signed 12-bit offset, so one AUIPC reaches the 4096 bytes from 2048 below to 2047
 * above where it points, and it points to multiples of 4096 from the site: the window's place in
 * the page is the site's.
 */
import { hexBytes } from "../base/brand.ts";
import { splitDistance } from "../patch/riscv-code.ts";
import { nopBytes } from "../patch/x86-64-layouts.ts";

const PAGE = 4096;
/** 4-aligned places in a page. */
export const phaseCount: number = PAGE / 4;

const phases: readonly number[] = Array.from({ length: phaseCount }, (_, i) => 4 * i);

/** One line of the table of computations. */
export type Computation = {
  /** `P-RV-RANGE/256`. */
  readonly id: string;
  /** What is computed. */
  readonly title: string;
  readonly found: string;
  /** What the analysis of the sources expects, in the same words. */
  readonly expected: string;
  /** Cases that were tried. */
  readonly cases: number;
};

/** What the rule "within 2047 bytes of the common trampoline" does to one distance. */
export type RangeResult = {
  readonly distance: number;
  /** Places of the site for which JALR goes to the target. */
  readonly right: number;
  /** Places for which it goes somewhere else, and how far off. */
  readonly wrong: number;
  readonly offBy: readonly number[];
};

/**
 * The rule of the code for a direct target within reach of the common trampoline: keep AUIPC as it
 * is for the trampoline, write JALR with the low bits of the target's distance.
 */
export function checkRangeRule(distance: number): RangeResult {
  const common = 0x0081_2000n;
  const offBy = new Set<number>();
  let wrong = 0;
  for (const phase of phases) {
    const site = 0x0010_0000n + BigInt(phase);
    const target = common + BigInt(distance);
    const { hi } = splitDistance(common - site);
    const { lo } = splitDistance(target - site);
    const reached = site + BigInt(hi + lo);
    if (reached === target) continue;
    wrong++;
    offBy.add(Number(reached - target));
  }
  return { distance, right: phaseCount - wrong, wrong, offBy: [...offBy] };
}

/** How many places of a site reach all entries, `stride` bytes apart, with one AUIPC. */
export function countReachingPhases(entries: number, stride: number): number {
  const table = 0x0090_0000n;
  return phases.filter((phase) => {
    const site = 0x0010_0000n + BigInt(phase);
    const his = new Set<number>();
    for (const k of [0, entries - 1]) {
      his.add(splitDistance(table + BigInt(k * stride) - site).hi);
    }
    return his.size === 1;
  }).length;
}

/** The published page: slot k at P + 8 + 8k, stub k at P + 2056 + 8k, `ld t1, -2048(t1); jr t1`. */
export type StubResult = {
  /** Pairs of a site's place and an entry that its AUIPC reaches. */
  readonly reached: number;
  /** Pairs for which the stub loads its own slot. */
  readonly right: number;
};

/**
 * What t1 holds when the published stub loads through it: where AUIPC points (when AUIPC writes t1
 * and JALR links in another register), or the return address (when JALR links in t1).
 */
export function checkPublishedStubs(t1: "auipc" | "link", entries: number): StubResult {
  const page = 0x0090_0000n;
  let reached = 0;
  let right = 0;
  for (const phase of phases) {
    const site = 0x0010_0000n + BigInt(phase);
    const middle = page + 2056n + BigInt(4 * entries);
    const { hi } = splitDistance(middle - site);
    const base = site + BigInt(hi);
    for (let k = 0; k < entries; k++) {
      const stub = page + 2056n + BigInt(8 * k);
      const lo = stub - base;
      if (lo < -2048n || lo > 2047n) continue;
      reached++;
      const held = t1 === "auipc" ? base : site + 8n;
      if (held - 2048n === page + 8n + BigInt(8 * k)) right++;
    }
  }
  return { reached, right };
}

/** Bytes of the repaired stub: `auipc t1, hi(slot); ld t1, lo(slot)(t1); jr t1`. */
export const repairedStubBytes = 12;
/** Entries of one copy of the repaired table: what fits in half of a window. */
export const repairedEntries: number = Math.floor(PAGE / 2 / repairedStubBytes);

/**
 * The repaired table is there twice, 2048 bytes apart; each site uses the copy that lies in one
 * window of its own. Returns the number of places for which such a copy exists.
 */
export function countRepairedPhases(): number {
  const table = 0x0090_0000n;
  return phases.filter((phase) => {
    const site = 0x0010_0000n + BigInt(phase);
    return [0n, 2048n].some((copy) => {
      const first = table + copy;
      const last = first + BigInt((repairedEntries - 1) * repairedStubBytes);
      return splitDistance(first - site).hi === splitDistance(last - site).hi;
    });
  }).length;
}

/** How many places of a site reach two targets, `distance` bytes apart and aligned to it. */
export function countReachingBoth(distance: number): number {
  return phases.filter((phase) => {
    const site = 0x0010_0000n + BigInt(phase);
    const { hi } = splitDistance(0x0090_0000n - site);
    return hi === splitDistance(0x0090_0000n + BigInt(distance) - site).hi;
  }).length;
}

const share = (count: number, of: number): string =>
  `${count} of ${of} places (${((100 * count) / of).toFixed(2)} %)`;

/** Every computation, done. */
export function computeAll(): readonly Computation[] {
  const range = [64, 256, 1024, 2044, -64, -2044].map((distance): Computation => {
    const { wrong, offBy } = checkRangeRule(distance);
    const miss = offBy.map((by) => Math.abs(by)).join(", ");
    return {
      id: `P-RV-RANGE/${distance}`,
      title: `a direct target ${distance} bytes from ftrace_caller, by the rule |distance| <= 2047`,
      found: `wrong for ${share(wrong, phaseCount)}, by ${miss} bytes`,
      expected: `wrong for ${share(Math.abs(distance) / 4, phaseCount)}, by 4096 bytes`,
      cases: phaseCount,
    };
  });
  const reach = (
    [
      [255, 516],
      [511, 4],
    ] as const
  ).map(
    ([entries, expected]): Computation => ({
      id: `P9/reach-${entries}`,
      title: `one auipc reaches all ${entries} stubs of 8 bytes`,
      found: `for ${share(countReachingPhases(entries, 8), phaseCount)}`,
      expected: `for ${share(expected, phaseCount)}`,
      cases: phaseCount,
    }),
  );
  const stubs = (["auipc", "link"] as const).map((t1): Computation => {
    const { reached, right } = checkPublishedStubs(t1, 255);
    const place = t1 === "auipc" ? "where auipc points" : "the return address";
    return {
      id: `P9/stub-${t1}`,
      title: `the published stub loads its own slot, t1 being ${place}`,
      found: `${right} of ${reached} pairs of a site and an entry in its reach`,
      // One place in the page fits each entry: the one where lo is 0.
      expected: [
        t1 === "auipc" ? 255 : 0,
        `of ${reached} pairs of a site and an entry in its reach`,
      ].join(" "),
      cases: reached,
    };
  });
  const repaired: Computation = {
    id: "P9/repaired",
    title: `two copies of ${repairedEntries} stubs of 12 bytes, 2048 bytes apart: one is in reach`,
    found: `for ${share(countRepairedPhases(), phaseCount)}`,
    expected: `for ${share(phaseCount, phaseCount)}`,
    cases: phaseCount,
  };
  const aligned: Computation = {
    id: "P2/aligned-2048",
    title: "one auipc reaches two trampolines that are 2048-aligned and 2048 bytes apart",
    found: `for ${share(countReachingBoth(2048), phaseCount)}`,
    expected: `for ${share(phaseCount / 2, phaseCount)}`,
    cases: phaseCount,
  };
  return [...range, ...reach, ...stubs, repaired, aligned, ...computeBytes()];
}

/** What is wrong with bytes and counts that the sources print. */
function computeBytes(): readonly Computation[] {
  const nop = nopBytes(5);
  const trapped = Uint8Array.of(0xcc, ...nop.subarray(1));
  const slotOf = (index: number): number => 8 * (index - 1);
  // gcc counts no-ops, and with the C extension one is 2 bytes.
  const [before, behind] = [2 * 2, 3 * 2];
  return [
    {
      id: "P7/bytes",
      title: "int3 over the first byte of 0f 1f 44 00 00 (printed as cc 17 44 00 00)",
      found: hexBytes(trapped),
      expected: "cc 1f 44 00 00",
      cases: 1,
    },
    {
      id: "P9/index",
      title: "offset of slot 255, when slot 1 is at 0 (printed beside 2040)",
      found: String(slotOf(255)),
      expected: "2032",
      cases: 1,
    },
    {
      id: "P2/no-ops",
      title: "bytes before and behind the symbol that 5,2 no-ops give with the C extension",
      found: `${before} and ${behind}, for 8 and 12 that are needed`,
      expected: "4 and 6, for 8 and 12 that are needed",
      cases: 1,
    },
  ];
}

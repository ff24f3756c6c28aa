import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatTable, plain } from "./table.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMeasured,
  formatShare,
  formatWallTime,
  parseDurationNs,
  plural,
} from "./units.ts";

describe("durations", () => {
  it.each([
    [0, "0 ns"],
    [0.333333, "0.333 ns"],
    [5, "5.000 ns"],
    [17.3, "17.30 ns"],
    [999.94, "999.9 ns"],
    [999.96, "1.000 us"],
    [1234, "1.234 us"],
    [12_345_678, "12.35 ms"],
    [1e9, "1.000 s"],
    [3.6e12, "3600 s"],
    [99_995, "100.0 us"],
  ])("of %d ns are written %s", (ns, text) => {
    expect(formatDuration(ns)).toBe(text);
  });

  it("by a clock that goes in steps are no less than one", () => {
    const ofSteps = (ns: number): string => formatMeasured(ns, 60_000);
    expect([0, 59_999, 60_000].map(ofSteps)).toEqual(["< 60.00 us", "< 60.00 us", "60.00 us"]);
    expect(formatMeasured(0, 0)).toBe("0 ns");
  });

  it("keep their value to four digits", () => {
    fc.assert(
      fc.property(fc.double({ min: 1, max: 1e13, noNaN: true }), (ns) => {
        const parsed = parseDurationNs(formatDuration(ns)) ?? Number.NaN;
        expect(Math.abs(parsed / ns - 1)).toBeLessThan(0.0006);
      }),
    );
  });

  it.each([
    ["250ns", 250],
    ["1.5us", 1500],
    ["1.5 µs", 1500],
    ["10ms", 1e7],
    ["2s", 2e9],
    ["1m", 60e9],
    ["70", 70],
    ["", undefined],
    ["-1s", undefined],
    ["1h", undefined],
    ["1.s", undefined],
  ])("written %j are %s ns", (text, ns) => {
    expect(parseDurationNs(text)).toBe(ns);
  });
});

describe("other numbers", () => {
  it("have commas, units and plurals", () => {
    expect([0, 999, 1000, 1_234_567].map(formatCount)).toEqual(["0", "999", "1,000", "1,234,567"]);
    expect([0, 1023, 1024, 1536, 2 ** 40].map(formatBytes)).toEqual([
      "0 B",
      "1023 B",
      "1.0 KiB",
      "1.5 KiB",
      "1.0 TiB",
    ]);
    expect([plural(1, "call"), plural(2000, "call")]).toEqual(["1 call", "2,000 calls"]);
    expect([formatShare(1, 8), formatShare(1, 0)]).toEqual(["12.5%", "-"]);
  });

  it("of the wall clock are what the standard library makes of them", () => {
    const ms = fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) });
    fc.assert(
      fc.property(ms, (moment) => {
        const ns = BigInt(moment) * 1_000_000n + 999_999n;
        expect(formatWallTime(ns)).toBe(new Date(moment).toISOString());
      }),
    );
  });
});

describe("tables", () => {
  it("align numbers to the right and do not pad what stands last", () => {
    const lines = formatTable(
      [
        { title: "calls", align: "right" },
        { title: "name", align: "left" },
        { title: "where", align: "left" },
      ],
      [
        ["1", "a", "x.c"],
        ["1,000,000", "long name", ""],
      ],
      plain,
    );
    expect(lines).toEqual([
      "    calls  name       where",
      "        1  a          x.c",
      "1,000,000  long name",
    ]);
  });

  it("give the look to padded text, so that colours do not move columns", () => {
    const lines = formatTable(
      [
        { title: "n", align: "right", ink: "dim" },
        { title: "f", align: "left", ink: "name" },
      ],
      [["12", "f"]],
      (ink, text) => `<${ink}>${text}</>`,
    );
    expect(lines).toEqual(["<heading> n</>  <heading>f</>", "<dim>12</>  <name>f</>"]);
  });
});

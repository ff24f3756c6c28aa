import { describe, expect, it } from "vitest";
import type { Mapping } from "../os/proc.ts";
import { findMirror, findRoomNear, findRoomWithin } from "./address-space.ts";

const page = 0x1000n;
const reach = 128n << 20n;
const site = 0x5000_0000n;

const mapping = (start: bigint, end: bigint): Mapping => ({
  start,
  end,
  ...{ readable: true, writable: false, executable: true, shared: false },
  ...{ offset: 0, inode: 0, path: "" },
});

/** The page found beside a site when all from `below` under it to `above` over it is taken. */
const found = (below: bigint, above: bigint): bigint | undefined =>
  findRoomWithin([mapping(site - below, site + above)], 4096, site, site, reach);

describe("room near a function", () => {
  it("is found up to the branch's reach, and not a page further", () => {
    expect(found(reach - page, 2n * reach)).toBe(site - reach);
    expect(found(reach, 2n * reach)).toBeUndefined();
    expect(found(2n * reach, reach - page)).toBe(site + reach - page);
    expect(found(2n * reach, reach)).toBeUndefined();
  });

  it("is reached by both ends of a row of functions", () => {
    const maps = [mapping(site - 2n * reach, site + page)];
    const last = site + 8n * page;
    const at = findRoomWithin([...maps, mapping(last, last + reach)], 4096, site, last, reach);
    expect(at).toBe(site + page);
    expect(findRoomWithin(maps, 4096, site, site + 2n * reach + page, reach)).toBeUndefined();
  });

  it("is missed in one line", () => {
    const maps = [mapping(site - 2n * reach, site + 2n * reach)];
    expect(() => findRoomNear(maps, 5000, site, site, reach)).toThrow(
      "no 8192 bytes are free within 128 MiB of its text",
    );
  });
});

describe("the mirrored window", () => {
  const first = 0x7ffc_0000_0000n;
  const handlers = 0x5555_0000_0000n;
  const maps = [
    mapping(handlers, handlers + 16n * page),
    { ...mapping(first, first + 16n * page), path: "[stack]" },
  ];

  it("is the one of the first thread's stack, whichever a held thread is on", () => {
    const window = Number(first >> 41n);
    expect(findMirror(maps, handlers, 41)?.window).toBe(window);
    expect(findMirror(maps, first, 41)?.window).toBe(window);
  });

  it("is the held thread's where it is too small for all", () => {
    expect(findMirror(maps, handlers, 32)?.window).toBe(Number(handlers >> 32n));
    expect(findMirror(maps.slice(0, 1), handlers, 41)?.window).toBe(Number(handlers >> 41n));
  });
});

/**
 * The sites of a process as the target layer keeps them: columns in typed arrays, since there may
 * be a hundred thousand, with what stands in each window now.
 */
import { nopBytes } from "../patch/x86-64-layouts.ts";
import { type Windows, windowBytesMax } from "./text-patch.ts";

/** Sites in ascending order of address; a site's id is its index. Owned by whoever made it. */
export type SiteTable = {
  readonly count: number;
  readonly at: Float64Array;
  /** Window sizes in bytes, 5 to 16. */
  readonly size: Uint8Array;
  /** What the compiler left there: `windowBytesMax` bytes a site. */
  readonly compiled: Uint8Array;
  /** 1 where that is several instructions, so that a thread may stand between them. */
  readonly several: Uint8Array;
  /**
   * Functions without a site of their own: bytes of the whole instructions that the window lies
   * in, which are in `compiled` and have to run elsewhere while the window holds a jump. 0 for
   * others.
   */
  readonly moved: Uint8Array;
  /** 1 where returns can't be hooked. */
  readonly entriesOnly: Uint8Array;
};

/** What stands in the windows, as far as we put it there. */
export class SiteStates {
  readonly table: SiteTable;
  /** The windows' bytes now. */
  readonly bytes: Uint8Array;
  /** 1 where the window may hold several instructions now. */
  readonly several: Uint8Array;
  /** 1 where the bytes were not as compiled at some time. */
  readonly touched: Uint8Array;
  /** 1 where the bytes are not what they should be: never touched again. */
  readonly refused: Uint8Array;

  constructor(table: SiteTable) {
    this.table = table;
    this.bytes = table.compiled.slice();
    this.several = table.several.slice();
    this.touched = new Uint8Array(table.count);
    this.refused = new Uint8Array(table.count);
  }

  /** The windows of `sites` (ascending) with the bytes that `fill` puts into each. */
  windows(sites: Uint32Array, fill: (site: number, bytes: Uint8Array) => void): Windows {
    const { at, size, moved } = this.table;
    const windows = {
      count: sites.length,
      at: new Float64Array(sites.length),
      size: new Uint8Array(sites.length),
      moved: Uint8Array.from(sites, (site) => (moved[site] === 0 ? 0 : 1)),
      bytes: new Uint8Array(sites.length * windowBytesMax),
    };
    sites.forEach((site, index) => {
      windows.at[index] = at[site] ?? 0;
      windows.size[index] = size[site] ?? 0;
      const from = index * windowBytesMax;
      fill(site, windows.bytes.subarray(from, from + windowBytesMax));
    });
    return windows;
  }

  /** The windows of `sites` as they should stand now, with all of what moved prologues lie in. */
  present(sites: Uint32Array): Windows {
    const windows = this.windows(sites, (site, bytes) => bytes.set(slot(this.bytes, site)));
    sites.forEach((site, index) => {
      const moved = this.table.moved[site] ?? 0;
      if (moved > 0) windows.size[index] = moved;
    });
    return windows;
  }

  /** The windows of `sites` as the compiler left them. */
  compiled(sites: Uint32Array): Windows {
    return this.windows(sites, (site, bytes) => bytes.set(slot(this.table.compiled, site)));
  }

  /** Notes that `sites` hold `windows`' bytes, each one instruction as far as it is executed. */
  settle(sites: Uint32Array, windows: Windows): void {
    const { size, moved } = this.table;
    sites.forEach((site, index) => {
      const bytes = slot(windows.bytes, index).subarray(0, size[site]);
      this.bytes.set(bytes, site * windowBytesMax);
      const isCompiled = (moved[site] ?? 0) > 0 && this.#isCompiled(site);
      this.several[site] = isCompiled ? 1 : 0;
      this.touched[site] = 1;
    });
  }

  #isCompiled(site: number): boolean {
    const compiled = slot(this.table.compiled, site);
    return slot(this.bytes, site).every((byte, i) => byte === compiled[i]);
  }

  /** Sites that are not as compiled, ascending. */
  touchedSites(): Uint32Array {
    return Uint32Array.from(this.touched.keys()).filter((site) => this.touched[site] === 1);
  }

  /** An idle window: the compiler's own no-op where it is one instruction, else one no-op. */
  fillIdle(site: number, bytes: Uint8Array): void {
    const isMoved = (this.table.moved[site] ?? 0) > 0;
    if (this.table.several[site] === 1 && !isMoved) bytes.set(nopBytes(this.table.size[site] ?? 0));
    else bytes.set(slot(this.table.compiled, site));
  }

  /** A window that jumps to `target`. */
  fillJump(site: number, target: number, bytes: Uint8Array): void {
    const size = this.table.size[site] ?? 0;
    bytes[0] = 0xe9;
    const distance = target - ((this.table.at[site] ?? 0) + 5);
    new DataView(bytes.buffer, bytes.byteOffset).setInt32(1, distance, true);
    if (size > 5) bytes.set(nopBytes(size - 5), 5);
  }
}

const slot = (bytes: Uint8Array, index: number): Uint8Array =>
  bytes.subarray(index * windowBytesMax, (index + 1) * windowBytesMax);

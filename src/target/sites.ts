/**
 * The sites of a process as the target layer keeps them: columns in typed arrays, since there may
 * be a hundred thousand, with what stands in each window now.
 */
import { copyFew, gather, pick } from "../base/columns.ts";
import type { BackEnd } from "../codegen/back-end.ts";
import { literalBytes } from "../patch/literal.ts";
import { type Literals, type Windows, windowBytesMax } from "./text-patch.ts";

/**
 * Sites in ascending order of address, but for those of libraries that came later; a site's id is
 * its index. Rows whose size is 0 are room for such. Owned by whoever made it.
 */
export type SiteTable = {
  readonly count: number;
  /** The first row of libraries that come later; they may go, too. */
  readonly later: number;
  readonly at: Float64Array;
  /** Window sizes in bytes, up to 16. */
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
  /** 1 in the middle of a function, where the red zone is in use. */
  readonly inside: Uint8Array;
  /** Addresses of u16 counters of listeners that the program looks at; 0 for none. */
  readonly semaphore: Float64Array;
  /** Bytes from a site's literal to its window; 0 where it can't have one. */
  readonly literal: Uint8Array;
  /** What the compiler left in the literals' places: 8 bytes a site. */
  readonly literals: Uint8Array;
};

/** Puts the rows of `part` in the places of `sites` of `table`. */
export function placeSites(table: SiteTable, sites: Uint32Array, part: SiteTable): void {
  for (const [index, site] of sites.entries()) {
    table.at[site] = part.at[index] ?? 0;
    table.size[site] = part.size[index] ?? 0;
    table.several[site] = part.several[index] ?? 0;
    table.moved[site] = part.moved[index] ?? 0;
    table.entriesOnly[site] = part.entriesOnly[index] ?? 0;
    table.inside[site] = part.inside[index] ?? 0;
    table.semaphore[site] = part.semaphore[index] ?? 0;
    table.literal[site] = part.literal[index] ?? 0;
    table.compiled.set(slot(part.compiled, index), site * windowBytesMax);
    const from = index * literalBytes;
    table.literals.set(part.literals.subarray(from, from + literalBytes), site * literalBytes);
  }
}

/** Sites in the order of their addresses; a table that has grown has others behind. */
export function byAddress({ at }: SiteTable, sites: Uint32Array): Uint32Array {
  for (let i = 1; i < sites.length; i++) {
    if ((at[sites[i - 1] ?? 0] ?? 0) <= (at[sites[i] ?? 0] ?? 0)) continue;
    return sites.sort((a, b) => (at[a] ?? 0) - (at[b] ?? 0));
  }
  return sites;
}

/** What stands in the windows, as far as we put it there. */
export class SiteStates {
  readonly table: SiteTable;
  readonly #backEnd: BackEnd;
  /** The windows' bytes now. */
  readonly bytes: Uint8Array;
  /** 1 where the window may hold several instructions now. */
  readonly several: Uint8Array;
  /** 1 where the bytes were not as compiled at some time. */
  readonly touched: Uint8Array;
  /** 1 where the bytes are not what they should be: never touched again. */
  readonly refused: Uint8Array;
  /** 1 where the literal was not as compiled at some time. */
  readonly named: Uint8Array;

  constructor(table: SiteTable, backEnd: BackEnd) {
    this.table = table;
    this.#backEnd = backEnd;
    this.bytes = table.compiled.slice();
    this.several = table.several.slice();
    this.touched = new Uint8Array(table.count);
    this.refused = new Uint8Array(table.count);
    this.named = new Uint8Array(table.count);
  }

  /** The windows of `sites` (ascending); `fill` puts the bytes of each into `bytes[from...]`. */
  windows(
    sites: Uint32Array,
    fill: (site: number, bytes: Uint8Array, from: number) => void,
  ): Windows {
    const windows = this.#places(sites);
    for (let index = 0; index < sites.length; index++) {
      fill(sites[index] ?? 0, windows.bytes, index * windowBytesMax);
    }
    return windows;
  }

  /** The windows of `sites` as they should stand now, with all of what moved prologues lie in. */
  present(sites: Uint32Array): Windows {
    const windows = this.#places(sites);
    gather(this.bytes, sites, windows.bytes, windowBytesMax);
    for (
      let index = windows.moved.indexOf(1);
      index >= 0;
      index = windows.moved.indexOf(1, index + 1)
    ) {
      windows.size[index] = this.table.moved[sites[index] ?? 0] ?? 0;
    }
    return windows;
  }

  /** The windows of `sites` as the compiler left them. */
  compiled(sites: Uint32Array): Windows {
    const windows = this.#places(sites);
    gather(this.table.compiled, sites, windows.bytes, windowBytesMax);
    return windows;
  }

  /** Windows that have no bytes yet. */
  #places(sites: Uint32Array): Windows {
    const { at, size, moved } = this.table;
    const windows = {
      count: sites.length,
      at: new Float64Array(sites.length),
      size: new Uint8Array(sites.length),
      moved: new Uint8Array(sites.length),
      bytes: new Uint8Array(sites.length * windowBytesMax),
    };
    gather(at, sites, windows.at);
    gather(size, sites, windows.size);
    gather(moved, sites, windows.moved);
    for (let index = 0; index < sites.length; index++) {
      windows.moved[index] = windows.moved[index] === 0 ? 0 : 1;
    }
    return windows;
  }

  /** Notes that `sites` hold `windows`' bytes, each one instruction as far as it is executed. */
  settle(sites: Uint32Array, windows: Windows): void {
    const { size, moved, several } = this.table;
    for (let index = 0; index < sites.length; index++) {
      const site = sites[index] ?? 0;
      const to = site * windowBytesMax;
      copyFew(windows.bytes, index * windowBytesMax, this.bytes, to, size[site] ?? 0);
      const isCompiled = (moved[site] ?? 0) > 0 && this.#isCompiled(site);
      this.several[site] = isCompiled ? (several[site] ?? 0) : 0;
      this.touched[site] = 1;
    }
  }

  #isCompiled(site: number): boolean {
    const compiled = slot(this.table.compiled, site);
    return slot(this.bytes, site).every((byte, i) => byte === compiled[i]);
  }

  /** The site at `at`, if there is one, has other uses: it is never changed, which is no fault. */
  leaveOut(at: number): void {
    const site = this.table.at.indexOf(at);
    if (site >= 0) this.refused[site] = 1;
  }

  /** Nothing of ours stands at `sites` any more: their text is new, or gone. */
  forget(sites: Uint32Array): void {
    for (const site of sites) {
      this.bytes.set(slot(this.table.compiled, site), site * windowBytesMax);
      this.several[site] = this.table.several[site] ?? 0;
      this.touched[site] = 0;
      this.named[site] = 0;
      this.refused[site] = 0;
    }
  }

  /** Those of `sites` that are not left alone. */
  allowed(sites: Uint32Array): Uint32Array {
    if (!this.refused.includes(1)) return sites;
    return pick(sites, (site) => this.refused[site] === 0);
  }

  /** Leaves the sites in `refused` alone for good; those of `sites` that are left. */
  refuse(refused: readonly number[], sites: Uint32Array): Uint32Array {
    for (const site of refused) this.refused[site] = 1;
    if (refused.length === 0) return sites;
    return this.allowed(sites);
  }

  /** Sites that are not as compiled, by address. */
  touchedSites(): Uint32Array {
    const sites = new Uint32Array(this.table.count);
    let count = 0;
    for (let site = 0; site < sites.length; site++) {
      if (this.touched[site] === 1) sites[count++] = site;
    }
    return byAddress(this.table, sites.slice(0, count));
  }

  /**
   * An idle window: the compiler's own no-op where it is one instruction, else one no-op. Where a
   * call is, or was, all else that it needs stays.
   */
  fillIdle(site: number, bytes: Uint8Array, from: number): void {
    const { table } = this;
    const at = site * windowBytesMax;
    const rest = this.#backEnd.callOps?.rest;
    if (rest !== undefined) {
      copyFew(this.bytes, at, bytes, from, windowBytesMax);
      if (rest(bytes, from)) return;
    }
    const isMoved = (table.moved[site] ?? 0) > 0;
    if (table.several[site] === 1 && !isMoved) {
      this.#backEnd.fillIdle(table.size[site] ?? 0, bytes, from);
    } else copyFew(table.compiled, at, bytes, from, windowBytesMax);
  }

  /** A window that jumps to `target`. */
  fillJump(site: number, target: number, bytes: Uint8Array, from: number): void {
    const { at, size } = this.table;
    this.#backEnd.fillJump(at[site] ?? 0, size[site] ?? 0, target, bytes, from);
  }

  /** A window that calls `target`; only sites with a literal do. */
  fillCall(site: number, target: number, bytes: Uint8Array, from: number): void {
    this.#backEnd.callOps?.fillCall(this.table.at[site] ?? 0, target, bytes, from);
  }

  /** The literals of `sites` with what `content` gives for each, as two halves. */
  literals(
    sites: Uint32Array,
    content: (site: number) => readonly [low: number, high: number],
  ): Literals {
    const { at, literal } = this.table;
    const halves = new Uint32Array(sites.length * 2);
    for (const [index, site] of sites.entries()) halves.set(content(site), index * 2);
    const places = Float64Array.from(sites, (site) => (at[site] ?? 0) - (literal[site] ?? 0));
    return { count: sites.length, at: places, halves };
  }

  /** The literals of `sites` as the compiler left them. */
  compiledLiterals(sites: Uint32Array): Literals {
    const view = new DataView(this.table.literals.buffer, this.table.literals.byteOffset);
    return this.literals(sites, (site) => [
      view.getUint32(site * literalBytes, true),
      view.getUint32(site * literalBytes + 4, true),
    ]);
  }
}

const slot = (bytes: Uint8Array, index: number): Uint8Array =>
  bytes.subarray(index * windowBytesMax, (index + 1) * windowBytesMax);

/** Source lines of a whole program: finds the unit of an address, reads that unit's table alone. */
import type { LinkAddr } from "../base/brand.ts";
import type { DebugInfo, UnitRoot } from "./dwarf/debug-info.ts";
import { findLine, type LineTable, readLineTable, type SourceLine } from "./dwarf/line-table.ts";
import { readUnit, readUnitIndex, type UnitIndex } from "./dwarf/ranges.ts";
import { lowerBound } from "./symbol-table.ts";

/** Ranges that begin before an address and do not hold it, looked at before giving up. */
const rangesTriedMax = 32;

/** Line tables by unit, read at the first address that needs them and kept. */
export class SourceLines {
  readonly #info: DebugInfo;
  #index: UnitIndex | undefined;
  readonly #units = new Map<number, UnitRoot | undefined>();
  readonly #tables = new Map<number, LineTable | undefined>();

  constructor(info: DebugInfo) {
    this.#info = info;
  }

  /** The unit that the code at `addr` was compiled in. */
  findUnit(addr: LinkAddr): UnitRoot | undefined {
    this.#index ??= readUnitIndex(this.#info);
    const { lows, highs, units } = this.#index;
    const wanted = Number(addr);
    const last = lowerBound(lows, wanted + 1) - 1;
    for (let i = last; i >= 0 && i > last - rangesTriedMax; i--) {
      if (wanted < (highs[i] ?? 0)) return this.#unitAt(units[i] ?? 0);
    }
    return undefined;
  }

  #unitAt(offset: number): UnitRoot | undefined {
    if (!this.#units.has(offset)) {
      const unit = this.#info.findUnit(offset);
      this.#units.set(offset, unit === undefined ? undefined : readUnit(this.#info, unit));
    }
    return this.#units.get(offset);
  }

  #tableOf(root: UnitRoot): LineTable | undefined {
    const { offset } = root.unit;
    if (!this.#tables.has(offset)) this.#tables.set(offset, readLineTable(this.#info, root));
    return this.#tables.get(offset);
  }

  /**
   * The source line of the code at `addr`; undefined without debug information for it.
   * @throws FormatError where that information is damaged.
   */
  find(addr: LinkAddr): SourceLine | undefined {
    const root = this.findUnit(addr);
    const table = root === undefined ? undefined : this.#tableOf(root);
    return table === undefined ? undefined : findLine(table, Number(addr));
  }

  /** Path of file number `file` in the line table of the unit at `unitOffset`. */
  filePath(unitOffset: number, file: number): string | undefined {
    const root = this.#unitAt(unitOffset);
    return root === undefined ? undefined : this.#tableOf(root)?.paths[file];
  }
}

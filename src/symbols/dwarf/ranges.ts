/**
 * Which addresses a unit covers, and which unit an address is in.
 * Source: DWARF 5 sections 2.17 (ranges), 6.1.2 (`.debug_aranges`), 7.25; DWARF 4 section 2.17.3.
 */
import { attribute, form, rangeEntry } from "./constants.ts";
import {
  type DebugInfo,
  isAddressForm,
  readUnitRoot,
  type Unit,
  type UnitRoot,
} from "./debug-info.ts";

/** [from, to) as link addresses. */
type Range = readonly [number, number];
type Root = ReturnType<typeof readUnitRoot>;

/** DWARF 2 to 4: pairs of offsets from a base in `.debug_ranges`. */
function readOldRanges(info: DebugInfo, root: Root, at: number, base: number): Range[] {
  const { addressSize } = root.unit;
  const reader = info.reader(".debug_ranges", at);
  const baseMarker = addressSize === 8 ? 2 ** 64 : 2 ** 32;
  const ranges: Range[] = [];
  for (let from = base; ; ) {
    const low = reader.unsigned(addressSize);
    const high = reader.unsigned(addressSize);
    if (low === 0 && high === 0) return ranges;
    // All ones, as near as a number comes to it.
    if (low >= baseMarker - 1) from = high;
    else ranges.push([from + low, from + high]);
  }
}

/** DWARF 5: `.debug_rnglists`. */
function readRangeList(info: DebugInfo, root: Root, at: number, base: number): Range[] {
  const { addressSize } = root.unit;
  const reader = info.reader(".debug_rnglists", at);
  const indexed = (): number => info.indexedAddress(reader.uleb(), root);
  const address = (): number => reader.unsigned(addressSize);
  const ranges: Range[] = [];
  const add = (from: number, to: number): void => {
    ranges.push([from, to]);
  };
  const addLength = (from: number): void => add(from, from + reader.uleb());
  for (let from = base; ; ) {
    const kind = reader.u8();
    if (kind === rangeEntry.endOfList) return ranges;
    if (kind === rangeEntry.baseAddressx) from = indexed();
    else if (kind === rangeEntry.baseAddress) from = address();
    else if (kind === rangeEntry.startxEndx) add(indexed(), indexed());
    else if (kind === rangeEntry.startxLength) addLength(indexed());
    else if (kind === rangeEntry.offsetPair) add(from + reader.uleb(), from + reader.uleb());
    else if (kind === rangeEntry.startEnd) add(address(), address());
    else if (kind === rangeEntry.startLength) addLength(address());
    else reader.fail(`unknown range list entry ${kind}`);
  }
}

/** Place of range list `index`: the offsets stand behind the header (DWARF 5, section 7.28). */
function rangeListAt(info: DebugInfo, root: Root, index: number): number {
  const { offsetSize } = root.unit;
  const base = root.attributes.get(attribute.rnglistsBase)?.value ?? (offsetSize === 8 ? 20 : 12);
  return base + info.reader(".debug_rnglists", base + index * offsetSize).unsigned(offsetSize);
}

/** What the unit's own entry says, with the addresses that it covers. */
export function readUnit(info: DebugInfo, unit: Unit): UnitRoot & Root {
  const root = readUnitRoot(info, unit);
  return { ...root, ranges: readRanges(info, root, root.attributes) };
}

/** The addresses that an entry with `attributes` covers, in a unit of that `root`. */
export function readRanges(
  info: DebugInfo,
  root: Root,
  attributes: Root["attributes"],
): readonly Range[] {
  const start = (from: Root["attributes"]): number | undefined => {
    const low = from.get(attribute.lowPc);
    return low === undefined ? undefined : info.address(low.form, low.value, root);
  };
  const list = attributes.get(attribute.ranges);
  if (list !== undefined) {
    const base = start(root.attributes) ?? 0;
    if (root.unit.version < 5) return readOldRanges(info, root, list.value, base);
    const isIndex = list.form === form.rnglistx;
    const at = isIndex ? rangeListAt(info, root, list.value) : list.value;
    return readRangeList(info, root, at, base);
  }
  const low = start(attributes);
  const high = attributes.get(attribute.highPc);
  if (low === undefined || high === undefined) return [];
  // A constant counts from low_pc, an address does not (DWARF 5, section 2.17.2).
  const to = isAddressForm(high.form)
    ? info.address(high.form, high.value, root)
    : low + high.value;
  return [[low, to]];
}

/** Unit offsets by address, from `.debug_aranges` where it covers a unit, else from the unit. */
export type UnitIndex = {
  /** First addresses, ascending. */
  readonly lows: Float64Array;
  readonly highs: Float64Array;
  /** Offset of each range's unit in `.debug_info`. */
  readonly units: Float64Array;
};

function readAddressRanges(info: DebugInfo, add: (unit: number, range: Range) => void): void {
  const reader = info.reader(".debug_aranges");
  while (reader.at < reader.end) {
    const start = reader.at;
    const { end, offsetSize } = reader.unitLength();
    const version = reader.u16();
    const unit = reader.unsigned(offsetSize);
    const addressSize = reader.u8();
    const segmentSize = reader.u8();
    if (version !== 2 || segmentSize !== 0 || (addressSize !== 8 && addressSize !== 4)) {
      reader.at = end;
      continue;
    }
    // Tuples stand at a multiple of their own size, counted from the header.
    const tuple = addressSize * 2;
    reader.at = start + Math.ceil((reader.at - start) / tuple) * tuple;
    while (reader.at + tuple <= end) {
      const low = reader.unsigned(addressSize);
      const size = reader.unsigned(addressSize);
      if (low === 0 && size === 0) break;
      add(unit, [low, low + size]);
    }
    reader.at = end;
  }
}

/** Reads where all units are. */
export function readUnitIndex(info: DebugInfo): UnitIndex {
  const entries: { low: number; high: number; unit: number }[] = [];
  const covered = new Set<number>();
  const add = (unit: number, [low, high]: Range): void => {
    // Linkers leave address 0 where they dropped the code; nothing real is there.
    if (low > 0 && high > low) entries.push({ low, high, unit });
    covered.add(unit);
  };
  readAddressRanges(info, add);
  for (const unit of info.units()) {
    if (covered.has(unit.offset)) continue;
    for (const range of readUnit(info, unit).ranges) add(unit.offset, range);
  }
  entries.sort((a, b) => a.low - b.low);
  return {
    lows: Float64Array.from(entries, (entry) => entry.low),
    highs: Float64Array.from(entries, (entry) => entry.high),
    units: Float64Array.from(entries, (entry) => entry.unit),
  };
}

/**
 * Parameters and results of functions, from debug information (DWARF 5, section 3.3). Only units
 * that cover one of the functions are read.
 */
import { attribute, callingConvention, tag } from "./constants.ts";
import type { DebugInfo, Unit } from "./debug-info.ts";
import { readRanges, readUnit } from "./ranges.ts";
import { type DebugEntry, type DebugType, DebugTypes } from "./types.ts";

export type Parameter = {
  /** Undefined where the source gives none. */
  readonly name: string | undefined;
  readonly type: DebugType;
};

export type Signature = {
  /** In order; a method's object comes first. */
  readonly parameters: readonly Parameter[];
  readonly result: DebugType;
  /** The source declares parameters behind these, or does not say which there are. */
  readonly isVariadic: boolean;
};

export type Signatures = {
  readonly bySite: ReadonlyMap<number, Signature>;
  /** Names of an enumeration's values, by `at` of its type. */
  readonly enumerators: (at: number) => ReadonlyMap<number, string>;
};

/**
 * Signatures of the functions that begin at `addresses` (link addresses), by address, where debug
 * information has one and calls follow the ABI.
 */
export function findSignatures(info: DebugInfo, addresses: ReadonlySet<number>): Signatures {
  const sorted = Float64Array.from(addresses).sort();
  const types = new DebugTypes(info);
  const found = new Map<number, Signature>();
  for (const unit of info.units()) {
    const root = readUnit(info, unit);
    const isCovering = root.ranges.some(([from, to]) => hasBetween(sorted, from, to));
    if (!isCovering) continue;
    for (const at of functionEntries(info, unit)) {
      const entry = types.entryAt(at);
      if (entry === undefined) continue;
      // Where a function lies in several pieces, its entry is in one of them.
      for (const [address] of readRanges(info, root, entry.attributes)) {
        if (!addresses.has(address) || found.has(address)) continue;
        const signature = readSignature(types, entry);
        if (signature !== undefined) found.set(address, signature);
      }
    }
  }
  return { bySite: found, enumerators: (at) => types.enumerators(at) };
}

/** Whether one of `sorted` lies in [`from`, `to`). */
function hasBetween(sorted: Float64Array, from: number, to: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < from) low = middle + 1;
    else high = middle;
  }
  return (sorted[low] ?? Infinity) < to;
}

/** Offsets of the entries of functions with code in `unit`. */
function* functionEntries(info: DebugInfo, unit: Unit): Generator<number> {
  const reader = info.reader(".debug_info", unit.entryAt, unit.end);
  const shapes = info.abbreviations(unit);
  while (reader.at < unit.end) {
    const at = reader.at;
    const code = reader.uleb();
    if (code === 0) continue;
    const { tag: kind, attributes } = shapes.get(code) ?? reader.fail(`no abbreviation ${code}`);
    let hasCode = false;
    for (let i = 0; i < attributes.length; i += 3) {
      reader.value(attributes[i + 1] ?? 0, unit, attributes[i + 2]);
      hasCode ||= attributes[i] === attribute.lowPc || attributes[i] === attribute.ranges;
    }
    if (kind === tag.subprogram && hasCode) yield at;
  }
}

/** Of the function `entry` and what it completes; undefined where calls don't follow the ABI. */
function readSignature(types: DebugTypes, entry: DebugEntry): Signature | undefined {
  const origins = [entry];
  for (let at: DebugEntry | undefined = entry; at !== undefined && origins.length < 5; ) {
    at = types.follow(at, attribute.abstractOrigin) ?? types.follow(at, attribute.specification);
    if (at !== undefined) origins.push(at);
  }
  const conventions = origins.map((one) => one.attributes.get(attribute.callingConvention)?.value);
  if (conventions.includes(callingConvention.noCall)) return undefined;
  const typed = origins.find((one) => one.attributes.has(attribute.type));
  const children = [...types.children(entry)];
  // What has code says which parameters that has; what was declared may know of others.
  const declared = origins.slice(1).map((one) => [...types.children(one)]);
  const lists = [children, ...declared];
  const parameters =
    lists
      .map((list) => list.filter((child) => child.tag === tag.formalParameter))
      .find((list) => list.length > 0) ?? [];
  return {
    parameters: parameters.map((parameter) => readParameter(types, parameter)),
    result: typed === undefined ? { kind: "void", name: "void" } : types.typeOf(typed),
    isVariadic: lists.some((list) => list.some((child) => child.tag === tag.unspecifiedParameters)),
  };
}

function readParameter(types: DebugTypes, entry: DebugEntry): Parameter {
  const origin = types.follow(entry, attribute.abstractOrigin);
  const typed = entry.attributes.has(attribute.type) ? entry : (origin ?? entry);
  const name = types.text(entry, attribute.name);
  return {
    name: name ?? (origin === undefined ? undefined : types.text(origin, attribute.name)),
    type: types.typeOf(typed),
  };
}

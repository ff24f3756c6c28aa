/**
 * Which values of a function's calls can be recorded, from its signature: where the System V ABI
 * (AMD64 supplement, section 3.2.3) puts each parameter and the result.
 */

import type { Signature } from "../symbols/dwarf/signatures.ts";
import type { DebugType, Eightbyte } from "../symbols/dwarf/types.ts";
import {
  type FunctionValues,
  floatRegisters,
  integerRegisters,
  placeName,
  type ValuePlace,
  type ValueSpec,
  type ValueTypeName,
  valuesMax,
} from "./value-spec.ts";

/** Registers and stack words that the parameters so far have taken. */
type Taken = {
  integers: number;
  floats: number;
  words: number;
  /** Compilers differ in what they have taken. */
  isUnknown: boolean;
};

/** Values with what people know them by. */
export type NamedValues = FunctionValues & {
  /** Of the entry's values and of the result's: as in the source, `enum color` or `char *`. */
  readonly entryTypes: readonly string[];
  readonly exitTypes: readonly string[];
};

/** The values of calls with `signature`; those that no register or one word holds are left out. */
export function valuesOf({ parameters, result }: Signature): NamedValues {
  const taken: Taken = { integers: 0, floats: 0, words: 0, isUnknown: false };
  const returned = placeResult(result);
  // The caller passes the address of the place for a result that no register holds.
  if (returned === "memory") taken.integers++;
  const entry: ValueSpec[] = [];
  const entryTypes: string[] = [];
  for (const [index, { name, type }] of parameters.entries()) {
    const place = placeParameter(type, taken);
    const recorded = recordedType(type);
    if (place === undefined || recorded === undefined || entry.length === valuesMax) continue;
    entry.push({ place, type: recorded, name: name ?? `arg${index + 1}` });
    entryTypes.push(type.name);
  }
  const exit: ValueSpec[] = [];
  const type = returned === "memory" ? "pointer" : recordedType(result);
  if (returned !== undefined && type !== undefined) {
    const place: ValuePlace = returned === "float" ? { kind: "floatResult" } : { kind: "result" };
    exit.push({ place, type });
  }
  const exitTypes = exit.map(() => (returned === "memory" ? `${result.name} *` : result.name));
  return { entry, exit, entryTypes, exitTypes };
}

/** The values as people ask for them: `arg1/i32,ret/u64`; empty where there are none. */
export const valuesText = ({ entry, exit }: FunctionValues): string =>
  [...entry, ...exit].map(({ place, type }) => `${placeName(place)}/${type}`).join(",");

/** How a value is recorded; undefined where it is no single number. */
function recordedType(type: DebugType): ValueTypeName | undefined {
  switch (type.kind) {
    case "void":
    case "wide":
    case "other":
      return undefined;
    case "number":
      if (type.is === "float") return type.bytes === 4 ? "f32" : "f64";
      if (type.is === "bool") return "bool";
      if (type.is === "char") return "char";
      return integerType(type.is === "signed", type.bytes);
    case "enum":
      return integerType(type.isSigned, type.bytes);
    case "pointer":
      return type.isText ? "text" : "pointer";
    case "record":
      // Of one that is passed by its address, that is what there is.
      return type.isByReference ? "pointer" : undefined;
    default:
      return type satisfies never;
  }
}

const integerTypes: Readonly<Record<number, readonly [ValueTypeName, ValueTypeName]>> = {
  1: ["u8", "i8"],
  2: ["u16", "i16"],
  4: ["u32", "i32"],
  8: ["u64", "i64"],
};
const integerType = (isSigned: boolean, bytes: number): ValueTypeName | undefined =>
  integerTypes[bytes]?.[isSigned ? 1 : 0];

/** What a value is passed in; undefined for one in memory. */
function partsOf(type: DebugType): readonly Eightbyte[] | undefined {
  switch (type.kind) {
    case "void":
      return [];
    case "number":
      return type.is === "float" ? ["float"] : ["integer"];
    case "enum":
    case "pointer":
      return ["integer"];
    case "record":
      return type.isByReference ? ["integer"] : type.parts;
    case "wide":
      return ["integer", "integer"];
    case "other":
      return undefined;
    default:
      return type satisfies never;
  }
}

/** Takes what a parameter takes; gives its place if it is a single one. */
function placeParameter(type: DebugType, taken: Taken): ValuePlace | undefined {
  const parts = partsOf(type);
  const count = (what: Eightbyte): number => (parts ?? []).filter((part) => part === what).length;
  const integers = taken.integers + count("integer");
  const floats = taken.floats + count("float");
  if (taken.isUnknown) return undefined;
  if (parts === undefined || integers > integerRegisters || floats > floatRegisters) {
    // With one register left, clang splits the number, which the ABI forbids.
    if (type.kind === "wide") taken.isUnknown = true;
    const bytes = "bytes" in type ? type.bytes : 8;
    const words = Math.max(1, Math.ceil(bytes / 8));
    // What is aligned to more than a word leaves a gap: long double alone.
    if (type.kind === "other" && bytes > 8 && taken.words % 2 === 1) taken.words++;
    taken.words += words;
    return words === 1 && parts?.length === 1
      ? { kind: "stackArgument", index: taken.words }
      : undefined;
  }
  taken.integers = integers;
  taken.floats = floats;
  if (parts.length !== 1) return undefined;
  return parts[0] === "float"
    ? { kind: "floatArgument", index: floats }
    : { kind: "argument", index: integers };
}

/** Where the result is; undefined where there is none, or it is not in one register. */
function placeResult(type: DebugType): Eightbyte | "memory" | undefined {
  // In a register of the x87.
  if (type.kind === "other") return undefined;
  if (type.kind === "record" && (type.isByReference || type.parts === undefined)) return "memory";
  const parts = partsOf(type);
  return parts?.length === 1 ? parts[0] : undefined;
}

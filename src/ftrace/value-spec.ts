/**
 * Which values of a call are recorded: where each is when the function is entered or has returned
 * (System V ABI, AMD64 supplement, section 3.2.3), and what it is. People write
 *
 *     open*@arg1/s,arg2/x,ret/d        functions @ places / types
 *
 *     arg1 ... arg6    integers and pointers in registers; arg7, arg8 ... those on the stack
 *     fparg1 ... fparg8  floating point arguments
 *     ret, fpret       the result, integer or floating point
 *
 *     d u ld lu        signed and unsigned, of 32 and of 64 bits, as in printf
 *     x p              64 bits in hex
 *     c b s            character, bool, pointer to text
 *     f lf             float, double
 *     i8 i16 i32 i64 u8 u16 u32 u64 f32 f64
 *
 * The same comes from debug information, with names.
 */
import { err, ok, type Result } from "../base/result.ts";
import type { SdtOperand } from "../elf/sdt-operands.ts";

/** Where a value is. Indices count from 1. */
export type ValuePlace =
  /** In the integer register number `index`, up to 6. */
  | { readonly kind: "argument"; readonly index: number }
  /** In the vector register number `index`, up to 8. */
  | { readonly kind: "floatArgument"; readonly index: number }
  /** In the 8-byte word number `index` of the caller's stack, above the return address. */
  | { readonly kind: "stackArgument"; readonly index: number }
  /** Where a static probe has it. */
  | { readonly kind: "operand"; readonly operand: SdtOperand }
  | { readonly kind: "result" }
  | { readonly kind: "floatResult" };

export const valueTypes = [
  "u8",
  "u16",
  "u32",
  "u64",
  "i8",
  "i16",
  "i32",
  "i64",
  "pointer",
  "f32",
  "f64",
  "bool",
  "char",
  /** A pointer to text that ends with a zero byte; the text is recorded. */
  "text",
] as const;
export type ValueTypeName = (typeof valueTypes)[number];

export type ValueSpec = {
  readonly place: ValuePlace;
  readonly type: ValueTypeName;
  /** Of the parameter, where it is known. */
  readonly name?: string;
};

/** What is recorded of a function's calls. */
export type FunctionValues = {
  readonly entry: readonly ValueSpec[];
  readonly exit: readonly ValueSpec[];
};

/** Values of the functions that `glob` names. */
export type ValueRequest = {
  readonly glob: string;
  /** The functions' names, where they are known, instead of the glob. */
  readonly names?: readonly string[];
  readonly values: FunctionValues;
};

/** What is wrong with a text, and where: `column` counts from 0. */
export type TextProblem = { readonly column: number; readonly problem: string };

export const integerRegisters = 6;
export const floatRegisters = 8;
/** Values of one entry or one exit. */
export const valuesMax = 8;

const shortTypes: ReadonlyMap<string, ValueTypeName> = new Map([
  ["d", "i32"],
  ["u", "u32"],
  ["ld", "i64"],
  ["lu", "u64"],
  ["x", "pointer"],
  ["p", "pointer"],
  ["c", "char"],
  ["b", "bool"],
  ["s", "text"],
  ["f", "f32"],
  ["lf", "f64"],
]);

/** The type that a suffix names. */
export const typeNamed = (text: string): ValueTypeName | undefined =>
  shortTypes.get(text) ?? valueTypes.find((name) => name === text);

export const typeSuffixes: string = [...shortTypes.keys(), "i8 ... u64"].join(", ");

/** What people call a place: `placeNamed` the other way round. */
export function placeName(place: ValuePlace): string {
  switch (place.kind) {
    case "argument":
      return `arg${place.index}`;
    case "floatArgument":
      return `fparg${place.index}`;
    case "stackArgument":
      return `arg${place.index + integerRegisters}`;
    case "operand":
      return "operand";
    case "result":
      return "ret";
    case "floatResult":
      return "fpret";
    default:
      return place satisfies never;
  }
}

/** The place that a word names: `arg2`, `fparg1`, `ret`, `fpret`. */
export function placeNamed(word: string): ValuePlace | undefined {
  if (word === "ret") return { kind: "result" };
  if (word === "fpret") return { kind: "floatResult" };
  const [, float, digits] = /^(fp)?arg([1-9]\d?)$/.exec(word) ?? [];
  if (digits === undefined) return undefined;
  const index = Number(digits);
  if (float !== undefined) {
    return index <= floatRegisters ? { kind: "floatArgument", index } : undefined;
  }
  return index <= integerRegisters
    ? { kind: "argument", index }
    : { kind: "stackArgument", index: index - integerRegisters };
}

export const isResult = ({ kind }: ValuePlace): boolean =>
  kind === "result" || kind === "floatResult";

const isFloat = ({ kind }: ValuePlace): boolean =>
  kind === "floatArgument" || kind === "floatResult";

/** Parses `functions@place/type,...`. */
export function parseValueRequest(text: string): Result<ValueRequest, TextProblem> {
  const at = text.lastIndexOf("@");
  const glob = text.slice(0, Math.max(at, 0)).trim();
  if (at < 0) {
    const problem = "which values? Write FUNCTION@arg1/s,arg2/x,ret/d";
    return err({ column: text.length, problem });
  }
  if (glob === "") return err({ column: 0, problem: "there is no function before the @" });
  const specs: ValueSpec[] = [];
  let column = at + 1;
  for (const word of text.slice(column).split(",")) {
    const spec = parseSpec(word, column);
    if (!spec.ok) return spec;
    specs.push(spec.value);
    column += word.length + 1;
  }
  const exit = specs.filter(({ place }) => isResult(place));
  const entry = specs.filter(({ place }) => !isResult(place));
  if (entry.length > valuesMax) {
    return err({ column: at + 1, problem: `more than ${valuesMax} arguments` });
  }
  if (exit.length > 2) return err({ column: at + 1, problem: "more than two results" });
  return ok({ glob, values: { entry, exit } });
}

function parseSpec(word: string, column: number): Result<ValueSpec, TextProblem> {
  const trimmed = word.trimStart();
  const start = column + word.length - trimmed.length;
  const [name = "", suffix, ...rest] = trimmed.trimEnd().split("/");
  const place = placeNamed(name);
  if (place === undefined) {
    const given = name === "" ? "nothing" : name;
    const problem = `${given} is no value; there are arg1, fparg1, ret, fpret`;
    return err({ column: start, problem });
  }
  const type = suffix === undefined ? defaultType(place) : typeNamed(suffix);
  const typeColumn = start + name.length + 1;
  if (type === undefined || rest.length > 0) {
    const problem = `${[suffix, ...rest].join("/")} is no type; there are ${typeSuffixes}`;
    return err({ column: typeColumn, problem });
  }
  if (isFloat(place) !== (type === "f32" || type === "f64") && place.kind !== "stackArgument") {
    return err({ column: typeColumn, problem: `${name} can't be of type ${type}` });
  }
  return ok({ place, type });
}

const defaultType = (place: ValuePlace): ValueTypeName => (isFloat(place) ? "f64" : "pointer");

/** A problem as one line that says where in `text` it is. */
export const pointAt = (text: string, { column, problem }: TextProblem): string =>
  `${problem}, at column ${column + 1} of '${text}'`;

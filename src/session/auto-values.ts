/** Which values of which functions can be recorded without being told: from debug information. */
import type { Pid } from "../base/brand.ts";
import { type NamedValues, valuesOf } from "../ftrace/auto-values.ts";
import type { FunctionValues, ValueRequest, ValueSpec } from "../ftrace/value-spec.ts";
import { filtersSyscalls } from "../os/proc.ts";
import type { Parameter, Signature } from "../symbols/dwarf/signatures.ts";
import type { TracedFunction } from "../trace/functions.ts";
import type { CataloguedFunction } from "./catalogue.ts";
import type { Module } from "./process-modules.ts";

/** What the debug information of its file says of a function. */
export type FunctionSignature = {
  /** As people write it in C: `int open(const char *path, int flags, ...)`. */
  readonly text: string;
  readonly values: NamedValues;
  /** What a trace says of its values. */
  readonly facts: Pick<
    TracedFunction,
    "parameters" | "parameterTypes" | "resultTypes" | "enumerations"
  >;
};

/** A function that signatures are wanted of. */
type Wanted = {
  readonly module: Pick<Module, "program">;
  readonly symbol: string;
  /** What people call it. */
  readonly name: string;
  /** Its link address. */
  readonly addr: bigint;
};

/** Copies that gcc makes of a function, whose parameters are not those of the source. */
const cloneSuffix = /\.(isra|constprop|part|cold)\b/;
/** Larger enumerations are shown as numbers: each function that takes one has their names. */
const enumeratorsMax = 256;

/** The signatures of `functions`, by their places in the list, where debug information has them. */
export function findSignaturesOf(
  functions: readonly Wanted[],
): ReadonlyMap<number, FunctionSignature> {
  const found = new Map<number, FunctionSignature>();
  const byModule = new Map<Wanted["module"], number[]>();
  for (const [index, { module, symbol }] of functions.entries()) {
    if (cloneSuffix.test(symbol)) continue;
    const indices = byModule.get(module) ?? [];
    byModule.set(module, indices);
    indices.push(index);
  }
  for (const [{ program }, indices] of byModule) {
    // Where values are is known of this ABI alone.
    if (program.elf.machine !== "x86-64") continue;
    const addressOf = (index: number): number => Number(functions[index]?.addr ?? 0n);
    const signatures = program.signatures(new Set(indices.map(addressOf)));
    for (const index of indices) {
      const signature = signatures?.bySite.get(addressOf(index));
      if (signature === undefined || signatures === undefined) continue;
      const name = functions[index]?.name ?? "";
      found.set(
        index,
        describe(name, signature, (at) => signatures.enumerators(at)),
      );
    }
  }
  return found;
}

function describe(
  name: string,
  signature: Signature,
  enumerators: (at: number) => ReadonlyMap<number, string>,
): FunctionSignature {
  const values = valuesOf(signature);
  const enumerations: Record<string, Record<string, string>> = {};
  for (const type of [signature.result, ...signature.parameters.map((one) => one.type)]) {
    if (type.kind !== "enum") continue;
    const names = enumerators(type.at);
    if (names.size > 0 && names.size <= enumeratorsMax) {
      enumerations[type.name] = Object.fromEntries(names);
    }
  }
  const facts = {
    parameters: values.entry.map((value) => value.name ?? ""),
    parameterTypes: values.entryTypes,
    resultTypes: values.exitTypes,
    ...(Object.keys(enumerations).length === 0 ? {} : { enumerations }),
  };
  return { text: signatureText(name, signature), values, facts };
}

function signatureText(name: string, { parameters, result, isVariadic }: Signature): string {
  const list = [...parameters.map(parameterText), ...(isVariadic ? ["..."] : [])];
  return `${declared(result.name, name)}(${list.length === 0 ? "void" : list.join(", ")})`;
}

const parameterText = ({ name, type }: Parameter): string => declared(type.name, name ?? "");

/** `char *` and `path` make `char *path`. */
const declared = (type: string, name: string): string =>
  name === "" || /[*&]$/.test(type) ? `${type}${name}` : `${type} ${name}`;

/** Values for many functions, by what is recorded: those with the same share a request. */
export type AutoValues = {
  readonly requests: readonly ValueRequest[];
  /** What the trace says of a function's values, by its site. */
  readonly facts: ReadonlyMap<number, FunctionSignature["facts"]>;
};

/** What can be recorded of the functions that a recording is for, if it asks for that. */
export const autoValuesFor = (
  { autoArgs = false }: { readonly autoArgs?: boolean },
  pid: Pid,
  functions: () => readonly CataloguedFunction[],
): AutoValues | undefined =>
  autoArgs ? findAutoValues(functions(), !filtersSyscalls(pid)) : undefined;

/**
 * What can be recorded of `functions` without being told.
 * @param texts whether texts can be read; else the pointers to them are recorded.
 */
function findAutoValues(functions: readonly CataloguedFunction[], texts: boolean): AutoValues {
  const wanted = functions.map(({ module, name, site }) => ({
    module,
    symbol: name,
    name,
    addr: site.functionAddr,
  }));
  const groups = new Map<string, { values: FunctionValues; names: string[] }>();
  const facts = new Map<number, FunctionSignature["facts"]>();
  const counts = new Map<string, number>();
  for (const { name } of functions) counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const [index, signature] of findSignaturesOf(wanted)) {
    const one = functions[index];
    // Filters go by names: of two functions with the same one, neither is meant.
    if (one === undefined || counts.get(one.name) !== 1) continue;
    const bare = (specs: readonly ValueSpec[]): ValueSpec[] =>
      specs.map(({ place, type }) => ({
        place,
        type: !texts && type === "text" ? "pointer" : type,
      }));
    const values = { entry: bare(signature.values.entry), exit: bare(signature.values.exit) };
    if (values.entry.length + values.exit.length === 0) continue;
    const key = JSON.stringify(values);
    const group = groups.get(key) ?? { values, names: [] };
    groups.set(key, group);
    group.names.push(one.name);
    facts.set(one.id, signature.facts);
  }
  const requests = [...groups.values()].map(({ values, names }) => ({
    glob: names[0] ?? "",
    names,
    values,
  }));
  return { requests, facts };
}

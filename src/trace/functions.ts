/**
 * The functions that a trace's events name by their site's id, and their file: one JSON object a
 * line, appended to as more become known (`dlopen`), so that a reader at any moment sees whole
 * lines and at most one that is not finished.
 */
import { hex } from "../base/brand.ts";
import { joinImages } from "./images.ts";
import {
  asBigint,
  asCount,
  asObject,
  asString,
  asStrings,
  type Json,
  type JsonObject,
  parseJson,
} from "./json.ts";

/** One traced function, known by its patch site. */
export type TracedFunction = {
  /** What events carry. */
  readonly site: number;
  /** Which of the programs that were followed it is a site of; 0, the first, where it is absent. */
  readonly image?: number | undefined;
  /** As the symbol table has it. */
  readonly name: string;
  /** As people write it, with its parameters, where that differs. */
  readonly demangled?: string | undefined;
  /** Path of the file that it is in; empty where that isn't known. */
  readonly module: string;
  /** Where it begins in the process. */
  readonly address: bigint;
  /** Where it begins in the module's file, by the file's own addresses. */
  readonly linkAddress?: bigint | undefined;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  /** Only its entries are recorded: its calls have no duration. */
  readonly entriesOnly?: boolean | undefined;
  /** Names of its parameters, in order, for values that were recorded. */
  readonly parameters?: readonly string[] | undefined;
  /** Their types as in the source, and those of the results: `enum color`, `struct server *`. */
  readonly parameterTypes?: readonly string[] | undefined;
  readonly resultTypes?: readonly string[] | undefined;
  /** What values of these types are called: the names by decimal numbers, by type. */
  readonly enumerations?: Enumerations | undefined;
};

export type Enumerations = Readonly<Record<string, Readonly<Record<string, string>>>>;

/**
 * The functions of a trace, by site. Where there are several images, a site is the number of the
 * function among all of theirs: `sitesOf` says what the numbers that an image's events carry are.
 */
export type FunctionTable = {
  readonly count: number;
  /** One more than the highest site. */
  readonly siteEnd: number;
  readonly all: readonly TracedFunction[];
  /** 1 for each site whose exits are not recorded; undefined where there is none. */
  readonly entriesOnly: Uint8Array | undefined;
  /** By the site that events of `image` carry; undefined where that is the site already. */
  sitesOf(image: number): Int32Array | undefined;
  find(site: number): TracedFunction | undefined;
  /** The shortest name that a person knows it by; `site 17` where the trace does not say. */
  name(site: number): string;
};

/** One line of the functions' file, with its line end. */
export function encodeFunction(f: TracedFunction): string {
  const { address, linkAddress } = f;
  const link = linkAddress === undefined ? {} : { linkAddress: hex(linkAddress) };
  return `${JSON.stringify({ ...f, address: hex(address), ...link })}\n`;
}

function decodeFunction(value: Json | undefined): TracedFunction | undefined {
  const object = asObject(value) ?? {};
  const site = asCount(object["site"]);
  const name = asString(object["name"]);
  if (site === undefined || !Number.isInteger(site) || name === undefined) return undefined;
  return {
    site,
    image: asCount(object["image"]),
    name,
    demangled: asString(object["demangled"]),
    module: asString(object["module"]) ?? "",
    address: asBigint(object["address"]) ?? 0n,
    linkAddress: asBigint(object["linkAddress"]),
    ...location(object),
    entriesOnly: object["entriesOnly"] === true ? true : undefined,
    parameters: asStrings(object["parameters"]),
    parameterTypes: asStrings(object["parameterTypes"]),
    resultTypes: asStrings(object["resultTypes"]),
    enumerations: enumerations(object["enumerations"]),
  };
}

const location = (object: JsonObject): Pick<TracedFunction, "file" | "line"> => ({
  file: asString(object["file"]),
  line: asCount(object["line"]),
});

/** What is not of this shape is left out. */
function enumerations(value: Json | undefined): Enumerations | undefined {
  const object = asObject(value);
  if (object === undefined) return undefined;
  const types = Object.entries(object).map(([type, names]) => {
    const found = Object.entries(asObject(names) ?? {}).flatMap(([number, name]) => {
      const text = asString(name);
      return text === undefined ? [] : [[number, text] as const];
    });
    return [type, Object.fromEntries(found)] as const;
  });
  return Object.fromEntries(types);
}

/** Reads the functions' file; lines that are not finished or make no sense are passed over. */
export function parseFunctions(text: string): TracedFunction[] {
  return text
    .split("\n")
    .map((line) => (line === "" ? undefined : decodeFunction(parseJson(line))))
    .filter((f) => f !== undefined);
}

/** A table of `lines`; of two with the same site of an image the later one counts. */
export function functionTable(lines: readonly TracedFunction[]): FunctionTable {
  const { functions, sites } = joinImages(lines);
  const bySite = new Map(functions.map((f) => [f.site, f]));
  const all = [...bySite.values()].sort((a, b) => a.site - b.site);
  const names = new Map<number, string>();
  const siteEnd = (all.at(-1)?.site ?? -1) + 1;
  return {
    count: all.length,
    siteEnd,
    all,
    entriesOnly: entriesOnlySites(all, siteEnd),
    sitesOf: (image) => sites.get(image),
    find: (site) => bySite.get(site),
    name: (site) => {
      const known = names.get(site);
      if (known !== undefined) return known;
      const f = bySite.get(site);
      const plain = f?.name ?? `site ${site}`;
      const name = f?.demangled === undefined ? plain : shortName(f.demangled);
      names.set(site, name);
      return name;
    },
  };
}

function entriesOnlySites(all: readonly TracedFunction[], siteEnd: number): Uint8Array | undefined {
  const marked = all.filter((f) => f.entriesOnly === true);
  if (marked.length === 0) return undefined;
  const sites = new Uint8Array(siteEnd);
  for (const f of marked) sites[f.site] = 1;
  return sites;
}

/**
 * A demangled C++ or Rust name without its parameters and without the return type that templates
 * have: `std::vector<int>::push_back`.
 */
export function shortName(name: string): string {
  const thunk = /^(?:(?:non-)?virtual|covariant return) thunk to /.exec(name)?.[0] ?? "";
  if (thunk !== "") return thunk + shortName(name.slice(thunk.length));
  const named = withoutParameters(name);
  const operator = /(^|[^A-Za-z0-9_$])operator(?![A-Za-z0-9_$])/.exec(named);
  const end = operator === null ? named.length : operator.index + (operator[1]?.length ?? 0);
  const start = lastTopLevelSpace(named, end) + 1;
  return named.slice(start) || name;
}

/** Cuts `(int, char) const` off; `(anonymous namespace)` and `operator()` stay. */
function withoutParameters(name: string): string {
  const cut = name.replace(/( \[[^\]]*\]| const| volatile| noexcept| ?&&?)+$/, "");
  if (!cut.endsWith(")")) return name;
  let depth = 0;
  for (let at = cut.length - 1; at > 0; at--) {
    if (cut[at] === ")") depth++;
    if (cut[at] === "(" && --depth === 0) return cut.slice(0, at);
  }
  return name;
}

/** Where the last space before `end` stands that no bracket encloses; -1 without one. */
function lastTopLevelSpace(name: string, end: number): number {
  let depth = 0;
  for (let at = end - 1; at >= 0; at--) {
    const c = name[at];
    if (c === ">" || c === ")" || c === "}" || c === "]") depth++;
    else if (c === "<" || c === "(" || c === "{" || c === "[") depth--;
    else if (c === " " && depth === 0) return at;
  }
  return -1;
}

/**
 * Where functions lie, as uftrace is told: each file that has some is a module at an address of its
 * own, and functions lie in it where they do in the file. The addresses are not those that the
 * processes had: several programs, and several processes, of one trace can disagree on these.
 */
import type { FunctionTable, TracedFunction } from "../trace/functions.ts";

export type SymbolPlaces = {
  /** By site. */
  readonly addresses: Float64Array;
  /** The text of the modules' map, in the form of /proc/PID/maps. */
  readonly map: string;
  /** The modules' files of symbols. */
  readonly files: readonly { readonly file: string; readonly text: string }[];
};

/** Addresses for each module; functions whose place in it is not known take the upper half. */
const moduleSpan = 2 ** 33;
const unplacedBegin = 2 ** 32;
const unplacedStep = 16;
/** uftrace finds out from the stack's place where the kernel's addresses begin. */
const stackMapping = "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n";

/**
 * uftrace takes these by their names for what they are, and gives up the stack that it has. Here
 * the calls that they leave are told of, one by one.
 */
const upsetting = /^(?:exec(?:l|lp|le|v|ve|vp|vpe)|longjmp|siglongjmp|__longjmp_chk)$/;

/** Text without line ends and tabs, which would end it. */
export const oneLine = (text: string): string => text.replace(/[\p{Cc}]/gu, " ");

/** A path as it can stand in a map: uftrace reads it up to the first space. */
export const modulePath = (path: string): string => path.replace(/[\s\p{Cc}"]/gu, "_") || "unknown";

export function placeSymbols(functions: FunctionTable): SymbolPlaces {
  const addresses = new Float64Array(functions.siteEnd);
  const names = new Set<string>();
  let map = "";
  const files = [...byModule(functions)].map(([module, own], index) => {
    const path = ownName(modulePath(module), names);
    const base = (index + 1) * moduleSpan;
    const places = placesIn(own);
    for (const [offset, { site }] of places) addresses[site] = base + offset;
    map += `${hex(base)}-${hex(base + moduleSpan)} r-xp 00000000 00:00 0 ${path}\n`;
    return { file: `${baseName(path)}.sym`, text: symbolFile(functions, path, places) };
  });
  return { addresses, map: map + stackMapping, files };
}

const hex = (address: number): string => address.toString(16).padStart(16, "0");
const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

function byModule({ all }: FunctionTable): ReadonlyMap<string, readonly TracedFunction[]> {
  const modules = new Map<string, TracedFunction[]>();
  for (const f of all) {
    const known = modules.get(f.module);
    if (known === undefined) modules.set(f.module, [f]);
    else known.push(f);
  }
  return modules;
}

/** Files of symbols are found by the last part of the path alone, which has to be its own. */
function ownName(path: string, names: Set<string>): string {
  let own = path;
  for (let n = 2; names.has(baseName(own)); n++) own = `${path}-${n}`;
  names.add(baseName(own));
  return own;
}

/** Functions by their offset, which is one function's alone, in ascending order. */
function placesIn(own: readonly TracedFunction[]): readonly (readonly [number, TracedFunction])[] {
  const taken = new Map<number, TracedFunction>();
  for (const f of own) {
    const link = Number(f.linkAddress ?? unplacedBegin);
    const isFree = link < unplacedBegin && !taken.has(link);
    taken.set(isFree ? link : unplacedBegin + taken.size * unplacedStep, f);
  }
  return [...taken].sort(([a], [b]) => a - b);
}

const symbolName = (name: string): string => (upsetting.test(name) ? `${name}_` : oneLine(name));

function symbolFile(
  functions: FunctionTable,
  path: string,
  places: readonly (readonly [number, TracedFunction])[],
): string {
  // A symbol reaches up to the next one, so that the last one needs one behind it.
  const end = (places.at(-1)?.[0] ?? 0) + unplacedStep;
  return [
    `# symbols: ${places.length + 1}\n# path name: ${path}\n# build-id:\n`,
    ...places.map(([at, { site }]) => `${hex(at)} T ${symbolName(functions.name(site))}\n`),
    `${hex(end)} ? __sym_end\n`,
  ].join("");
}

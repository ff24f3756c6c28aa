/**
 * Names as people write them. Rust's are undone here; C++'s by whoever knows how, which in a
 * process is the C++ library (`os/cxa-demangle.ts`).
 */
import { demangleRustLegacy } from "./rust-legacy.ts";
import { demangleRustV0 } from "./rust-v0.ts";

/** Undoes one kind of mangling; undefined when `raw` is not a name of that kind. */
export type Demangler = (raw: string) => string | undefined;

/** Rust names of both kinds. */
export const demangleRust: Demangler = (raw) => demangleRustV0(raw) ?? demangleRustLegacy(raw);

/**
 * Suffixes that compilers append to copies and parts of a function: `.cold`, `.isra.0`,
 * `.constprop.1`, `.part.0`, `.llvm.123`. They stay visible.
 */
const cloneSuffix = /^(_[ZR][^.]*)((?:\.[A-Za-z_0-9]+)+)$/;

/** A demangler for all names: Rust's, then `cxx`'s for C++; each name is worked out once. */
export function makeDemangler(cxx: Demangler | undefined): (raw: string) => string {
  const known = new Map<string, string>();
  const work = (raw: string): string => {
    if (!raw.startsWith("_Z") && !raw.startsWith("_R")) return raw;
    const whole = demangleRust(raw) ?? cxx?.(raw);
    if (whole !== undefined) return whole;
    const match = cloneSuffix.exec(raw);
    if (match === null) return raw;
    const [, stem = "", suffix = ""] = match;
    const name = demangleRust(stem) ?? cxx?.(stem);
    return name === undefined ? raw : `${name} [clone ${suffix}]`;
  };
  return (raw) => {
    let name = known.get(raw);
    if (name === undefined) {
      name = work(raw);
      known.set(raw, name);
    }
    return name;
  };
}

/** Index of the bracket that matches the closing one at `end`, going backwards; -1: none. */
function openingOf(name: string, end: number): number {
  let depth = 0;
  for (let i = end; i >= 0; i--) {
    const char = name[i];
    if (char === ")") depth++;
    if (char === "(" && --depth === 0) return i;
  }
  return -1;
}

/** Index behind the last space outside of all brackets before `end`: where a name begins. */
function nameStart(name: string, end: number): number {
  let depth = 0;
  for (let i = end - 1; i >= 0; i--) {
    const char = name[i] ?? "";
    if (")>]}".includes(char)) depth++;
    if ("(<[{".includes(char)) depth--;
    if (char === " " && depth === 0) return i + 1;
  }
  return 0;
}

/** Index of `::<` that opens the type arguments at the end of a Rust name; -1: it has none. */
function turbofishOf(name: string): number {
  if (!name.endsWith(">")) return -1;
  let depth = 0;
  for (let i = name.length - 1; i >= 2; i--) {
    if (name[i] === ">" && name[i - 1] !== "-") depth++;
    if (name[i] === "<" && --depth === 0) return name.startsWith("::", i - 2) ? i - 2 : -1;
  }
  return -1;
}

/**
 * A demangled C++ name without its return type and parameters, `ns::Foo<int>::bar` of
 * `int ns::Foo<int>::bar(int) const`; a Rust name without its type arguments, `a::f` of
 * `a::f::<u8>`. Other names come back as they are.
 */
export function bareName(name: string): string {
  const turbofish = turbofishOf(name);
  if (turbofish > 0) return name.slice(0, turbofish);
  // Operators have brackets and spaces in their names; they are kept whole up to the parameters.
  const stem = name.replace(/ \[clone [^\]]*\]/g, "").replace(/( const| volatile| &&?)+$/, "");
  if (!stem.endsWith(")")) return name;
  const open = openingOf(stem, stem.length - 1);
  if (open <= 0) return name;
  const operator = stem.indexOf("operator");
  const start = nameStart(stem, operator >= 0 && operator < open ? operator : open);
  return stem.slice(start, open);
}

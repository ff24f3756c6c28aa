/**
 * Rust's older symbol names: `_ZN`, path components with their lengths, the last of them a hash,
 * `E`. Characters that assemblers refuse are escaped by `$...$`.
 */

const escapes: Readonly<Record<string, string>> = {
  SP: "@",
  BP: "*",
  RF: "&",
  LT: "<",
  GT: ">",
  LP: "(",
  RP: ")",
  C: ",",
};

function unescapeOne(whole: string, code: string): string {
  const known = escapes[code];
  if (known !== undefined) return known;
  const unicode = /^u([0-9a-f]{1,6})$/.exec(code);
  const point = unicode === null ? Number.NaN : Number.parseInt(unicode[1] ?? "", 16);
  return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
}

function unescapeComponent(text: string): string {
  // A component may not begin with `$`, so an underscore is put before it.
  const plain = text.startsWith("_$") ? text.slice(1) : text;
  return plain.replace(/\$([A-Za-z0-9]+)\$/g, unescapeOne).replaceAll("..", "::");
}

/** The components of `_ZN<length><text>...E`; undefined when it is no such name. */
function componentsOf(raw: string): string[] | undefined {
  if (!raw.startsWith("_ZN")) return undefined;
  const components: string[] = [];
  let at = 3;
  while (raw[at] !== "E") {
    const digits = /^[1-9][0-9]*/.exec(raw.slice(at, at + 6));
    if (digits === null) return undefined;
    at += digits[0].length;
    const length = Number(digits[0]);
    if (at + length > raw.length) return undefined;
    components.push(raw.slice(at, at + length));
    at += length;
  }
  const rest = raw.slice(at + 1);
  // What compilers and linkers append: `.llvm.1234`, `.cold`.
  return rest === "" || rest.startsWith(".") ? components : undefined;
}

/** `raw` as Rust's path without its hash; undefined when it is not such a name. */
export function demangleRustLegacy(raw: string): string | undefined {
  const components = componentsOf(raw);
  const hash = components?.pop();
  if (components === undefined || components.length === 0) return undefined;
  if (hash === undefined || !/^h[0-9a-f]{16}$/.test(hash)) return undefined;
  return components.map(unescapeComponent).join("::");
}

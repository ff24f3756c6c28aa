/**
 * Target descriptions of the GDB remote protocol (GDB manual, appendix G): which registers a stub
 * has, and where each one stands in the `g` packet. The XML that stubs write is regular enough
 * for a scan of its tags; what is no register or inclusion is passed over.
 */

/** A register: its number and size, and its place in `g` if that packet reaches so far. */
export type RegisterPlace = {
  readonly name: string;
  /** For `p` and `P`. */
  readonly number: number;
  readonly bytes: number;
  /** Offset in the bytes of `g`. */
  readonly offset: number;
};

export type TargetDescription = {
  /** BFD's name, such as `aarch64` or `i386:x86-64`; absent where the stub is silent. */
  readonly architecture: string | undefined;
  /** In the order of their numbers. */
  readonly registers: ReadonlyMap<string, RegisterPlace>;
};

const tag = /<(xi:include|reg|architecture)\b([^>]*?)\/?>(?:([^<]*)<\/architecture>)?/g;
const attribute = /([\w:]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;

function attributesOf(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [, name = "", double, single] of text.matchAll(attribute)) {
    found.set(name, double ?? single ?? "");
  }
  return found;
}

const withoutComments = (xml: string): string => xml.replace(/<!--[\s\S]*?-->/g, "");

/** Inclusions that lead nowhere are no error: a stub that says less is a stub with less. */
const depthMax = 8;

type Found = { readonly name: string; readonly number: number; readonly bits: number };
type Scan = { architecture: string | undefined; next: number; readonly found: Found[] };

function scan(
  xml: string,
  include: (name: string) => string | undefined,
  into: Scan,
  depth: number,
) {
  for (const [, kind, text = "", content] of withoutComments(xml).matchAll(tag)) {
    const attributes = attributesOf(text);
    if (kind === "architecture") into.architecture ??= content?.trim();
    else if (kind === "xi:include") {
      const part = depth < depthMax ? include(attributes.get("href") ?? "") : undefined;
      if (part !== undefined) scan(part, include, into, depth + 1);
    } else {
      const number = Number(attributes.get("regnum") ?? into.next);
      const bits = Number(attributes.get("bitsize") ?? 0);
      into.next = number + 1;
      into.found.push({ name: attributes.get("name") ?? "", number, bits });
    }
  }
}

/**
 * Reads a description.
 * @param include gives the text of a further document that one names.
 */
export function parseTargetDescription(
  xml: string,
  include: (name: string) => string | undefined,
): TargetDescription {
  const into: Scan = { architecture: undefined, next: 0, found: [] };
  scan(xml, include, into, 0);
  const registers = new Map<string, RegisterPlace>();
  let offset = 0;
  for (const { name, number, bits } of into.found.toSorted((a, b) => a.number - b.number)) {
    const bytes = Math.ceil(bits / 8);
    if (!registers.has(name)) registers.set(name, { name, number, bytes, offset });
    offset += bytes;
  }
  return { architecture: into.architecture, registers };
}

/**
 * Rust's newer symbol names, `_R...` (RFC 2603, "Rust Symbol Mangling v0"). Printed as people
 * write paths: without crate hashes and without the types of constants.
 */
import { NotMangled, RustScanner } from "./rust-scanner.ts";

/** Back references can make a short name print long: what is longer is left mangled. */
const outputMax = 20_000;
const depthMax = 200;

const basicTypes: Readonly<Record<string, string>> = {
  a: "i8",
  b: "bool",
  c: "char",
  d: "f64",
  e: "str",
  f: "f32",
  h: "u8",
  i: "isize",
  j: "usize",
  l: "i32",
  m: "u32",
  n: "i128",
  o: "u128",
  p: "_",
  s: "i16",
  t: "u16",
  u: "()",
  v: "...",
  x: "i64",
  y: "u64",
  z: "!",
};

const unsignedTypes = "htmyoj";
const signedTypes = "aslxni";

class Printer {
  readonly #from: RustScanner;
  #out = "";
  #depth = 0;
  /** Lifetimes bound by the binders around this place. */
  #lifetimes = 0;

  constructor(text: string) {
    this.#from = new RustScanner(text);
  }

  run(): string {
    this.#path(true);
    return this.#out;
  }

  #print(text: string): void {
    this.#out += text;
    if (this.#out.length > outputMax) throw new NotMangled();
  }

  #nested(work: () => void): void {
    if (++this.#depth > depthMax) throw new NotMangled();
    work();
    this.#depth--;
  }

  /** Goes on at the place that a back reference names, and comes back. */
  #backReference(work: () => void): void {
    const start = this.#from.at - 1;
    const target = this.#from.base62();
    if (target >= start) throw new NotMangled();
    const back = this.#from.at;
    this.#from.at = target;
    this.#nested(work);
    this.#from.at = back;
  }

  #path(inValue: boolean): void {
    this.#nested(() => this.#pathInside(inValue));
  }

  #pathInside(inValue: boolean): void {
    const kind = this.#from.next();
    switch (kind) {
      case "C":
        this.#print(this.#from.identifier().name);
        return;
      case "M":
      case "X":
        // Which impl block it is says nothing to people.
        this.#from.optionalBase62("s");
        this.#silently(() => this.#path(false));
        this.#qualifiedSelf(kind === "X");
        return;
      case "Y":
        this.#qualifiedSelf(true);
        return;
      case "N":
        this.#nestedPath(inValue);
        return;
      case "I":
        this.#path(inValue);
        if (inValue) this.#print("::");
        this.#print("<");
        this.#list(() => this.#genericArgument());
        this.#print(">");
        return;
      case "B":
        this.#backReference(() => this.#path(inValue));
        return;
      default:
        throw new NotMangled();
    }
  }

  #silently(work: () => void): void {
    const before = this.#out;
    work();
    this.#out = before;
  }

  #qualifiedSelf(withTrait: boolean): void {
    this.#print("<");
    this.#type();
    if (withTrait) {
      this.#print(" as ");
      this.#path(false);
    }
    this.#print(">");
  }

  #nestedPath(inValue: boolean): void {
    const space = this.#from.next();
    if (!/[a-zA-Z]/.test(space)) throw new NotMangled();
    this.#path(inValue);
    const { name, disambiguator } = this.#from.identifier();
    if (/[a-z]/.test(space)) {
      if (name !== "") this.#print(`::${name}`);
      return;
    }
    const kind = space === "C" ? "closure" : space === "S" ? "shim" : space;
    this.#print(`::{${kind}${name === "" ? "" : `:${name}`}#${disambiguator}}`);
  }

  /** Items up to `E`, with commas between them; says how many. */
  #list(item: () => void, separator = ", "): number {
    let count = 0;
    while (!this.#from.eat("E")) {
      if (count++ > 0) this.#print(separator);
      item();
    }
    return count;
  }

  #genericArgument(): void {
    if (this.#from.eat("L")) this.#lifetime(this.#from.base62());
    else if (this.#from.eat("K")) this.#const();
    else this.#type();
  }

  #lifetime(index: number): void {
    if (index === 0) {
      this.#print("'_");
      return;
    }
    const depth = this.#lifetimes - index;
    if (depth < 0) throw new NotMangled();
    this.#print(depth < 26 ? `'${String.fromCharCode(97 + depth)}` : `'_${depth}`);
  }

  #inBinder(work: () => void): void {
    const bound = this.#from.optionalBase62("G");
    if (bound > 1000) throw new NotMangled();
    if (bound > 0) {
      this.#print("for<");
      for (let i = 0; i < bound; i++) {
        if (i > 0) this.#print(", ");
        this.#lifetimes++;
        this.#lifetime(1);
      }
      this.#print("> ");
    }
    work();
    this.#lifetimes -= bound;
  }

  #type(): void {
    this.#nested(() => this.#typeInside());
  }

  #typeInside(): void {
    const kind = this.#from.next();
    const basic = basicTypes[kind];
    if (basic !== undefined) {
      this.#print(basic);
      return;
    }
    switch (kind) {
      case "R":
      case "Q":
        this.#print("&");
        if (this.#from.eat("L")) this.#referenceLifetime(this.#from.base62());
        if (kind === "Q") this.#print("mut ");
        this.#type();
        return;
      case "P":
      case "O":
        this.#print(kind === "P" ? "*const " : "*mut ");
        this.#type();
        return;
      case "A":
      case "S":
        this.#sequenceType(kind === "A");
        return;
      case "T": {
        this.#print("(");
        const count = this.#list(() => this.#type());
        this.#print(count === 1 ? ",)" : ")");
        return;
      }
      case "F":
        this.#inBinder(() => this.#functionType());
        return;
      case "D":
        this.#dynType();
        return;
      case "B":
        this.#backReference(() => this.#type());
        return;
      default:
        this.#from.at--;
        this.#path(false);
        return;
    }
  }

  #referenceLifetime(index: number): void {
    if (index === 0) return;
    this.#lifetime(index);
    this.#print(" ");
  }

  #sequenceType(sized: boolean): void {
    this.#print("[");
    this.#type();
    if (sized) {
      this.#print("; ");
      this.#const();
    }
    this.#print("]");
  }

  #functionType(): void {
    if (this.#from.eat("U")) this.#print("unsafe ");
    if (this.#from.eat("K")) {
      const abi = this.#from.eat("C") ? "C" : this.#from.plainIdentifier().replaceAll("_", "-");
      this.#print(`extern "${abi}" `);
    }
    this.#print("fn(");
    this.#list(() => this.#type());
    this.#print(")");
    if (this.#from.eat("u")) return;
    this.#print(" -> ");
    this.#type();
  }

  #dynType(): void {
    this.#print("dyn ");
    this.#inBinder(() => {
      this.#list(() => this.#dynTrait(), " + ");
    });
    if (!this.#from.eat("L")) throw new NotMangled();
    const lifetime = this.#from.base62();
    if (lifetime === 0) return;
    this.#print(" + ");
    this.#lifetime(lifetime);
  }

  #dynTrait(): void {
    let isOpen = this.#pathWithOpenArguments();
    while (this.#from.eat("p")) {
      this.#print(isOpen ? ", " : "<");
      isOpen = true;
      this.#print(`${this.#from.plainIdentifier()} = `);
      this.#type();
    }
    if (isOpen) this.#print(">");
  }

  /** A trait's path whose `<...` is left open for the associated types; whether it has one. */
  #pathWithOpenArguments(): boolean {
    if (this.#from.eat("B")) {
      let isOpen = false;
      this.#backReference(() => {
        isOpen = this.#pathWithOpenArguments();
      });
      return isOpen;
    }
    if (!this.#from.eat("I")) {
      this.#path(false);
      return false;
    }
    this.#path(false);
    this.#print("<");
    this.#list(() => this.#genericArgument());
    return true;
  }

  #const(): void {
    this.#nested(() => this.#constInside());
  }

  #constInside(): void {
    const kind = this.#from.next();
    if (kind === "B") {
      this.#backReference(() => this.#const());
      return;
    }
    if (kind === "p") {
      this.#print("_");
      return;
    }
    if (unsignedTypes.includes(kind)) {
      this.#print(this.#from.constNumber());
      return;
    }
    if (signedTypes.includes(kind)) {
      const sign = this.#from.eat("n") ? "-" : "";
      this.#print(sign + this.#from.constNumber());
      return;
    }
    const value = this.#from.constNumber();
    if (kind === "b" && (value === "0" || value === "1")) {
      this.#print(value === "1" ? "true" : "false");
      return;
    }
    const point = Number(value);
    if (kind !== "c" || point > 0x10ffff) throw new NotMangled();
    this.#print(quoteChar(point));
  }
}

/** A character as Rust writes it in source. */
function quoteChar(point: number): string {
  const char = String.fromCodePoint(point);
  const escaped: Readonly<Record<string, string>> = {
    "\t": "\\t",
    "\n": "\\n",
    "\r": "\\r",
    "'": "\\'",
    "\\": "\\\\",
  };
  const printable = point >= 0x20 && point !== 0x7f;
  return `'${escaped[char] ?? (printable ? char : `\\u{${point.toString(16)}}`)}'`;
}

/** `raw` as Rust's path; undefined when it is not a name of this grammar. */
export function demangleRustV0(raw: string): string | undefined {
  const match = /^_R([A-Z][0-9A-Za-z_]*)(?:\.|$)/.exec(raw);
  if (match?.[1] === undefined) return undefined;
  try {
    return new Printer(match[1]).run();
  } catch (error) {
    if (error instanceof NotMangled) return undefined;
    throw error;
  }
}

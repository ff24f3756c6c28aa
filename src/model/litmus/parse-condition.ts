/**
 * The last section of a test: `locations [...]`, `filter`, and the quantified proposition over
 * final states (herdtools7, "herd" manual, "Final condition"). `/\` binds tighter than `\/`, `~`
 * tightest, `=>` least and to the right.
 */

import { type Section, TokenReader, tokenize } from "./lexer.ts";
import { parseElement, parseValue } from "./parse-value.ts";
import type {
  FaultText,
  LitmusArch,
  LitmusTest,
  Place,
  Proposition,
  Quantifier,
} from "./test-file.ts";

type Condition = Pick<
  LitmusTest,
  "locations" | "filter" | "quantifier" | "condition" | "conditionLine"
>;

const isFault = (tokens: TokenReader): boolean =>
  tokens.isAt("fault", "(") || tokens.isAt("Fault", "(");

/** `fault(P1:L0, x, MMU:Translation)`; the place and the type may be left out. */
function parseFault(tokens: TokenReader): FaultText {
  tokens.next();
  tokens.expect("(");
  const head = /^P?(\d+)$/.exec(tokens.next().text)?.[1];
  if (head === undefined) return tokens.fail("a thread is expected");
  const label = tokens.accept(":") ? tokens.word() : undefined;
  const rest: string[] = [];
  while (tokens.accept(",")) {
    let word = tokens.word();
    while (tokens.accept(":")) word += `:${tokens.word()}`;
    rest.push(word);
  }
  tokens.expect(")");
  if (rest.length > 2) tokens.fail("fault(thread:label, place, type) is expected");
  const typeFirst = rest.length === 1 && /^[A-Z]/.test(rest[0] ?? "");
  const [place, type] = typeFirst ? [undefined, rest[0]] : rest;
  return { thread: Number(head), label, place, type };
}

/** Registers by the words that conditions use; in `1:X0=1:X2` they tell places from labels. */
const registerNames: Readonly<Record<LitmusArch, RegExp>> = {
  AArch64: /^(?:[xw]\d+|w?sp|[xw]zr|lr)$/i,
  RISCV: /^(?:x\d+|[ast]\d+|zero|ra|sp|gp|tp|fp)$/,
  X86_64: /^%?(?:[er]?[abcd]x|[er]?[sd]i|[er]?[sb]p|r\d+[dwb]?)$/i,
};

/** Parses with the registers of one architecture. */
class ConditionParser {
  readonly #tokens: TokenReader;
  readonly #registers: RegExp;

  constructor(tokens: TokenReader, arch: LitmusArch) {
    this.#tokens = tokens;
    this.#registers = registerNames[arch];
  }

  proposition(): Proposition {
    const left = this.#or();
    return this.#tokens.accept("=>") ? { op: "implies", a: left, b: this.proposition() } : left;
  }

  #or(): Proposition {
    let left = this.#and();
    while (this.#tokens.accept("\\/") || this.#tokens.accept("or")) {
      left = { op: "or", a: left, b: this.#and() };
    }
    return left;
  }

  #and(): Proposition {
    let left = this.#negation();
    while (this.#tokens.accept("/\\") || this.#tokens.accept("and")) {
      left = { op: "and", a: left, b: this.#negation() };
    }
    return left;
  }

  #negation(): Proposition {
    const tokens = this.#tokens;
    if (tokens.accept("~") || tokens.accept("not")) return { op: "not", a: this.#negation() };
    if (!tokens.accept("(")) return this.#atom();
    const inner = this.proposition();
    tokens.expect(")");
    return inner;
  }

  #atom(): Proposition {
    const tokens = this.#tokens;
    const { line } = tokens;
    if (tokens.accept("true")) return { op: "true" };
    if (tokens.accept("false")) return { op: "false" };
    if (isFault(tokens)) return { op: "fault", fault: parseFault(tokens), line };
    const place = parseElement(tokens);
    const negated = tokens.accept("!=") || tokens.accept("<>");
    if (!negated && !tokens.accept("==")) tokens.expect("=");
    if (tokens.isAt("{")) tokens.fail("arrays are compared element by element");
    const atom = this.#comparison(place, line);
    return negated ? { op: "not", a: atom } : atom;
  }

  /** What a place is compared with: a value, or another place (`0:X1=1:X2`, `[x]=[y]`, `x=*y`). */
  #comparison(place: Place, line: number): Proposition {
    const tokens = this.#tokens;
    const register =
      tokens.peek(1)?.text === ":" && this.#registers.test(tokens.peek(2)?.text ?? "");
    if (tokens.isAt("[") || tokens.accept("*") || register) {
      return { op: "same", a: place, b: parseElement(tokens), line };
    }
    return { op: "equals", place, value: parseValue(tokens), line };
  }
}

/** `locations [x; 0:X1; y int*;]`; types and faults are for printing only and are skipped. */
function parseLocations(tokens: TokenReader): Place[] {
  const places: Place[] = [];
  tokens.expect("[");
  while (!tokens.accept("]")) {
    if (tokens.accept(";")) continue;
    if (isFault(tokens)) {
      parseFault(tokens);
      continue;
    }
    places.push(parseElement(tokens));
    while (tokens.peek()?.kind === "word" || tokens.isAt("*")) tokens.next();
  }
  return places;
}

function parseQuantifier(tokens: TokenReader): Quantifier {
  if (tokens.accept("~")) {
    tokens.expect("exists");
    return "not exists";
  }
  if (tokens.accept("exists") || tokens.accept("final")) return "exists";
  if (tokens.accept("forall")) return "forall";
  return tokens.fail("exists, ~exists or forall is expected");
}

/** Parses the section; `name` is for messages. */
export function parseConditionSection(name: string, arch: LitmusArch, section: Section): Condition {
  const tokens = new TokenReader(name, tokenize(name, section));
  const parser = new ConditionParser(tokens, arch);
  const locations: Place[] = [];
  while (tokens.accept("locations")) {
    locations.push(...parseLocations(tokens));
    tokens.accept(";");
  }
  const filter = tokens.accept("filter") ? parser.proposition() : undefined;
  const quantifier = parseQuantifier(tokens);
  const condition = parser.proposition();
  tokens.accept(";");
  if (!tokens.done) tokens.fail("there is something after the condition");
  return { locations, filter, quantifier, condition, conditionLine: section.line };
}

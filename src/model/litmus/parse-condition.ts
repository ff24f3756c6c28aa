/**
 * The last section of a test: `locations [...]`, `filter`, and the quantified proposition over
 * final states (herdtools7, "herd" manual, "Final condition"). `/\` binds tighter than `\/`, `~`
 * tightest, `=>` least and to the right.
 */

import { type Section, TokenReader, tokenize } from "./lexer.ts";
import { parseElement, parseValue } from "./parse-value.ts";
import type { FaultText, LitmusTest, Place, Proposition, Quantifier } from "./test-file.ts";

type Condition = Pick<LitmusTest, "locations" | "filter" | "quantifier" | "condition">;

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

const registerNames = new RegExp(
  [
    String.raw`[XWxw]\d+|SP|XZR|WZR`,
    String.raw`[ast]\d+|zero|ra|sp|gp|tp`,
    String.raw`[er]?[abcd]x|[er]?[sd]i|[er]?[sb]p|r\d+[dwb]?`,
  ]
    .map((names) => `^(?:${names})$`)
    .join("|"),
  "i",
);

/** Whether `1:X0` (and not the label `1:L0`) is what follows: registers of every ISA. */
const isRegisterName = (word: string): boolean => registerNames.test(word);

function parseAtom(tokens: TokenReader): Proposition {
  const { line } = tokens;
  if (tokens.accept("true")) return { op: "true" };
  if (tokens.accept("false")) return { op: "false" };
  if (isFault(tokens)) return { op: "fault", fault: parseFault(tokens), line };
  const place = parseElement(tokens);
  const negated = tokens.accept("!=") || tokens.accept("<>");
  if (!negated && !tokens.accept("==")) tokens.expect("=");
  if (tokens.isAt("{")) tokens.fail("arrays are compared element by element");
  const atom = parseRightSide(tokens, place, line);
  return negated ? { op: "not", a: atom } : atom;
}

/** What a place is compared with: a value, or another place (`0:X1=1:X2`, `[x]=[y]`, `x=*y`). */
function parseRightSide(tokens: TokenReader, place: Place, line: number): Proposition {
  const register = tokens.peek(1)?.text === ":" && isRegisterName(tokens.peek(2)?.text ?? "");
  if (tokens.isAt("[") || tokens.accept("*") || register) {
    return { op: "same", a: place, b: parseElement(tokens), line };
  }
  return { op: "equals", place, value: parseValue(tokens), line };
}

function parseNegation(tokens: TokenReader): Proposition {
  if (tokens.accept("~") || tokens.accept("not")) return { op: "not", a: parseNegation(tokens) };
  if (!tokens.accept("(")) return parseAtom(tokens);
  const inner = parseProposition(tokens);
  tokens.expect(")");
  return inner;
}

function parseAnd(tokens: TokenReader): Proposition {
  let left = parseNegation(tokens);
  while (tokens.accept("/\\") || tokens.accept("and")) {
    left = { op: "and", a: left, b: parseNegation(tokens) };
  }
  return left;
}

function parseOr(tokens: TokenReader): Proposition {
  let left = parseAnd(tokens);
  while (tokens.accept("\\/") || tokens.accept("or")) {
    left = { op: "or", a: left, b: parseAnd(tokens) };
  }
  return left;
}

function parseProposition(tokens: TokenReader): Proposition {
  const left = parseOr(tokens);
  return tokens.accept("=>") ? { op: "implies", a: left, b: parseProposition(tokens) } : left;
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
export function parseConditionSection(name: string, section: Section): Condition {
  const tokens = new TokenReader(name, tokenize(name, section));
  const locations: Place[] = [];
  while (tokens.accept("locations")) {
    locations.push(...parseLocations(tokens));
    tokens.accept(";");
  }
  const filter = tokens.accept("filter") ? parseProposition(tokens) : undefined;
  const quantifier = parseQuantifier(tokens);
  const condition = parseProposition(tokens);
  tokens.accept(";");
  if (!tokens.done) tokens.fail("there is something after the condition");
  return { locations, filter, quantifier, condition };
}

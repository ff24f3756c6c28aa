/**
 * Conditions on a call's arguments, its result and its duration, as people write them:
 *
 *     arg2 > 4096 && ret < 0        arg1/u8 == 'x' || !(arg3 & 0x40)        duration >= 1.5ms
 *
 * Operands are the places of `value-spec.ts`, with a type behind a slash where it matters. Without
 * one, a value whose upper half is 0 counts as an `int`, any other as 64 bits with a sign: that is
 * right for everything but unsigned numbers from 2^31 to 2^32. `duration` is compared with times.
 *
 *     or      := and { "||" and }
 *     and     := unary { "&&" unary }
 *     unary   := "!" unary | "(" or ")" | compare
 *     compare := operand [ "&" number ] [ ("==" "!=" "<" "<=" ">" ">=") (number | operand) ]
 */
import { err, ok, type Result } from "../base/result.ts";
import {
  isResult,
  placeNamed,
  type TextProblem,
  typeNamed,
  typeSuffixes,
  type ValuePlace,
  type ValueTypeName,
} from "./value-spec.ts";

export const comparisons = ["==", "!=", "<", "<=", ">", ">="] as const;
export type Comparison = (typeof comparisons)[number];

export type ConditionValue = {
  readonly kind: "value";
  readonly place: ValuePlace;
  /** `auto`: see above. */
  readonly type: ValueTypeName | "auto";
  /** Bits that count, as a number in decimal; all without it. */
  readonly mask?: string;
};

export type Condition =
  | { readonly kind: "and" | "or"; readonly left: Condition; readonly right: Condition }
  | { readonly kind: "not"; readonly of: Condition }
  | {
      readonly kind: "compare";
      readonly left: ConditionValue;
      readonly how: Comparison;
      /** A number in decimal, so that it can go anywhere as text; or another value. */
      readonly right: string | ConditionValue;
    }
  /** How long the call took, in nanoseconds. */
  | { readonly kind: "duration"; readonly how: Comparison; readonly ns: number };

/** What a condition can't be told before: the call's end, because it asks for what that brings. */
export function needsExit(condition: Condition): boolean {
  switch (condition.kind) {
    case "and":
    case "or":
      return needsExit(condition.left) || needsExit(condition.right);
    case "not":
      return needsExit(condition.of);
    case "duration":
      return true;
    case "compare": {
      const { left, right } = condition;
      return isResult(left.place) || (typeof right !== "string" && isResult(right.place));
    }
    default:
      return condition satisfies never;
  }
}

/** Whether it asks for what is there when the call begins alone. */
export function usesArguments(condition: Condition): boolean {
  switch (condition.kind) {
    case "and":
    case "or":
      return usesArguments(condition.left) || usesArguments(condition.right);
    case "not":
      return usesArguments(condition.of);
    case "duration":
      return false;
    case "compare": {
      const { left, right } = condition;
      return !isResult(left.place) || (typeof right !== "string" && !isResult(right.place));
    }
    default:
      return condition satisfies never;
  }
}

/** Both, where there are two. */
export const bothOf = (
  a: Condition | undefined,
  b: Condition | undefined,
): Condition | undefined =>
  a === undefined || b === undefined ? (a ?? b) : { kind: "and", left: a, right: b };

/** Conditions that all have to hold, cut at the outermost `&&`. */
export const conjuncts = (condition: Condition): readonly Condition[] =>
  condition.kind === "and"
    ? [...conjuncts(condition.left), ...conjuncts(condition.right)]
    : [condition];

type Token = {
  readonly kind: "word" | "number" | "time" | "sign" | "end";
  readonly text: string;
  readonly column: number;
};

/** Blanks, then a time, a number, a character, a word or a sign. */
const tokenPattern = new RegExp(
  `\\s*(?:${[
    /(\d+(?:\.\d+)?(?:ns|us|ms|s)\b)/,
    /(-?0[xX][0-9a-fA-F]+|-?\d+\b)/,
    /('(?:[^'\\]|\\.)')/,
    /([A-Za-z]\w*(?:\/\w*)?)/,
    /(&&|\|\||[=!<>]=|[<>!()&])/,
  ]
    .map(({ source }) => source)
    .join("|")})`,
  "y",
);

function tokenize(text: string): Result<readonly Token[], TextProblem> {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  for (let at = 0; at < end; ) {
    tokenPattern.lastIndex = at;
    const match = tokenPattern.exec(text);
    if (match === null) {
      const column = at + (/^\s*/.exec(text.slice(at))?.[0].length ?? 0);
      return err({ column, problem: `${text.charAt(column)} makes no sense` });
    }
    const [all, time, number, character, word, sign] = match;
    const piece = time ?? number ?? character ?? word ?? sign ?? "";
    const column = at + all.length - piece.length;
    if (character !== undefined) {
      const code = character.at(-2)?.charCodeAt(0) ?? 0;
      tokens.push({ kind: "number", text: String(code), column });
    } else {
      const kind = time !== undefined ? "time" : number !== undefined ? "number" : undefined;
      tokens.push({ kind: kind ?? (word !== undefined ? "word" : "sign"), text: piece, column });
    }
    at += all.length;
  }
  return ok([...tokens, { kind: "end", text: "the end", column: end }]);
}

/** Parses a condition, or says what is wrong with it and where. */
export function parseCondition(text: string): Result<Condition, TextProblem> {
  const tokens = tokenize(text);
  if (!tokens.ok) return tokens;
  const parser = new Parser(tokens.value);
  try {
    return ok(parser.parse());
  } catch (error) {
    if (error instanceof Stop) return err(error.problem);
    throw error;
  }
}

/** Ends the parsing at a problem. */
class Stop extends Error {
  readonly problem: TextProblem;

  constructor(problem: TextProblem) {
    super(problem.problem);
    this.problem = problem;
  }
}

const nsPerUnit: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };
const endToken: Token = { kind: "end", text: "the end", column: 0 };

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): Condition {
    const condition = this.#or();
    if (this.#now.kind !== "end") throw this.#expected("&& or || or the end");
    return condition;
  }

  get #now(): Token {
    return this.#tokens[this.#at] ?? endToken;
  }

  /** Whether a sign comes next, which is taken then. */
  #takes(sign: string): boolean {
    const isNext = this.#now.kind === "sign" && this.#now.text === sign;
    if (isNext) this.#at++;
    return isNext;
  }

  #expected(what: string, token: Token = this.#now): Stop {
    return new Stop({ column: token.column, problem: `${what} was expected, not ${token.text}` });
  }

  #or(): Condition {
    let left = this.#and();
    while (this.#takes("||")) left = { kind: "or", left, right: this.#and() };
    return left;
  }

  #and(): Condition {
    let left = this.#unary();
    while (this.#takes("&&")) left = { kind: "and", left, right: this.#unary() };
    return left;
  }

  #unary(): Condition {
    if (this.#takes("!")) return { kind: "not", of: this.#unary() };
    if (!this.#takes("(")) return this.#compare();
    const inner = this.#or();
    if (!this.#takes(")")) throw this.#expected(")");
    return inner;
  }

  #compare(): Condition {
    if (this.#now.kind === "word" && this.#now.text === "duration") return this.#duration();
    const start = this.#now;
    const bare = this.#value();
    let left = bare;
    if (this.#takes("&")) left = { ...bare, mask: this.#number() };
    const how = this.#comparison();
    if (how === undefined) return { kind: "compare", left, how: "!=", right: "0" };
    const right = this.#now.kind === "number" ? this.#number() : this.#value();
    if (typeof right !== "string" && isResult(left.place) !== isResult(right.place)) {
      const problem = "an argument can't be compared with the result: it is gone by then";
      throw new Stop({ column: start.column, problem });
    }
    return { kind: "compare", left, how, right };
  }

  #duration(): Condition {
    this.#at++;
    const how = this.#comparison();
    if (how === undefined) throw this.#expected("a comparison with a time");
    const token = this.#now;
    if (token.kind !== "time") throw this.#expected("a time like 1ms");
    this.#at++;
    const unit = /[a-z]+$/.exec(token.text)?.[0] ?? "ns";
    return { kind: "duration", how, ns: Number.parseFloat(token.text) * (nsPerUnit[unit] ?? 1) };
  }

  #comparison(): Comparison | undefined {
    return comparisons.find((how) => this.#takes(how));
  }

  #number(): string {
    const token = this.#now;
    if (token.kind !== "number") throw this.#expected("a number");
    this.#at++;
    const value = token.text.startsWith("-") ? -BigInt(token.text.slice(1)) : BigInt(token.text);
    if (value >= 2n ** 64n || value < -(2n ** 63n)) {
      throw new Stop({ column: token.column, problem: `${token.text} has more than 64 bits` });
    }
    return String(value);
  }

  #value(): ConditionValue {
    const token = this.#now;
    if (token.kind !== "word") throw this.#expected("a value like arg1, ret or duration");
    this.#at++;
    const [name = "", suffix] = token.text.split("/");
    const place = placeNamed(name);
    if (place === undefined || place.kind === "floatArgument" || place.kind === "floatResult") {
      throw this.#expected("an integer like arg1 or ret, or duration,", token);
    }
    const type = suffix === undefined ? "auto" : typeNamed(suffix);
    if (type === undefined || type === "text" || type === "f32" || type === "f64") {
      const column = token.column + name.length + 1;
      const problem = `${suffix} is no type of an integer; there are ${typeSuffixes}`;
      throw new Stop({ column, problem });
    }
    return { kind: "value", place, type };
  }
}

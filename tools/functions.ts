/** Where functions begin and end, and what they were passed to: for limits on their length. */
import { type BracketPairs, pairBrackets, type Token } from "./tokens.ts";

export type FunctionSpan = {
  /** Lines of the opening parenthesis of its parameters and of its closing brace. */
  readonly firstLine: number;
  readonly lastLine: number;
  /** Where the function is an argument, the callee's first word: `a` for `a.b(c)(() => {})`. */
  readonly passedTo: string | undefined;
};

/** Words whose parentheses are no parameter list. */
const statementWords: ReadonlySet<string> = new Set(
  "if for while switch catch with import".split(" "),
);
/** After these in a type, another operand has to come. */
const typeOperators: ReadonlySet<string> = new Set(
  "=> | & : . ? is asserts keyof readonly typeof unique extends infer new".split(" "),
);

/**
 * Every function with a body in braces, nested ones too, in the order of their parameters. A
 * function type that returns an object type may be among them.
 */
export function functionsOf(code: readonly Token[]): readonly FunctionSpan[] {
  const pairs = pairBrackets(code);
  const found: FunctionSpan[] = [];
  code.forEach((token, index) => {
    if (token.kind !== "punctuation" || token.text !== ")") return;
    const open = pairs.partner.get(index);
    if (open === undefined || isStatementHead(code, open)) return;
    const body = bodyAfter(code, pairs, index + 1);
    const last = body === undefined ? undefined : code[pairs.partner.get(body) ?? -1];
    if (last === undefined) return;
    found.push({
      firstLine: code[open]?.line ?? 0,
      lastLine: last.line,
      passedTo: calleeAround(code, pairs, open),
    });
  });
  return found;
}

function isStatementHead(code: readonly Token[], open: number): boolean {
  const before = code[open - 1];
  if (before?.text === "await") return code[open - 2]?.text === "for";
  return before?.kind === "word" && statementWords.has(before.text);
}

/** The index of the function's `{`, if what ends before `start` is a parameter list with a body. */
function bodyAfter(code: readonly Token[], pairs: BracketPairs, start: number): number | undefined {
  const first = code[start]?.text;
  if (first === "{") return start;
  if (first === "=>") return code[start + 1]?.text === "{" ? start + 1 : undefined;
  return first === ":" ? bodyAfterType(code, pairs, start + 1) : undefined;
}

/** Reads over a return type. A `{` where an operand is due is a type, or the body of an arrow. */
function bodyAfterType(
  code: readonly Token[],
  pairs: BracketPairs,
  start: number,
): number | undefined {
  let arrowBody: number | undefined;
  let wantsOperand = true;
  for (let at = start; at < code.length; at++) {
    const text = code[at]?.text ?? "";
    if (text === "{" && !wantsOperand) return at;
    if (text === "{" && code[at - 1]?.text === "=>") arrowBody = at;
    if (text === "<") at = closeAngle(code, pairs, at);
    else if (/^[{([]$/.test(text)) at = pairs.partner.get(at) ?? code.length;
    else if (/^[,;=)\]}]$/.test(text)) return arrowBody;
    wantsOperand = typeOperators.has(text);
    // Whatever follows an arrow function's body, it is no type.
    if (arrowBody !== undefined && code[at + 1]?.text !== "{") return arrowBody;
  }
  return arrowBody;
}

/** The index of the `>` that closes the `<` at `open`. */
function closeAngle(code: readonly Token[], pairs: BracketPairs, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at++) {
    const text = code[at]?.text ?? "";
    if (/^[{([]$/.test(text)) at = pairs.partner.get(at) ?? code.length;
    else if (text === "<") depth++;
    else if (text === ">") depth--;
    if (depth === 0) return at;
    if (text === ";") break;
  }
  return code.length;
}

/** Whose argument what begins at `open` is. */
function calleeAround(
  code: readonly Token[],
  pairs: BracketPairs,
  open: number,
): string | undefined {
  const call = pairs.parent.get(open) ?? -1;
  if (code[call]?.text !== "(") return undefined;
  let at = call - 1;
  while (code[at]?.text === ")") at = (pairs.partner.get(at) ?? 0) - 1;
  while (code[at - 1]?.text === ".") {
    at -= 2;
    while (code[at]?.text === ")") at = (pairs.partner.get(at) ?? 0) - 1;
  }
  const callee = code[at];
  return callee?.kind === "word" ? callee.text : undefined;
}

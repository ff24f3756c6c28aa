/** Values and places: the words that the initial state and the condition have in common. */

import { parseNumber, type TokenReader } from "./lexer.ts";
import type { Place, ValueText } from "./test-file.ts";

const threadOf = (word: string): number | undefined => {
  const digits = /^P?(\d+)$/.exec(word)?.[1];
  return digits === undefined ? undefined : Number(digits);
};

/** `label:"P1:m0"` and `P1:m0` are the same value. */
const parseLabelName = (tokens: TokenReader, text: string): ValueText => {
  const [, thread, label] = /^P?(\d+):([\w.$]+)$/.exec(text) ?? [];
  if (thread === undefined || label === undefined) return tokens.fail(`"${text}" is no label`);
  return { kind: "label", thread: Number(thread), label };
};

/** A value: a number, a variable's address, a label's address, an instruction. */
export function parseValue(tokens: TokenReader): ValueText {
  const token = tokens.peek();
  if (token === undefined) return tokens.fail("a value is expected");
  if (tokens.accept("instr", ":")) {
    const literal = tokens.next();
    if (literal.kind !== "string")
      tokens.fail("an instruction in quotes is expected", literal.line);
    return { kind: "instruction", text: literal.text };
  }
  if (tokens.accept("label", ":")) {
    return parseLabelName(tokens, tokens.next().text);
  }
  if (token.kind !== "string" && tokens.peek(1)?.text === ":" && tokens.peek(2)?.kind === "word") {
    const prefix = tokens.next().text;
    tokens.next();
    return parseLabelName(tokens, `${prefix}:${tokens.next().text}`);
  }
  if (tokens.accept("NOP")) return { kind: "instruction", text: "NOP" };
  if (token.kind === "number") {
    tokens.next();
    return { kind: "number", value: parseNumber(token.text) };
  }
  if (token.kind === "word") {
    const name = tokens.word();
    const index = tokens.isAt("[") ? parseIndex(tokens) : 0;
    return { kind: "symbol", name, index };
  }
  return tokens.fail("a value is expected");
}

function parseIndex(tokens: TokenReader): number {
  tokens.expect("[");
  const index = Number(tokens.number());
  tokens.expect("]");
  return index;
}

/** A place without its array index (what follows says what `[` means): `1:X0`, `x`, `[x]`. */
export function parsePlace(tokens: TokenReader): Place {
  const token = tokens.peek();
  if (tokens.accept("[")) {
    const name = tokens.word();
    const index = tokens.isAt("[") ? parseIndex(tokens) : 0;
    tokens.expect("]");
    return { kind: "memory", name, index };
  }
  const thread = token?.kind === "string" ? undefined : threadOf(token?.text ?? "");
  if (thread !== undefined && tokens.peek(1)?.text === ":") {
    tokens.next();
    tokens.next();
    return { kind: "register", thread, register: tokens.word() };
  }
  if (token?.kind !== "word") return tokens.fail("a register or a variable is expected");
  return { kind: "memory", name: tokens.word(), index: 0 };
}

/** A place of a condition, where `x[2]` is an element. */
export function parseElement(tokens: TokenReader): Place {
  const place = parsePlace(tokens);
  if (place.kind !== "memory" || !tokens.isAt("[")) return place;
  return { ...place, index: parseIndex(tokens) };
}

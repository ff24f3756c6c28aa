/**
 * Cutting a litmus file into its sections and its sections into tokens. Lines are counted from 1,
 * and every token knows its line, so that every refusal can name it.
 */

import { refusal } from "./test-file.ts";

export type Token = {
  readonly kind: "word" | "number" | "string" | "punctuation";
  readonly text: string;
  readonly line: number;
};

/** A section's text and the line that it begins in. */
export type Section = { readonly text: string; readonly line: number };

export type Sections = {
  /** Lines before the initial state: the first line and `Key=Value` lines. */
  readonly header: Section;
  readonly init: Section;
  readonly program: Section;
  /** From `locations`, `filter` or the quantifier to the end. */
  readonly condition: Section;
};

/** `text` with every (nested) `(* comment *)` blanked out, line ends kept. */
function blankComments(name: string, text: string): string {
  let depth = 0;
  let out = "";
  let openedAt = 0;
  for (let i = 0; i < text.length; i++) {
    const two = text.slice(i, i + 2);
    if (two === "(*") {
      if (depth === 0) openedAt = i;
      depth++;
    } else if (two === "*)" && depth > 0) {
      depth--;
    } else {
      out += depth === 0 || text[i] === "\n" ? text[i] : " ";
      continue;
    }
    out += "  ";
    i++;
  }
  if (depth > 0) throw refusal(name, lineAt(text, openedAt), "this comment is never closed");
  return out;
}

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split("\n").length;

/** Offset of the brace that closes the one at `open`. */
function closingBrace(name: string, text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === "{") depth++;
    if (text[i] === "}" && --depth === 0) return i;
  }
  throw refusal(name, lineAt(text, open), "the initial state is never closed");
}

const conditionStart = /(?<![\w.$])(?:~\s*exists|exists|forall|final|locations|filter)(?![\w.:])/;

/** Offset of the brace that opens the initial state; those in a quoted line are not meant. */
function openingBrace(text: string): number {
  const [before = ""] = /^(?:"[^"]*"|[^"{])*/.exec(text) ?? [];
  return text[before.length] === "{" ? before.length : text.indexOf("{");
}

/** Cuts a file. `name` is for messages only. */
export function cutSections(name: string, file: string): Sections {
  const text = blankComments(name, file.replaceAll(/\r\n?/g, "\n"));
  const open = openingBrace(text);
  if (open < 0) throw refusal(name, 1, "there is no initial state ({...})");
  const close = closingBrace(name, text, open);
  const rest = text.slice(close + 1);
  const found = conditionStart.exec(rest);
  if (found === null) {
    throw refusal(name, lineAt(text, text.length), "there is no condition (exists, forall)");
  }
  const section = (from: number, to: number): Section => ({
    text: text.slice(from, to),
    line: lineAt(text, from),
  });
  const condition = close + 1 + found.index;
  return {
    header: section(0, open),
    init: section(open + 1, close),
    program: section(close + 1, condition),
    condition: section(condition, text.length),
  };
}

const tokenPattern = new RegExp(
  [
    String.raw`\s+`,
    `"([^"]*)"`,
    String.raw`(-?(?:0x[0-9a-fA-F]+|\d+))(?![\w.])`,
    String.raw`([A-Za-z_.%$][\w.$]*)`,
    String.raw`(/\\|\\/|=>|<>|!=|==|[{}()[\];:,=*&~+|])`,
  ].join("|"),
  "y",
);

/** The tokens of a section of the initial state's or the condition's language. */
export function tokenize(name: string, section: Section): readonly Token[] {
  const tokens: Token[] = [];
  const pattern = new RegExp(tokenPattern);
  let line = section.line;
  while (pattern.lastIndex < section.text.length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(section.text);
    if (match === null) {
      throw refusal(name, line, `"${section.text.slice(at, at + 12).trim()}" is not understood`);
    }
    const [text, string, number, word, punctuation] = match;
    if (string !== undefined) tokens.push({ kind: "string", text: string, line });
    else if (number !== undefined) tokens.push({ kind: "number", text: number, line });
    else if (word !== undefined) tokens.push({ kind: "word", text: word, line });
    else if (punctuation !== undefined) {
      tokens.push({ kind: "punctuation", text: punctuation, line });
    }
    line += text.split("\n").length - 1;
  }
  return tokens;
}

/** Reads tokens one after the other, and refuses with the line of the one that does not fit. */
export class TokenReader {
  readonly #name: string;
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(name: string, tokens: readonly Token[]) {
    this.#name = name;
    this.#tokens = tokens;
  }

  /** The token `ahead` places further on, not consumed. */
  peek(ahead = 0): Token | undefined {
    return this.#tokens[this.#at + ahead];
  }

  get done(): boolean {
    return this.#at >= this.#tokens.length;
  }

  /** Line of the next token, or of the last one at the end. */
  get line(): number {
    return (this.peek() ?? this.#tokens.at(-1))?.line ?? 1;
  }

  /** Whether the next tokens are these, word for word (strings never match). */
  isAt(...texts: readonly string[]): boolean {
    return texts.every((text, index) => {
      const token = this.peek(index);
      return token !== undefined && token.kind !== "string" && token.text === text;
    });
  }

  next(): Token {
    const token = this.peek();
    if (token === undefined) return this.fail("it ends too early");
    this.#at++;
    return token;
  }

  /** Consumes these tokens if they are next. */
  accept(...texts: readonly string[]): boolean {
    if (!this.isAt(...texts)) return false;
    this.#at += texts.length;
    return true;
  }

  expect(text: string): void {
    if (!this.accept(text)) this.fail(`"${text}" is expected`);
  }

  word(): string {
    const token = this.next();
    if (token.kind !== "word") this.fail(`a name is expected, not "${token.text}"`, token.line);
    return token.text;
  }

  number(): bigint {
    const token = this.next();
    if (token.kind !== "number") this.fail(`a number is expected, not "${token.text}"`, token.line);
    return parseNumber(token.text);
  }

  fail(why: string, line: number = this.line): never {
    const token = this.peek();
    const found = token === undefined ? "" : `, at "${token.text}"`;
    throw refusal(this.#name, line, `${why}${found}`);
  }
}

/** A number as tests write it, `-0x10` included. */
export function parseNumber(text: string): bigint {
  return text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text);
}

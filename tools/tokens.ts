/**
 * TypeScript cut into tokens: enough to tell code from comments and text, to pair brackets and to
 * find imports. The native compiler offers no stable API to ask instead. Not for JSX.
 */

export type TokenKind =
  | "word"
  | "number"
  | "string"
  | "template"
  | "regex"
  | "comment"
  | "punctuation";

export type Token = {
  readonly kind: TokenKind;
  /** As it stands in the source, quotes and comment marks included. */
  readonly text: string;
  /** Line of its first character, from 1. */
  readonly line: number;
};

/** Words after which a slash begins a regular expression, as it does after an operator. */
const operatorWords: ReadonlySet<string> = new Set(
  "return typeof case in of delete void throw new do else yield await instanceof".split(" "),
);

/** Tried in this order, each exactly where the last token ended; templates are done by hand. */
const shapes: readonly (readonly [TokenKind, RegExp])[] = [
  ["comment", /\/\/[^\n]*|\/\*[\s\S]*?\*\/|^#![^\n]*/y],
  ["string", /"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'/y],
  ["number", /\.?\d(?:[eE][+-]|[\w.])*/y],
  ["word", /#?[\p{ID_Start}$_][\p{ID_Continue}$]*/uy],
  ["punctuation", /=>|\?\.(?!\d)|\.\.\.|[^\s]/y],
];

const regexShape = /\/(?![/*])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
/** A piece of a template, from its backtick or `}` to its backtick or `${`. */
const templateShape = /[`}](?:[^`\\$]|\\[\s\S]|\$(?!\{))*(?:`|\$\{)/y;

function regexMayBegin(before: Token | undefined): boolean {
  if (before === undefined) return true;
  if (before.kind === "word") return operatorWords.has(before.text);
  return before.kind === "punctuation" && !/[)\]}]/.test(before.text);
}

class Tokenizer {
  readonly #text: string;
  readonly #tokens: Token[] = [];
  /** For every open brace: does it belong to a template's `${`? */
  readonly #braces: boolean[] = [];
  #at = 0;
  #line = 1;
  #lastCode: Token | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  run(): readonly Token[] {
    while (this.#skipSpace()) this.#next();
    return this.#tokens;
  }

  #skipSpace(): boolean {
    for (; this.#at < this.#text.length; this.#at++) {
      const char = this.#text[this.#at] ?? "";
      if (!/\s/.test(char)) return true;
      if (char === "\n") this.#line++;
    }
    return false;
  }

  #next(): void {
    const char = this.#text[this.#at];
    if (char === "`" || (char === "}" && this.#braces.at(-1) === true)) {
      if (char === "}") this.#braces.pop();
      const piece = this.#match(templateShape) ?? this.#text.slice(this.#at);
      if (piece.endsWith("${")) this.#braces.push(true);
      this.#push("template", piece);
    } else {
      const regex = regexMayBegin(this.#lastCode) ? this.#match(regexShape) : undefined;
      if (regex === undefined) this.#plain();
      else this.#push("regex", regex);
    }
  }

  #plain(): void {
    for (const [kind, shape] of shapes) {
      const text = this.#match(shape);
      if (text === undefined) continue;
      if (text === "{") this.#braces.push(false);
      if (text === "}") this.#braces.pop();
      this.#push(kind, text);
      return;
    }
  }

  #match(shape: RegExp): string | undefined {
    shape.lastIndex = this.#at;
    return shape.exec(this.#text)?.[0];
  }

  #push(kind: TokenKind, text: string): void {
    const token: Token = { kind, text, line: this.#line };
    this.#tokens.push(token);
    if (kind !== "comment") this.#lastCode = token;
    this.#at += text.length;
    this.#line += text.split("\n").length - 1;
  }
}

/** All tokens of `text` in order, comments among them. Broken source gives odd tokens, no error. */
export function tokenize(text: string): readonly Token[] {
  return new Tokenizer(text).run();
}

/** `tokens` without the comments. */
export function codeOf(tokens: readonly Token[]): readonly Token[] {
  return tokens.filter((token) => token.kind !== "comment");
}

/** The opening bracket's index beside the closing one's and the other way around. */
export type BracketPairs = {
  readonly partner: ReadonlyMap<number, number>;
  /** For every opening bracket the one that it stands in, -1 outside of all. */
  readonly parent: ReadonlyMap<number, number>;
};

/** Pairs `()`, `[]`, `{}` and a template's `${ }` in `code` (without comments). */
export function pairBrackets(code: readonly Token[]): BracketPairs {
  const partner = new Map<number, number>();
  const parent = new Map<number, number>();
  const open: number[] = [];
  code.forEach(({ kind, text }, index) => {
    const template = kind === "template";
    const closes = template ? text.startsWith("}") : /^[)\]}]$/.test(text);
    const opens = template ? text.endsWith("${") : /^[([{]$/.test(text);
    if (closes) {
      const from = open.pop();
      if (from !== undefined) partner.set(from, index).set(index, from);
    }
    if (opens) {
      parent.set(index, open.at(-1) ?? -1);
      open.push(index);
    }
  });
  return { partner, parent };
}

/** One module that a file refers to. */
export type Reference = { readonly specifier: string; readonly line: number };

/**
 * What a file imports or re-exports, statically or not, in a type or not, and the modules it
 * starts workers from (`new URL("./x.ts", import.meta.url)`). A computed path comes out as "".
 */
export function referencesOf(code: readonly Token[]): readonly Reference[] {
  const found: Reference[] = [];
  const add = (token: Token | undefined): void => {
    const text = token?.kind === "string" ? token.text.slice(1, -1) : "";
    found.push({ specifier: text, line: token?.line ?? 0 });
  };
  code.forEach((token, index) => {
    const text = (offset: number): string => code[index + offset]?.text ?? "";
    if (token.kind !== "word" || /^\??\.$/.test(text(-1))) return;
    if (token.text === "require" || token.text === "import") {
      if (text(1) === "(") add(code[index + 2]);
    } else if (token.text === "URL" && text(1) === "(" && text(4) + text(5) === "import.") {
      add(code[index + 2]);
    }
    if (token.text === "import" && code[index + 1]?.kind === "string") add(code[index + 1]);
    const clause = token.text === "import" ? /^[\w{*$]/ : /^[{*]|^type$/;
    if ((token.text === "import" || token.text === "export") && clause.test(text(1))) {
      const source = sourceOfClause(code, index + 1);
      if (source !== undefined) add(source);
    }
  });
  return found;
}

/** The module's name in the clause after `import` or `export`, where it has one. */
function sourceOfClause(code: readonly Token[], start: number): Token | undefined {
  for (let at = start; at < code.length; at++) {
    const { text } = code[at] ?? { text: "" };
    if (text === ";" || text === "=" || text === "(") return undefined;
    if (text === "from" && code[at + 1]?.kind === "string") return code[at + 1];
  }
  return undefined;
}

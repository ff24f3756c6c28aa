/** The tidy check's rules, each a pure function of one file, and the one on all of `src/`. */
import { posix } from "node:path";
import { functionsOf } from "./functions.ts";
import type { FileMap, Problem } from "./repository.ts";
import { codeOf, referencesOf, type Token, tokenize } from "./tokens.ts";

export type SourceFile = {
  readonly path: string;
  readonly lines: readonly string[];
  /** Empty unless TypeScript. */
  readonly tokens: readonly Token[];
  /** `tokens` without the comments. */
  readonly code: readonly Token[];
};

export function sourceFile(path: string, text: string): SourceFile {
  const tokens = path.endsWith(".ts") ? tokenize(text) : [];
  return { path, lines: text.replace(/\n$/, "").split("\n"), tokens, code: codeOf(tokens) };
}

/** `line` from 1, or 0 for the file as a whole. */
export type Finding = { readonly line: number; readonly message: string };
export type Rule = (file: SourceFile) => readonly Finding[];

const columnsMax = 100;
const functionLinesMax = 70;
const fileLinesMax = 400;

const isTypeScript = (path: string): boolean => path.endsWith(".ts");
const isTest = (path: string): boolean => path.endsWith(".test.ts");
/** First line of a data table, which may be as long as its subject. */
const isTable = ({ lines }: SourceFile): boolean => /^\/\/ table\b/.test(lines[0] ?? "");

function findLines(file: SourceFile, message: (line: string) => string | undefined): Finding[] {
  return file.lines.flatMap((text, index) => {
    const found = message(text);
    return found === undefined ? [] : [{ line: index + 1, message: found }];
  });
}

/** A line of a table that a test expects to be printed. */
const isDrawing = (text: string): boolean =>
  / {4,}\S.* {4,}\S|-{20,} {2}-{20,}|^ {40,}\S/.test(text);

/** One text and nothing else: an expected output, which is compared as a whole. */
const isOneText = (text: string): boolean => /^\s*(["'`])[^"'`]*\1,?$/.test(text);

/**
 * A link can't be broken, nor what a test expects to be printed; Markdown has its tables and its
 * real output.
 */
const columns: Rule = (file) =>
  /\.(?:ts|tsx|js|mjs|c|cc|cpp|h|S|s|rs|sh|pml)$|^\.ci\//.test(file.path)
    ? findLines(file, (text) => {
        const width = Array.from(text).length;
        if (width <= columnsMax || text.includes("://")) return undefined;
        if (isTest(file.path) && (isOneText(text) || isDrawing(text))) return undefined;
        return `${width} columns, at most ${columnsMax}`;
      })
    : [];

const fileLength: Rule = (file) => {
  const count = file.lines.length;
  if (!isTypeScript(file.path) || count <= fileLinesMax || isTable(file)) return [];
  const message = `${count} lines, at most ${fileLinesMax}, unless a table ("// table" on top)`;
  return [{ line: 0, message }];
};

/** `describe` is a heading in a test, though it is written as a function. */
const functionLength: Rule = (file) =>
  functionsOf(file.code).flatMap(({ firstLine, lastLine, passedTo }) => {
    const count = lastLine - firstLine + 1;
    if (count <= functionLinesMax || (isTest(file.path) && passedTo === "describe")) return [];
    const message = `a function of ${count} lines, at most ${functionLinesMax}`;
    return [{ line: firstLine, message }];
  });

const headComment: Rule = (file) => {
  if (!/^(?:src|tools|bench)\/.*\.ts$/.test(file.path) || isTest(file.path)) return [];
  const first = file.tokens.find(({ text }) => !/^#!|^\/\/ table\b/.test(text));
  const message = "begins without a /** comment that says what the file is for";
  return first?.text.startsWith("/**") === true ? [] : [{ line: 0, message }];
};

/** What is banned in every text file, and what to do instead. Machine paths apart. */
const bannedText: readonly (readonly [RegExp, string])[] = [
  [/\b(?:TODO|FIXME|XXX|HACK)\b/, "do it now, or say in docs/limits.md what is missing"],
  [/\b(?:white|black)list/i, "allow list, deny list"],
  [/\b(?:blazing(?:ly)?|seamless(?:ly)?|effortless(?:ly)?|utili[sz]e[sd]?)\b/i, "plain words"],
  [/(?<![\w.~-])\/(?:work|root)\//, "no paths of one machine"],
];
/** Fine in code that makes temporary files, but a reader of the docs has none of ours. */
const bannedInDocs: readonly (readonly [RegExp, string])[] = [
  [/(?<![\w.~-])\/tmp\//, "no paths of one machine"],
];
/** Names that say nothing about what is inside. */
const bannedFileName = /^(?:utils?|helpers?|misc|common|stuff)\./;
const bannedIdentifier = /(?:Manager|Helpers?|Utils?)$/;
/** The rules' own files have to spell out what they ban. */
const spellsOutBans = /^tools\/tidy(?:-rules)?(?:\.test)?\.ts$/;

const bannedWords: Rule = (file) => {
  if (spellsOutBans.test(file.path)) return [];
  const table = file.path.endsWith(".md") ? [...bannedText, ...bannedInDocs] : bannedText;
  const inText = findLines(file, (text) => {
    const row = table.find(([pattern]) => pattern.test(text));
    return row === undefined ? undefined : `"${row[0].exec(text)?.[0]}": ${row[1]}`;
  });
  const inNames = file.code
    .filter(({ kind, text }) => kind === "word" && bannedIdentifier.test(text))
    .map(({ text, line }) => ({ line, message: `"${text}": name it by what it does` }));
  return [...inText, ...inNames];
};

/** Names with capitals that readers and tools look for. */
const knownNames: ReadonlySet<string> = new Set(
  "README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md LICENSE Makefile".split(" "),
);

const fileName: Rule = ({ path }) => {
  const parts = path.split("/");
  const base = parts.at(-1) ?? "";
  const messages: string[] = [];
  const isKebab = (part: string): boolean => /^\.?[a-z0-9]+(?:[-.][a-z0-9]+)*$/.test(part);
  if (!parts.every((part) => isKebab(part) || knownNames.has(part))) {
    messages.push("file and folder names are kebab-case");
  }
  if (bannedFileName.test(base))
    messages.push(`"${base}" says nothing: name it by the noun inside`);
  if (base === "index.ts" && path !== "src/index.ts") {
    messages.push("an index.ts beside src/index.ts: import the files themselves");
  }
  return messages.map((message) => ({ line: 0, message }));
};

const printsByTrade = /^(?:src\/cli|bench|tools|examples)\//;

const leftovers: Rule = ({ path, code }) =>
  code.flatMap(({ kind, text, line }, index) => {
    if (kind !== "word") return [];
    const before = code[index - 1]?.text;
    const found = [
      before !== "." && text === "debugger" && "debugger",
      before === "." && text === "only" && isTest(path) && ".only",
      before === "." && text === "log" && code[index - 2]?.text === "console" && "console.log",
    ].find((name) => name !== false);
    if (found === undefined || (found === "console.log" && printsByTrade.test(path))) return [];
    return [{ line, message: `a leftover ${found}` }];
  });

const oneTitle: Rule = (file) => {
  if (!file.path.endsWith(".md")) return [];
  let fenced = false;
  const titles = file.lines.filter((line) => {
    if (/^\s*(?:```|~~~)/.test(line)) fenced = !fenced;
    return !fenced && line.startsWith("# ");
  });
  return titles.length === 1 ? [] : [{ line: 0, message: `${titles.length} titles (# …), not 1` }];
};

export const rules: readonly Rule[] = [
  columns,
  fileLength,
  functionLength,
  headComment,
  bannedWords,
  fileName,
  leftovers,
  oneTitle,
];

/** All findings of all rules in `files`. */
export function judgeFiles(files: readonly SourceFile[]): readonly Problem[] {
  return files.flatMap((file) =>
    rules.flatMap((rule) => rule(file).map((finding) => ({ file: file.path, ...finding }))),
  );
}

/** Entry points of the package: everything else in `src/` has to be reached from one of them. */
const isEntry = (path: string): boolean =>
  path === "src/index.ts" || path === "src/cli/main.ts" || path.endsWith("-worker.ts");

/**
 * Files of `src/` that no entry point leads to. What only tests import, or a ring of files that
 * import each other, is not part of the program.
 */
export function findUnreached(files: readonly SourceFile[]): readonly Problem[] {
  const sources = new Map(
    files.filter(({ path }) => /^src\/.*\.ts$/.test(path) && !isTest(path)).map((f) => [f.path, f]),
  );
  const reached = new Set([...sources.keys()].filter(isEntry));
  for (const path of reached) {
    for (const { specifier } of referencesOf(sources.get(path)?.code ?? [])) {
      reached.add(posix.join(posix.dirname(path), specifier));
    }
  }
  return [...sources.keys()]
    .filter((path) => !reached.has(path))
    .map((file) => ({
      file,
      line: 0,
      message: "no entry point of src leads here: join it or drop it",
    }));
}

/** `judgeFiles` and `findUnreached` for texts by path. */
export const sourceFiles = (files: FileMap): readonly SourceFile[] =>
  [...files].map(([path, text]) => sourceFile(path, text));

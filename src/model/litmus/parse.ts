/**
 * Reads a litmus test in herd's format (herdtools7, "herd" manual, "Syntax of litmus tests"):
 * header, initial state, program. The condition's language is in `parse-condition.ts`.
 */

import { cutSections, type Section, TokenReader, tokenize } from "./lexer.ts";
import { parseConditionSection } from "./parse-condition.ts";
import { parsePlace, parseValue } from "./parse-value.ts";
import {
  type AliasEntry,
  type CodeLine,
  type Column,
  type InitEntry,
  type LitmusArch,
  type LitmusTest,
  type Place,
  refusal,
  type ValueText,
} from "./test-file.ts";

const architectures: Readonly<Record<string, LitmusArch>> = {
  aarch64: "AArch64",
  riscv: "RISCV",
  x86_64: "X86_64",
};

type Header = Pick<LitmusTest, "arch" | "name" | "info">;

function parseHeader(fileName: string, { text }: Section): Header {
  const lines = text.split("\n");
  const first = lines.findIndex((line) => line.trim() !== "");
  const [, archName = "", name = ""] = /^\s*(\w+)\s+(\S+)/.exec(lines[first] ?? "") ?? [];
  if (name === "") throw refusal(fileName, first + 1, "the first line is not ARCHITECTURE NAME");
  const arch = architectures[archName.toLowerCase()];
  if (arch === undefined) {
    const known = Object.values(architectures).join(", ");
    throw refusal(fileName, first + 1, `architecture ${archName} is not one of ${known}`);
  }
  const info = new Map<string, { value: string; line: number }>();
  for (const [index, line] of lines.entries()) {
    const found = index > first ? /^\s*([A-Za-z][\w./-]*)\s*=\s*(.*?)\s*$/.exec(line) : null;
    const [, key, value] = found ?? [];
    if (key === undefined || value === undefined) continue;
    info.set(key.toLowerCase(), { value, line: index + 1 });
  }
  return { arch, name, info };
}

/** `(oa:phy_y)`: the only description of a page that is understood, a second name for a place. */
function parseAlias(tokens: TokenReader, line: number, pte: string): AliasEntry {
  tokens.expect("(");
  const target = tokens.accept("oa", ":") ? /^phy_(.+)$/.exec(tokens.word())?.[1] : undefined;
  if (target === undefined || !tokens.accept(")")) {
    return tokens.fail("page tables are not modelled, except (oa:phy_NAME) as a second name", line);
  }
  return { line, name: pte.slice("pte_".length), target };
}

/** Elements of an array, `= {1, 2}` included; `undefined` where none is declared. */
function parseArrayTail(tokens: TokenReader): { length: number; values: ValueText[] } | undefined {
  if (!tokens.accept("[")) return undefined;
  const length = Number(tokens.number());
  tokens.expect("]");
  const values: ValueText[] = [];
  if (tokens.accept("=")) {
    tokens.expect("{");
    while (!tokens.accept("}")) {
      if (values.length > 0) tokens.expect(",");
      values.push(parseValue(tokens));
    }
    if (values.length !== length) tokens.fail(`${length} values are expected`);
  }
  if (length < 1 || length > 64) tokens.fail("arrays of 1 to 64 elements are understood");
  return { length, values };
}

/** `int64_t`, `ins_t *`, `_Atomic int`: present where two names (or a name and `*`) follow. */
function parseType(tokens: TokenReader): string | undefined {
  tokens.accept("_Atomic");
  let type = "";
  const startsPlace = (): boolean => {
    const after = tokens.peek(1);
    return (
      after?.kind === "word" || after?.kind === "number" || ["*", "["].includes(after?.text ?? "")
    );
  };
  const array =
    tokens.isAt("[") || tokens.peek(1)?.text !== "[" || tokens.peek(2)?.kind === "number";
  const typed = tokens.peek()?.kind === "word" && startsPlace();
  // `x[2]` is an array, `uint64_t [x]` and `uint64_t x` are typed places.
  if (typed && !(tokens.peek(1)?.text === "[" && array)) type = tokens.word();
  while (tokens.accept("*")) type += " *";
  return type === "" ? undefined : type.trim();
}

function parseEntry(tokens: TokenReader): InitEntry | AliasEntry {
  const { line } = tokens;
  const type = parseType(tokens);
  const first = tokens.peek();
  const bracketed = tokens.isAt("[");
  const place = parsePlace(tokens);
  if (place.kind === "memory" && !bracketed) {
    const array = parseArrayTail(tokens);
    if (array !== undefined) return { line, place, type, ...array };
  }
  if (!tokens.accept("=")) return { line, place, type, values: [] };
  if (first?.text.startsWith("pte_") === true && tokens.isAt("(")) {
    return parseAlias(tokens, line, first.text);
  }
  tokens.accept("&");
  return { line, place, type, values: [parseValue(tokens)] };
}

function parseInit(
  name: string,
  section: Section,
): { init: readonly InitEntry[]; aliases: readonly AliasEntry[] } {
  const tokens = new TokenReader(name, tokenize(name, section));
  const init: InitEntry[] = [];
  const aliases: AliasEntry[] = [];
  while (!tokens.done) {
    if (tokens.accept(";")) continue;
    const entry = parseEntry(tokens);
    if ("place" in entry) init.push(entry);
    else aliases.push(entry);
    if (!tokens.done) tokens.expect(";");
  }
  checkTwice(name, init);
  return { init, aliases };
}

/** Refuses a place that is given two values. */
function checkTwice(name: string, init: readonly InitEntry[]): void {
  const given = new Map<string, string>();
  for (const { place, values, line } of init) {
    if (values.length === 0) continue;
    const own = placeName(place);
    const text = JSON.stringify(values, (_, value: unknown) =>
      typeof value === "bigint" ? String(value) : value,
    );
    if ((given.get(own) ?? text) !== text) throw refusal(name, line, `${own} has two values`);
    given.set(own, text);
  }
}

function parseColumnHead(name: string, line: number, cell: string): Omit<Column, "code"> {
  const text = cell.trim();
  const [, thread, handler] = /^P(\d+)(\.F)?$/.exec(text) ?? [];
  if (thread === undefined) {
    const why = text.includes("\n") ? ": a row ends with ;" : " (P0, P1.F)";
    throw refusal(name, line, `"${text}" is no head of a column${why}`);
  }
  return { thread: Number(thread), role: handler === undefined ? "main" : "handler" };
}

function parseCell(name: string, line: number, cell: string): CodeLine | undefined {
  const labels: string[] = [];
  let rest = cell.replace(/\s+/g, " ").trim();
  for (;;) {
    const label = /^([A-Za-z_.$][\w.$]*) ?: ?/.exec(rest);
    if (label === null) break;
    labels.push(label[1] ?? "");
    rest = rest.slice(label[0].length);
  }
  if (rest === "" && labels.length === 0) return undefined;
  if (rest.includes(";")) throw refusal(name, line, "a cell holds one instruction");
  return { line, labels, text: rest === "" ? undefined : rest };
}

function parseProgram(name: string, section: Section): readonly Column[] {
  const rows: { line: number; cells: string[] }[] = [];
  let { line } = section;
  for (const row of section.text.split(";")) {
    const blank = row.length - row.trimStart().length;
    const at = line + row.slice(0, blank).split("\n").length - 1;
    if (row.trim() !== "") rows.push({ line: at, cells: row.split("|") });
    line += row.split("\n").length - 1;
  }
  const head = rows[0];
  if (head === undefined) throw refusal(name, section.line, "there is no program");
  const heads = head.cells.map((cell) => parseColumnHead(name, head.line, cell));
  const code: CodeLine[][] = heads.map(() => []);
  for (const { line: at, cells } of rows.slice(1)) {
    if (cells.length > heads.length) {
      const why = cells.some((cell) => cell.trim().includes("\n")) ? ": a row ends with ;" : "";
      throw refusal(name, at, `${cells.length} cells in a row of ${heads.length} columns${why}`);
    }
    for (const [index, cell] of cells.entries()) {
      const parsed = parseCell(name, at, cell);
      if (parsed !== undefined) code[index]?.push(parsed);
    }
  }
  const mains = heads.filter((column) => column.role === "main").map((column) => column.thread);
  if (mains.some((thread, index) => thread !== index)) {
    throw refusal(name, head.line, "columns are P0, P1, P2... in this order, then handlers");
  }
  if (heads.some((column) => column.thread >= mains.length)) {
    throw refusal(name, head.line, "a handler belongs to a thread that is there");
  }
  return heads.map((column, index) => ({ ...column, code: code[index] ?? [] }));
}

/**
 * Parses a test. What is not understood is refused with its line (a `PatchbayError` with the code
 * `unsupported`).
 * @param text the file.
 * @param fileName for messages, where the test's own name is not known yet.
 */
export function parseLitmus(text: string, fileName?: string): LitmusTest {
  const sections = cutSections(fileName ?? "test", text);
  const header = parseHeader(fileName ?? "test", sections.header);
  const source = fileName ?? header.name;
  return {
    ...header,
    source,
    ...parseInit(source, sections.init),
    columns: parseProgram(source, sections.program),
    ...parseConditionSection(source, header.arch, sections.condition),
  };
}

/** Name of a place as tests write it: `1:X0`, `x`, `x[2]`. */
export function placeName(place: Place): string {
  if (place.kind === "register") return `${place.thread}:${place.register}`;
  return place.index === 0 ? place.name : `${place.name}[${place.index}]`;
}

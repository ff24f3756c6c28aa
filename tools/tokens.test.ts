import { describe, expect, it } from "vitest";
import { codeOf, pairBrackets, referencesOf, tokenize } from "./tokens.ts";

const brief = (text: string): string[] => tokenize(text).map((t) => `${t.kind} ${t.text}`);

describe("tokenize", () => {
  it("tells a division from a regular expression", () => {
    expect(brief("a / b / c")).not.toContain("regex / b /");
    expect(brief("x = /[/]\\/'/g;")).toContain("regex /[/]\\/'/g");
    expect(brief('return /a"b/')).toContain('regex /a"b/');
    expect(brief("f(1) / 2 // /x/")).toEqual([
      "word f",
      "punctuation (",
      "number 1",
      "punctuation )",
      "punctuation /",
      "number 2",
      "comment // /x/",
    ]);
  });

  it("keeps code in a template apart from its text, nested templates too", () => {
    expect(brief("`a ${b({ c: `d${e}` })} process.exit`")).toEqual([
      "template `a ${",
      "word b",
      "punctuation (",
      "punctuation {",
      "word c",
      "punctuation :",
      "template `d${",
      "word e",
      "template }`",
      "punctuation }",
      "punctuation )",
      "template } process.exit`",
    ]);
  });

  it("takes strings, escapes and comments whole", () => {
    const text = `'it\\'s // no comment' /* "no string" */ "a\\\\" // 'x`;
    expect(brief(text)).toEqual([
      "string 'it\\'s // no comment'",
      'comment /* "no string" */',
      'string "a\\\\"',
      "comment // 'x",
    ]);
  });

  it("takes numbers of every form as one token", () => {
    const numbers = ["0x1f", "1_000n", "1.5e-3", ".5", "0b101n"];
    expect(brief(numbers.join(" "))).toEqual(numbers.map((number) => `number ${number}`));
  });

  it("counts lines through comments, strings and templates", () => {
    const text = "#!/bin/x\n/* a\n b */ one\n`t\n${two}\n` three";
    const lines = tokenize(text).filter((t) => t.kind === "word");
    expect(lines.map((t) => `${t.text}:${t.line}`)).toEqual(["one:3", "two:5", "three:6"]);
  });

  it("loses no character but white space, whatever it is given", () => {
    for (const text of ["'open", "`open ${", "/* open", "a } } ${ b", "\u{1f600} é @x #y"]) {
      const tokens = tokenize(text).map((t) => t.text);
      expect(tokens.join("").replaceAll(/\s/g, "")).toBe(text.replaceAll(/\s/g, ""));
    }
  });
});

describe("pairBrackets", () => {
  it("pairs across templates and names the bracket around", () => {
    const code = tokenize("f(`a ${[x]} b`)");
    const { partner, parent } = pairBrackets(code);
    const at = (text: string): number => code.findIndex((t) => t.text === text);
    expect(partner.get(at("("))).toBe(at(")"));
    expect(partner.get(at("`a ${"))).toBe(at("} b`"));
    expect(parent.get(at("["))).toBe(at("`a ${"));
    expect(parent.get(at("("))).toBe(-1);
  });
});

describe("referencesOf", () => {
  const specifiers = (text: string): string[] =>
    referencesOf(codeOf(tokenize(text))).map((r) => r.specifier);

  it("finds every way to name a module", () => {
    const text = `
      import "a";
      import b from "b";
      import * as c from "c";
      import d, { type D, e as from } from "d";
      import type { F } from "f";
      export { g } from "g";
      export * from "h";
      export type { I } from "i";
      export type * as j from "j";
      type K = import("k").K;
      const l = await import("l");
      const m = require("m");
      new Worker(new URL("./n-worker.ts", import.meta.url));
    `;
    expect(specifiers(text).join(" ")).toBe("a b c d f g h i j k l m ./n-worker.ts");
  });

  it("sees no module in comments, text, exports of values and members called import", () => {
    const text = `
      // import "a";
      const b = 'import "b"';
      export { c };
      export const from = "d";
      export type Local = { from: string }; const e = "e";
      loader.import("f"); import.meta.url;
      new URL("https://example.org");
    `;
    expect(specifiers(text)).toEqual([]);
  });

  it("reports a computed import as one without a name", () => {
    expect(specifiers("await import(name); require(`x`);")).toEqual(["", ""]);
  });
});

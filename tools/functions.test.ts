import { describe, expect, it } from "vitest";
import { functionsOf } from "./functions.ts";
import { codeOf, tokenize } from "./tokens.ts";

const spans = (text: string): string[] =>
  functionsOf(codeOf(tokenize(text))).map((f) => `${f.firstLine}-${f.lastLine}`);

/** Text before and after three lines of body. */
const around = (head: string, tail = "}"): string => `${head}\n  a();\n  b();\n${tail}`;

describe("functionsOf", () => {
  it.each([
    "function f() {",
    "export async function* f<T>(a: Map<T, () => void>): AsyncGenerator<T> {",
    "function f(): { a: number; b: { c: string } } {",
    "function f(x: unknown): x is string | { a: 1 } {",
    "function f(x: unknown): asserts x {",
    "function f(): (a: number) => void {",
    "function f(): () => { a: number } {",
    "function f(): Array<{ a: number; b: string }> {",
    "function f(): readonly [A, B][] {",
    "function f(): typeof import('x') {",
    "const f = () => {",
    "const f = async (a: number): Promise<Map<string, { a: 1 }>> => {",
    "const f = (): { a: number } => {",
    "const f = function () {",
  ])("finds the body of `%s`", (head) => {
    expect(spans(around(head))[0]).toBe("1-4");
  });

  it("finds methods, accessors and constructors in classes and objects", () => {
    const members = [
      "constructor(a = {}) {",
      "get x(): T {",
      "#m(): void {",
      "*[Symbol.iterator]() {",
    ];
    const text = members.map((head) => around(head)).join("\n");
    expect(spans(`class C {\n${text}\n}`)).toEqual(["2-5", "6-9", "10-13", "14-17"]);
    expect(spans(`x = {\n${around("m(a) {")} }`)).toEqual(["2-5"]);
  });

  it.each([
    "if (a) {",
    "for (const a of b) {",
    "for await (const a of b) {",
    "while (a) {",
    "switch (a) {",
    "try { x } catch (error) {",
    "class A extends B {",
    "const f = c ? g(a) : {",
    "interface I { m(): {",
    "switch (a) { case f(x): {",
    "const f = (a): T => ({",
    "type F = {",
  ])("takes `%s` for no function", (head) => {
    expect(spans(around(head))).toEqual([]);
  });

  it("counts from a parameter list over many lines and lists inner functions too", () => {
    const text = "function f(\n  a: A,\n  b: B,\n): C {\n  g((x) => {\n  });\n}";
    expect(spans(text)).toEqual(["1-7", "5-6"]);
  });

  it("names what a function is passed to", () => {
    const passedTo = (text: string): (string | undefined)[] =>
      functionsOf(codeOf(tokenize(text))).map((f) => f.passedTo);
    expect(passedTo('describe("a", () => { });')).toEqual(["describe"]);
    expect(passedTo('describe.each([1])("a", async (x) => { });')).toEqual(["describe"]);
    expect(passedTo('describe.skipIf(a).each(b)("a", () => { });')).toEqual(["describe"]);
    expect(passedTo("const f = () => { };")).toEqual([undefined]);
    expect(passedTo("x = { f() { } }")).toEqual([undefined]);
  });
});

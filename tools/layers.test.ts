import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkLayers, checkRepositoryLayers, layers } from "./layers.ts";
import { root } from "./repository.ts";

/** A sound little tree, with `planted` put in. */
function problemsWith(planted: Readonly<Record<string, string>>): string[] {
  const sound = {
    "src/base/assert.ts": "export const assert = 1;",
    "src/isa/isa.ts": 'import { assert } from "../base/assert.ts"; import "./other.ts";',
    "src/isa/other.ts": "export {};",
    "src/isa/isa.test.ts": 'import "vitest"; import "node:fs"; import "./isa.ts"; process.exit();',
    "src/os/libc.ts": 'import koffi from "koffi"; import "node:fs"; import "../isa/isa.ts";',
    "src/session/attach.ts": 'import "../os/libc.ts"; Date.now(); new Date();',
    "src/index.ts": 'export { attach } from "./session/attach.ts";',
    "src/cli/verbs/demo.ts": 'import "commander"; import "../../index.ts"; import "../main.ts";',
    "src/cli/main.ts": 'import "./verbs/demo.ts"; import "node:path"; process.exit(0);',
  };
  const files = new Map(Object.entries({ ...sound, ...planted }));
  return checkLayers(files, [...files.keys()]).map((p) => `${p.file}: ${p.message}`);
}

describe("checkLayers", () => {
  it("passes a tree that keeps to the table", () => {
    expect(problemsWith({})).toEqual([]);
  });

  it.each([
    ["src/base/a.ts", 'import "../isa/isa.ts";', "imports src/isa/isa.ts"],
    ["src/base/a.ts", 'export type { X } from "../os/libc.ts";', "imports src/os/libc.ts"],
    ["src/os/a.ts", 'const x = await import("../session/attach.ts");', "src/session/attach.ts"],
    ["src/os/a.ts", 'new URL("../session/attach.ts", import.meta.url);', "src/session/attach.ts"],
    ["src/base/a.test.ts", 'import "../isa/isa.ts";', "imports src/isa/isa.ts"],
    ["src/session/a.ts", 'import "../index.ts";', "imports src/index.ts"],
    ["src/index.ts", 'import "./cli/main.ts";', "imports src/cli/main.ts"],
    ["src/cli/a.ts", 'import "../session/attach.ts";', "cli may import itself and index.ts"],
    ["src/cli/a.ts", 'import "../base/assert.ts";', "cli may import itself and index.ts"],
    ["src/isa/a.ts", 'import "./isa.test.ts";', "a test"],
    ["src/isa/a.ts", 'import "../../tools/tidy.ts";', "outside of src"],
    ["src/isa/a.ts", 'import "./isa.js";', "not there"],
    ["src/isa/a.ts", "await import(name);", "a computed path"],
  ])("refuses in %s: %s", (path, text, message) => {
    expect(problemsWith({ [path]: text })).toEqual([expect.stringContaining(message)]);
  });

  it.each([
    ["src/base/a.ts", 'import { readFileSync } from "node:fs";'],
    ["src/report/a.ts", 'import koffi from "koffi";'],
    ["src/session/a.ts", 'import koffi from "koffi";'],
    ["src/cli/a.ts", 'import koffi from "koffi";'],
    ["src/session/a.ts", 'import { Command } from "commander";'],
    ["src/os/a.ts", 'import fc from "fast-check";'],
    ["src/os/a.ts", 'import fs from "fs";'],
    ["src/elf/a.test.ts", 'import koffi from "koffi";'],
  ])("refuses a package in %s: %s", (path, text) => {
    expect(problemsWith({ [path]: text })).toEqual([expect.stringContaining(" may import ")]);
  });

  it.each([
    "const now = Date.now();",
    "const now = new Date();",
    "const roll = Math.random();",
    "const roll = `${Math.random()}`;",
    "process.stdout.write(x);",
    "const { env } = globalThis.process;",
  ])("refuses in a pure layer: %s", (text) => {
    expect(problemsWith({ "src/model/a.ts": text })).toEqual([
      expect.stringContaining("in a pure layer"),
    ]);
    expect(problemsWith({ "src/session/b.ts": text })).toEqual([]);
  });

  it("lets innocent relatives of the banned words pass", () => {
    const text = `
      // A process. Date.now() and Math.random() in a comment.
      const text = "process.exit and Math.random()";
      const at = new Date(event.time).toISOString();
      trace.process.name; Math.max(1, 2); const process = 3;
    `;
    expect(problemsWith({ "src/report/a.ts": text })).toEqual([]);
  });

  it("refuses chance in unit tests, which could not be repeated", () => {
    expect(problemsWith({ "src/isa/a.test.ts": "Math.random();" })).toHaveLength(1);
  });

  it("refuses a folder and a file that the table does not know, and other kinds of files", () => {
    expect(problemsWith({ "src/wild/a.ts": "" })).toHaveLength(1);
    expect(problemsWith({ "src/stray.ts": "" })).toHaveLength(1);
    expect(problemsWith({ "src/os/agent.mjs": "" })).toHaveLength(1);
  });

  it("fails when it has seen fewer files than git lists", () => {
    const files = new Map([["src/base/a.ts", ""]]);
    expect(checkLayers(files, ["src/base/a.ts"])).toEqual([]);
    expect(checkLayers(files, ["src/base/a.ts", "src/base/b.ts"])).toHaveLength(1);
    expect(checkLayers(new Map(), ["src/base/a.ts"])).toHaveLength(1);
    expect(checkLayers(files, [])).toHaveLength(1);
    expect(checkLayers(new Map(), [])).toHaveLength(1);
  });
});

describe("the repository", () => {
  it("is walked as a whole: no complaint about unvisited files", () => {
    const messages = checkRepositoryLayers().map((p) => p.message);
    expect(messages.filter((message) => message.includes("git lists"))).toEqual([]);
  });

  it("compiles exactly the pure layers without Node's types", () => {
    const config: unknown = JSON.parse(readFileSync(join(root, "tsconfig.pure.json"), "utf8"));
    const folders = layers
      .filter((l) => l.pure && !l.name.endsWith(".ts"))
      .map((l) => `src/${l.name}`);
    expect(config).toMatchObject({
      compilerOptions: { types: [] },
      include: expect.arrayContaining(folders),
    });
    expect(config).toHaveProperty("include.length", folders.length + 1);
  });
});

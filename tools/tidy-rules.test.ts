import { describe, expect, it } from "vitest";
import { findUnreached, judgeFiles, sourceFile, sourceFiles } from "./tidy-rules.ts";

/** What the rules say about one file, as `line: message`. */
const judge = (path: string, text: string): string[] =>
  judgeFiles([sourceFile(path, text)]).map((p) => `${p.line}: ${p.message}`);

/** A source file with its head comment. */
const judgeSource = (text: string): string[] => judge("src/isa/a.ts", `/** A. */\n${text}`);

const lines = (count: number, line = "x();"): string => `${line}\n`.repeat(count);

describe("columns", () => {
  it("allows 100, counting characters and not bytes, and no more", () => {
    expect(judgeSource(`// ${"é".repeat(97)}`)).toEqual([]);
    expect(judgeSource(`// ${"e".repeat(98)}`)).toEqual(["2: 101 columns, at most 100"]);
    expect(judge("test/fixtures/a.c", "x".repeat(101))).toHaveLength(1);
  });

  it("spares links, Markdown and data", () => {
    expect(judgeSource(`// https://example.org/${"e".repeat(98)}`)).toEqual([]);
    expect(judge("docs/a.md", `# A\n${"x".repeat(101)}`)).toEqual([]);
    expect(judge("test/a.json", "x".repeat(101))).toEqual([]);
  });
});

describe("lengths", () => {
  it("allows files of 400 lines, tables any", () => {
    expect(judgeSource(lines(399))).toEqual([]);
    expect(judgeSource(lines(400))).toEqual([expect.stringContaining("401 lines")]);
    expect(judge("src/isa/table.ts", `// table\n/** T. */\n${lines(500)}`)).toEqual([]);
    expect(judge("src/isa/a.ts", `/** A. */\n// table\n${lines(500)}`)).toHaveLength(1);
  });

  it("allows functions of 70 lines", () => {
    expect(judgeSource(`function f() {\n${lines(68)}}`)).toEqual([]);
    expect(judgeSource(`function f() {\n${lines(69)}}`)).toEqual([
      "2: a function of 71 lines, at most 70",
    ]);
    expect(judgeSource(`const f = (a: A): B => {\n${lines(69)}};`)).toHaveLength(1);
    expect(judgeSource(`class C {\n  m(): B {\n${lines(69)}}\n}`)).toHaveLength(1);
  });

  it("spares describe in tests, not what is inside and nothing elsewhere", () => {
    const suite = `describe("a", () => {\n${lines(80)}});`;
    const test = `describe("a", () => {\nit("b", () => {\n${lines(80)}});\n});`;
    expect(judge("src/isa/a.test.ts", suite)).toEqual([]);
    expect(judge("src/isa/a.test.ts", test)).toHaveLength(1);
    expect(judgeSource(suite)).toHaveLength(1);
  });
});

describe("head comment", () => {
  it.each(["/** A. */\n", "#!/usr/bin/env node\n/** A. */\n", "// table\n/** A. */\n"])(
    "is seen in %j",
    (head) => {
      expect(judge("src/isa/a.ts", `${head}x();`)).toEqual([]);
    },
  );

  it("is missed in sources, and not asked of tests", () => {
    expect(judge("src/isa/a.ts", "x();")).toHaveLength(1);
    expect(judge("src/isa/a.ts", "// A.\nx();")).toHaveLength(1);
    expect(judge("bench/a.ts", "import 'x';\n/** A. */")).toHaveLength(1);
    expect(judge("src/isa/a.test.ts", "x();")).toEqual([]);
  });
});

describe("words", () => {
  it.each([
    "// TODO: the rest",
    "/* FIXME */",
    "const whitelist = 1;",
    "// A seamless way",
    "const folder = '/work/main';",
    "// see /root/notes",
    "class SiteManager {}",
    "const patchUtils = 1;",
  ])("refuses %s", (text) => {
    expect(judgeSource(text)).toHaveLength(1);
  });

  it.each([
    "mkstemp('/tmp/aXXXXXX');",
    "// the homework/done, a/work/b, https://example.org/work/",
    "// The Manager of it",
    "const manager = helper;",
  ])("allows %s", (text) => {
    expect(judgeSource(text)).toEqual([]);
  });

  it("refuses a machine's paths in documents", () => {
    expect(judge("docs/a.md", "# A\nSee /tmp/trace.")).toEqual([
      '2: "/tmp/": no paths of one machine',
    ]);
    expect(judge("README.md", "# A\n`cd /work/x`")).toHaveLength(1);
  });
});

describe("names", () => {
  it.each([
    "src/isa/x86-64/assembler.test.ts",
    "src/target/agent-worker.ts",
    "README.md",
    ".ci/run",
    ".oxlintrc.json",
    "src/index.ts",
    "src/codegen/common-trampoline.ts",
  ])("allows %s", (path) => {
    expect(judge(path, path.endsWith(".md") ? "# A" : "/** A. */")).toEqual([]);
  });

  it.each([
    "src/isa/Assembler.ts",
    "src/isa/x86_64.ts",
    "src/ISA/a.ts",
    "docs/Guide.md",
    "src/isa/utils.ts",
    "test/helpers.ts",
    "src/isa/index.ts",
  ])("refuses %s", (path) => {
    expect(judge(path, path.endsWith(".md") ? "# A" : "/** A. */")).toHaveLength(1);
  });
});

describe("leftovers", () => {
  it("refuses .only, debugger and console.log", () => {
    expect(judge("test/live/a.test.ts", "it.only('a', f);")).toEqual(["1: a leftover .only"]);
    expect(judgeSource("debugger;")).toEqual(["2: a leftover debugger"]);
    expect(judgeSource("console.log(x);")).toEqual(["2: a leftover console.log"]);
    expect(judge("test/oracle/a.ts", "console.log(x);")).toHaveLength(1);
    expect(judge("tools/a.ts", "/** A. */ debugger;")).toHaveLength(1);
  });

  it("lets those print whose trade it is, and the words in other meanings", () => {
    expect(judge("tools/a.ts", "/** A. */ console.log(x);")).toEqual([]);
    expect(judge("src/cli/verbs/a.ts", "/** A. */ console.log(x);")).toEqual([]);
    expect(judgeSource("layer.only; Math.log(2); x.debugger; // debugger, console.log")).toEqual(
      [],
    );
  });
});

describe("one title", () => {
  it("counts titles outside of code", () => {
    expect(judge("docs/a.md", "# A\n## B\n```sh\n# comment\n```\n")).toEqual([]);
    expect(judge("docs/a.md", "# A\n\n# B\n")).toEqual(["0: 2 titles (# …), not 1"]);
    expect(judge("docs/a.md", "## A\n```\n# B\n```")).toEqual(["0: 0 titles (# …), not 1"]);
  });
});

describe("findUnreached", () => {
  const unreached = (texts: Readonly<Record<string, string>>): string[] =>
    findUnreached(sourceFiles(new Map(Object.entries(texts)))).map((p) => p.file);

  it("follows imports, types, re-exports and workers from the entry points", () => {
    const texts = {
      "src/index.ts": 'export * from "./session/a.ts";',
      "src/session/a.ts": 'import type { B } from "../base/b.ts"; import("./c.ts");',
      "src/session/c.ts": "",
      "src/base/b.ts": "",
      "src/cli/main.ts": 'import "./verbs/d.ts";',
      "src/cli/verbs/d.ts": "",
      "src/target/e-worker.ts": 'import "./f.ts";',
      "src/target/f.ts": "",
      "src/base/b.test.ts": "",
      "test/x.ts": "",
    };
    expect(unreached(texts)).toEqual([]);
    expect(unreached({ ...texts, "src/index.ts": "" })).toEqual([
      "src/session/a.ts",
      "src/session/c.ts",
      "src/base/b.ts",
    ]);
  });

  it("is not fooled by tests and rings", () => {
    const texts = {
      "src/index.ts": '// import "./base/a.ts"',
      "src/base/a.ts": 'import "./b.ts";',
      "src/base/b.ts": 'import "./a.ts";',
      "src/base/a.test.ts": 'import "./a.ts";',
    };
    expect(unreached(texts)).toEqual(["src/base/a.ts", "src/base/b.ts"]);
  });
});

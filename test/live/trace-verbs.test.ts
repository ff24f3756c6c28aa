/** The verbs that read traces, as a user calls them: what they print, where, and their status. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeSyntheticTrace } from "../../bench/synthetic-trace.ts";
import { patchbay } from "./harness.ts";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
let home = "";
let trace = "";
let other = "";

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "patchbay-verbs-"));
  trace = join(home, "trace");
  other = join(home, "other");
  writeSyntheticTrace(trace, { seed: 1, events: 200_000, threads: 2, functions: 40 });
  writeSyntheticTrace(other, { seed: 2, events: 200_000, threads: 2, functions: 40 });
});

afterAll(() => rmSync(home, { recursive: true }));

describe("verbs that read traces", () => {
  it.each([
    [["report"], /^ +total +self .*\n(.*\n)+\n200,000 events of 2 threads/],
    [["report", "-n", "1", "-s", "calls", "-F", "function_number_1*"], /and \d+ functions more/],
    [["graph", "--depth", "2"], /^# {2}duration +thread \| {2}function\n/],
    [["graph", "--thread", "1001", "--min", "20us", "--time"], /^# thread 1001 worker 1001\n/],
    [["graph", "--tree", "--min", "50us"], /├─/],
    [["info"], /\nrecorded +200,000 events of 2 threads in/],
  ])(
    "%j print text for people, without colours into a pipe",
    async ([verb = "", ...args], text) => {
      const { status, stdout, stderr } = await patchbay(verb, trace, ...args);
      expect([status, stderr]).toEqual([0, ""]);
      expect(stdout).toMatch(text);
      expect(stdout).not.toContain("\u001b");
    },
  );

  it.each([["report"], ["info"], ["graph"], ["graph", "--tree"]])(
    "%s %s --json is JSON",
    async (...verb) => {
      const [name = "", ...args] = verb.filter((word) => word !== undefined);
      const { status, stdout } = await patchbay(name, trace, ...args, "--json");
      expect(status).toBe(0);
      const lines = stdout.trimEnd().split("\n");
      for (const line of lines) expect(() => JSON.parse(line)).not.toThrow();
      expect(lines.length > 1).toBe(name === "graph");
    },
  );

  it("query answers from a trace and from its tables alike", async () => {
    const tables = join(home, "tables");
    expect(await patchbay("export", trace, "--to", "parquet", "-o", tables)).toMatchObject({
      status: 0,
      stderr: "",
    });
    const sql = "SELECT tid, count(*) AS calls FROM calls GROUP BY tid ORDER BY tid";
    const [fromTrace, fromTables] = [
      await patchbay("query", trace, sql),
      await patchbay("query", tables, sql),
    ];
    expect(fromTrace).toMatchObject({ status: 0, stderr: "" });
    expect(fromTrace.stdout).toMatch(/^ tid +calls\n1000 +\d+\n1001 +\d+$/);
    expect(fromTables.stdout).toBe(fromTrace.stdout);
    const { stdout } = await patchbay("query", tables, sql, "--json");
    expect(stdout).toMatch(/^\{"tid":1000,"calls":\d+\}\n\{"tid":1001,"calls":\d+\}$/);
    const wrong = await patchbay("query", tables, "SELECT nothing");
    expect(wrong).toMatchObject({ status: 2, stdout: "" });
    expect(wrong.stderr).toMatch(/^patchbay: run the query: [^\n]+\n$/);
  });

  it.each(["parquet", "uftrace"])(
    "export --to %s wants a directory, and no other's",
    async (to) => {
      const bare = await patchbay("export", trace, "--to", to);
      expect(bare).toMatchObject({ status: 2, stdout: "" });
      expect(bare.stderr).toMatch(
        /^patchbay: export to \w+: it makes several files [^\n]+ -o DIR\)\n$/,
      );
      const others = await patchbay("export", trace, "--to", to, "-o", trace);
      expect(others).toMatchObject({ status: 2, stdout: "" });
      expect(others.stderr).toMatch(
        /^patchbay: write .*: metadata is there.* \(name a new directory\)\n$/,
      );
    },
  );

  it("export writes files and standard output alike", async () => {
    for (const format of ["chrome", "perfetto", "speedscope", "folded", "svg", "dot", "mermaid"]) {
      const path = join(home, `out.${format}`);
      const filed = await patchbay("export", trace, "--to", format, "-o", path);
      const piped = spawnSync(process.execPath, [main, "export", trace, "-t", format], {
        maxBuffer: 2 ** 30,
      });
      expect([format, filed.status, piped.status]).toEqual([format, 0, 0]);
      expect(readFileSync(path).equals(piped.stdout)).toBe(true);
      expect(piped.stdout.length).toBeGreaterThan(100);
    }
  });

  it("diff compares two traces", async () => {
    const { status, stdout } = await patchbay("diff", trace, other, "--all");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^verdict +change +self a/);
    expect(stdout).toMatch(/\d+ functions took as long in both traces/);
  });

  it("end quietly when nobody reads on", () => {
    for (const verb of ["graph", "report", "export -t chrome"]) {
      const [name = "", ...args] = verb.split(" ");
      const words = [main, name, trace, ...args].map((word) => `'${word}'`).join(" ");
      const script = `set -o pipefail; '${process.execPath}' ${words} | head -n 2`;
      const { status, stdout, stderr } = spawnSync("bash", ["-c", script], { encoding: "utf8" });
      expect([verb, status, stderr]).toEqual([verb, 0, ""]);
      expect(stdout.split("\n")).toHaveLength(3);
    }
  });

  it.each([
    [2, ["report"], /missing required argument/],
    [2, ["report", "DIR", "--sort", "colour"], /Allowed choices/],
    [2, ["graph", "DIR", "--min", "soon"], /250ns/],
    [2, ["graph", "DIR", "--depth", "-1"], /number/],
    [2, ["export", "DIR", "--to", "pdf"], /Allowed choices/],
    [2, ["export", "DIR"], /--to/],
    [1, ["report", "/nowhere"], /^patchbay: open the trace \/nowhere: .*\n$/],
    [1, ["info", "/proc"], /^patchbay: open the trace \/proc: it is no Patchbay trace.*\n$/],
    [1, ["graph", "DIR", "-F", "function_numbr_1"], /near to it: function_number_1/],
    [1, ["report", "DIR", "--thread", "5"], /it has 1000, 1001/],
    [
      1,
      ["export", "DIR", "-t", "dot", "-o", "/nowhere/x"],
      /^patchbay: write to \/nowhere\/x: .*\n$/,
    ],
    [1, ["diff", "DIR", "/nowhere"], /^patchbay: open the trace \/nowhere/],
  ])("exit with %d after %j, with a line that says why", async (expected, words, text) => {
    const args = words.map((word) => (word === "DIR" ? trace : word));
    const { status, stdout, stderr } = await patchbay(...args);
    expect([status, stdout]).toEqual([expected, ""]);
    expect(stderr).toMatch(text);
  });
});

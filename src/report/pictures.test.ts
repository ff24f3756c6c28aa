import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { historyOf, moves } from "../../test/support/random-calls.ts";
import { concat, functionNamed, packetsOf, traceOf } from "../../test/support/trace-builder.ts";
import { eventKind } from "../ring/layout.ts";
import type { Trace } from "../trace/trace.ts";
import { exporters } from "./exporters.ts";

const names = ["main", 'a<"b">&c', "work#1", "x\\y"];
const functions = names.map((name, site) => functionNamed(site, name));
const draw = (format: string, trace: Trace): string =>
  new TextDecoder().decode(concat([...(exporters.get(format)?.(trace, {}) ?? [])]));

const traceArbitrary = moves(60).map((list) => {
  const history = historyOf(list);
  return {
    history,
    trace: traceOf([{ tid: 1, packets: packetsOf(history.events, [9]) }], functions),
  };
});

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"' };
const unescapeXml = (text: string): string =>
  text.replaceAll(/&(\w+);/g, (_, name: string) => entities[name] ?? "?");

type Box = {
  readonly name: string;
  readonly x: number;
  readonly right: number;
  readonly y: number;
};

/** The boxes of a flame graph, without the root's; fails where tags do not match. */
function boxesOf(svg: string): readonly Box[] {
  const open: string[] = [];
  const markup = svg.replace(/<!\[CDATA\[[\s\S]*?\]\]>/, "").replace(/<\?.*?\?>/, "");
  for (const [, slash, tag = "", , self] of markup.matchAll(
    /<(\/?)(\w+)((?:[^>"]|"[^"<]*")*?)(\/?)>/g,
  )) {
    if (slash === "/") expect(open.pop()).toBe(tag);
    else if (self !== "/") open.push(tag);
  }
  expect(open).toEqual([]);
  const box = /<g data-x="(.*?)" data-w="(.*?)" data-n="(.*?)">.*?<rect x=".*?" y="(\d+)"/g;
  return [...svg.matchAll(box)].slice(1).map(([, x, w, name = "", y]) => ({
    name: unescapeXml(name),
    x: Number(x),
    right: Number(x) + Number(w),
    y: Number(y),
  }));
}

describe("a flame graph", () => {
  it("is well-formed; boxes lie on their callers' and beside each other", () => {
    fc.assert(
      fc.property(traceArbitrary, ({ history, trace }) => {
        const boxes = boxesOf(draw("svg", trace));
        const time = history.calls.some((call) => call.self > 0);
        expect(boxes.length > 0).toBe(time);
        const below = Math.max(...boxes.map((box) => box.y));
        for (const [i, box] of boxes.entries()) {
          expect(names).toContain(box.name);
          const caller = boxes.filter(
            (other) =>
              other.y === box.y + 17 && other.x <= box.x + 0.01 && other.right >= box.right - 0.01,
          );
          expect(box.y === below || caller.length > 0).toBe(true);
          const overlap = boxes
            .slice(i + 1)
            .filter(
              (other) =>
                other.y === box.y && other.x < box.right - 0.01 && other.right > box.x + 0.01,
            );
          expect(overlap).toEqual([]);
        }
      }),
    );
  });

  it("gives each function the width of its time", () => {
    const events = [
      { kind: eventKind.entry, time: 0, site: 0 },
      { kind: eventKind.entry, time: 25, site: 1 },
      { kind: eventKind.exit, time: 75, site: 1 },
      { kind: eventKind.exit, time: 100, site: 0 },
    ];
    const svg = draw("svg", traceOf([{ tid: 1, packets: packetsOf(events, []) }], functions));
    const widths = boxesOf(svg).map((box) => [box.name, Math.round(box.right - box.x)]);
    expect(widths).toEqual([
      ["main", 1180],
      ['a<"b">&c', 590],
    ]);
    expect(svg).toContain("<title>main (100.0 ns, 100.0%, 1 calls)</title>");
  });
});

/** Calls by caller and callee, from the true calls. */
function trueEdges(calls: ReturnType<typeof historyOf>["calls"]): Map<string, number> {
  const edges = new Map<string, number>();
  const stack: number[] = [];
  for (const call of calls) {
    stack.length = call.depth;
    const key = `${stack.at(-1)} ${call.site}`;
    if (call.depth > 0) edges.set(key, (edges.get(key) ?? 0) + 1);
    stack.push(call.site);
  }
  return edges;
}

describe.each([
  [
    "dot",
    /^ {2}n(\d+) \[label="((?:[^"\\]|\\.)*)"\];$/,
    /^ {2}n(\d+) -> n(\d+) \[label="([\d,]+)\\n/,
  ],
  ["mermaid", /^ {2}n(\d+)\["([^"]*)"\]$/, /^ {2}n(\d+) -->\|"([\d,]+), [^"]*"\| n(\d+)$/],
])("a call graph in %s", (format, nodeLine, edgeLine) => {
  it("has every function once, and every pair of caller and callee with its calls", () => {
    fc.assert(
      fc.property(traceArbitrary, ({ history, trace }) => {
        const lines = draw(format, trace).split("\n");
        const nodes = new Map<string, string>();
        const edges = new Map<string, number>();
        for (const line of lines) {
          const node = nodeLine.exec(line);
          if (node !== null) nodes.set(node[1] ?? "", nameIn(format, node[2] ?? ""));
        }
        const site = (id: string | undefined): number => names.indexOf(nodes.get(id ?? "") ?? "");
        for (const line of lines) {
          const [, from, x, y] = edgeLine.exec(line) ?? [];
          if (from === undefined) continue;
          const [to, calls] = format === "dot" ? [x, y] : [y, x];
          edges.set(`${site(from)} ${site(to)}`, Number(calls));
        }
        expect(edges).toEqual(trueEdges(history.calls));
        const called = new Set(history.calls.map((call) => names[call.site]));
        expect(new Set(nodes.values())).toEqual(called);
        // Nothing but these lines, a head and a foot.
        const known = lines.filter((line) => nodeLine.test(line) || edgeLine.test(line));
        expect(lines.length - known.length).toBe(format === "dot" ? 4 : 2);
      }),
    );
  });
});

function nameIn(format: string, label: string): string {
  if (format === "dot") return label.split("\\n")[0]?.replaceAll(/\\(.)/g, "$1") ?? "";
  const codes: Readonly<Record<string, string>> = { "35": "#", quot: '"', lt: "<", gt: ">" };
  const name = label.split("<br>")[0] ?? "";
  return name.replaceAll(/#(\w+);/g, (_, code: string) => codes[code] ?? "?");
}

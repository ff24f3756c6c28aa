import { describe, expect, it } from "vitest";
import { functionNamed, slotOf, traceOf } from "../../test/support/trace-builder.ts";
import { eventKind } from "../ring/layout.ts";
import { encodeLongEvent, longBase, longForm, valueType } from "../ring/long-event.ts";
import type { NameStack } from "../trace/stack-frames.ts";
import type { Trace } from "../trace/trace.ts";
import { exportFolded } from "./export-folded.ts";
import { formatGraph, formatGraphJson } from "./graph.ts";

const names: Readonly<Record<string, string>> = { 1: "inner", 2: "middle", 3: "main" };
/** Of 9, and what is behind it, nothing is known. */
const nameStack: NameStack = (addresses) =>
  addresses
    .slice(0, addresses.includes(9n) ? addresses.indexOf(9n) : undefined)
    .map((address) => ({ address, name: names[String(address)], module: "/bin/program" }));

/** Calls of `leaf`, each from a stack, one of them with a value behind it. */
function stacksTrace(stacks: readonly (readonly bigint[])[]): Trace {
  const slots = stacks.flatMap((stack, i) => {
    const time = BigInt(i * 10);
    const hasValue = i === 1;
    return [
      ...encodeLongEvent({
        base: longBase.entry,
        form: longForm.stack,
        time,
        site: 1,
        types: hasValue ? valueType.u8 : 0,
        words: [BigInt(stack.length), ...stack, ...(hasValue ? [42n] : [])],
      }),
      slotOf({ kind: eventKind.exit, time: i * 10 + 5, site: 1 }),
    ];
  });
  const end = BigInt(stacks.length * 10);
  const thread = { tid: 7, packets: [{ slots, begin: 0n, end }] };
  return { ...traceOf([thread], [functionNamed(1, "leaf")]), nameStack };
}

const trace = stacksTrace([[1n, 3n], [1n, 3n], [2n, 9n, 3n], []]);
const text = (pieces: Iterable<string>): readonly string[] => [...pieces].join("").split("\n");

describe("recorded stacks", () => {
  it("stand before their calls in a graph, as far as they are known", () => {
    const lines = text(formatGraph(trace, {}, (_, part) => part));
    const shown = lines.filter((line) => line.includes("|")).map((line) => line.split("|  ")[1]);
    expect(shown.slice(1)).toEqual([
      ...["/* from inner < main */", "leaf();"],
      ...["/* from inner < main */", "leaf(42);"],
      ...["/* from middle < ... */", "leaf();"],
      ...["/* from ... */", "leaf();"],
    ]);
  });

  it("are lists of frames for programs", () => {
    const [first, second] = text(formatGraphJson(trace, {}));
    expect(JSON.parse(first ?? "").stack).toEqual([
      { function: "inner", module: "/bin/program", address: "0x1" },
      { function: "main", module: "/bin/program", address: "0x3" },
    ]);
    expect(JSON.parse(first ?? "").arguments).toBeUndefined();
    expect(JSON.parse(second ?? "").arguments).toEqual(["42"]);
  });

  it("are counted, folded", () => {
    const folded = Buffer.concat([...exportFolded(trace, { stacks: true })]).toString();
    expect(folded).toBe("leaf 1\nmain;inner;leaf 2\nmiddle;leaf 1\n");
  });
});

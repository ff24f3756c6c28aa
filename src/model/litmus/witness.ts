/**
 * An execution as lanes: one column per thread, time downwards, every access, fetch and cache
 * operation with its number in program order, and for what was read, which store it came from.
 */

import { ensure } from "../../base/assert.ts";
import type { Node } from "./execution.ts";
import type { Image } from "./image.ts";
import type { Witness } from "./search.ts";
import type { TraceEvent } from "./trace.ts";

/** One event's place in the drawing. */
type Entry = { readonly thread: number; readonly lines: readonly string[] };

/** `a` to `z`, then `a1` and so on. */
const letter = (index: number): string => {
  const round = Math.floor(index / 26);
  return String.fromCharCode(97 + (index % 26)) + (round === 0 ? "" : String(round));
};

/** What an event did, in a few words. `from` names the stores that were read. */
function describe(image: Image, event: TraceEvent, from: string): string {
  const place = image.nameOf(event.address);
  const value = image.nameOf(event.value);
  switch (event.kind) {
    case "read":
      return `load ${place} = ${value} (${from})`;
    case "write":
      return `store ${place} = ${value}`;
    case "fetch":
      return `fetch ${place} (${from})`;
    case "clean":
      return `clean ${place}`;
    case "invalidate":
      return event.bytes === 0 ? "invalidate all" : `invalidate ${place}`;
    default:
      return event.kind satisfies never;
  }
}

/** Events in the order of the witness, each once: when its first part happens. */
function eventsInOrder({ execution, order }: Witness): readonly Node[] {
  const seen = new Set<TraceEvent>();
  return order.flatMap((index) => {
    const node = ensure(execution.nodes[index], "a node");
    if (seen.has(node.event)) return [];
    seen.add(node.event);
    return [node];
  });
}

function entries(image: Image, witness: Witness): readonly Entry[] {
  const { nodes, source, graphs } = witness.execution;
  const ordered = eventsInOrder(witness);
  const names = new Map(ordered.map((node, index) => [node.event, letter(index)]));
  const sourcesOf = (event: TraceEvent): string => {
    const found = nodes.flatMap((node, index) => {
      if (node.event !== event) return [];
      const from = nodes[source[index] ?? -1];
      return [from === undefined ? "initial" : `from ${names.get(from.event)}`];
    });
    return [...new Set(found)].join(", ");
  };
  return ordered.map(({ thread, event }) => {
    const step = graphs[thread]?.trace.steps[event.step];
    return {
      thread,
      lines: [
        `${names.get(event)}  #${event.step + 1} ${step?.text ?? ""}`,
        `   ${describe(image, event, sourcesOf(event))}`,
      ],
    };
  });
}

/** Draws a witness as text. */
export function drawWitness(image: Image, witness: Witness): string {
  const drawn = entries(image, witness);
  const threads = witness.execution.graphs.map((_, thread) => thread);
  const widths = threads.map((thread) => {
    const own = drawn.filter((entry) => entry.thread === thread).flatMap(({ lines }) => lines);
    return Math.max(2, ...own.map((line) => line.length));
  });
  const row = (cells: readonly string[]): string =>
    cells
      .map((cell, thread) => cell.padEnd(widths[thread] ?? 0))
      .join(" | ")
      .trimEnd();
  return [
    row(threads.map((thread) => `P${thread}`)),
    row(widths.map((width) => "-".repeat(width))),
    ...drawn.flatMap(({ thread, lines }) =>
      lines.map((line) => row(threads.map((t) => (t === thread ? line : "")))),
    ),
  ].join("\n");
}

/** A trace as text: one column per hart and one for memory, time downwards. */
import type { Lane, MemoryView, Trace } from "./replay.ts";

const headings: Readonly<Record<Lane, string>> = {
  memory: "memory",
  "hart 0": "hart 0: patcher",
  "hart 1": "hart 1",
  "hart 2": "hart 2: second patcher",
};

/** Columns are at least this wide, whatever the terminal is. */
const COLUMN_MIN = 24;

/** Words of a text, put into lines of at most `width` columns. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/(?<=\s)/)) {
    if (line !== "" && (line + word).trimEnd().length > width) {
      lines.push(line.trimEnd());
      line = "  ";
    }
    line += word;
  }
  lines.push(line.trimEnd());
  return lines;
}

const memoryLines = (memory: MemoryView): string[] => [
  ...memory.sites.flatMap(({ name, lines }) =>
    lines.map(({ at, bytes, text }) => `${name}  ${at}: ${bytes.padEnd(12)} ${text}`),
  ),
  ...memory.words.map(({ name, value }) => `${name} = ${value}`),
];

/** @param width columns of the page. */
export function traceToText(trace: Trace, width: number): string {
  const column = Math.max(COLUMN_MIN, Math.floor((width - 4) / trace.lanes.length) - 2);
  const out: string[] = [trace.title, "", "at first:"];
  out.push(...memoryLines(trace.before).map((line) => `  ${line}`), "");
  const row = (index: string, cells: readonly string[]): string =>
    `${index.padStart(3)}  ${cells.map((cell) => cell.padEnd(column)).join("  ")}`.trimEnd();
  out.push(
    row(
      "",
      trace.lanes.map((lane) => headings[lane]),
    ),
  );
  out.push(
    row(
      "",
      trace.lanes.map(() => "-".repeat(column)),
    ),
  );
  for (const step of trace.steps) {
    if (step.quiet) continue;
    const lines = wrap(step.text, column);
    for (const [i, line] of lines.entries()) {
      const cells = trace.lanes.map((lane) => (lane === step.lane ? line : ""));
      out.push(row(i === 0 ? String(step.index) : "", cells));
    }
  }
  const last = trace.steps.at(-1);
  out.push("");
  if (trace.violation !== undefined) out.push(`=> ${trace.violation}`);
  if (last !== undefined) {
    out.push("", "memory then:", ...memoryLines(last.memory).map((line) => `  ${line}`));
  }
  return `${out.join("\n")}\n`;
}

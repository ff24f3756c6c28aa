/** A trace as a picture: a lane per hart and one for memory, time downwards. Self-contained SVG. */
import type { Lane, Trace } from "./replay.ts";

const LANE_WIDTH = 330;
const ROW_HEIGHT = 17;
const MARGIN = 16;
const CHARACTERS_MAX = 52;

const headings: Readonly<Record<Lane, string>> = {
  memory: "memory",
  "hart 0": "hart 0: patcher",
  "hart 1": "hart 1",
  "hart 2": "hart 2: second patcher",
};

export const escapeXml = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");

const chop = (text: string): string[] => {
  const lines: string[] = [];
  for (let rest = text; rest !== ""; ) {
    if (rest.length <= CHARACTERS_MAX) {
      lines.push(rest);
      break;
    }
    const space = rest.lastIndexOf(" ", CHARACTERS_MAX);
    const cut = space > 10 ? space : CHARACTERS_MAX;
    lines.push(rest.slice(0, cut));
    rest = `  ${rest.slice(cut).trimStart()}`;
  }
  return lines;
};

/** Colours that work on light and on dark pages. */
const style = `
  svg { font: 12px ui-monospace, monospace; background: #fff; color: #1c1c1c }
  .head { font-weight: bold } .lane { stroke: #bbb } .note { fill: #b00020; font-weight: bold }
  .index { fill: #888 } text { fill: #1c1c1c; white-space: pre }
  @media (prefers-color-scheme: dark) {
    svg { background: #1c1c1c } text { fill: #eee } .lane { stroke: #555 } .note { fill: #ff8a80 }
  }`;

export function traceToSvg(trace: Trace): string {
  const body: string[] = [];
  const x = (lane: Lane): number => MARGIN + 40 + trace.lanes.indexOf(lane) * LANE_WIDTH;
  let y = MARGIN + ROW_HEIGHT;
  const put = (at: number, text: string, kind = ""): void => {
    const attribute = kind === "" ? "" : ` class="${kind}"`;
    body.push(`<text x="${at}" y="${y}"${attribute}>${escapeXml(text)}</text>`);
  };
  put(MARGIN, trace.title, "head");
  y += 2 * ROW_HEIGHT;
  const top = y - ROW_HEIGHT;
  for (const lane of trace.lanes) put(x(lane), headings[lane], "head");
  y += ROW_HEIGHT;
  for (const step of trace.steps) {
    if (step.quiet) continue;
    put(MARGIN, String(step.index), "index");
    for (const line of chop(step.text)) {
      put(x(step.lane), line);
      y += ROW_HEIGHT;
    }
  }
  const bottom = y;
  if (trace.violation !== undefined) {
    y += ROW_HEIGHT;
    put(MARGIN, `=> ${trace.violation}`, "note");
  }
  const lines = trace.lanes.map((lane) => {
    const at = x(lane) - 8;
    return `<line class="lane" x1="${at}" y1="${top}" x2="${at}" y2="${bottom}"/>`;
  });
  const width = 2 * MARGIN + 40 + trace.lanes.length * LANE_WIDTH;
  const height = y + MARGIN;
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  const open = `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img">`;
  return `${open}\n<style>${style}</style>\n${[...lines, ...body].join("\n")}\n</svg>\n`;
}

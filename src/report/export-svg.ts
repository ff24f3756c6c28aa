/**
 * A flame graph (Gregg 2016, "The flame graph", CACM 59(6)) as one SVG file: a box for each path of
 * calls, as wide as the time in it, on the box of its caller. Clicking a box makes it fill the
 * width; all that works in a browser without anything else.
 */
import type { Trace } from "../trace/trace.ts";
import { ByteWriter } from "./byte-writer.ts";
import type { CallTree } from "./call-tree.ts";
import { readCallTree, type TraceTree, type TreeOptions, walkTree } from "./read-call-tree.ts";
import { tickNs } from "./summary.ts";
import { formatCount, formatDuration, formatShare } from "./units.ts";

const width = 1200;
const rowHeight = 17;
const margin = 10;
const titleHeight = 30;
/** Narrower boxes can't be seen, and there are many of them. */
const widthMin = 0.1;
/** Of the font at 12 pixels. */
const characterWidth = 7.2;

/** Pieces of the file. */
export function* exportSvg(trace: Trace, options: TreeOptions): Generator<Uint8Array> {
  const read = readCallTree(trace, options);
  const ticks = widthsOf(read.tree);
  const boxes = layOut(read.tree, ticks);
  const depth = boxes.reduce((most, box) => Math.max(most, box.depth), 0);
  const height = titleHeight + (depth + 1) * rowHeight + margin;
  const out = new ByteWriter();
  out.text(head(height, trace.session.command.join(" ")));
  const ns = tickNs(trace);
  for (const box of boxes) {
    out.text(drawBox(box, read, (ticks[box.node] ?? 0) * ns, height));
    if (out.length > 1 << 18) yield out.take();
  }
  out.text(`</g>\n<script><![CDATA[${script}]]></script>\n</svg>\n`);
  yield out.take();
}

type Box = {
  readonly node: number;
  readonly depth: number;
  /** Pixels from the left end of the root's box. */
  readonly x: number;
  readonly width: number;
};

/** Places of the boxes that are wide enough to be seen; callers before what they call. */
function layOut(tree: CallTree, ticks: Float64Array): readonly Box[] {
  const scale = (width - 2 * margin) / Math.max(1, ticks[0] ?? 0);
  const wanted = (node: number): boolean => (ticks[node] ?? 0) * scale >= widthMin;
  const children = tree.children(wanted, (a, b) => (ticks[b] ?? 0) - (ticks[a] ?? 0) || a - b);
  const boxes: Box[] = [{ node: 0, depth: 0, x: 0, width: (ticks[0] ?? 0) * scale }];
  /** Where the next child of a node begins. */
  const next = new Float64Array(tree.count);
  for (const { node, depth } of walkTree(children)) {
    const parent = tree.parent(node);
    const x = next[parent] ?? 0;
    const own = (ticks[node] ?? 0) * scale;
    next[parent] = x + own;
    next[node] = x;
    boxes.push({ node, depth: depth + 1, x, width: own });
  }
  return boxes;
}

/** A box is as wide as what lies in it, also where a call's own duration isn't known. */
function widthsOf(tree: CallTree): Float64Array {
  const ticks = new Float64Array(tree.count);
  for (let node = tree.count - 1; node > 0; node--) {
    ticks[node] = (ticks[node] ?? 0) + Math.max(0, tree.self(node));
    const parent = tree.parent(node);
    ticks[parent] = (ticks[parent] ?? 0) + (ticks[node] ?? 0);
  }
  return ticks;
}

function drawBox(box: Box, { tree, name }: TraceTree, ns: number, height: number): string {
  const label = name(box.node);
  const facts = [formatDuration(ns), formatShare(box.width, width - 2 * margin)];
  const calls = tree.calls(box.node);
  if (calls > 0) facts.push(`${formatCount(calls)} calls`);
  const x = (margin + box.x).toFixed(2);
  const y = height - margin - (box.depth + 1) * rowHeight;
  const text = shorten(label, box.width);
  return (
    `<g data-x="${box.x.toFixed(3)}" data-w="${box.width.toFixed(3)}" ` +
    `data-n="${escapeXml(label)}">` +
    `<title>${escapeXml(`${label} (${facts.join(", ")})`)}</title>` +
    `<rect x="${x}" y="${y}" width="${box.width.toFixed(2)}" height="${rowHeight - 1}" ` +
    `fill="${color(label)}"/><text x="${x}" dx="3" y="${y + 12}">${escapeXml(text)}</text></g>\n`
  );
}

function shorten(label: string, pixels: number): string {
  const room = Math.floor((pixels - 6) / characterWidth);
  if (room < 3) return "";
  return label.length <= room ? label : `${label.slice(0, room - 2)}..`;
}

const escapeXml = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll(/\p{Cc}/gu, "?");

/** A warm colour, always the same one for a name. */
function color(name: string): string {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0;
  const hue = (hash >>> 4) % 55;
  const light = 55 + ((hash >>> 12) % 15);
  return `hsl(${hue},75%,${light}%)`;
}

const head = (height: number, title: string): string => `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" \
viewBox="0 0 ${width} ${height}" font-family="monospace" font-size="12">
<style>g[data-x]{cursor:pointer} g[data-x]:hover rect{stroke:#000} text{pointer-events:none}</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${width / 2}" y="20" text-anchor="middle" font-size="15">${escapeXml(title)}</text>
<g id="boxes">
`;

/** Runs in the browser: a click on a box scales everything so that it fills the width. */
const script = `
const boxes = [...document.querySelectorAll("g[data-x]")];
const width = ${width - 2 * margin}, margin = ${margin}, perCharacter = ${characterWidth};
function zoom(from, size) {
  for (const box of boxes) {
    const x = (Number(box.dataset.x) - from) / size * width;
    const w = Number(box.dataset.w) / size * width;
    const left = Math.max(0, x), right = Math.min(width, x + w);
    box.style.display = right - left < ${widthMin} ? "none" : "";
    const [, rect, text] = box.children;
    rect.setAttribute("x", margin + left);
    rect.setAttribute("width", Math.max(0, right - left));
    text.setAttribute("x", margin + left);
    const room = Math.floor((right - left - 6) / perCharacter), name = box.dataset.n;
    text.textContent = room < 3 ? "" : name.length <= room ? name : name.slice(0, room - 2) + "..";
  }
}
for (const box of boxes) {
  box.addEventListener("click", () => zoom(Number(box.dataset.x), Number(box.dataset.w)));
}
`;

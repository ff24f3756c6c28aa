/** Draws the timeline: overview, ruler, threads with their calls, selection. Pure drawing. */
import { formatCount } from "../../src/report/units.ts";
import type { CallInfo } from "../../src/server/api.ts";
import type { Colours } from "../theme.ts";
import type { Functions } from "./functions.ts";
import type { Palette } from "./palette.ts";
import { gutter, paintOverview, paintRuler, topHeight } from "./rulers.ts";
import { type SpanTile, spanDepth, spanHow, tileColumns } from "./tile-bytes.ts";
import { type Entry, pictureOf, type TileStore } from "./tile-store.ts";
import { headHeight, rowHeight, type Track } from "./tracks.ts";
import type { Viewport } from "./viewport.ts";

/** Levels that are looked through for a picture to show in place of one that is not there yet. */
const coarserMax = 14;
const finerMax = 3;
/** Width of a letter at 11 px, about. */
const letterWidth = 6.2;

export type Area = {
  readonly from: number;
  readonly to: number;
  readonly threads: readonly number[];
};

export type Scene = {
  readonly view: Viewport;
  readonly tracks: readonly Track[];
  readonly scroll: number;
  readonly width: number;
  readonly height: number;
  readonly nsPerTick: number;
  readonly functions: Functions;
  readonly palette: Palette;
  readonly colours: Colours;
  readonly store: TileStore;
  readonly density: readonly number[];
  readonly area: Area | undefined;
  readonly call: CallInfo | undefined;
};

type Context = CanvasRenderingContext2D;
/** Something to be named: a call, or a run of cells. */
type Label = { depth: number; from: number; to: number; site: number };

export const font = "11px system-ui, 'DejaVu Sans', sans-serif";

export function paint(context: Context, scene: Scene): void {
  const { width, height, colours, tracks, scroll } = scene;
  context.fillStyle = colours.background;
  context.fillRect(0, 0, width, height);
  context.font = font;
  context.textBaseline = "middle";
  context.save();
  context.beginPath();
  context.rect(0, topHeight, width, height - topHeight);
  context.clip();
  context.translate(0, topHeight - scroll);
  for (const track of tracks) {
    const isSeen = track.top + track.height > scroll && track.top < scroll + height;
    if (isSeen) paintTrack(context, scene, track);
  }
  paintSelection(context, scene);
  context.restore();
  paintRuler(context, scene, scene.view);
  paintOverview(context, scene, scene.view);
  scene.store.flush();
}

function paintTrack(context: Context, scene: Scene, track: Track): void {
  const { width, colours, view } = scene;
  const { thread, top } = track;
  context.fillStyle = colours.raised;
  context.fillRect(0, top, width, headHeight);
  context.fillStyle = colours.line;
  context.fillRect(0, top + headHeight - 1, width, 1);
  paintHead(context, scene, track);
  if (track.isFolded) {
    paintDensity(context, scene, track);
    return;
  }
  const level = Math.max(0, Math.ceil(Math.log2(view.ticksPerPixel)));
  const span = tileColumns * 2 ** level;
  const first = Math.max(0, Math.floor(Math.max(view.from, thread.begin) / span));
  const last = Math.floor(Math.min(view.to, thread.end) / span);
  const labels: Label[] = [];
  if (thread.read === 0) paintDensity(context, scene, track);
  for (let tile = first; tile <= last; tile++) {
    paintPlace(context, scene, track, level, tile, labels);
  }
  // What lies beside the screen is there when it comes.
  scene.store.want(thread.index, level, Math.max(0, first - 1));
  if ((last + 1) * span <= thread.end) scene.store.want(thread.index, level, last + 1);
  paintRowGaps(context, scene, track);
  paintLabels(context, scene, track, labels);
  paintMissing(context, scene, track);
}

function paintHead(context: Context, scene: Scene, { thread, top, isFolded }: Track): void {
  const { colours, width } = scene;
  const middle = top + headHeight / 2;
  context.fillStyle = colours.dim;
  context.fillText(isFolded ? "▸" : "▾", gutter, middle);
  context.fillStyle = colours.text;
  context.font = `600 ${font}`;
  const name = thread.name === "" ? "thread" : thread.name;
  context.fillText(name, gutter + 14, middle);
  const after = gutter + 14 + context.measureText(name).width + 8;
  context.font = font;
  context.fillStyle = colours.dim;
  context.fillText(String(thread.tid), after, middle);
  const facts = [`${formatCount(thread.slots)} events`];
  if (thread.lost > 0) facts.push(`${formatCount(thread.lost)} lost`);
  if (thread.hidden > 0) facts.push(`${formatCount(thread.hidden)} calls too deep to draw`);
  if (thread.read < thread.slots) {
    facts.push(`${Math.floor((100 * thread.read) / thread.slots)}% read`);
  }
  const text = facts.join("  ·  ");
  context.fillStyle = thread.lost > 0 ? colours.warning : colours.dim;
  context.textAlign = "right";
  context.fillText(text, width - gutter, middle);
  context.textAlign = "left";
}

/** How busy a thread was, before or instead of its calls. */
function paintDensity(context: Context, scene: Scene, track: Track): void {
  const { view, colours } = scene;
  const { density } = track.thread;
  const part = view.end / density.length;
  const most = Math.max(1, ...density);
  context.fillStyle = colours.line;
  for (let at = Math.max(0, Math.floor(view.from / part)); at < density.length; at++) {
    const x = view.xOf(at * part);
    if (x > scene.width) break;
    const share = (density[at] ?? 0) / most;
    if (share === 0) continue;
    context.globalAlpha = 0.35 + 0.65 * share;
    const height = track.isFolded ? 10 : rowHeight - 2;
    context.fillRect(x, track.rowsTop + 1, Math.max(1, part / view.ticksPerPixel), height);
  }
  context.globalAlpha = 1;
}

/** Draws a place from its tile, or from the best that there is meanwhile. */
function paintPlace(
  context: Context,
  scene: Scene,
  track: Track,
  level: number,
  tile: number,
  labels: Label[],
): void {
  const { store } = scene;
  const { index } = track.thread;
  const span = tileColumns * 2 ** level;
  const [from, to] = [tile * span, (tile + 1) * span];
  store.want(index, level, tile);
  for (let up = 0; up <= coarserMax; up++) {
    const entry = store.find(index, level + up, Math.floor(tile / 2 ** up));
    if (entry === undefined) continue;
    paintTile(context, scene, track, entry, from, to, labels);
    return;
  }
  for (let down = 1; down <= Math.min(finerMax, level); down++) {
    for (let part = 0; part < 2 ** down; part++) {
      const finer = store.find(index, level - down, tile * 2 ** down + part);
      const width = span / 2 ** down;
      const begin = from + part * width;
      if (finer !== undefined) {
        paintTile(context, scene, track, finer, begin, begin + width, labels);
      }
    }
  }
}

function paintTile(
  context: Context,
  scene: Scene,
  track: Track,
  entry: Entry,
  from: number,
  to: number,
  labels: Label[],
): void {
  const { view, palette } = scene;
  if (entry.tile.kind === "spans") {
    paintSpans(context, scene, track, entry.tile, from, to, labels);
    return;
  }
  const picture = pictureOf(entry, palette);
  if (picture === undefined) return;
  const width = 2 ** entry.level;
  const begin = entry.tile.tile * tileColumns * width;
  const [sourceFrom, sourceTo] = [(from - begin) / width, (to - begin) / width];
  const x = view.xOf(from);
  context.imageSmoothingEnabled = false;
  context.drawImage(
    picture,
    sourceFrom,
    0,
    sourceTo - sourceFrom,
    entry.tile.depths,
    x,
    track.rowsTop,
    view.xOf(to) - x + 0.5,
    entry.tile.depths * rowHeight,
  );
  for (const run of entry.runs) {
    const start = Math.max(from, begin + run.from * width);
    const end = Math.min(to, begin + run.to * width);
    if (end > start) labels.push({ depth: run.depth, from: start, to: end, site: run.site });
  }
}

function paintSpans(
  context: Context,
  scene: Scene,
  track: Track,
  tile: SpanTile,
  from: number,
  to: number,
  labels: Label[],
): void {
  const { view, palette } = scene;
  const { starts, ends, sites, rest } = tile;
  const [left, right] = [Math.max(from, view.from), Math.min(to, view.to)];
  for (let at = 0; at < starts.length; at++) {
    const start = starts[at] ?? 0;
    const end = ends[at] ?? 0;
    if (end < left || start >= right) continue;
    const site = sites[at] ?? 0;
    const depth = spanDepth(rest[at] ?? 0);
    const x = view.xOf(Math.max(start, left));
    const until = view.xOf(Math.min(end, right));
    const width = until - x;
    // A line between neighbours, where there is room for one.
    const isSplit = end <= right && width > 3;
    context.fillStyle = palette.css(site);
    const y = track.rowsTop + depth * rowHeight;
    // Cut by the tile's edge: a little over it, or a seam would be seen.
    const whole = end > right ? width + 1 : width;
    context.fillRect(x, y, Math.max(0.6, isSplit ? width - 1 : whole), rowHeight);
    if (spanHow(rest[at] ?? 0) >= 3 && end < right && width > 8) {
      context.fillStyle = scene.colours.warning;
      context.fillRect(until - 2, y, 2, rowHeight);
    }
    if (width > 12) {
      labels.push({ depth, from: Math.max(start, left), to: Math.min(end, right), site });
    }
  }
}

/** Lines in the colour of the background between the rows. */
function paintRowGaps(context: Context, { colours, width }: Scene, track: Track): void {
  context.fillStyle = colours.background;
  for (let depth = 1; depth <= track.thread.depths; depth++) {
    context.fillRect(0, track.rowsTop + depth * rowHeight - 1, width, 1);
  }
}

/** Names; parts of one bar that lie in several tiles are named once. */
function paintLabels(context: Context, scene: Scene, track: Track, labels: Label[]): void {
  const { view, functions, palette, width } = scene;
  labels.sort((a, b) => a.depth - b.depth || a.from - b.from);
  const slack = view.ticksPerPixel;
  let at = 0;
  while (at < labels.length) {
    const label = labels[at++];
    if (label === undefined) break;
    let { to } = label;
    for (let next = labels[at]; next !== undefined; next = labels[at]) {
      const isSame = next.site === label.site && next.depth === label.depth;
      if (!isSame || next.from - to > slack) break;
      to = next.to;
      at++;
    }
    const left = Math.max(0, view.xOf(label.from));
    const right = Math.min(width, view.xOf(to));
    const letters = Math.floor((right - left - 8) / letterWidth);
    if (letters < 3) continue;
    const name = functions.name(label.site);
    const text = name.length <= letters ? name : `${name.slice(0, letters - 1)}…`;
    context.fillStyle = palette.ink(label.site);
    const y = track.rowsTop + label.depth * rowHeight + rowHeight / 2;
    context.fillText(text, left + 4, y);
  }
}

/** Where events were lost. */
function paintMissing(context: Context, { view, colours, width }: Scene, track: Track): void {
  context.fillStyle = colours.warning;
  for (const [from, to] of track.thread.missing) {
    const x = view.xOf(from);
    const end = view.xOf(to);
    if (end < 0 || x > width) continue;
    const bar = Math.max(1, end - x);
    context.globalAlpha = 0.18;
    context.fillRect(x, track.rowsTop, bar, track.height - headHeight);
    context.globalAlpha = 1;
    context.fillRect(x, track.rowsTop, bar, 2);
  }
}

function paintSelection(
  context: Context,
  { area, call, view, tracks, colours, width }: Scene,
): void {
  if (area !== undefined) {
    const x = view.xOf(area.from);
    const end = view.xOf(area.to);
    for (const track of tracks) {
      if (!area.threads.includes(track.thread.index)) continue;
      context.fillStyle = colours.selection;
      context.fillRect(x, track.top, end - x, track.height);
      context.fillStyle = colours.accent;
      context.fillRect(x, track.top, 1, track.height);
      context.fillRect(end, track.top, 1, track.height);
    }
  }
  if (call === undefined) return;
  const track = tracks.find(({ thread }) => thread.index === call.thread);
  if (track === undefined || track.isFolded) return;
  const x = Math.max(-2, view.xOf(call.start));
  const end = Math.min(width + 2, view.xOf(call.end));
  context.strokeStyle = colours.text;
  context.lineWidth = 1.5;
  const y = track.rowsTop + call.depth * rowHeight;
  context.strokeRect(x, y + 0.5, Math.max(1.5, end - x), rowHeight - 2);
}

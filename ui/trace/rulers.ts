/** The two bars above the threads: the whole trace at a glance, and the time axis. */
import { formatDuration } from "../../src/report/units.ts";
import type { Colours } from "../theme.ts";
import type { Viewport } from "./viewport.ts";

export const gutter = 8;
export const overviewHeight = 44;
export const rulerHeight = 24;
export const topHeight: number = overviewHeight + rulerHeight;

type Context = CanvasRenderingContext2D;

export type Axis = {
  readonly width: number;
  readonly colours: Colours;
  readonly nsPerTick: number;
  /** Events in equal parts of the trace. */
  readonly density: readonly number[];
};

/** Round steps: 1, 2, 5 times a power of ten. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5].find((step) => step * power >= least) ?? 10);
}

const tickPixels = 110;

export function paintRuler(context: Context, axis: Axis, view: Viewport): void {
  const { width, colours, nsPerTick } = axis;
  context.fillStyle = colours.background;
  context.fillRect(0, overviewHeight, width, rulerHeight);
  context.fillStyle = colours.line;
  context.fillRect(0, topHeight - 1, width, 1);
  const step = roundStep(tickPixels * view.ticksPerPixel * nsPerTick);
  const first = Math.ceil((view.from * nsPerTick) / step);
  for (let at = first; at * step <= view.to * nsPerTick; at++) {
    const x = Math.round(view.xOf((at * step) / nsPerTick));
    context.fillStyle = colours.line;
    context.fillRect(x, overviewHeight + 14, 1, rulerHeight - 14);
    context.fillStyle = colours.dim;
    context.fillText(rulerText(at * step, step), x + 4, overviewHeight + rulerHeight / 2);
  }
}

/** A time with as many digits as the ruler's steps need. */
export function rulerText(ns: number, step: number): string {
  const [unit, name] =
    step >= 1e9 || Math.abs(ns) >= 1e9
      ? [1e9, "s"]
      : Math.abs(ns) >= 1e6
        ? [1e6, "ms"]
        : Math.abs(ns) >= 1e3
          ? [1e3, "µs"]
          : [1, "ns"];
  const digits = Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9));
  return ns === 0 ? "0" : `${(ns / unit).toFixed(Math.min(9, digits))} ${name}`;
}

/** The whole trace, with what is on the screen. */
export function paintOverview(context: Context, axis: Axis, view: Viewport): void {
  const { width, colours, density, nsPerTick } = axis;
  context.fillStyle = colours.raised;
  context.fillRect(0, 0, width, overviewHeight);
  const most = Math.max(1, ...density);
  const part = width / density.length;
  context.fillStyle = colours.accent;
  context.globalAlpha = 0.45;
  for (const [at, events] of density.entries()) {
    const height = Math.sqrt(events / most) * (overviewHeight - 8);
    context.fillRect(at * part, overviewHeight - height, part + 0.5, height);
  }
  context.globalAlpha = 1;
  const x = (Math.max(0, view.from) / view.end) * width;
  const end = (Math.min(view.end, view.to) / view.end) * width;
  context.fillStyle = colours.background;
  context.globalAlpha = 0.7;
  context.fillRect(0, 0, x, overviewHeight);
  context.fillRect(end, 0, width - end, overviewHeight);
  context.globalAlpha = 1;
  context.strokeStyle = colours.accent;
  context.lineWidth = 1;
  context.strokeRect(x + 0.5, 0.5, Math.max(2, end - x - 1), overviewHeight - 1);
  context.fillStyle = colours.line;
  context.fillRect(0, overviewHeight - 1, width, 1);
  context.fillStyle = colours.text;
  const seen = formatDuration((Math.min(view.end, view.to) - Math.max(0, view.from)) * nsPerTick);
  const text = `${seen} of ${formatDuration(view.end * nsPerTick)}`;
  context.textAlign = "right";
  context.fillText(text, width - gutter, 11);
  context.textAlign = "left";
}

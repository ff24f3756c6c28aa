/** A flame graph of the selection, outermost calls on top: width is time. */
import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { formatCount, formatDuration, formatShare } from "../../src/report/units.ts";
import type { FlameNode } from "../../src/server/api.ts";
import { colours } from "../theme.ts";
import type { TraceModel } from "./model.ts";
import { font } from "./painter.ts";

type Bar = { readonly node: FlameNode; readonly depth: number; readonly x: number; width: number };
type Tip = { readonly x: number; readonly y: number; readonly node: FlameNode };

const barHeight = 18;
const letterWidth = 6.2;

/** Bars by their share of the whole: `x` and `width` from 0 to 1. */
export function layOutFlame(nodes: readonly FlameNode[], root: number): readonly Bar[] {
  const children = new Map<number, FlameNode[]>();
  for (const node of nodes) {
    const own = children.get(node.parent) ?? [];
    own.push(node);
    children.set(node.parent, own);
  }
  for (const own of children.values()) own.sort((a, b) => b.total - a.total);
  const top = root < 0 ? (children.get(-1) ?? []) : nodes.filter(({ id }) => id === root);
  const whole = top.reduce((sum, { total }) => sum + total, 0);
  if (whole === 0) return [];
  const bars: Bar[] = [];
  const place = (list: readonly FlameNode[], from: number, depth: number): void => {
    let x = from;
    for (const node of list) {
      const width = node.total / whole;
      bars.push({ node, depth, x, width });
      x += width;
    }
  };
  place(top, 0, 0);
  // Grows while it is walked: parents come before their children.
  for (const bar of bars) place(children.get(bar.node.id) ?? [], bar.x, bar.depth + 1);
  return bars;
}

export function Flame({ model }: { readonly model: TraceModel }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const root = useSignal(-1);
  const tip = useSignal<Tip | undefined>(undefined);
  const bars = useRef<readonly Bar[]>([]);
  const draw = (): void => {
    const nodes = model.selection.value?.nodes ?? [];
    const known = nodes.some(({ id }) => id === root.value) ? root.value : -1;
    bars.current = layOutFlame(nodes, known);
    if (canvas.current !== null) paintFlame(canvas.current, bars.current, model);
  };
  useSignalEffect(() => {
    void [model.palette.value, root.value];
    draw();
  });
  useEffect(() => {
    if (canvas.current?.parentElement == null) return undefined;
    const observer = new ResizeObserver(draw);
    observer.observe(canvas.current.parentElement);
    return () => observer.disconnect();
  }, [model]);
  const barAt = (event: MouseEvent): Bar | undefined => {
    const box = canvas.current?.getBoundingClientRect();
    if (box === undefined) return undefined;
    const depth = Math.floor((event.clientY - box.top) / barHeight);
    const share = (event.clientX - box.left) / box.width;
    return bars.current.find(
      (bar) => bar.depth === depth && share >= bar.x && share < bar.x + bar.width,
    );
  };
  return (
    <div class="flame">
      <div class="note">
        {root.value >= 0 ? (
          <button type="button" onClick={() => (root.value = -1)}>
            Show everything
          </button>
        ) : (
          "Width is time, in all selected threads together; click a bar to see it alone."
        )}
      </div>
      <canvas
        ref={canvas}
        data-testid="flame"
        aria-label="flame graph"
        onClick={(event) => {
          const bar = barAt(event);
          if (bar === undefined) return;
          root.value = bar.node.id;
          if (bar.node.site >= 0) model.site.value = bar.node.site;
        }}
        onMouseMove={(event) => {
          const bar = barAt(event);
          tip.value = bar && { x: event.clientX, y: event.clientY, node: bar.node };
        }}
        onMouseLeave={() => {
          tip.value = undefined;
        }}
      />
      {tip.value === undefined ? null : <FlameTip tip={tip.value} model={model} />}
    </div>
  );
}

function FlameTip({ tip, model }: { readonly tip: Tip; readonly model: TraceModel }): JSX.Element {
  const { node } = tip;
  const ns = model.info.value.nsPerTick;
  const busy = model.selection.value?.busy ?? 0;
  const left = Math.min(tip.x + 14, innerWidth - 340);
  return (
    <div class="tip fixed" style={{ left: `${left}px`, top: `${tip.y - 64}px` }}>
      <b>{model.functions.value.name(node.site)}</b>
      <span>
        {formatDuration(node.total * ns)} ({formatShare(node.total, busy)}), self{" "}
        {formatDuration(node.self * ns)}, {formatCount(node.calls)} calls
      </span>
    </div>
  );
}

function paintFlame(canvas: HTMLCanvasElement, bars: readonly Bar[], model: TraceModel): void {
  const width = canvas.parentElement?.clientWidth ?? 0;
  const depths = bars.reduce((most, { depth }) => Math.max(most, depth + 1), 1);
  const height = depths * barHeight;
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  if (context === null) return;
  context.scale(devicePixelRatio, devicePixelRatio);
  context.font = font;
  context.textBaseline = "middle";
  const palette = model.palette.value;
  for (const { node, depth, x, width: share } of bars) {
    const bar = share * width;
    if (bar < 0.4) continue;
    context.fillStyle = node.site < 0 ? colours().line : palette.css(node.site);
    context.fillRect(x * width, depth * barHeight, Math.max(0.5, bar - 0.6), barHeight - 1);
    const letters = Math.floor((bar - 8) / letterWidth);
    if (letters < 3) continue;
    const name = model.functions.value.name(node.site);
    context.fillStyle = palette.ink(node.site);
    const text = name.length <= letters ? name : `${name.slice(0, letters - 1)}…`;
    context.fillText(text, x * width + 4, depth * barHeight + barHeight / 2);
  }
}

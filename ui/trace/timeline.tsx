/** The timeline: a canvas, what is done with mouse and keyboard on it, and what hovers over it. */
import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { formatDuration } from "../../src/report/units.ts";
import { colours } from "../theme.ts";
import { type Hovered, hoveredAt } from "./hover.ts";
import type { TraceModel } from "./model.ts";
import { paint } from "./painter.ts";
import { overviewHeight, topHeight } from "./rulers.ts";
import { KeySteering, wheelFactor } from "./steering.ts";
import { depthAt, headHeight, heightOf, trackAt } from "./tracks.ts";

type Pointer = { readonly x: number; readonly y: number };
type Drag = {
  readonly kind: "area" | "pan" | "overview";
  readonly start: Pointer;
  last: Pointer;
  moved: boolean;
};
type Tip = Pointer & { readonly hovered: Hovered };

/** Less is a click. */
const dragPixels = 4;

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLInputElement ||
  target instanceof HTMLTextAreaElement ||
  target instanceof HTMLSelectElement;

export function Timeline({ model }: { readonly model: TraceModel }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const tip = useSignal<Tip | undefined>(undefined);
  const steering = useRef<CanvasSteering | undefined>(undefined);
  useEffect(() => {
    if (canvas.current === null) return undefined;
    const made = new CanvasSteering(canvas.current, model, (shown) => {
      tip.value = shown;
    });
    steering.current = made;
    return () => made.close();
  }, [model]);
  useSignalEffect(() => {
    // Whatever the picture is made of.
    void [model.drawing.value, model.tracks.value, model.palette.value, model.area.value];
    steering.current?.draw();
  });
  return (
    <div class="timeline">
      <canvas ref={canvas} tabIndex={0} aria-label="timeline" data-testid="timeline" />
      {tip.value === undefined ? null : <HoverTip tip={tip.value} model={model} />}
    </div>
  );
}

function HoverTip({ tip, model }: { readonly tip: Tip; readonly model: TraceModel }): JSX.Element {
  const { call, cover, site } = tip.hovered;
  const { nsPerTick } = model.info.value;
  const name = model.functions.value.name(site);
  const text =
    call === undefined
      ? `many calls, ${Math.max(1, Math.round(cover * 100))}% filled: zoom in to tell them apart`
      : `${formatDuration((call.end - call.start) * nsPerTick)}${call.how >= 3 ? " or more" : ""}`;
  const style = { left: `${tip.x + 14}px`, top: `${tip.y + 16}px` };
  return (
    <div class="tip" style={style}>
      <b>{name}</b>
      <span>{text}</span>
    </div>
  );
}

/** Ties a canvas to a model. */
class CanvasSteering {
  readonly #canvas: HTMLCanvasElement;
  readonly #model: TraceModel;
  readonly #showTip: (tip: Tip | undefined) => void;
  readonly #keys: KeySteering;
  readonly #ends = new AbortController();
  readonly #observer: ResizeObserver;
  #pointer: Pointer = { x: 0, y: 0 };
  #drag: Drag | undefined;
  #scroll = 0;
  #frame = 0;
  #isShown = false;

  constructor(
    canvas: HTMLCanvasElement,
    model: TraceModel,
    showTip: (tip: Tip | undefined) => void,
  ) {
    this.#canvas = canvas;
    this.#model = model;
    this.#showTip = showTip;
    this.#keys = new KeySteering({
      zoom: (factor) => {
        model.view.zoom(factor, this.#pointer.x);
        this.draw();
      },
      pan: (share) => {
        model.view.pan(share * model.view.width);
        this.draw();
      },
    });
    const { signal } = this.#ends;
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false, signal });
    canvas.addEventListener("pointerdown", (event) => this.#down(event), { signal });
    canvas.addEventListener("pointermove", (event) => this.#move(event), { signal });
    canvas.addEventListener("pointerup", (event) => this.#up(event), { signal });
    canvas.addEventListener("pointerleave", () => showTip(undefined), { signal });
    window.addEventListener("keydown", (event) => this.#key(event), { signal });
    window.addEventListener("keyup", ({ key }) => this.#keys.release(key), { signal });
    window.addEventListener("blur", () => this.#keys.releaseAll(), { signal });
    this.#observer = new ResizeObserver(() => this.#resize());
    this.#observer.observe(canvas);
    this.#resize();
  }

  close(): void {
    this.#ends.abort();
    this.#observer.disconnect();
    this.#keys.releaseAll();
    cancelAnimationFrame(this.#frame);
  }

  /** Draws with the next frame, once. */
  draw(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint();
    });
  }

  #paint(): void {
    const context = this.#canvas.getContext("2d", { alpha: false });
    if (context === null) return;
    const { model, ratio } = { model: this.#model, ratio: devicePixelRatio };
    const width = this.#canvas.width / ratio;
    const height = this.#canvas.height / ratio;
    const tracks = model.tracks.value;
    const most = Math.max(0, heightOf(tracks) - (height - topHeight));
    this.#scroll = Math.min(most, Math.max(0, this.#scroll));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint(context, {
      view: model.view,
      tracks,
      scroll: this.#scroll,
      width,
      height,
      nsPerTick: model.info.value.nsPerTick,
      functions: model.functions.value,
      palette: model.palette.value,
      colours: colours(),
      store: model.store,
      density: model.density.value,
      area: this.#dragArea() ?? model.area.value,
      call: model.call.value?.call,
    });
    if (this.#drag?.moved === true && this.#drag.kind === "area") this.#writeArea(context, width);
  }

  /** How long the stretch is that is being dragged. */
  #writeArea(context: CanvasRenderingContext2D, width: number): void {
    const area = this.#dragArea();
    if (area === undefined) return;
    const { view, info } = this.#model;
    const text = formatDuration((area.to - area.from) * info.value.nsPerTick);
    const x = Math.min(width - 80, Math.max(4, view.xOf((area.from + area.to) / 2) - 30));
    context.fillStyle = colours().accent;
    context.fillText(text, x, overviewHeight + 6);
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    if (clientWidth === 0) return;
    this.#canvas.width = Math.round(clientWidth * devicePixelRatio);
    this.#canvas.height = Math.round(clientHeight * devicePixelRatio);
    const { view } = this.#model;
    view.resize(clientWidth);
    if (!this.#isShown && view.ticksPerPixel <= 1) view.show(0, view.end, 0.01);
    this.#isShown = true;
    this.#paint();
  }

  #place(event: MouseEvent): Pointer {
    const box = this.#canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    const { view } = this.#model;
    if (event.ctrlKey || event.metaKey) view.zoom(wheelFactor(event.deltaY), this.#place(event).x);
    else if (event.shiftKey) view.pan(event.deltaY + event.deltaX);
    else {
      this.#scroll += event.deltaY;
      view.pan(event.deltaX);
    }
    this.draw();
  }

  #down(event: PointerEvent): void {
    const start = this.#place(event);
    this.#canvas.focus();
    this.#canvas.setPointerCapture(event.pointerId);
    const isPan = event.shiftKey || event.button === 1;
    const kind = start.y < overviewHeight ? "overview" : isPan ? "pan" : "area";
    this.#drag = { kind, start, last: start, moved: false };
    if (kind === "overview") this.#jump(start.x);
  }

  #move(event: PointerEvent): void {
    const here = this.#place(event);
    this.#pointer = here;
    const drag = this.#drag;
    if (drag === undefined) {
      this.#hover(here);
      return;
    }
    const step = here.x - drag.last.x;
    drag.last = here;
    if (Math.abs(here.x - drag.start.x) + Math.abs(here.y - drag.start.y) >= dragPixels) {
      drag.moved = true;
      this.#showTip(undefined);
    }
    if (drag.kind === "pan") this.#model.view.pan(-step);
    if (drag.kind === "overview") this.#jump(here.x);
    this.draw();
  }

  #up(event: PointerEvent): void {
    const drag = this.#drag;
    if (drag === undefined) return;
    drag.last = this.#place(event);
    const area = this.#dragArea();
    this.#drag = undefined;
    if (drag.kind === "area" && drag.moved) void this.#model.selectArea(area);
    else if (drag.kind === "area") this.#click(drag.last);
    this.draw();
  }

  /** Moves the view's middle to a place of the overview. */
  #jump(x: number): void {
    const { view } = this.#model;
    const half = (view.width * view.ticksPerPixel) / 2;
    view.from = (x / view.width) * view.end - half;
    view.pan(0);
    this.draw();
  }

  #dragArea() {
    const drag = this.#drag;
    if (drag === undefined || drag.kind !== "area" || !drag.moved) return undefined;
    const { view, tracks } = this.#model;
    const order = (a: number, b: number): [number, number] => (a < b ? [a, b] : [b, a]);
    const [left, right] = order(drag.start.x, drag.last.x);
    const [top, bottom] = order(drag.start.y, drag.last.y).map((y) => y - topHeight + this.#scroll);
    // From the ruler on down: all threads.
    const isAll = drag.start.y < topHeight;
    const threads = tracks.value
      .filter((one) => isAll || (one.top + one.height >= (top ?? 0) && one.top <= (bottom ?? 0)))
      .map(({ thread }) => thread.index);
    const clip = (time: number): number => Math.round(Math.min(view.end, Math.max(0, time)));
    return { from: clip(view.timeAt(left)), to: clip(view.timeAt(right)), threads };
  }

  #click({ x, y }: Pointer): void {
    const model = this.#model;
    const place = y - topHeight + this.#scroll;
    const track = y < topHeight ? undefined : trackAt(model.tracks.value, place);
    if (track === undefined) {
      void model.selectArea(undefined);
      return;
    }
    if (place < track.top + headHeight) {
      const folded = new Set(model.folded.value);
      if (!folded.delete(track.thread.index)) folded.add(track.thread.index);
      model.folded.value = folded;
      return;
    }
    const depth = depthAt(track, place);
    void model.selectCallAt(track.thread.index, model.view.timeAt(x), depth);
  }

  #hover({ x, y }: Pointer): void {
    const { view, store, tracks } = this.#model;
    const place = y - topHeight + this.#scroll;
    const track = y < topHeight ? undefined : trackAt(tracks.value, place);
    const isOnCalls = track !== undefined && !track.isFolded && place >= track.rowsTop;
    const hovered = isOnCalls
      ? hoveredAt(store, view, track.thread.index, view.timeAt(x), depthAt(track, place))
      : undefined;
    this.#showTip(hovered && { x, y, hovered });
  }

  #key(event: KeyboardEvent): void {
    if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.#canvas.offsetParent === null) return;
    const model = this.#model;
    if (this.#keys.press(event.key)) return;
    switch (event.key) {
      case "f":
        model.focus();
        break;
      case "m":
        this.#markCall();
        break;
      case "Escape":
        model.call.value = undefined;
        void model.selectArea(undefined);
        break;
      case "0":
        model.view.show(0, model.view.end, 0.01);
        break;
      case "[":
      case "]":
        void model.goToNext(event.key === "[");
        break;
      default:
        return;
    }
    event.preventDefault();
    this.draw();
  }

  /** The selected call's time becomes the selected stretch. */
  #markCall(): void {
    const call = this.#model.call.value?.call;
    if (call === undefined) return;
    void this.#model.selectArea({ from: call.start, to: call.end, threads: [call.thread] });
  }
}

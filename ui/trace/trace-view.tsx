/** The trace view: timeline above, panel below, a bar between them to drag. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { formatCount, formatDuration } from "../../src/report/units.ts";
import { ServerError } from "../server.ts";
import { TraceModel } from "./model.ts";
import { Panel } from "./panel.tsx";
import { Search } from "./search.tsx";
import { Timeline } from "./timeline.tsx";

export function TraceView(): JSX.Element {
  const model = useSignal<TraceModel | string>("Opening the trace…");
  useEffect(() => {
    TraceModel.load().then(
      (loaded) => {
        model.value = loaded;
      },
      (error: unknown) => {
        model.value = error instanceof ServerError ? error.message : String(error);
      },
    );
  }, []);
  return typeof model.value === "string" ? (
    <p class="note">{model.value}</p>
  ) : (
    <Loaded model={model.value} />
  );
}

const shareKey = "patchbay-timeline-share";

function Loaded({ model }: { readonly model: TraceModel }): JSX.Element {
  const share = useSignal(Number(localStorage.getItem(shareKey) ?? 0.6));
  const onDrag = (event: PointerEvent & { readonly currentTarget: HTMLElement }): void => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const box = event.currentTarget.parentElement?.getBoundingClientRect();
    if (box === undefined) return;
    share.value = Math.min(0.9, Math.max(0.15, (event.clientY - box.top) / box.height));
    localStorage.setItem(shareKey, share.value.toFixed(3));
  };
  const percent = (part: number): string => `${(part * 100).toFixed(2)}%`;
  return (
    <main class="trace">
      <header class="trace-head">
        <Search model={model} />
        <Facts model={model} />
      </header>
      <div class="split" style={{ "grid-template-rows": `${percent(share.value)} 7px 1fr` }}>
        <Timeline model={model} />
        <div
          class="divider"
          onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
          onPointerMove={onDrag}
        />
        <Panel model={model} />
      </div>
    </main>
  );
}

function Facts({ model }: { readonly model: TraceModel }): JSX.Element {
  const { slots, threads, end, nsPerTick, indexedMs, command } = model.info.value;
  const read = threads.reduce((sum, thread) => sum + thread.read, 0);
  const lost = threads.reduce((sum, thread) => sum + thread.lost, 0);
  const isDone = indexedMs !== undefined;
  return (
    <div class="facts" data-testid="facts" data-indexed-ms={indexedMs?.toFixed(0)}>
      <span class="code" title={command.join(" ")}>
        {command[0]?.split("/").at(-1)}
      </span>
      <span>{formatCount(slots)} events</span>
      <span>{threads.length} threads</span>
      <span>{formatDuration(end * nsPerTick)}</span>
      <span class={lost > 0 ? "warning" : ""}>{formatCount(lost)} lost</span>
      <span class="dim">
        {isDone
          ? `read in ${(indexedMs / 1000).toFixed(2)} s`
          : `reading: ${Math.floor((100 * read) / Math.max(1, slots))}%`}
      </span>
      {model.problem.value === "" ? null : (
        <span class="warning" role="alert">
          {model.problem.value}
        </span>
      )}
    </div>
  );
}

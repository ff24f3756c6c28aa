/** Below the timeline: the selected call, sums, flame graph, callers and callees, source. */
import type { JSX } from "preact";
import { formatCount, formatDuration } from "../../src/report/units.ts";
import type { CallInfo } from "../../src/server/api.ts";
import { downloadUrl } from "../server.ts";
import { Callers } from "./callers.tsx";
import { Flame } from "./flame.tsx";
import { FunctionTable } from "./function-table.tsx";
import type { Tab, TraceModel } from "./model.ts";
import { rulerText } from "./rulers.ts";
import { Source } from "./source.tsx";
import { SourceLink } from "./source-link.tsx";

type Props = { readonly model: TraceModel };

const tabs: readonly (readonly [Tab, string])[] = [
  ["functions", "Functions"],
  ["flame", "Flame graph"],
  ["callers", "Callers and callees"],
  ["call", "Call"],
  ["source", "Source"],
];

export function Panel({ model }: Props): JSX.Element {
  return (
    <section class="panel">
      <div class="tabs" role="tablist">
        {tabs.map(([tab, title]) => (
          <button
            key={tab}
            type="button"
            role="tab"
            aria-selected={model.tab.value === tab}
            onClick={() => (model.tab.value = tab)}
          >
            {title}
          </button>
        ))}
        <Extent model={model} />
        <Export model={model} />
      </div>
      <div class="panel-body">{bodyOf(model)}</div>
    </section>
  );
}

function bodyOf(model: TraceModel): JSX.Element {
  switch (model.tab.value) {
    case "functions":
      return <FunctionTable model={model} />;
    case "flame":
      return <Flame model={model} />;
    case "callers":
      return <Callers model={model} />;
    case "call":
      return <CallDetails model={model} />;
    default:
      return <Source model={model} />;
  }
}

/** What the sums are about. */
function Extent({ model }: Props): JSX.Element {
  const area = model.area.value;
  const { nsPerTick, threads } = model.info.value;
  const lost = model.selection.value?.lost ?? 0;
  const what =
    area === undefined
      ? "whole trace"
      : `selection of ${formatDuration((area.to - area.from) * nsPerTick)} in ` +
        `${area.threads.length} of ${threads.length} threads`;
  return (
    <span class="extent" data-testid="extent">
      {model.isSumming.value ? "adding up " : ""}
      {what}
      {lost === 0 ? null : (
        <em>
          {" "}
          ({lost < 0 ? "events" : `${formatCount(lost)} events`} lost: self time includes them)
        </em>
      )}
    </span>
  );
}

function Export({ model }: Props): JSX.Element {
  const threads = model.area.value?.threads ?? [];
  return (
    <select
      class="export"
      aria-label="export"
      value=""
      onChange={(event) => {
        const format = event.currentTarget.value;
        event.currentTarget.value = "";
        if (format !== "") location.assign(downloadUrl("/api/trace/export", { format, threads }));
      }}
    >
      <option value="">Export{threads.length > 0 ? " these threads" : ""} as…</option>
      {model.info.value.formats.map((format) => (
        <option key={format} value={format}>
          {format}
        </option>
      ))}
    </select>
  );
}

function CallDetails({ model }: Props): JSX.Element {
  const answer = model.call.value;
  const call = answer?.call;
  if (answer === undefined || call === undefined) {
    return <p class="note">Click a call in the timeline to see it here.</p>;
  }
  const { nsPerTick, threads } = model.info.value;
  const found = model.functions.value.find(call.site);
  const thread = threads[call.thread];
  const duration = formatDuration((call.end - call.start) * nsPerTick);
  const isWhole = call.how === "returned" || call.how === "unwound";
  return (
    <div class="details" data-testid="call">
      <dl>
        <dt>Function</dt>
        <dd class="code">{model.functions.value.name(call.site)}</dd>
        <dt>Duration</dt>
        <dd>{isWhole ? duration : `at least ${duration}: ${howText(call.how)}`}</dd>
        <dt>Start</dt>
        <dd>{rulerText(call.start * nsPerTick, 1)}</dd>
        <dt>Thread</dt>
        <dd>
          {thread?.name} ({thread?.tid})
        </dd>
        <dt>Depth</dt>
        <dd>{call.depth}</dd>
        <dt>Source</dt>
        <dd>
          <SourceLink model={model} site={call.site} />
        </dd>
        <dt>Module</dt>
        <dd class="code">{found?.module}</dd>
      </dl>
      <div>
        <h4>In</h4>
        <ol class="stack">
          {answer.around.map((one) => (
            <li key={`${one.depth}`}>
              <button type="button" class="link code" onClick={() => void model.revealCall(one)}>
                {model.functions.value.name(one.site)}
              </button>{" "}
              <small>{durationText(one, nsPerTick)}</small>
            </li>
          ))}
          <li class="code">
            <b>{model.functions.value.name(call.site)}</b>
          </li>
        </ol>
        <p class="buttons">
          <button type="button" onClick={() => void model.goToNext(true, [call.site])}>
            Previous call
          </button>
          <button type="button" onClick={() => void model.goToNext(false, [call.site])}>
            Next call
          </button>
          <button
            type="button"
            onClick={() =>
              void model.selectArea({ from: call.start, to: call.end, threads: [call.thread] })
            }
          >
            Select its time
          </button>
        </p>
      </div>
    </div>
  );
}

const durationText = ({ start, end, how }: CallInfo, nsPerTick: number): string =>
  `${how === "open" || how === "lost" ? "≥ " : ""}${formatDuration((end - start) * nsPerTick)}`;

function howText(how: string): string {
  switch (how) {
    case "left":
      return "a longjmp went over it";
    case "lost":
      return "its exit may have been lost";
    default:
      return "the trace ends first";
  }
}

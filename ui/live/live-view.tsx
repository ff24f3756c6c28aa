/** The live view: the functions of a process with their switches and numbers. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { formatBytes, formatCount, formatDuration } from "../../src/report/units.ts";
import { ServerError } from "../server.ts";
import { HistogramChart, RateChart, shortCount } from "./charts.tsx";
import { LiveTable } from "./live-table.tsx";
import { LiveModel, type Switch } from "./model.ts";

type Props = { readonly model: LiveModel };

export function LiveView(): JSX.Element {
  const model = useSignal<LiveModel | string>("Looking into the process…");
  useEffect(() => {
    LiveModel.load().then(
      (loaded) => {
        model.value = loaded;
      },
      (error: unknown) => {
        model.value = error instanceof ServerError ? error.message : String(error);
      },
    );
  }, []);
  if (typeof model.value === "string") return <p class="note">{model.value}</p>;
  return (
    <main class="live">
      <Facts model={model.value} />
      <Controls model={model.value} />
      <div class="live-body">
        <LiveTable model={model.value} />
        <Side model={model.value} />
      </div>
    </main>
  );
}

/** As the table of protocols names it: `cover-several`. */
const idOf = (protocol: string): string =>
  protocol.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function Facts({ model }: Props): JSX.Element {
  const { command, pid, names } = model.functions;
  const sample = model.sample.value;
  const { watched, trace } = model.state.value;
  const recording = sample?.recording;
  const changes = Object.entries(sample?.changes ?? {}).filter(([, count]) => count > 0);
  const isRunning = sample === undefined || sample.process === "running";
  return (
    <header class="live-facts" data-testid="live-facts">
      <span class="code" title={command.join(" ")}>
        {command[0]?.split("/").at(-1)} ({pid})
      </span>
      {isRunning ? null : <b class="warning">the process has ended: {sample.process}</b>}
      <span>
        {formatCount(watched.length)} of {formatCount(names.length)} functions watched
      </span>
      <span data-testid="rate">{shortCount(sample?.perSecond ?? 0)} calls/s</span>
      <span title="By an estimate: calls and events times what each of them costs, about.">
        ≈ {((sample?.overhead ?? 0) * 100).toFixed(1)}% of a processor for tracing
      </span>
      {changes.length === 0 ? null : (
        <span title="Sites that were changed so far, by the protocol that changed them.">
          changes:{" "}
          {changes.map(([name, count]) => `${formatCount(count)} by ${idOf(name)}`).join(", ")}
          {(sample?.pauseMs ?? 0) > 0 ? `; paused ${sample?.pauseMs.toFixed(2)} ms` : ""}
        </span>
      )}
      {recording === undefined ? null : (
        <span class="recording" data-testid="recording">
          ● {formatCount(recording.events)} events ({shortCount(recording.perSecond)}/s),{" "}
          {formatBytes(recording.bytes)},{" "}
          <span class={recording.lost > 0 ? "warning" : ""}>
            {formatCount(recording.lost)} lost
          </span>
        </span>
      )}
      {trace === undefined ? null : <span data-testid="recorded">recorded: {trace}</span>}
      {model.problem.value === "" ? null : (
        <span class="warning" role="alert">
          {model.problem.value}
        </span>
      )}
    </header>
  );
}

function Controls({ model }: Props): JSX.Element {
  const { record, trace } = model.state.value;
  const isRecording = record !== undefined;
  const text = model.search.value.trim();
  const found = model.shown.value.length;
  const isAll = text === "";
  // A part of a name becomes a glob.
  const word = isAll ? "*" : /[*?[]/.test(text) ? text : `*${text}*`;
  const busy = model.isChanging.value;
  return (
    <div class="live-controls">
      <Find model={model} />
      <button
        type="button"
        disabled={busy || found === 0}
        onClick={() => void model.set("watch", word, true)}
      >
        Watch {isAll ? "all" : "these"} {formatCount(found)}
      </button>
      <button
        type="button"
        disabled={busy || found === 0 || isRecording}
        onClick={() => void model.set("record", word, true)}
      >
        Record {isAll ? "all" : "these"}
      </button>
      <label title="Without times, calls are only counted, which costs less.">
        <input
          type="checkbox"
          checked={model.times.value}
          disabled={busy}
          onChange={(event) => void model.setTimes(event.currentTarget.checked)}
        />{" "}
        times
      </label>
      <Chips model={model} which="watch" title="watch" />
      <Chips model={model} which="record" title="record" />
      <span class="spring" />
      {trace === undefined ? null : (
        <button type="button" disabled={busy} onClick={() => void model.openRecording()}>
          Open the recording
        </button>
      )}
      {isRecording ? (
        <button
          type="button"
          class="primary"
          disabled={busy}
          onClick={() => void model.stopRecording()}
        >
          Stop recording
        </button>
      ) : (
        <button
          type="button"
          class="primary"
          disabled={busy}
          onClick={() => void model.startRecording()}
        >
          Start recording
        </button>
      )}
    </div>
  );
}

function Find({ model }: Props): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key !== "/" || event.target instanceof HTMLInputElement) return;
      if (input.current?.offsetParent == null) return;
      event.preventDefault();
      input.current.select();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  return (
    <input
      ref={input}
      type="search"
      class="find"
      placeholder="Search functions: name or glob  ( / )"
      aria-label="search functions of the process"
      spellcheck={false}
      value={model.search.value}
      onInput={(event) => (model.search.value = event.currentTarget.value)}
    />
  );
}

type ChipsProps = Props & { readonly which: Switch; readonly title: string };

/** Chips that are shown; the rest is a number. */
const chipsMax = 6;

/** The words that are switched on, and those that are left out. */
function Chips({ model, which, title }: ChipsProps): JSX.Element | null {
  const { include, exclude } = model.words(which).value;
  const words = [
    ...include.map((word) => ({ word, sign: "" })),
    ...exclude.map((word) => ({ word, sign: "not " })),
  ];
  if (words.length === 0) return null;
  return (
    <span class="chips">
      {title}:
      {words.slice(0, chipsMax).map(({ word, sign }) => (
        <button
          key={sign + word}
          type="button"
          class="chip code"
          title="take this away"
          onClick={() => void model.drop(which, word)}
        >
          {sign}
          {word} ×
        </button>
      ))}
      {words.length > chipsMax ? ` and ${words.length - chipsMax} more` : ""}
    </span>
  );
}

function Side({ model }: Props): JSX.Element {
  const site = model.site.value;
  const histogram = model.histogram.value;
  const { names, addresses, modules, module, entriesOnly, protocols, protocol } = model.functions;
  const path = modules[module[site ?? 0] ?? 0] ?? "";
  return (
    <aside class="live-side">
      <RateChart history={model.history.value} />
      {site === undefined ? (
        <p class="note">Choose a function to see how long its calls take.</p>
      ) : (
        <>
          {histogram?.site === site && histogram.buckets.length > 0 ? (
            <div data-testid="histogram">
              <HistogramChart histogram={histogram} name={names[site] ?? ""} />
            </div>
          ) : (
            <p class="note">{names[site]}: no call of it has been timed.</p>
          )}
          <dl class="live-details">
            <dt>Function</dt>
            <dd class="code">{names[site]}</dd>
            <dt>Site</dt>
            <dd class="code">{addresses[site]}</dd>
            <dt>Module</dt>
            <dd class="code" title={path}>
              {path.split("/").at(-1)}
            </dd>
            <dt>Changed by</dt>
            <dd>{protocols[protocol[site] ?? 0]}</dd>
            {entriesOnly[site] === "" ? null : (
              <>
                <dt>Entries only</dt>
                <dd>{entriesOnly[site]}</dd>
              </>
            )}
            <Dispatch model={model} site={site} />
            <Times model={model} site={site} />
          </dl>
        </>
      )}
    </aside>
  );
}

type SiteProps = Props & { readonly site: number };

function Dispatch({ model, site }: SiteProps): JSX.Element {
  const enabled = model.state.value.enabled.find((one) => one.site === site);
  const text = enabled === undefined ? "idle" : `${enabled.form}, for ${enabled.ops.join(", ")}`;
  return (
    <>
      <dt>Dispatch</dt>
      <dd>
        {text}
        {enabled?.why === undefined ? "" : ` (${enabled.why})`}
      </dd>
    </>
  );
}

function Times({ model, site }: SiteProps): JSX.Element | null {
  const row = model.rows.value.get(site);
  if (row?.meanNs === undefined) return null;
  const time = (ns: number | undefined): string => (ns === undefined ? "–" : formatDuration(ns));
  return (
    <>
      <dt>Total, self</dt>
      <dd>
        {formatDuration(row.totalNs)}, {formatDuration(row.selfNs)}
      </dd>
      <dt>Least, greatest</dt>
      <dd>
        {time(row.minNs)}, {time(row.maxNs)}
      </dd>
    </>
  );
}

/**
 * A counterexample, step by step, forwards and backwards: harts as lanes, memory, and what each
 * hart's fetch may see.
 */
import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { FetchView, Lane, MemoryView, Trace } from "../../src/model/show/replay.ts";

export function Player({ trace }: { readonly trace: Trace }): JSX.Element {
  /** Steps that have been made; 0: none. */
  const at = useSignal(0);
  const here = useRef<HTMLTableRowElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const go = (step: number): void => {
    at.value = Math.max(0, Math.min(trace.steps.length, step));
  };
  useEffect(() => {
    go(trace.steps.length);
    frame.current?.scrollIntoView({ block: "nearest" });
  }, [trace]);
  useSignalEffect(() => {
    void at.value;
    queueMicrotask(() => here.current?.scrollIntoView({ block: "nearest" }));
  });
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.target instanceof HTMLTextAreaElement || event.target instanceof HTMLInputElement) {
        return;
      }
      if (frame.current?.offsetParent == null) return;
      const step = steps[event.key];
      if (step === undefined) return;
      event.preventDefault();
      go(step === 0 ? 0 : Number.isFinite(step) ? at.value + step : trace.steps.length);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [trace]);
  const made = trace.steps[at.value - 1];
  const before = trace.steps[at.value - 2]?.memory ?? trace.before;
  const memory = made?.memory ?? trace.before;
  return (
    <div class="player" ref={frame} data-testid="player">
      <div class="player-bar">
        <button type="button" onClick={() => go(0)} title="To the beginning (Home)">
          |◀
        </button>
        <button type="button" onClick={() => go(at.value - 1)} title="A step back (A, ←)">
          ◀
        </button>
        <button type="button" onClick={() => go(at.value + 1)} title="A step on (D, →)">
          ▶
        </button>
        <button type="button" onClick={() => go(trace.steps.length)} title="To the end (End)">
          ▶|
        </button>
        <input
          type="range"
          aria-label="step"
          min={0}
          max={trace.steps.length}
          value={at.value}
          onInput={(event) => go(Number(event.currentTarget.value))}
        />
        <span data-testid="step">
          step {at.value} of {trace.steps.length}
        </span>
        {at.value === trace.steps.length && trace.violation !== undefined ? (
          <b class="warning">{trace.violation}</b>
        ) : null}
      </div>
      <div class="player-body">
        <div class="lanes">
          <table>
            <thead>
              <tr>
                <th />
                {trace.lanes.map((lane) => (
                  <th key={lane}>{laneTitle(lane)}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {trace.steps.map((step) => {
                const isHere = step.index === at.value;
                const state = isHere ? "here" : step.index > at.value ? "later" : "";
                return (
                  <tr
                    key={step.index}
                    ref={isHere ? here : null}
                    class={`${state} ${step.quiet ? "quiet" : ""}`}
                    onClick={() => go(step.index)}
                  >
                    <td class="number">{step.index}</td>
                    {trace.lanes.map((lane) => (
                      <td key={lane} class={`code lane-${lane.replace(" ", "-")}`}>
                        {lane === step.lane ? <span>{step.text}</span> : null}
                      </td>
                    ))}
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
        <Memory memory={memory} before={at.value === 0 ? memory : before} thread={made?.thread} />
      </div>
    </div>
  );
}

/** What keys do: steps to go, 0 for the beginning, infinity for the end. */
const steps: Readonly<Record<string, number>> = {
  ArrowLeft: -1,
  ArrowRight: 1,
  a: -1,
  d: 1,
  Home: 0,
  End: Infinity,
};

function laneTitle(lane: Lane): string {
  if (lane === "memory") return "memory";
  return lane === "hart 1" ? "hart 1" : `${lane}: patcher`;
}

type MemoryProps = {
  readonly memory: MemoryView;
  /** A step earlier: what differs stands out. */
  readonly before: MemoryView;
  readonly thread: string | undefined;
};

function Memory({ memory, before, thread }: MemoryProps): JSX.Element {
  return (
    <div class="memory">
      <h4>Memory</h4>
      {memory.sites.map((site, at) => (
        <table key={site.name} class="code">
          <tbody>
            {site.lines.map((line, row) => {
              const old = before.sites[at]?.lines[row];
              return (
                <tr key={line.at}>
                  <td class="dim">{line.at}</td>
                  <td>
                    <Bytes bytes={line.bytes} old={old?.at === line.at ? old.bytes : line.bytes} />
                  </td>
                  <td>{line.text}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      ))}
      <table class="code">
        <tbody>
          {memory.words.map(({ name, value }, at) => (
            <tr key={name}>
              <td class="dim">{name}</td>
              <td class={before.words[at]?.value === value ? "" : "changed"}>{value}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <h4>What a fetch may see</h4>
      {memory.fetches.map((view) => (
        <Fetches
          key={`${view.hart} ${view.site}`}
          view={view}
          isAlone={memory.sites.length === 1}
        />
      ))}
      <h4>The thread</h4>
      <p class="code">{thread ?? "outside of the function"}</p>
    </div>
  );
}

/** Bytes, with those marked that were others a step before. */
function Bytes({ bytes, old }: { readonly bytes: string; readonly old: string }): JSX.Element {
  const were = old.split(" ");
  return (
    <>
      {bytes.split(" ").map((byte, at) => (
        <span key={`${at} ${byte}`} class={were[at] === byte ? "byte" : "byte changed"}>
          {byte}
        </span>
      ))}
    </>
  );
}

type FetchProps = { readonly view: FetchView; readonly isAlone: boolean };

function Fetches({ view, isAlone }: FetchProps): JSX.Element {
  return (
    <table class="code fetches">
      <caption>
        {view.hart}
        {isAlone ? "" : `, ${view.site}`}
      </caption>
      <tbody>
        {view.parts.map(({ at, versions }) => (
          <tr key={at}>
            <td class="dim">{at}</td>
            <td>
              {versions.map(({ bytes, stale }) => (
                <span key={bytes} class={stale ? "version stale" : "version"}>
                  {bytes}
                </span>
              ))}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

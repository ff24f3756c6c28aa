/** Numbers per function of the selection, as a table to sort and to filter. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { formatCount, formatDuration, formatShare } from "../../src/report/units.ts";
import type { SelectionRow } from "../../src/server/api.ts";
import type { TraceModel } from "./model.ts";
import { SourceLink } from "./source-link.tsx";

const columns = ["self", "total", "calls", "mean", "min", "p50", "p99", "max"] as const;
type Key = (typeof columns)[number];

const mean = (row: SelectionRow): number => (row.complete === 0 ? 0 : row.sum / row.complete);
const keys: Readonly<Record<Key, (row: SelectionRow) => number>> = {
  self: (row) => row.self,
  total: (row) => row.total,
  calls: (row) => row.calls,
  mean,
  min: (row) => row.min,
  p50: (row) => row.p50,
  p99: (row) => row.p99,
  max: (row) => row.max,
};

/** More are no table that a person reads: search narrows it. */
const rowsMax = 300;

export function FunctionTable({ model }: { readonly model: TraceModel }): JSX.Element {
  const order = useSignal<Key>("self");
  const answer = model.selection.value;
  if (answer === undefined) {
    const text = model.isIndexed ? "Adding up…" : "Reading the trace's events…";
    return <p class="note">{text}</p>;
  }
  const lit = model.searchText.value === "" ? undefined : model.found.value;
  const wanted = lit === undefined ? undefined : new Set(lit.map(({ site }) => site));
  const key = keys[order.value];
  const rows = answer.rows
    .filter(({ site }) => wanted?.has(site) ?? true)
    .toSorted((a, b) => key(b) - key(a) || a.site - b.site);
  const hidden = rows.length - rowsMax;
  return (
    <>
      <table class="numbers" data-testid="functions">
        <thead>
          <tr>
            {columns.map((name) => (
              <th key={name} aria-sort={order.value === name ? "descending" : "none"}>
                <button type="button" onClick={() => (order.value = name)}>
                  {name}
                  {order.value === name ? " ▾" : ""}
                </button>
              </th>
            ))}
            <th class="left">function</th>
            <th class="left">source</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, rowsMax).map((row) => (
            <Row key={row.site} row={row} busy={answer.busy} model={model} />
          ))}
        </tbody>
      </table>
      {hidden > 0 ? <p class="note">and {formatCount(hidden)} more: search narrows them</p> : null}
    </>
  );
}

type RowProps = {
  readonly row: SelectionRow;
  readonly busy: number;
  readonly model: TraceModel;
};

function Row({ row, busy, model }: RowProps): JSX.Element {
  const ns = model.info.value.nsPerTick;
  const time = (ticks: number): string => (row.complete === 0 ? "–" : formatDuration(ticks * ns));
  const isChosen = model.site.value === row.site;
  return (
    <tr
      class={isChosen ? "chosen" : ""}
      onClick={() => (model.site.value = row.site)}
      onDblClick={() => void model.goToNext(false, [row.site])}
    >
      <td>
        {formatDuration(row.self * ns)} <small>{formatShare(row.self, busy)}</small>
      </td>
      <td>{formatDuration(row.total * ns)}</td>
      <td>{formatCount(row.calls)}</td>
      <td>{time(mean(row))}</td>
      <td>{time(row.min)}</td>
      <td>{time(row.p50)}</td>
      <td>{time(row.p99)}</td>
      <td>{time(row.max)}</td>
      <td class="left code">
        <i class="swatch" style={{ background: model.palette.value.css(row.site) }} />
        {model.functions.value.name(row.site)}
      </td>
      <td class="left">
        <SourceLink model={model} site={row.site} />
      </td>
    </tr>
  );
}

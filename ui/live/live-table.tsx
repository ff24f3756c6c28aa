/** The functions: two switches each, and numbers as they come. */
import type { JSX } from "preact";
import { formatCount, formatDuration } from "../../src/report/units.ts";
import type { LiveModel, Order, Switch } from "./model.ts";

/** More are no table that a person reads: search narrows it. */
const rowsMax = 200;

const columns: readonly (readonly [Order, string])[] = [
  ["rate", "calls/s"],
  ["calls", "calls"],
  ["self", "self"],
  ["mean", "mean"],
  ["p99", "p99"],
  ["max", "max"],
];

type Props = { readonly model: LiveModel };

export function LiveTable({ model }: Props): JSX.Element {
  const shown = model.shown.value;
  const hidden = shown.length - rowsMax;
  const most = Math.max(1, ...(model.sample.value?.rows.map((row) => row.perSecond) ?? []));
  const forms = new Map(model.state.value.enabled.map(({ site, form }) => [site, form]));
  return (
    <div class="live-table">
      <table class="numbers tight" data-testid="live-functions">
        <thead>
          <tr>
            <th class="left">watch</th>
            <th class="left">record</th>
            {columns.map(([order, title]) => (
              <th key={order} aria-sort={model.order.value === order ? "descending" : "none"}>
                <button type="button" onClick={() => (model.order.value = order)}>
                  {title}
                  {model.order.value === order ? " ▾" : ""}
                </button>
              </th>
            ))}
            <th class="left">
              <button type="button" onClick={() => (model.order.value = "name")}>
                function{model.order.value === "name" ? " ▾" : ""}
              </button>
            </th>
            <th class="left">dispatch</th>
            <th class="left">changed by</th>
          </tr>
        </thead>
        <tbody>
          {shown.slice(0, rowsMax).map((site) => (
            <Row
              key={site}
              model={model}
              site={site}
              most={most}
              form={forms.get(site) ?? "idle"}
            />
          ))}
        </tbody>
      </table>
      {hidden > 0 ? <p class="note">and {formatCount(hidden)} more: search narrows them</p> : null}
    </div>
  );
}

type RowProps = Props & { readonly site: number; readonly most: number; readonly form: string };

function Row({ model, site, most, form }: RowProps): JSX.Element {
  const { names, protocols, protocol } = model.functions;
  const row = model.rows.value.get(site);
  const time = (ns: number | undefined): string => (ns === undefined ? "" : formatDuration(ns));
  const share = `${(((row?.perSecond ?? 0) / most) * 100).toFixed(1)}%`;
  return (
    <tr
      class={model.site.value === site ? "chosen" : ""}
      onClick={() => {
        model.site.value = site;
        model.histogram.value = undefined;
      }}
    >
      <td class="left">
        <Toggle model={model} site={site} which="watch" isOn={model.watched.value.has(site)} />
      </td>
      <td class="left">
        <Toggle model={model} site={site} which="record" isOn={model.toRecord.value.has(site)} />
      </td>
      <td class="rate">
        <i style={{ width: share }} />
        <b>{row === undefined ? "" : formatCount(row.perSecond)}</b>
      </td>
      <td>{row === undefined ? "" : formatCount(row.calls)}</td>
      <td>{row?.meanNs === undefined ? "" : time(row.selfNs)}</td>
      <td>{time(row?.meanNs)}</td>
      <td>{time(row?.p99Ns)}</td>
      <td>{time(row?.maxNs)}</td>
      <td class="left code">{names[site]}</td>
      <td class={form === "idle" ? "left dim" : "left"}>{form}</td>
      <td class="left dim">{protocols[protocol[site] ?? 0]}</td>
    </tr>
  );
}

type ToggleProps = Props & {
  readonly site: number;
  readonly which: Switch;
  readonly isOn: boolean;
};

function Toggle({ model, site, which, isOn }: ToggleProps): JSX.Element {
  const isFixed = which === "record" && model.state.value.record !== undefined;
  return (
    <input
      type="checkbox"
      class="switch"
      role="switch"
      aria-checked={isOn}
      aria-label={`${which} ${model.functions.names[site]}`}
      checked={isOn}
      disabled={model.isChanging.value || isFixed}
      onClick={(event) => event.stopPropagation()}
      onChange={(event) => void model.toggle(which, site, event.currentTarget.checked)}
    />
  );
}

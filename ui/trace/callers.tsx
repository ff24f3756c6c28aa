/** Who calls the chosen function, and whom it calls, in the selection. */
import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { formatCount, formatDuration } from "../../src/report/units.ts";
import type { RelativeInfo, RelativesAnswer } from "../../src/server/api.ts";
import { getJson } from "../server.ts";
import type { TraceModel } from "./model.ts";

export function Callers({ model }: { readonly model: TraceModel }): JSX.Element {
  const answer = useSignal<RelativesAnswer | undefined>(undefined);
  useSignalEffect(() => {
    const site = model.site.value;
    // Asked for again whenever the selection has been added up.
    if (site === undefined || model.selection.value === undefined) return;
    void model.attempt(async () => {
      const path = `/api/trace/relatives?${model.stretchQuery()}&site=${site}`;
      answer.value = await getJson<RelativesAnswer>(path);
    });
  });
  const site = model.site.value;
  if (site === undefined) {
    return <p class="note">Choose a function in the table, the flame graph or the timeline.</p>;
  }
  const { callers = [], callees = [] } = answer.value ?? {};
  return (
    <div class="relatives" data-testid="relatives">
      <Side title="Called by" none="nobody that is traced" rows={callers} model={model} />
      <div class="middle code">{model.functions.value.name(site)}</div>
      <Side title="Calls" none="nothing that is traced" rows={callees} model={model} />
    </div>
  );
}

type SideProps = {
  readonly title: string;
  readonly none: string;
  readonly rows: readonly RelativeInfo[];
  readonly model: TraceModel;
};

function Side({ title, none, rows, model }: SideProps): JSX.Element {
  const ns = model.info.value.nsPerTick;
  return (
    <div>
      <h4>{title}</h4>
      <table class="numbers">
        <tbody>
          {rows.map(({ site, calls, total }) => (
            <tr key={site}>
              <td>{formatDuration(total * ns)}</td>
              <td>{formatCount(calls)} calls</td>
              <td class="left code">
                {site < 0 ? (
                  <span class="dim">{none}</span>
                ) : (
                  <button type="button" class="link" onClick={() => (model.site.value = site)}>
                    {model.functions.value.name(site)}
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length === 0 ? <p class="note">{none}</p> : null}
    </div>
  );
}

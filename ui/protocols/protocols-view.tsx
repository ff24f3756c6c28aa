/** The protocols view: what there is, what each is worth, and where the unsafe ones break. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { CheckInfo, ProtocolInfo } from "../../src/server/api.ts";
import { ServerError } from "../server.ts";
import { Editor } from "./editor.tsx";
import { ProtocolModel } from "./model.ts";
import { Player } from "./player.tsx";
import { Verdict } from "./verdict.tsx";

export function ProtocolsView(): JSX.Element {
  const model = useSignal<ProtocolModel | string>("Loading…");
  useEffect(() => {
    ProtocolModel.load().then(
      (loaded) => {
        model.value = loaded;
      },
      (error: unknown) => {
        model.value = error instanceof ServerError ? error.message : String(error);
      },
    );
  }, []);
  if (typeof model.value === "string") return <p class="note">{model.value}</p>;
  return <Loaded model={model.value} />;
}

function Loaded({ model }: { readonly model: ProtocolModel }): JSX.Element {
  const all = model.families.flatMap(({ protocols }) => protocols.flatMap(({ checks }) => checks));
  return (
    <main class="protocols">
      <aside>
        <div class="aside-bar">
          {model.left.value > 0 ? (
            <button class="nowrap" type="button" onClick={() => void model.stop()}>
              Stop, {model.left.value} left
            </button>
          ) : (
            <button class="nowrap" type="button" onClick={() => void model.run(all)}>
              Check all {all.length}
            </button>
          )}
          <span class="dim">{model.summary.value}</span>
        </div>
        <List model={model} />
      </aside>
      <Detail model={model} />
    </main>
  );
}

function List({ model }: { readonly model: ProtocolModel }): JSX.Element {
  return (
    <nav class="protocol-list">
      {model.families.map((family) => (
        <section key={family.id}>
          <h4 title={family.source}>
            {family.id} {family.title}
          </h4>
          {family.protocols.map((protocol) => (
            <button
              key={protocol.id}
              class="protocol-item"
              type="button"
              aria-current={model.protocol.value === protocol ? "true" : undefined}
              onClick={() => model.choose(protocol)}
            >
              <Dot protocol={protocol} model={model} />
              <span class="code">{protocol.id.replace(/^[^/]*\//, "")}</span>
              <small class="protocol-title">{protocol.title}</small>
            </button>
          ))}
        </section>
      ))}
    </nav>
  );
}

/** Filled once all of a protocol's checks are done: safe in all, or not. */
function Dot({
  protocol,
  model,
}: {
  readonly protocol: ProtocolInfo;
  readonly model: ProtocolModel;
}): JSX.Element {
  const known = protocol.checks.map(({ id }) => model.outcomes.value.get(id)?.verdict);
  const done = known.filter((verdict) => verdict !== undefined);
  const isSafe = done.every((verdict) => verdict === "safe");
  const state = done.length < known.length ? "open" : isSafe ? "safe" : "unsafe";
  return <i class={`dot ${state}`} title={`${done.length} of ${known.length} checked`} />;
}

function Detail({ model }: { readonly model: ProtocolModel }): JSX.Element {
  const protocol = model.protocol.value;
  if (protocol === undefined) return <p class="note">Choose a protocol.</p>;
  const played = model.played.value;
  return (
    <section class="protocol">
      <header>
        <h3>
          <span class="code">{protocol.id}</span> {protocol.title}
        </h3>
        <button type="button" onClick={() => void model.run(protocol.checks)}>
          Check all of these
        </button>
        {model.problem.value === "" ? null : (
          <span class="warning" role="alert">
            {model.problem.value}
          </span>
        )}
      </header>
      <div class="protocol-body">
        <div class="checks-box">
          <Checks protocol={protocol} model={model} />
        </div>
        <Editor model={model} />
        {played === undefined ? null : (
          <>
            <h4 class="played">{played.trace.title}</h4>
            <Player trace={played.trace} />
          </>
        )}
      </div>
    </section>
  );
}

type ChecksProps = { readonly protocol: ProtocolInfo; readonly model: ProtocolModel };

function Checks({ protocol, model }: ChecksProps): JSX.Element {
  return (
    <table class="numbers checks" data-testid="checks">
      <thead>
        <tr>
          <th class="left">verdict</th>
          <th />
          <th class="left">machine</th>
          <th class="left">site</th>
          <th class="left">beside the patching</th>
          <th>states</th>
          <th>depth</th>
          <th>time</th>
          <th class="left">expected, because</th>
        </tr>
      </thead>
      <tbody>
        {protocol.checks.map((check) => (
          <CheckRow key={check.id} check={check} model={model} />
        ))}
      </tbody>
    </table>
  );
}

type RowProps = { readonly check: CheckInfo; readonly model: ProtocolModel };

function CheckRow({ check, model }: RowProps): JSX.Element {
  const outcome = model.outcomes.value.get(check.id);
  const isChosen = model.check.value === check;
  return (
    <tr class={isChosen ? "chosen" : ""} onClick={() => (model.check.value = check)}>
      <td class="left">
        {outcome === undefined ? (
          <span class="dim">not checked</span>
        ) : (
          <Verdict verdict={outcome.verdict} />
        )}
        {outcome?.asExpected === false ? <b class="warning"> unexpected</b> : null}
      </td>
      <td class="row-buttons">
        <button type="button" onClick={() => void model.run([check])}>
          Check
        </button>
        {check.expected === "safe" ? null : (
          <button type="button" onClick={() => void model.play(check)}>
            Play
          </button>
        )}
      </td>
      <td class="left" title={check.machineSummary}>
        {check.machine}
      </td>
      <td class="left" title={check.designSummary}>
        {check.design}
        {check.phase === 0 ? "" : ` +${check.phase}`}
      </td>
      <td class="left">{check.adversities.join(", ") || "–"}</td>
      <td>{outcome?.states.toLocaleString("en-US")}</td>
      <td>{outcome?.depth}</td>
      <td>{outcome === undefined ? "" : `${outcome.milliseconds.toFixed(0)} ms`}</td>
      <td class="left reason" title={check.reason}>
        {check.expected}: {check.reason}
      </td>
    </tr>
  );
}

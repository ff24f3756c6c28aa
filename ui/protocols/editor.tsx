/** A protocol's steps as text, to be changed and checked again. */
import type { JSX } from "preact";
import type { StepTexts } from "../../src/server/api.ts";
import type { ProtocolModel } from "./model.ts";
import { Verdict } from "./verdict.tsx";

const lists: readonly (readonly [keyof StepTexts, string])[] = [
  ["enable", "Enable"],
  ["disable", "Disable"],
  ["modify", "Modify (empty: as enable)"],
  ["retire", "Before what was used is freed"],
];

const linesOf = (text: string): number => Math.max(2, text.split("\n").length);

export function Editor({ model }: { readonly model: ProtocolModel }): JSX.Element {
  const steps = model.edited.value ?? model.protocol.value?.steps;
  const outcome = model.editedOutcome.value;
  if (steps === undefined) return <div />;
  return (
    <div class="editor" data-testid="editor">
      <div class="editor-lists">
        {lists.map(([name, title]) => (
          <label key={name}>
            {title}
            <textarea
              class="code"
              name={name}
              spellcheck={false}
              rows={linesOf(steps[name])}
              value={steps[name]}
              onInput={(event) => {
                model.edited.value = { ...steps, [name]: event.currentTarget.value };
                model.editedOutcome.value = undefined;
              }}
            />
          </label>
        ))}
      </div>
      <div class="editor-bar">
        <button
          type="button"
          class="primary"
          disabled={model.isAsking.value}
          onClick={() => void model.checkEdited()}
        >
          {model.isAsking.value ? "Checking…" : "Check these steps"}
        </button>
        {model.edited.value === undefined ? null : (
          <button
            type="button"
            onClick={() => {
              model.edited.value = undefined;
              model.editedOutcome.value = undefined;
            }}
          >
            As they were
          </button>
        )}
        <span class="dim">on {model.check.value?.id.replace(/^\S+ /, "")}</span>
        {outcome === undefined ? null : (
          <span data-testid="edited-verdict">
            <Verdict verdict={outcome.verdict} /> {outcome.states.toLocaleString("en-US")} states
            {outcome.exhaustive ? "" : ", search was cut off"}
            {outcome.missing.length > 0 ? `; never happened: ${outcome.missing.join(", ")}` : ""}
          </span>
        )}
      </div>
    </div>
  );
}

/** The source of the chosen function, where it can be read on this machine. */
import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { SourceAnswer } from "../../src/server/api.ts";
import { getJson, ServerError } from "../server.ts";
import type { TraceModel } from "./model.ts";

export function Source({ model }: { readonly model: TraceModel }): JSX.Element {
  const answer = useSignal<SourceAnswer | string>("");
  const line = useRef<HTMLDivElement>(null);
  useSignalEffect(() => {
    const site = model.site.value;
    if (site === undefined) {
      answer.value = "Choose a function in the table, the flame graph or the timeline.";
      return;
    }
    getJson<SourceAnswer>(`/api/trace/source?site=${site}`).then(
      (found) => {
        answer.value = found;
      },
      (error: unknown) => {
        answer.value = error instanceof ServerError ? error.message : String(error);
      },
    );
  });
  const shown = answer.value;
  useEffect(() => line.current?.scrollIntoView({ block: "center" }), [shown]);
  if (typeof shown === "string") return <p class="note">{shown}</p>;
  return (
    <div class="source code" data-testid="source">
      <p class="note">
        {shown.file}:{shown.line}
      </p>
      {shown.lines.map((text, at) => {
        const number = shown.first + at;
        const isIt = number === shown.line;
        return (
          <div key={number} class={isIt ? "line here" : "line"} ref={isIt ? line : null}>
            <span>{number}</span>
            {text}
          </div>
        );
      })}
    </div>
  );
}

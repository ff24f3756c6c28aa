/** Where a function is, as a link to its source. */
import type { JSX } from "preact";
import type { TraceModel } from "./model.ts";

type Props = { readonly model: TraceModel; readonly site: number };

/** `file:line`, which shows the source. */
export function SourceLink({ model, site }: Props): JSX.Element | null {
  const found = model.functions.value.find(site);
  if (found?.file === undefined) return <span class="dim">not known</span>;
  return (
    <button
      type="button"
      class="link code"
      title={found.file}
      onClick={() => {
        model.site.value = site;
        model.tab.value = "source";
      }}
    >
      {found.file.split("/").at(-1)}:{found.line}
    </button>
  );
}

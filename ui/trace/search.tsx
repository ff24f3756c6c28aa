/** Search for functions: text or glob, Enter for the next call, Shift+Enter for the one before. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { formatCount } from "../../src/report/units.ts";
import type { TraceModel } from "./model.ts";

export function Search({ model }: { readonly model: TraceModel }): JSX.Element {
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
  const text = model.searchText.value;
  const found = model.found.value;
  const calls = found.reduce((sum, one) => sum + one.calls, 0);
  return (
    <div class="search">
      <input
        ref={input}
        type="search"
        placeholder="Search functions: name or glob  ( / )"
        aria-label="search functions"
        spellcheck={false}
        value={text}
        onInput={(event) => (model.searchText.value = event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") void model.goToNext(event.shiftKey);
          if (event.key !== "Escape") return;
          model.searchText.value = "";
          event.currentTarget.blur();
        }}
      />
      {text === "" ? null : (
        <span class="dim" data-testid="found">
          {formatCount(found.length)} functions, {formatCount(calls)} calls
        </span>
      )}
    </div>
  );
}

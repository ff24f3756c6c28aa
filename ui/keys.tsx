/** The table of keys. */
import type { JSX } from "preact";

const keys: readonly (readonly [string, string])[] = [
  ["W S", "zoom in and out, at the pointer"],
  ["A D", "go left and right"],
  ["0", "show the whole trace"],
  ["F", "zoom to the selection, with its flame graph"],
  ["M", "select the time of the selected call"],
  ["/", "search functions"],
  ["Enter  ]", "next call of what was found (in the search field: Enter)"],
  ["Shift+Enter  [", "the one before"],
  ["Esc", "select nothing"],
  ["drag", "select a stretch of time in some threads"],
  ["Shift+drag", "move"],
  ["wheel", "scroll; with Ctrl zoom, with Shift move"],
  ["?", "this table"],
];

export function Keys({ onClose }: { readonly onClose: () => void }): JSX.Element {
  return (
    <dialog open class="keys" aria-label="keys">
      <h3>Keys</h3>
      <dl>
        {keys.map(([key, meaning]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <button type="button" onClick={onClose}>
        Close
      </button>
    </dialog>
  );
}

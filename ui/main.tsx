/** The page: its head, its views, and whether the server is still there. */
import { signal } from "@preact/signals";
import { type JSX, render } from "preact";
import type { About } from "../src/server/api.ts";
import { Keys } from "./keys.tsx";
import { LiveView } from "./live/live-view.tsx";
import { ProtocolsView } from "./protocols/protocols-view.tsx";
import { getJson, listen, readEvents, ServerError } from "./server.ts";
import { switchTheme, theme } from "./theme.ts";
import { TraceView } from "./trace/trace-view.tsx";

type ViewName = "trace" | "live" | "protocols";

const about = signal<About | string>("");
/** Counts traces that were opened since. */
const opened = signal(0);
const isThere = signal(true);
const showsKeys = signal(false);
const chosen = signal<ViewName | undefined>(undefined);

const titles: Readonly<Record<ViewName, string>> = {
  trace: "Trace",
  live: "Live",
  protocols: "Protocols",
};

/** What there is to see here. */
const viewsOf = ({ trace, pid }: About): readonly ViewName[] => [
  ...(pid === undefined ? [] : (["live"] as const)),
  ...(trace === undefined ? [] : (["trace"] as const)),
  "protocols",
];

function viewOf(name: ViewName): JSX.Element {
  switch (name) {
    case "trace":
      // Another trace is another view.
      return <TraceView key={opened.value} />;
    case "live":
      return <LiveView />;
    default:
      return <ProtocolsView />;
  }
}

function Page(): JSX.Element {
  const known = about.value;
  if (typeof known === "string") return <p class="note">{known}</p>;
  const views = viewsOf(known);
  const current = chosen.value ?? views[0];
  return (
    <>
      <header class="top">
        <span class="brand">Patchbay</span>
        <nav>
          {views.map((name) => (
            <button
              key={name}
              class="view-tab"
              type="button"
              aria-current={current === name ? "page" : undefined}
              onClick={() => (chosen.value = name)}
            >
              {titles[name]}
            </button>
          ))}
        </nav>
        <span class="where code">{known.trace}</span>
        {isThere.value ? null : (
          <span class="warning" role="status">
            the server is gone
          </span>
        )}
        <button
          type="button"
          class="quiet"
          onClick={() => (showsKeys.value = true)}
          title="Keys (?)"
        >
          ?
        </button>
        <button type="button" class="quiet" onClick={switchTheme} title="Light or dark">
          {theme.value === "dark" ? "☀" : "☾"}
        </button>
      </header>
      {views.map((name) => (
        <div key={name} class={current === name ? "view" : "view hidden"}>
          {viewOf(name)}
        </div>
      ))}
      {showsKeys.value ? <Keys onClose={() => (showsKeys.value = false)} /> : null}
    </>
  );
}

window.addEventListener("keydown", (event) => {
  const isTyping =
    event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
  if (event.key === "?" && !isTyping) showsKeys.value = !showsKeys.value;
  if (event.key === "Escape") showsKeys.value = false;
});

const root = document.getElementById("page");
if (root !== null) render(<Page />, root);
listen("opened", ({ trace }) => {
  if (typeof about.value === "string") return;
  about.value = { ...about.value, trace };
  opened.value++;
  chosen.value = "trace";
});
void readEvents((there) => {
  isThere.value = there;
});
getJson<About>("/api/about").then(
  (answer) => {
    about.value = answer;
  },
  (error: unknown) => {
    about.value = error instanceof ServerError ? error.message : String(error);
  },
);

/** A verdict in its colour. */
import type { JSX } from "preact";

export function Verdict({ verdict }: { readonly verdict: string }): JSX.Element {
  return <b class={verdict === "safe" ? "verdict safe" : "verdict warning"}>{verdict}</b>;
}

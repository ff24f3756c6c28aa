/** A trace as a page that plays: step forwards and backwards, with memory beside the lanes. */
import { escapeXml } from "./lanes-svg.ts";
import type { MemoryView, Trace } from "./replay.ts";

const style = `
:root { color-scheme: light dark; font: 14px/1.4 ui-monospace, monospace }
body { margin: 1.5rem } h1 { font-size: 1rem } table { border-collapse: collapse }
td, th { border-left: 1px solid #8884; padding: .1rem .6rem; text-align: left; vertical-align: top }
td { max-width: 34rem } tr.now { background: #fd08 } tr.later { opacity: .35 }
.note { color: #d33; font-weight: bold } main { display: flex; gap: 2rem; align-items: start }
aside { position: sticky; top: 1rem } pre { margin: 0 } button { font: inherit }`;

/** The page's own script: data is in the table's rows, memory views in one array. */
const script = `
const rows = [...document.querySelectorAll("tr[data-step]")];
const memory = JSON.parse(document.getElementById("memory").textContent);
let now = rows.length - 1;
const show = () => {
  rows.forEach((row, i) => {
    row.classList.toggle("now", i === now);
    row.classList.toggle("later", i > now);
  });
  document.querySelector("aside pre").textContent = memory[now + 1];
  document.getElementById("at").textContent = (now + 1) + " / " + rows.length;
  rows[now]?.scrollIntoView({ block: "nearest" });
};
const go = (by) => { now = Math.max(-1, Math.min(rows.length - 1, now + by)); show(); };
document.getElementById("back").onclick = () => go(-1);
document.getElementById("on").onclick = () => go(1);
document.onkeydown = (e) => {
  if (e.key === "ArrowRight" || e.key === "j") go(1);
  if (e.key === "ArrowLeft" || e.key === "k") go(-1);
};
show();`;

const memoryText = (memory: MemoryView, thread: string): string =>
  [
    ...memory.sites.flatMap(({ name, lines }) => [
      name,
      ...lines.map(({ at, bytes, text }) => `  ${at}  ${bytes.padEnd(14)} ${text}`),
    ]),
    ...memory.words.map(({ name, value }) => `${name} = ${value}`),
    "",
    `thread: ${thread}`,
  ].join("\n");

export function traceToHtml(trace: Trace): string {
  const steps = trace.steps.filter((step) => !step.quiet);
  const rows = steps.map((step) => {
    const cells = trace.lanes.map((lane) =>
      lane === step.lane ? `<td>${escapeXml(step.text)}</td>` : "<td></td>",
    );
    return `<tr data-step="${step.index}"><td>${step.index}</td>${cells.join("")}</tr>`;
  });
  const views = [
    memoryText(trace.before, "outside of the function"),
    ...steps.map((step) => memoryText(step.memory, step.thread)),
  ];
  const data = JSON.stringify(views).replaceAll("<", "\\u003c");
  const violation =
    trace.violation === undefined ? "" : `<p class="note">${escapeXml(trace.violation)}</p>`;
  const heads = trace.lanes.map((lane) => `<th>${lane}</th>`).join("");
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escapeXml(trace.check)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>${style}</style></head><body>
<h1>${escapeXml(trace.title)}</h1>${violation}
<p><button id="back">&larr;</button> <button id="on">&rarr;</button> <span id="at"></span></p>
<main><table><thead><tr><th>#</th>${heads}</tr></thead><tbody>
${rows.join("\n")}
</tbody></table><aside><pre></pre></aside></main>
<script type="application/json" id="memory">${data}</script>
<script>${script}</script></body></html>
`;
}

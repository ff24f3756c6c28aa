/** The formats that a trace can be exported to, by name. */
import type { Trace } from "../trace/trace.ts";
import { exportDot, exportMermaid } from "./call-edges.ts";
import { exportChrome } from "./export-chrome.ts";
import { exportFolded } from "./export-folded.ts";
import { exportPerfetto } from "./export-perfetto.ts";
import { exportSpeedscope } from "./export-speedscope.ts";
import { exportSvg } from "./export-svg.ts";
import type { TreeOptions } from "./read-call-tree.ts";

/** Pieces of one file, in order; the caller owns them. */
export type Exporter = (trace: Trace, options: TreeOptions) => Iterable<Uint8Array>;

export const exporters: ReadonlyMap<string, Exporter> = new Map<string, Exporter>([
  ["chrome", exportChrome],
  ["dot", exportDot],
  ["folded", exportFolded],
  ["mermaid", exportMermaid],
  ["perfetto", exportPerfetto],
  ["speedscope", exportSpeedscope],
  ["svg", exportSvg],
]);

/** The part of the public API that reads traces, for verbs that need no more: it loads quickly. */
export { PatchbayError } from "./base/error.ts";
export { diffTraces, formatDiff } from "./report/diff.ts";
export { exporters } from "./report/exporters.ts";
export { formatGraph, formatGraphJson } from "./report/graph.ts";
export { formatInfo, readInfo } from "./report/info.ts";
export { formatOpenCalls, readOpenCalls } from "./report/open-calls.ts";
export { formatReport, type ReportOrder, reportOrders, reportTrace } from "./report/report.ts";
export type { Ink, Paint } from "./report/table.ts";
export { formatTree, formatTreeJson } from "./report/tree-text.ts";
export { parseDurationNs } from "./report/units.ts";
export { openTrace } from "./session/open-trace.ts";
export { writeParquet } from "./session/parquet-directory.ts";
export { fileProblem, withFiles } from "./session/trace-files.ts";
export { writeUftrace } from "./session/uftrace-directory.ts";

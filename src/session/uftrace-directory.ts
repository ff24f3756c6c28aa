/** A trace as a data directory of uftrace's. */
import type { ExportOptions } from "../report/export.ts";
import { exportUftrace } from "../report/export-uftrace.ts";
import type { Trace } from "../trace/trace.ts";
import { writePieces } from "./piece-files.ts";

/** Nothing may: what is there can be what uftrace itself has recorded. */
const mayStay = { name: () => false, otherwise: " already" };

/** Writes `trace` into the directory `path`, which is made or empty. Gives the bytes written. */
export const writeUftrace = (trace: Trace, path: string, options: ExportOptions = {}): number =>
  writePieces(`write uftrace data to ${path}`, path, mayStay, exportUftrace(trace, options));

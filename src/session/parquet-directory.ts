/** A trace's tables as Parquet files in a directory. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ExportOptions } from "../report/export.ts";
import { exportParquet } from "../report/export-parquet.ts";
import type { Trace } from "../trace/trace.ts";
import { writePieces } from "./piece-files.ts";

const suffix = ".parquet";

/** Whether `path` is a directory with a trace's tables. */
export const hasTables = (path: string): boolean => existsSync(join(path, `calls${suffix}`));

const mayStay = { name: (file: string) => file.endsWith(suffix), otherwise: ", which is no table" };

/**
 * Writes the tables of `trace` into the directory `path`, which is made; tables that are there
 * already are written anew. Gives their files' bytes in all.
 */
export const writeParquet = (trace: Trace, path: string, options: ExportOptions = {}): number =>
  writePieces(`write tables to ${path}`, path, mayStay, exportParquet(trace, options));

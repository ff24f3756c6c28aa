/** A trace's tables as Parquet files in a directory. */
import { closeSync, existsSync, openSync, readdirSync, writevSync } from "node:fs";
import { join } from "node:path";
import { PatchbayError } from "../base/error.ts";
import { makeDirectory } from "../os/make-directory.ts";
import type { ExportOptions } from "../report/export.ts";
import { exportParquet } from "../report/export-parquet.ts";
import type { Trace } from "../trace/trace.ts";
import { withFiles } from "./trace-files.ts";

const suffix = ".parquet";

/** Whether `path` is a directory with a trace's tables. */
export const hasTables = (path: string): boolean => existsSync(join(path, `calls${suffix}`));

/**
 * Writes the tables of `trace` into the directory `path`, which is made; tables that are there
 * already are written anew. Gives their files' bytes in all.
 */
export function writeParquet(trace: Trace, path: string, options: ExportOptions = {}): number {
  const doing = `write tables to ${path}`;
  return withFiles(doing, () => {
    makeDirectory(path);
    refuseOthersFiles(doing, path);
    const files = new Map<string, number>();
    let bytes = 0;
    try {
      for (const piece of exportParquet(trace, options)) {
        const fd = files.get(piece.file) ?? openSync(join(path, piece.file), "w");
        files.set(piece.file, fd);
        for (const part of piece.bytes) bytes += writeWhole(fd, part);
      }
    } finally {
      for (const fd of files.values()) closeSync(fd);
    }
    return bytes;
  });
}

/** A directory with something else in it is surely not meant. */
function refuseOthersFiles(doing: string, path: string): void {
  const other = readdirSync(path).find((name) => !name.endsWith(suffix));
  if (other === undefined) return;
  throw new PatchbayError({
    code: "bad-usage",
    doing,
    why: `${other} is there, which is no table`,
    hint: "name a new directory",
  });
}

function writeWhole(fd: number, bytes: Uint8Array): number {
  for (let done = 0; done < bytes.length; ) done += writevSync(fd, [bytes.subarray(done)]);
  return bytes.length;
}

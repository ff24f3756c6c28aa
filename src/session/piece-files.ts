/** Writing what an exporter makes of a trace into the files of a directory. */
import { closeSync, openSync, readdirSync, writevSync } from "node:fs";
import { join } from "node:path";
import { PatchbayError } from "../base/error.ts";
import { makeDirectory } from "../os/make-directory.ts";
import type { FilePiece } from "../report/export.ts";
import { withFiles } from "./trace-files.ts";

/** Which files that are in the directory already are all right, and what is said of another. */
export type MayStay = { readonly name: (file: string) => boolean; readonly otherwise: string };

/**
 * Makes the directory `path` and writes `pieces` into its files, which are written anew. Nothing is
 * written where something else is in the directory: that is surely not meant. Gives the files'
 * bytes in all.
 */
export function writePieces(
  doing: string,
  path: string,
  mayStay: MayStay,
  pieces: Iterable<FilePiece>,
): number {
  return withFiles(doing, () => {
    makeDirectory(path);
    const other = readdirSync(path).find((name) => !mayStay.name(name));
    if (other !== undefined) {
      const why = `${other} is there${mayStay.otherwise}`;
      throw new PatchbayError({ code: "bad-usage", doing, why, hint: "name a new directory" });
    }
    const known = new Set<string>();
    let bytes = 0;
    // One file is open at a time: there can be more of them than a process may have.
    let open: { readonly file: string; readonly fd: number } | undefined;
    try {
      for (const piece of pieces) {
        if (open?.file !== piece.file) {
          if (open !== undefined) closeSync(open.fd);
          open = undefined;
          const fd = openSync(join(path, piece.file), known.has(piece.file) ? "a" : "w");
          open = { file: piece.file, fd };
          known.add(piece.file);
        }
        for (const part of piece.bytes) bytes += writeWhole(open.fd, part);
      }
    } finally {
      if (open !== undefined) closeSync(open.fd);
    }
    return bytes;
  });
}

function writeWhole(fd: number, bytes: Uint8Array): number {
  for (let done = 0; done < bytes.length; ) done += writevSync(fd, [bytes.subarray(done)]);
  return bytes.length;
}

/**
 * Making a directory with those above it. Node's own recursive `mkdirSync` never returns where the
 * kernel says ENOENT of a directory that is there, as it does below /proc.
 */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

const codeOf = (error: unknown): unknown =>
  error instanceof Error && "code" in error ? error.code : undefined;

/** Sees to it that `path` is a directory. Errors are those of mkdir(2). */
export function makeDirectory(path: string, mode = 0o777): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (codeOf(error) === "EEXIST" && statSync(path).isDirectory()) return;
    const parent = dirname(path);
    if (codeOf(error) !== "ENOENT" || parent === path) throw error;
    makeDirectory(parent, mode);
    mkdirSync(path, { mode });
  }
}

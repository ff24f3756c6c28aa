/** Opening a trace's directory for reading, also while it is being written. */
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
} from "node:fs";
import { join } from "node:path";
import { PatchbayError } from "../base/error.ts";
import { parseForks } from "../trace/forks.ts";
import { functionTable, parseFunctions } from "../trace/functions.ts";
import { parseSession, type Session } from "../trace/session.ts";
import type { ByteSource, Trace } from "../trace/trace.ts";
import { stackNames } from "./stack-names.ts";
import { traceFiles, withFiles } from "./trace-files.ts";

/**
 * Opens the trace in the directory `path`. Errors: `bad-trace` where there is none or it is of
 * another format version, `io` and `no-permission` from the file system.
 */
export function openTrace(path: string): Trace {
  return withFiles(`open the trace ${path}`, () => {
    const session = readSession(path);
    const textOf = (name: string): string => {
      const file = join(path, name);
      return existsSync(file) ? readFileSync(file, "utf8") : "";
    };
    return {
      session,
      functions: functionTable(parseFunctions(textOf(traceFiles.functions))),
      forks: parseForks(textOf(traceFiles.forks)),
      streams: streamNames(path).map((name) => ({
        name,
        open: () => fileSource(join(path, name)),
      })),
      nameStack: stackNames(path, session.modules),
    };
  });
}

function readSession(path: string): Session {
  const file = join(path, traceFiles.session);
  const bad = (why: string, hint: string): PatchbayError =>
    new PatchbayError({ code: "bad-trace", doing: `open the trace ${path}`, why, hint });
  if (!existsSync(path)) throw bad("there is no such directory", "patchbay record makes traces");
  if (!existsSync(file)) {
    throw bad(
      `it is no Patchbay trace: it has no ${traceFiles.session}`,
      "patchbay record makes them",
    );
  }
  const session = parseSession(readFileSync(file, "utf8"));
  if (!session.ok)
    throw bad(`${traceFiles.session} is damaged: ${session.error}`, "record it again");
  return session.value;
}

const streamNames = (path: string): readonly string[] =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== traceFiles.metadata)
    .map((entry) => entry.name)
    .filter((name) => !name.startsWith("."))
    .sort(new Intl.Collator("en", { numeric: true }).compare);

function fileSource(path: string): ByteSource {
  const doing = `read ${path}`;
  const fd = withFiles(doing, () => openSync(path, "r"));
  return {
    sizeBytes: withFiles(doing, () => fstatSync(fd).size),
    read: (offset, into) => withFiles(doing, () => readSync(fd, into, 0, into.length, offset)),
    close: () => closeSync(fd),
  };
}

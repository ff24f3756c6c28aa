/** Standard output: text as it comes, colours for people, and a quiet end when nobody reads on. */
import { writeSync } from "node:fs";
import { styleText } from "node:util";
import { type Ink, type Paint, withFiles } from "../reading.ts";

const looks: Readonly<Record<Ink, Parameters<typeof styleText>[0]>> = {
  heading: "bold",
  strong: "yellow",
  dim: "gray",
  warning: "red",
  name: "cyan",
};

/** Colours where a person looks on and did not forbid them (https://no-color.org). */
export function paintFor(stream: NodeJS.WriteStream): Paint {
  const { NO_COLOR: no, FORCE_COLOR: force } = process.env;
  const isWanted =
    force !== undefined && force !== "" && force !== "0"
      ? true
      : stream.isTTY && (no === undefined || no === "");
  return isWanted ? (ink, text) => styleText(looks[ink], text) : (_, text) => text;
}

const encoder = new TextEncoder();

/**
 * Writes a piece to a file descriptor, all of it. Gives false when nobody reads any more
 * (`patchbay graph | head`), which is no error.
 * @param place what the error calls it, where it can't be written to.
 */
export function writePiece(
  fd: number,
  piece: string | Uint8Array,
  place = "standard output",
): boolean {
  const bytes = typeof piece === "string" ? encoder.encode(piece) : piece;
  return withFiles(`write to ${place}`, () => writeBytes(fd, bytes));
}

function writeBytes(fd: number, bytes: Uint8Array): boolean {
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EPIPE") return false;
      if (code !== "EAGAIN") throw error;
      waitBriefly();
    }
  }
  return true;
}

/** Somebody else made the pipe non-blocking, and it is full. */
function waitBriefly(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
}

/** Writes pieces to standard output as they are made, until they end or nobody reads on. */
export function writeAll(pieces: Iterable<string | Uint8Array>): void {
  for (const piece of pieces) {
    if (!writePiece(process.stdout.fd, piece)) return;
  }
}

export const writeLines = (lines: readonly string[]): void =>
  writeAll(lines.map((line) => `${line}\n`));

/** One JSON value, indented for people if they look on. */
export function writeJson(value: unknown): void {
  writeAll([`${JSON.stringify(value, undefined, process.stdout.isTTY ? 2 : undefined)}\n`]);
}

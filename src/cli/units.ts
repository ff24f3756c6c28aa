/** Numbers as people write them on the command line. */
import { InvalidArgumentError } from "commander";
import { PatchbayError } from "../index.ts";

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** What timers of Node.js take: 24.8 days. */
export const durationMaxMs: number = 2 ** 31 - 1;

/** "500ms", "2s", "1.5m" to ms; a bare number is seconds. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const unit = durationUnits[match?.[2] ?? "s"];
  if (match === null || unit === undefined) {
    throw new InvalidArgumentError("a time is written as 500ms, 2s, 1m or 3h.");
  }
  const ms = Number(match[1]) * unit;
  if (ms > durationMaxMs) throw new InvalidArgumentError("24 days are the most.");
  return ms;
}

const sizeUnits: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** "64K", "4M" to bytes: a power of two of at least a page. */
export function parseSize(text: string): number {
  const match = /^(\d+)([kmg]?)b?$/i.exec(text);
  const size = Number(match?.[1]) * (sizeUnits[match?.[2]?.toLowerCase() ?? ""] ?? Number.NaN);
  if (!(size >= 4096 && size <= 2 ** 30 && Number.isInteger(Math.log2(size)))) {
    throw new InvalidArgumentError("a ring has 4K to 1G, a power of two: 64K, 4M.");
  }
  return size;
}

/** "12" to 12: a whole number from 1 to 65,536. */
export function parseCount(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > 65_536) {
    throw new InvalidArgumentError("a number from 1 to 65536 is meant.");
  }
  return value;
}

/** The number of a process, if there is one. */
export function parsePid(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  // The kernel's highest is 2^22.
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new PatchbayError({
    code: "bad-usage",
    doing: `attach to process ${text}`,
    why: "that is not a process id",
    hint: "pgrep NAME finds one",
  });
}

/**
 * Looks for words in a process' memory that point into code or data which is about to go away.
 * What has been touched and is writable is read, page by page; nobody is held meanwhile.
 */
import { closeSync, openSync } from "node:fs";
import { type Mapping, procFolder } from "../os/proc.ts";
import { touchedPages } from "./mirror-repair.ts";
import type { HeldThreads, TargetProcess } from "./process.ts";
import type { TextRange } from "./unwinder-registration.ts";

const pageBytes = 4096;

/** Address of the first word that points into one of `ranges`; undefined when there is none. */
export function findPointerInto(
  process: TargetProcess,
  ranges: readonly TextRange[],
  ignore: readonly TextRange[],
): bigint | undefined {
  const pagemap = openSync(`${procFolder(process.pid)}/pagemap`, "r");
  const isIgnored = (at: bigint): boolean => ignore.some((one) => at >= one.start && at < one.end);
  const highs = new Set(
    ranges.flatMap(({ start, end }) => [Number(start >> 32n), Number((end - 1n) >> 32n)]),
  );
  try {
    for (const { start, end, writable, readable } of process.maps()) {
      if (!writable || !readable || isIgnored(start)) continue;
      for (const page of touchedPages(pagemap, start, end)) {
        if (isIgnored(page)) continue;
        const words = new Uint32Array(process.memory.read(page, pageBytes).buffer);
        for (let i = 0; i < words.length; i += 2) {
          const high = words[i + 1] ?? 0;
          if (high === 0 || !highs.has(high)) continue;
          const value = (BigInt(high) << 32n) | BigInt(words[i] ?? 0);
          const at = page + BigInt(i * 4);
          const isPointer = ranges.some((one) => value >= one.start && value < one.end);
          if (isPointer && !isIgnored(at)) return at;
        }
      }
    }
    return undefined;
  } finally {
    closeSync(pagemap);
  }
}

/** The mappings that the held threads' stack pointers lead to. */
export const stacksOf = (threads: HeldThreads, maps: readonly Mapping[]): readonly TextRange[] =>
  threads.tids.flatMap((tid) => {
    const stack = threads.readRegisters(tid).get("rsp");
    return maps.find(({ start, end }) => stack >= start && stack < end) ?? [];
  });

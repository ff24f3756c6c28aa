/** The target's thread table (`ring/arena.ts`) as the tracer changes it. */
import type { Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { entryBusy, threadTable } from "../ring/arena.ts";
import type { TargetMemory } from "./process.ts";

/**
 * Takes a thread that has ended out of the table at `table`. Nobody else changes its entry. Its
 * ring can be given to another one then.
 */
export function forgetThread(
  memory: Pick<TargetMemory, "read" | "write">,
  table: bigint,
  tid: Tid,
): void {
  const { entries, entryBytes, probes, tid: tidOffset } = threadTable;
  const at = table + BigInt((tid & (entries - 1)) * entryBytes);
  try {
    const view = new DataView(memory.read(at, probes * entryBytes).buffer);
    for (let index = 0; index < probes; index++) {
      const found = view.getInt32(index * entryBytes + tidOffset, true);
      if (found !== tid && found !== tid + entryBusy) continue;
      memory.write(at + BigInt(index * entryBytes + tidOffset), new Uint8Array(4));
    }
  } catch (error) {
    // The table is not mapped any more when Patchbay is leaving.
    if (!(error instanceof PatchbayError) || error.code !== "system") throw error;
  }
}

/** P5. Rewriting AUIPC and JALR behind a jump, with a trap return that replays AUIPC. */
import type { Protocol } from "../protocol.ts";
import { storeBarrier, sync, toNew, toSkip, window, write } from "../steps.ts";

const guarded = [
  write(window(0, 4), toSkip),
  storeBarrier,
  sync,
  write(window(4, 4), toNew),
  storeBarrier,
  sync,
  write(window(0, 4), toNew),
  storeBarrier,
  sync,
];

export const replay: Protocol = {
  id: "P5/replay",
  title: "J +8, sync, JALR', sync, AUIPC', sync",
  enable: guarded,
  disable: guarded,
  retire: [],
};

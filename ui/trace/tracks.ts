/** Where each thread stands on the canvas, from the top of all of them. */
import type { TraceThreadInfo } from "../../src/server/api.ts";

export const headHeight = 22;
export const rowHeight = 17;
const foldedHeight = 12;
const gap = 6;

export type Track = {
  readonly thread: TraceThreadInfo;
  readonly top: number;
  readonly height: number;
  /** Where depth 0 begins. */
  readonly rowsTop: number;
  readonly isFolded: boolean;
};

export function layOut(
  threads: readonly TraceThreadInfo[],
  folded: ReadonlySet<number>,
): readonly Track[] {
  let top = 0;
  return threads.map((thread) => {
    const isFolded = folded.has(thread.index);
    const rows = isFolded ? foldedHeight : Math.max(1, thread.depths) * rowHeight;
    const track = { thread, top, height: headHeight + rows, rowsTop: top + headHeight, isFolded };
    top += track.height + gap;
    return track;
  });
}

export const heightOf = (tracks: readonly Track[]): number => {
  const last = tracks.at(-1);
  return last === undefined ? 0 : last.top + last.height + gap;
};

export const trackAt = (tracks: readonly Track[], y: number): Track | undefined =>
  tracks.find(({ top, height }) => y >= top && y < top + height + gap);

export const depthAt = (track: Track, y: number): number =>
  Math.floor((y - track.rowsTop) / rowHeight);

/**
 * Takes events out of the rings and into the trace directory while the program runs. A packet is
 * the ring's own memory behind a head; no event is looked at here, but for the first and the last
 * of a packet, whose times the head states.
 *
 * A recording that follows execs has the rings of several program images in one trace.
 */
import type { Fork } from "../trace/forks.ts";
import type { TracedFunction } from "../trace/functions.ts";
import type { SessionEnd, SessionStart, TracedImage } from "../trace/session.ts";
import { ImageDrain, type ImageStart, type ImageTotals } from "./image-drain.ts";
import { createTraceDirectory, type TraceDirectory } from "./trace-directory.ts";

export type DrainStart = {
  /** The first image. */
  readonly image: ImageStart;
  readonly path: string;
  readonly session: SessionStart;
};

/** Totals of a recording so far. */
export type DrainTotals = {
  readonly events: number;
  readonly lost: number;
  /** Bytes on disk. */
  readonly bytes: number;
  readonly threads: number;
};

const nothing: ImageTotals = {
  events: 0,
  lost: 0,
  threads: 0,
  ringlessEntries: 0,
  ringlessExits: 0,
};

const sum = (a: ImageTotals, b: ImageTotals): ImageTotals => ({
  events: a.events + b.events,
  lost: a.lost + b.lost,
  threads: a.threads + b.threads,
  ringlessEntries: a.ringlessEntries + b.ringlessEntries,
  ringlessExits: a.ringlessExits + b.ringlessExits,
});

export class Drain {
  readonly #trace: TraceDirectory;
  /** Those that go on, by their number in the trace. */
  readonly #images = new Map<number, ImageDrain>();
  /** Images so far. */
  #count = 0;
  /** Of images that have ended. */
  #before: ImageTotals = nothing;

  constructor(start: DrainStart) {
    this.#trace = createTraceDirectory(start.path, start.session);
    this.#drainImage(start.image);
  }

  /** One more program is drained into the trace; the number of its image there. */
  addImage(start: ImageStart, about: TracedImage): number {
    this.#trace.addImage(about);
    return this.#drainImage(start);
  }

  #drainImage(start: ImageStart): number {
    const image = this.#count++;
    this.#images.set(image, new ImageDrain(start, image, this.#trace));
    return image;
  }

  /** From now on the memory of the image's process is left alone. */
  settle(image: number): void {
    this.#images.get(image)?.settle();
  }

  /** Writes what is left in the rings of an image, and lets go of them. */
  endImage(image: number): void {
    const drain = this.#images.get(image);
    if (drain === undefined) return;
    drain.finish();
    this.#before = sum(this.#before, drain.totals);
    this.#images.delete(image);
    drain[Symbol.dispose]();
  }

  get totals(): DrainTotals {
    const { events, lost, threads } = this.#sums;
    return { events, lost, bytes: this.#trace.bytesWritten, threads };
  }

  get #sums(): ImageTotals {
    return [...this.#images.values()].reduce((a, image) => sum(a, image.totals), this.#before);
  }

  addFork(fork: Fork): void {
    this.#trace.addFork(fork);
  }

  addFunctions(functions: readonly TracedFunction[]): void {
    this.#trace.addFunctions(functions);
  }

  /** Looks at every ring once and drains those that are due; whether one was rather full. */
  poll(): boolean {
    let hurry = false;
    for (const image of this.#images.values()) hurry = image.poll() || hurry;
    return hurry;
  }

  /** Whether a forked child is there that would record, though it may not have called yet. */
  isFollowing(image: number): boolean {
    return this.#images.get(image)?.isFollowing === true;
  }

  /** Whether free rings run short. */
  get isCrowded(): boolean {
    return [...this.#images.values()].some(({ isCrowded }) => isCrowded);
  }

  /** Writes what the rings hold at this moment; recording goes on. */
  snapshot(): void {
    for (const image of this.#images.values()) image.snapshot();
  }

  /** Gives the rings of threads that have ended back, once they are empty. */
  reapThreads(): void {
    for (const image of this.#images.values()) image.reapThreads();
  }

  /** Writes what is left and ends the trace. */
  finish(end: SessionEnd): void {
    for (const image of [...this.#images.keys()]) this.endImage(image);
    const { ringlessEntries, ringlessExits } = this.#sums;
    this.#trace.finish({ ...end, ringlessEntries, ringlessExits });
  }

  [Symbol.dispose](): void {
    this.#trace.close();
    for (const image of this.#images.values()) image[Symbol.dispose]();
  }
}

/** Which part of the time is on the screen. */

/** Pixels of a tick at the most. */
const pixelsPerTickMax = 40;

export class Viewport {
  /** Ticks at the left edge; ticks of a pixel. */
  from = 0;
  ticksPerPixel = 1;
  /** Pixels that show time. */
  width = 1;
  /** The whole trace's last tick. */
  readonly end: number;

  constructor(end: number) {
    this.end = Math.max(1, end);
  }

  get to(): number {
    return this.from + this.width * this.ticksPerPixel;
  }

  xOf(time: number): number {
    return (time - this.from) / this.ticksPerPixel;
  }

  timeAt(x: number): number {
    return this.from + x * this.ticksPerPixel;
  }

  /** Keeps what is seen when the window's size changes. */
  resize(width: number): void {
    const span = this.width * this.ticksPerPixel;
    this.width = Math.max(1, width);
    this.ticksPerPixel = span / this.width;
    this.#clamp();
  }

  /** Greater factors show more; the time at `x` stays where it is. */
  zoom(factor: number, x: number): void {
    const time = this.timeAt(x);
    this.ticksPerPixel *= factor;
    this.#clampScale();
    this.from = time - x * this.ticksPerPixel;
    this.#clamp();
  }

  pan(pixels: number): void {
    this.from += pixels * this.ticksPerPixel;
    this.#clamp();
  }

  /** Shows a stretch with some room beside it. */
  show(from: number, to: number, room = 0.05): void {
    const span = Math.max(to - from, this.width / pixelsPerTickMax);
    this.ticksPerPixel = (span * (1 + 2 * room)) / this.width;
    this.#clampScale();
    this.from = (from + to) / 2 - (this.width / 2) * this.ticksPerPixel;
    this.#clamp();
  }

  /** Moves so that a stretch is on the screen, and zooms out only if it has to. */
  reveal(from: number, to: number): void {
    if (to - from > this.to - this.from) this.show(from, to);
    else if (from < this.from || to > this.to) {
      this.from = (from + to) / 2 - (this.width / 2) * this.ticksPerPixel;
      this.#clamp();
    }
  }

  #clampScale(): void {
    const most = (this.end * 1.1) / this.width;
    this.ticksPerPixel = Math.min(most, Math.max(1 / pixelsPerTickMax, this.ticksPerPixel));
  }

  #clamp(): void {
    const room = 0.05 * this.width * this.ticksPerPixel;
    const last = Math.max(-room, this.end + room - this.width * this.ticksPerPixel);
    this.from = Math.min(last, Math.max(-room, this.from));
  }
}

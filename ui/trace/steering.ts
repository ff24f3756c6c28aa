/**
 * Moving about the timeline: W and S zoom, A and D go left and right for as long as they are held;
 * the wheel scrolls, with Ctrl it zooms, with Shift it goes left and right.
 */

/** Of the view's width, and natural logarithms of the scale, per second. */
const panSpeed = 0.9;
const zoomSpeed = 2.6;
const wheelZoom = 0.0022;

export type Steered = {
  /** Greater than 1: shows more. `x` undefined: at the pointer. */
  zoom(factor: number): void;
  /** By a part of the view's width. */
  pan(share: number): void;
};

const steers = new Set(["w", "a", "s", "d"]);

export class KeySteering {
  readonly #held = new Set<string>();
  readonly #steered: Steered;
  #last = 0;
  #frame = 0;

  constructor(steered: Steered) {
    this.#steered = steered;
  }

  /** Whether the key was one of these. */
  press(key: string): boolean {
    const low = key.toLowerCase();
    if (!steers.has(low)) return false;
    this.#held.add(low);
    if (this.#frame === 0) {
      this.#last = performance.now();
      this.#frame = requestAnimationFrame((now) => this.#move(now));
    }
    return true;
  }

  release(key: string): void {
    this.#held.delete(key.toLowerCase());
  }

  releaseAll(): void {
    this.#held.clear();
  }

  #move(now: number): void {
    // A page that was in the background must not jump.
    const seconds = Math.min(0.1, Math.max(0.004, (now - this.#last) / 1000));
    this.#last = now;
    const amount = (more: string, less: string): number =>
      (this.#held.has(more) ? 1 : 0) - (this.#held.has(less) ? 1 : 0);
    const pan = amount("d", "a");
    const zoom = amount("s", "w");
    if (pan !== 0) this.#steered.pan(pan * panSpeed * seconds);
    if (zoom !== 0) this.#steered.zoom(Math.exp(zoom * zoomSpeed * seconds));
    this.#frame = this.#held.size === 0 ? 0 : requestAnimationFrame((later) => this.#move(later));
  }
}

export const wheelFactor = (delta: number): number => Math.exp(delta * wheelZoom);

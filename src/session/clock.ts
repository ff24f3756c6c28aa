/** The clock of a trace, measured between two moments. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Machine } from "../elf/elf-file.ts";
import { type ClockName, type ClockReading, readClocks, ticksPerSecond } from "../os/tsc.ts";
import type { ClockSteps, TraceClock } from "../trace/clock.ts";

/** Shortest span over which the clock's speed is measured, in ms. */
const calibrationMs = 25;

/** What generated code of a machine reads as its clock, on this machine or emulated on it. */
export const clockOf = (machine: Machine): ClockName =>
  machine === "aarch64" ? "emulated-cntvct" : "tsc";

/** A clock that generated code reads, since a session began. */
export class SessionClock {
  readonly name: ClockName;
  readonly #start: ClockReading;

  constructor(name: ClockName) {
    this.name = name;
    this.#start = readClocks(name);
  }

  /** The clock by its start and now, which is put off until the two are apart enough to tell. */
  async calibrate(): Promise<TraceClock> {
    const passed = Number(process.hrtime.bigint() - this.#start.monotonicNs) / 1e6;
    if (passed < calibrationMs) await sleep(calibrationMs - passed);
    return this.measure();
  }

  /**
   * The clock by its start and now.
   * @param coarse steps of the coarse clock, where that is meant: `coarse-clock.ts`.
   */
  measure(coarse?: ClockSteps): TraceClock {
    const now = readClocks(this.name);
    if (coarse !== undefined) {
      return { frequencyHz: 1_000_000_000, ticks: now.monotonicNs, wallNs: now.wallNs, coarse };
    }
    return { frequencyHz: ticksPerSecond(this.#start, now), ticks: now.ticks, wallNs: now.wallNs };
  }
}

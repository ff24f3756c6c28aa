/** The clock of a trace, measured between two moments. */
import { type ClockReading, readClocks, tscFrequency } from "../os/tsc.ts";
import type { TraceClock } from "../trace/clock.ts";

/** The clock by `from` and now. */
export function measureClock(from: ClockReading): TraceClock {
  const now = readClocks();
  return { frequencyHz: tscFrequency(from, now), ticks: now.ticks, wallNs: now.wallNs };
}

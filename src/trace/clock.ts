/**
 * The clock of a trace: a counter of ticks (the TSC on x86-64), how fast it runs, and where it
 * stood at one moment of the wall clock.
 */

/** How ticks relate to nanoseconds and to the time of day. */
export type TraceClock = {
  /** Ticks in a second; a whole number, because CTF wants one. */
  readonly frequencyHz: number;
  /** The counter at some moment ... */
  readonly ticks: bigint;
  /** ... and the wall clock then: nanoseconds since 1970-01-01 UTC. */
  readonly wallNs: bigint;
  /** Where the counter goes in steps of its own: CLOCK_MONOTONIC as it was a moment ago. */
  readonly coarse?: ClockSteps | undefined;
};

/** The steps of a coarse clock, in nanoseconds: what is meant until it has been measured. */
export type ClockSteps = { readonly meanNs: number; readonly longestNs: number };

const nsPerSecond = 1_000_000_000n;

/** Nanoseconds in a tick. */
export const nsPerTick = (clock: TraceClock): number => 1e9 / clock.frequencyHz;

/** Wall clock, in nanoseconds since 1970-01-01 UTC, when the counter stood at `ticks`. */
export function wallNsAt(clock: TraceClock, ticks: bigint): bigint {
  return clock.wallNs + ((ticks - clock.ticks) * nsPerSecond) / BigInt(clock.frequencyHz);
}

/** The wall clock when the counter stood at 0, as CTF states it: seconds, and ticks on top. */
export function clockOrigin(clock: TraceClock): {
  readonly seconds: bigint;
  readonly ticks: bigint;
} {
  const ns = wallNsAt(clock, 0n);
  const rest = ((ns % nsPerSecond) + nsPerSecond) % nsPerSecond;
  return {
    seconds: (ns - rest) / nsPerSecond,
    ticks: (rest * BigInt(clock.frequencyHz)) / nsPerSecond,
  };
}

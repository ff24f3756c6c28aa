/** Numbers as people read them. */

/** Nanoseconds with four digits that count and a unit: `17.30 ns`, `1.234 us`, `12.35 s`. */
export function formatDuration(ns: number): string {
  // What would be rounded to 1000 belongs to the next unit.
  const size = Math.abs(ns);
  if (size < 0.99995e3) return `${fourDigits(ns)} ns`;
  if (size < 0.99995e6) return `${fourDigits(ns / 1e3)} us`;
  return size < 0.99995e9 ? `${fourDigits(ns / 1e6)} ms` : `${fourDigits(ns / 1e9)} s`;
}

/**
 * A duration by a clock that goes in steps of `stepNs`: what is less than one is said to be so.
 * With 0, of the exact clock, as `formatDuration`.
 */
export const formatMeasured = (ns: number, stepNs: number): string =>
  ns < stepNs ? `< ${formatDuration(stepNs)}` : formatDuration(ns);

/** `toPrecision(4)` where that is no exponent, made by hand because graphs write millions. */
function fourDigits(value: number): string {
  if (value === 0) return "0";
  if (value < 0) return `-${fourDigits(-value)}`;
  if (value >= 999.95) return value.toFixed(0);
  let parts = value < 9.9995 ? 1000 : 100;
  if (value >= 99.995) parts = 10;
  const scaled = Math.round(value * parts);
  const whole = Math.floor(scaled / parts);
  return `${whole}.${String(parts + scaled - whole * parts).slice(1)}`;
}

/** A whole number with commas between its thousands: `1,234,567`. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** `1 function`, `3 functions`. */
export const plural = (count: number, one: string, many: string = `${one}s`): string =>
  `${formatCount(count)} ${count === 1 ? one : many}`;

/** Bytes in powers of 1024: `512 B`, `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 ? value : value.toFixed(1)} ${units[power]}`;
}

/** A part of a whole in percent: `12.3%`. */
export const formatShare = (part: number, whole: number): string =>
  whole === 0 ? "-" : `${((100 * part) / whole).toFixed(1)}%`;

/**
 * Nanoseconds of a duration as people write it: `250ns`, `1.5us`, `10ms`, `2s`; a bare number is
 * nanoseconds. `undefined` where it is none.
 */
export function parseDurationNs(text: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|m)?$/.exec(text.trim());
  if (found === null) return undefined;
  const units: Readonly<Record<string, number>> = {
    ns: 1,
    us: 1e3,
    µs: 1e3,
    ms: 1e6,
    s: 1e9,
    m: 60e9,
  };
  return Number(found[1]) * (units[found[2] ?? "ns"] ?? 1);
}

/** A moment in nanoseconds since 1970-01-01 UTC, to the millisecond: `2026-11-21T10:50:29.123Z`. */
export function formatWallTime(ns: bigint): string {
  const ms = Number(ns / 1_000_000n);
  const days = Math.floor(ms / 86_400_000);
  const rest = ms - days * 86_400_000;
  // Years of the proleptic Gregorian calendar, counted from March, so that leap days come last:
  // 146097 days make 400 years.
  const era = Math.floor((days + 719_468) / 146_097);
  const dayOfEra = days + 719_468 - era * 146_097;
  const leaps =
    Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096);
  const yearOfEra = Math.floor((dayOfEra - leaps) / 365);
  const dayOfYear =
    dayOfEra - 365 * yearOfEra - Math.floor(yearOfEra / 4) + Math.floor(yearOfEra / 100);
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  const hour = two(rest / 3_600_000);
  const minute = two((rest / 60_000) % 60);
  const second = two((rest / 1000) % 60);
  const milli = String(rest % 1000).padStart(3, "0");
  return `${year}-${two(month)}-${two(day)}T${hour}:${minute}:${second}.${milli}Z`;
}

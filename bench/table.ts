/** What benchmarks hand back, and how people read it. */

/** One line of a table: names and numbers in the order of the columns. */
export type Row = Readonly<Record<string, string | number | undefined>>;

export type Table = {
  readonly title: string;
  /** What the numbers are, how they were taken and what they are compared with. */
  readonly notes: readonly string[];
  readonly rows: readonly Row[];
};

/** Lists of numbers by name, in the order in which the names first came. */
export class Samples {
  readonly #lists = new Map<string, number[]>();

  add(name: string, value: number): void {
    const list = this.#lists.get(name) ?? [];
    list.push(value);
    this.#lists.set(name, list);
  }

  get names(): readonly string[] {
    return [...this.#lists.keys()];
  }

  /** NaN where there are none. */
  median(name: string): number {
    return median(this.#lists.get(name) ?? []);
  }
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** The value below which `share` of `values` lie, between neighbours by their distance. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const low = sorted[Math.floor(place)] ?? Number.NaN;
  const high = sorted[Math.ceil(place)] ?? Number.NaN;
  return low + (high - low) * (place - Math.floor(place));
}

function show(value: string | number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "-";
  if (typeof value === "string") return value;
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  return Math.abs(value) < 1 ? value.toFixed(3) : value.toFixed(Math.abs(value) < 100 ? 2 : 1);
}

/** The table as text, columns aligned, numbers to the right. */
export function format({ title, notes, rows }: Table): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = [columns, ...rows.map((row) => columns.map((column) => show(row[column])))];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)));
  const isText = columns.map((column) => rows.some((row) => typeof row[column] === "string"));
  const lines = cells.map((line) =>
    line
      .map((cell, i) => (isText[i] ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [title, ...notes.map((note) => `  ${note}`), "", lines[0], rule, ...lines.slice(1), ""]
    .map((line) => line ?? "")
    .join("\n");
}

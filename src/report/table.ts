/** Columns for a terminal. */

/** What text is, for whoever gives it a colour. */
export type Ink = "heading" | "strong" | "dim" | "warning" | "name";
/** Gives a piece of text its look; the text itself stays. */
export type Paint = (ink: Ink, text: string) => string;
/** For files and pipes. */
export const plain: Paint = (_, text) => text;

export type Column = {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly align: "left" | "right";
  readonly ink?: Ink;
};

/** A heading and one line per row; the last column is not padded, as names can be long. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  paint: Paint,
): readonly string[] {
  const widths = columns.map((column, i) =>
    rows.reduce((width, row) => Math.max(width, row[i]?.length ?? 0), column.title.length),
  );
  const line = (cells: readonly string[], ink: (column: Column) => Ink | undefined): string =>
    columns
      .map((column, i) => {
        const cell = cells[i] ?? "";
        const width = i === columns.length - 1 && column.align === "left" ? 0 : (widths[i] ?? 0);
        const padded = column.align === "left" ? cell.padEnd(width) : cell.padStart(width);
        const look = ink(column);
        return look === undefined ? padded : paint(look, padded);
      })
      .join("  ")
      .trimEnd();
  const titles = columns.map((column) => column.title);
  return [line(titles, () => "heading"), ...rows.map((row) => line(row, (column) => column.ink))];
}

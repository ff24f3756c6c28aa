/**
 * The tables that a trace is exported to as Parquet files; docs/analysis.md is their contract. Each
 * gets rows, and gives bytes of its file as groups of rows fill up.
 */
import type { CallTexts } from "../call-values.ts";
import type { FilePiece } from "../export.ts";
import { ChoiceColumn, type Column, Int32Column, Int64Column, TextColumn } from "./columns.ts";
import { ParquetFile } from "./file.ts";

/** Rows of a group: engines skip or read these as a whole. */
const groupRows = 1 << 17;
const smallGroupRows = 1 << 12;

/** A table in the making: its columns get a value each, then `endRow` is called. */
class Table {
  readonly file: string;
  readonly #parquet: ParquetFile;
  readonly #rowsMax: number;
  readonly #out: Uint8Array[] = [];
  #rows = 0;

  constructor(name: string, rowsMax: number, columns: Readonly<Record<string, Column>>) {
    this.file = `${name}.parquet`;
    this.#rowsMax = rowsMax;
    this.#parquet = new ParquetFile(columns);
    this.#out.push(...this.#parquet.begin());
  }

  endRow(): void {
    this.#rows++;
    if (this.#rows === this.#rowsMax) this.#endGroup();
  }

  /** What is there by now; the caller's own. */
  take(): FilePiece | undefined {
    if (this.#out.length === 0) return undefined;
    return { file: this.file, bytes: this.#out.splice(0) };
  }

  finish(): FilePiece {
    if (this.#rows > 0) this.#endGroup();
    return { file: this.file, bytes: [...this.#out.splice(0), ...this.#parquet.end()] };
  }

  #endGroup(): void {
    // What the columns give is valid until they get the next value.
    for (const part of this.#parquet.group(this.#rows)) this.#out.push(part.slice());
    this.#rows = 0;
  }
}

const orNone = (column: Int64Column, value: number | undefined): void => {
  if (value === undefined) column.addNone();
  else column.add(value);
};

/** Whose rows they are. */
export type RowThread = { readonly index: number; readonly tid: number };

/** One call; times in nanoseconds since the trace's beginning. */
export type CallRow = {
  readonly site: number;
  readonly depth: number;
  readonly startNs: number | undefined;
  readonly endNs: number | undefined;
  readonly selfNs: number | undefined;
  /** Whether start and end are the call's own. */
  readonly isComplete: boolean;
  /** An index of the table's `endings`. */
  readonly ending: number;
  readonly texts: CallTexts | undefined;
};

export class CallTable {
  readonly table: Table;
  readonly #thread = new Int32Column(groupRows);
  readonly #tid = new Int32Column(groupRows);
  readonly #site = new Int32Column(groupRows);
  readonly #function: ChoiceColumn;
  readonly #depth = new Int32Column(groupRows);
  readonly #start = new Int64Column(groupRows);
  readonly #end = new Int64Column(groupRows);
  readonly #duration = new Int64Column(groupRows);
  readonly #self = new Int64Column(groupRows);
  readonly #ending: ChoiceColumn;
  readonly #arguments = new TextColumn(groupRows);
  readonly #result = new TextColumn(groupRows);
  readonly #stack = new TextColumn(groupRows);

  constructor(nameOf: (site: number) => string, endings: readonly string[]) {
    this.#function = new ChoiceColumn(groupRows, nameOf);
    this.#ending = new ChoiceColumn(groupRows, (ending) => endings[ending] ?? "");
    this.table = new Table("calls", groupRows, {
      thread: this.#thread,
      tid: this.#tid,
      site: this.#site,
      function: this.#function,
      depth: this.#depth,
      start_ns: this.#start,
      end_ns: this.#end,
      duration_ns: this.#duration,
      self_ns: this.#self,
      ending: this.#ending,
      arguments: this.#arguments,
      result: this.#result,
      stack: this.#stack,
    });
  }

  add(thread: RowThread, call: CallRow): void {
    const { startNs, endNs, texts } = call;
    this.#thread.add(thread.index);
    this.#tid.add(thread.tid);
    this.#site.add(call.site);
    this.#function.add(call.site);
    this.#depth.add(call.depth);
    orNone(this.#start, startNs);
    orNone(this.#end, endNs);
    orNone(this.#duration, call.isComplete ? (endNs ?? 0) - (startNs ?? 0) : undefined);
    orNone(this.#self, call.selfNs);
    this.#ending.add(call.ending);
    this.#arguments.add(texts?.arguments);
    this.#result.add(texts?.result);
    this.#stack.add(texts?.stack);
    this.table.endRow();
  }
}

/** Where events are missing; `lost` is undefined where nobody knows how many. */
export type LossRow = {
  readonly fromNs: number;
  readonly toNs: number;
  readonly lost: number | undefined;
};

export class LossTable {
  readonly table: Table;
  readonly #thread = new Int32Column(smallGroupRows);
  readonly #tid = new Int32Column(smallGroupRows);
  readonly #from = new Int64Column(smallGroupRows);
  readonly #to = new Int64Column(smallGroupRows);
  readonly #lost = new Int64Column(smallGroupRows);

  constructor() {
    this.table = new Table("losses", smallGroupRows, {
      thread: this.#thread,
      tid: this.#tid,
      from_ns: this.#from,
      to_ns: this.#to,
      lost: this.#lost,
    });
  }

  add(thread: RowThread, loss: LossRow): void {
    this.#thread.add(thread.index);
    this.#tid.add(thread.tid);
    this.#from.add(loss.fromNs);
    this.#to.add(loss.toNs);
    orNone(this.#lost, loss.lost);
    this.table.endRow();
  }
}

/** A table whose rows are few: text and whole numbers by the columns' names. */
export type SmallRow = Readonly<Record<string, string | number | undefined>>;

/** All of a small table. `numbers` are the columns that are no text. */
export function smallTable(
  name: string,
  columns: readonly string[],
  numbers: ReadonlySet<string>,
  rows: Iterable<SmallRow>,
): FilePiece {
  const made = columns.map((column) => {
    const kept = numbers.has(column)
      ? new Int64Column(smallGroupRows)
      : new TextColumn(smallGroupRows);
    return [column, kept] as const;
  });
  const table = new Table(name, smallGroupRows, Object.fromEntries(made));
  for (const row of rows) {
    for (const [column, kept] of made) {
      const value = row[column];
      if (kept instanceof TextColumn) kept.add(value === undefined ? undefined : String(value));
      else orNone(kept, value === undefined ? undefined : Number(value));
    }
    table.endRow();
  }
  return table.finish();
}

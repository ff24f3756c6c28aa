/** Statistics of functions while they are counted: as a table, and as a screen that obeys keys. */
import { compileGlob } from "../symbols/glob.ts";
import { type Column, formatTable, type Paint, plain } from "./table.ts";
import { formatCount, formatDuration } from "./units.ts";

/** One function; times are in nanoseconds and of calls that have returned. */
export type LiveRow = {
  readonly site: number;
  readonly name: string;
  /** Set where it is one value's of a function: these are not switched one by one. */
  readonly by?: object;
  readonly calls: number;
  /** In the last interval. */
  readonly perSecond: number;
  readonly totalNs: number;
  readonly selfNs: number;
  readonly meanNs?: number;
  readonly minNs?: number;
  readonly maxNs?: number;
  readonly p50Ns?: number;
  readonly p99Ns?: number;
};

export type LiveOrder = "total" | "self" | "calls" | "rate" | "mean" | "p50" | "p99" | "max";

/** What each order compares. */
const orders: Readonly<Record<LiveOrder, (row: LiveRow) => number>> = {
  total: (row) => row.totalNs,
  self: (row) => row.selfNs,
  calls: (row) => row.calls,
  rate: (row) => row.perSecond,
  mean: (row) => row.meanNs ?? -1,
  p50: (row) => row.p50Ns ?? -1,
  p99: (row) => row.p99Ns ?? -1,
  max: (row) => row.maxNs ?? -1,
};

export const liveOrders: readonly string[] = Object.keys(orders);

/** The rows, greatest first; those that are alike by their calls, then by name. */
export function sortLive(rows: readonly LiveRow[], order: LiveOrder): readonly LiveRow[] {
  const key = orders[order];
  return rows.toSorted(
    (a, b) => key(b) - key(a) || b.calls - a.calls || (a.name < b.name ? -1 : 1),
  );
}

const number = (title: string): Column => ({ title, align: "right" });
const dim = (title: string): Column => ({ title, align: "right", ink: "dim" });
const callColumns = [number("calls"), number("calls/s")];
const timeColumns = ["total", "self"].map(number);
const meanColumns = ["mean", "min", "p50", "p99", "max"].map(dim);
const nameColumn: Column = { title: "function", align: "left", ink: "name" };

/** How much of each function is shown: calls alone, the sums of times too, or all. */
type Detail = "calls" | "sums" | "all";

export type LiveTableOptions = {
  /** Whether times were measured. */
  readonly times: boolean;
  readonly paint: Paint;
};

/** A heading and a line for each row. */
export function formatLive(
  rows: readonly LiveRow[],
  { times, paint }: LiveTableOptions,
  detail: Detail = times ? "all" : "calls",
): readonly string[] {
  const sumColumns = detail === "calls" ? callColumns : [...timeColumns, ...callColumns];
  const columns = [...sumColumns, ...(detail === "all" ? meanColumns : []), nameColumn];
  const time = (ns: number | undefined): string => (ns === undefined ? "-" : formatDuration(ns));
  const cells = rows.map((row) => {
    const calls = [formatCount(row.calls), formatCount(row.perSecond)];
    if (detail === "calls") return [...calls, row.name];
    const { meanNs, minNs, p50Ns, p99Ns, maxNs } = row;
    // What has not returned yet has no times.
    const sums = meanNs === undefined ? [undefined, undefined] : [row.totalNs, row.selfNs];
    const each = detail === "all" ? [meanNs, minNs, p50Ns, p99Ns, maxNs] : [];
    return [...sums.map(time), ...calls, ...each.map(time), row.name];
  });
  return formatTable(columns, cells, paint);
}

/** What a person looks at and how. */
export type LiveView = {
  readonly order: LiveOrder;
  /** A pattern that names have to match, as a whole or in part; empty for all. */
  readonly pattern: string;
  /** Whether the pattern is being typed. */
  readonly typing: boolean;
  /** The site of the row that the cursor is at. */
  readonly at: number | undefined;
  /** Sites that were switched off. */
  readonly off: ReadonlySet<number>;
  /** What there is to say. */
  readonly message: string;
  readonly quit: boolean;
};

export const firstView = (times: boolean): LiveView => ({
  order: times ? "total" : "rate",
  pattern: "",
  typing: false,
  at: undefined,
  off: new Set(),
  message: "",
  quit: false,
});

/** Rows that the view shows, in its order. */
export function shownRows(rows: readonly LiveRow[], view: LiveView): readonly LiveRow[] {
  const { pattern, order } = view;
  const sorted = sortLive(rows, order);
  if (pattern === "") return sorted;
  const matches = compileGlob(pattern);
  return sorted.filter(({ name }) => matches(name) || name.includes(pattern));
}

const orderKeys: Readonly<Record<string, LiveOrder>> = {
  t: "total",
  s: "self",
  c: "calls",
  r: "rate",
  m: "mean",
  "5": "p50",
  "9": "p99",
  x: "max",
};

const interrupt = "\x03";
const escapeKey = "\x1b";
const isErase = (key: string): boolean => key === "\x7f" || key === "\b";

/** The view after a key: a character, or the escape sequence of a key without one. */
export function pressKey(
  view: LiveView,
  key: string,
  rows: readonly LiveRow[],
  times: boolean,
): LiveView {
  const next = { ...view, message: "" };
  if (key === interrupt) return { ...next, quit: true };
  if (view.typing) return typePattern(next, key);
  const order = orderKeys[key];
  if (order !== undefined && (times || order === "calls" || order === "rate")) {
    return { ...next, order };
  }
  switch (key) {
    case "q":
      return { ...next, quit: true };
    case "/":
      return { ...next, typing: true, pattern: "" };
    case escapeKey:
      return { ...next, pattern: "" };
    default:
      return moveOrSwitch(next, key, shownRows(rows, view));
  }
}

/** How far keys move the cursor. */
const steps: Readonly<Record<string, number>> = {
  "\x1b[A": -1,
  k: -1,
  "\x1b[B": 1,
  j: 1,
  "\x1b[5~": -10,
  "\x1b[6~": 10,
};

/** Keys that have to do with the rows that are shown. */
function moveOrSwitch(view: LiveView, key: string, shown: readonly LiveRow[]): LiveView {
  const place = shown.findIndex(({ site }) => site === view.at);
  const step = steps[key];
  if (step !== undefined) {
    const to = place < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, place + step));
    return { ...view, at: shown[to]?.site };
  }
  const functions = shown.filter(({ by }) => by === undefined).map(({ site }) => site);
  if (key === "a") return { ...view, off: toggled(view.off, functions) };
  const chosen = shown[Math.max(0, place)];
  if (key !== " " || chosen === undefined) return view;
  const { site } = chosen;
  if (chosen.by !== undefined) {
    return { ...view, at: site, message: "functions are switched, not their values" };
  }
  return { ...view, at: site, off: toggled(view.off, [site]) };
}

/** All of `sites` on if none of them is; else all of them off. */
function toggled(off: ReadonlySet<number>, sites: readonly number[]): ReadonlySet<number> {
  const next = new Set(off);
  const allOff = sites.every((site) => off.has(site));
  for (const site of sites) {
    if (allOff) next.delete(site);
    else next.add(site);
  }
  return next;
}

function typePattern(view: LiveView, key: string): LiveView {
  if (key === "\r" || key === "\n") return { ...view, typing: false };
  if (key === escapeKey) return { ...view, typing: false, pattern: "" };
  if (isErase(key)) return { ...view, pattern: view.pattern.slice(0, -1) };
  return key.length === 1 && key >= " " ? { ...view, pattern: view.pattern + key } : view;
}

export type LiveScreen = LiveTableOptions & {
  readonly columns: number;
  readonly lines: number;
  /** What stands above the table. */
  readonly title: string;
};

/** Columns that a name has at least; numbers make room for them. */
const nameWidthMin = 20;

/** Columns that the numbers of rows take. */
function widthOf(rows: readonly LiveRow[], detail: Detail): number {
  const nameless = rows.map((row) => ({ ...row, name: "" }));
  const lines = formatLive(nameless, { times: true, paint: plain }, detail);
  // The heading ends with the title of the column of names.
  return Math.max(...lines.map((line, i) => line.length - (i === 0 ? 8 : 0)));
}

const keysHelp = "up/down choose  space on/off  a all  / filter  q quit  sort:";

/** The lines of a screen: title, table, what the keys do. */
export function formatScreen(
  rows: readonly LiveRow[],
  view: LiveView,
  { columns, lines, title, times, paint }: LiveScreen,
): readonly string[] {
  const shown = shownRows(rows, view);
  const room = Math.max(1, lines - 4);
  const place = shown.findIndex(({ site }) => site === view.at);
  const from = Math.max(0, Math.min(place - Math.floor(room / 2), shown.length - room));
  const visible = shown.slice(from, from + room);
  const marked = (row: LiveRow): string =>
    `${row.site === view.at ? ">" : " "}${view.off.has(row.site) ? "(off) " : " "}${row.name}`;
  const details: readonly Detail[] = times ? ["all", "sums"] : [];
  const roomFor = (detail: Detail): number => columns - widthOf(visible, detail) - 2;
  const detail = details.find((one) => roomFor(one) >= nameWidthMin) ?? "calls";
  const width = Math.max(nameWidthMin, roomFor(detail));
  const cut = (name: string): string =>
    name.length > width ? `${name.slice(0, width - 3)}...` : name;
  const table = formatLive(
    visible.map((row) => ({ ...row, name: cut(marked(row)) })),
    { times, paint },
    detail,
  );
  const filter = view.typing || view.pattern !== "" ? `; names like ${view.pattern}` : "";
  const cursor = view.typing ? "_" : "";
  const sorts = Object.entries(orderKeys)
    .filter(([, order]) => times || order === "calls" || order === "rate")
    .map(([key, order]) => `${key} ${order}`);
  const footer = view.message === "" ? `${keysHelp} ${sorts.join(", ")}` : view.message;
  const isProblem = view.message !== "";
  return [
    paint("dim", `${title}; by ${view.order}${filter}${cursor}`.slice(0, columns)),
    ...table,
    ...Array.from({ length: room - visible.length }, () => ""),
    paint(isProblem ? "warning" : "dim", footer.slice(0, columns)),
  ];
}

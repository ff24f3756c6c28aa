/** What `patchbay verify` does: the table, the lists, the counterexamples, the repairs. */
import { writeFileSync } from "node:fs";
import {
  type Check,
  checkId,
  type Family,
  type Finding,
  families,
  minimise,
  PatchbayError,
  type ProtocolTrace,
  plural,
  repair,
  replay,
  runCheck,
  selectChecks,
  steps,
  traceToHtml,
  traceToSvg,
  traceToText,
  type VerifyReport,
  type VerifyRow,
  verify,
  whyItStays,
} from "../index.ts";
import { withFiles } from "../reading.ts";
import { paintFor, writeJson, writeLines } from "./output.ts";

export type VerifyFlags = {
  readonly json: boolean;
  readonly trace: boolean;
  readonly html?: string;
  readonly svg?: string;
  readonly repair: boolean;
  readonly list: boolean;
};

type Selected = { readonly family: string; readonly check: Check };

/**
 * Carries out one call of the verb.
 * @param names families or protocols; all when it is empty.
 * @param own the families of a user's own file; without it, the built-in ones.
 */
export function verifyFamilies(
  names: readonly string[],
  own: readonly Family[] | undefined,
  flags: VerifyFlags,
): void {
  const from = own ?? families;
  const selected = selectChecks(names, from);
  const isNothing = selected?.length === 0 && own !== undefined;
  if (selected === undefined || isNothing) throw unknownName(names);
  const isPicture = flags.trace || flags.html !== undefined || flags.svg !== undefined;
  // A file of one's own is small: all of it is meant.
  const isNamed = names.length > 0 || own !== undefined;
  if (flags.list) list(selected, from, flags);
  else if (flags.repair) repairAll(selected, isNamed, flags);
  else if (isPicture) show(selected, isNamed, flags);
  else check(names, own, flags);
}

function unknownName(names: readonly string[]): PatchbayError {
  return new PatchbayError({
    code: "bad-usage",
    doing: `verify ${names.join(" ")}`,
    why: "there is no such protocol",
    hint: "patchbay verify --list names them",
  });
}

function needName(isNamed: boolean, option: string): void {
  if (isNamed) return;
  throw new PatchbayError({
    code: "bad-usage",
    doing: `verify ${option}`,
    why: "it works on protocols that are named",
    hint: "patchbay verify --list names them",
  });
}

/** Protocols with the number of their checks. */
function list(selected: readonly Selected[], from: readonly Family[], flags: VerifyFlags): void {
  const protocols = new Map<string, { title: string; family: string; checks: number }>();
  for (const { family, check } of selected) {
    const { id, title } = check.protocol;
    const known = protocols.get(id);
    protocols.set(id, { title, family, checks: (known?.checks ?? 0) + 1 });
  }
  if (flags.json) {
    writeJson([...protocols].map(([id, rest]) => ({ id, ...rest })));
    return;
  }
  const paint = paintFor(process.stdout);
  const lines = from.flatMap((family) => {
    const own = [...protocols].filter(([, { family: id }]) => id === family.id);
    if (own.length === 0) return [];
    return [
      paint("heading", `${family.id}  ${family.title}`),
      ...own.map(
        ([id, { title, checks }]) => `  ${id.padEnd(30)} ${title} (${plural(checks, "check")})`,
      ),
      "",
    ];
  });
  writeLines(lines);
}

// ------------------------------------------------------------------------------- the table

function check(
  names: readonly string[],
  own: readonly Family[] | undefined,
  flags: VerifyFlags,
): void {
  const progress = startProgress(flags);
  const report = verify({
    names,
    ...(own === undefined ? {} : { families: own }),
    now: () => performance.now(),
    onRow: progress.count,
  });
  progress.end();
  if (flags.json) writeJson(report);
  else writeLines(formatReport(report));
  if (!report.ok) process.exitCode = 1;
}

/** A count on standard error, where a person looks on and the answer takes a while. */
function startProgress(flags: VerifyFlags): { count: () => void; end: () => void } {
  const isWanted = process.stderr.isTTY && !flags.json;
  let done = 0;
  return {
    count: () => {
      done++;
      if (isWanted && done % 10 === 0) process.stderr.write(`\r${done} checks done`);
    },
    end: () => {
      if (isWanted) process.stderr.write("\r\u001b[K");
    },
  };
}

const number = (value: number): string => value.toLocaleString("en-US");
const columns = [
  ["protocol", 27],
  ["site", 30],
  ["machine", 16],
  ["adversities", 34],
  ["verdict", 22],
] as const;

function formatRow(cells: readonly string[], numbers: readonly string[]): string {
  const texts = columns.map(([, width], i) => (cells[i] ?? "").padEnd(width));
  return [...texts, ...numbers.map((cell, i) => cell.padStart([9, 6, 7][i] ?? 8))].join(" ");
}

function formatCheck(row: VerifyRow): string {
  const paint = paintFor(process.stdout);
  const where = row.phase === 0 ? row.design : `${row.design} +${row.phase}`;
  const adversities = row.adversities.join("+") || "-";
  const text = formatRow(
    [row.protocol, where, row.machine, adversities, row.verdict],
    [number(row.states), String(row.depth), row.milliseconds.toFixed(0)],
  );
  if (!row.asExpected) return paint("warning", `${text}  EXPECTED ${row.expected}`);
  return row.verdict === "safe" ? text : paint("dim", text);
}

function formatReport(report: VerifyReport): string[] {
  const paint = paintFor(process.stdout);
  const head = formatRow(
    columns.map(([name]) => name),
    ["states", "depth", "ms"],
  );
  const lines = [paint("heading", head), ...report.rows.map(formatCheck)];
  if (report.computations.length > 0) {
    lines.push("", paint("heading", "computed"));
    for (const { id, title, found, expected } of report.computations) {
      const note = found === expected ? "" : paint("warning", `  EXPECTED ${expected}`);
      lines.push(`${id.padEnd(22)} ${title}: ${found}${note}`);
    }
  }
  if (report.orders.length > 0) {
    lines.push("", paint("heading", "P5: orders of three fences (f) and the two instructions"));
    lines.push("order  claimed     found            without replay   verdict");
    for (const row of report.orders) {
      const found = (row.found.join(", ") || "never").padEnd(16);
      const without = (row.foundWithoutReplay.join(", ") || "never").padEnd(16);
      lines.push(`${row.order}  ${row.claim.padEnd(11)} ${found} ${without} ${row.verdict}`);
    }
  }
  if (report.claims.length > 0) {
    lines.push("", paint("heading", "claims of the sources"));
    for (const row of report.claims) {
      const verdict = row.settled ? row.verdict : paint("warning", "NOT SETTLED");
      lines.push(`${row.source}: ${row.claim}`, `    ${verdict}: ${row.found}`);
    }
  }
  const unexpected = report.rows.filter((row) => !row.asExpected).length;
  const seconds = (report.milliseconds / 1000).toFixed(1);
  const verdict = report.ok ? "all as expected" : `${unexpected} verdicts unexpected`;
  const isWhole = report.rows.every((row) => row.search === "exhaustive");
  const how = isWhole ? "every search exhaustive" : "some searches BOUNDED";
  const count = `${report.rows.length} checks, ${number(report.states)} states`;
  const total = `${count}, ${how}, ${seconds} s`;
  lines.push("", `${total}: ${verdict}`);
  return lines;
}

// ------------------------------------------------------------------- traces and repairs

/** The shortest counterexample of each protocol. */
function show(selected: readonly Selected[], isNamed: boolean, flags: VerifyFlags): void {
  needName(isNamed, "--trace");
  const shortest = new Map<string, Finding>();
  const undecided: string[] = [];
  for (const { check: one } of selected) {
    const finding = runCheck(one);
    if (finding.path.length === 0) {
      if (finding.verdict !== "safe") undecided.push(`${checkId(one)}: ${finding.verdict}`);
      continue;
    }
    const known = shortest.get(one.protocol.id);
    if (known === undefined || finding.path.length < known.path.length) {
      shortest.set(one.protocol.id, finding);
    }
  }
  const traces = [...shortest.values()]
    .toSorted((a, b) => a.path.length - b.path.length)
    .map(replay);
  if (undecided.length > 0) process.exitCode = 1;
  const [first] = traces;
  if (first === undefined) {
    if (flags.json) writeJson([]);
    else writeLines(formatNothing(undecided, selected.length));
    return;
  }
  if (flags.html !== undefined) save(flags.html, traceToHtml(first));
  if (flags.svg !== undefined) save(flags.svg, traceToSvg(first));
  if (!flags.trace) return;
  if (flags.json) writeJson(traces);
  else writeLines(traces.map((trace: ProtocolTrace) => traceToText(trace, pageWidth())));
}

/** No counterexample is a proof only where every search came to its end. */
function formatNothing(undecided: readonly string[], count: number): string[] {
  if (undecided.length === 0) return [`no counterexample: safe in all of ${count} checks`];
  return [
    `no counterexample was found, and ${undecided.length} of ${count} checks are not decided`,
    ...undecided.map((line) => `  ${line}`),
  ];
}

const pageWidth = (): number => Math.max(100, process.stdout.columns ?? 140);

function save(file: string, text: string): void {
  withFiles(`write to ${file}`, () => writeFileSync(file, text));
}

/** Unsafe protocols are repaired for each kind of site and machine; safe ones are made smaller. */
function repairAll(selected: readonly Selected[], isNamed: boolean, flags: VerifyFlags): void {
  needName(isNamed, "--repair");
  const ids = [...new Set(selected.map(({ check: one }) => one.protocol.id))];
  const results = ids.flatMap((id) => {
    const checks = selected.flatMap(({ check: c }) => (c.protocol.id === id ? [c] : []));
    const unsafe = checks.filter((c) => c.expected !== "safe");
    return unsafe.length > 0 ? repairEach(unsafe) : [shrink(checks)];
  });
  if (flags.json) writeJson(results);
  else writeLines(results.flatMap(formatRepair));
}

type RepairResult = {
  readonly question: string;
  /** The list that was found, or what is left of a safe one; absent when nothing was found. */
  readonly steps?: readonly string[];
  readonly removed?: readonly string[];
  /** Of those that the protocol keeps all the same, the reason why, by the text in `removed`. */
  readonly reasons?: Readonly<Record<string, string>>;
  readonly proof: string;
};

const proofOf = ({ verdict, states, depth, exhaustive }: Finding): string =>
  `${verdict}: ${number(states)} states, depth ${depth}, ${exhaustive ? "exhaustive" : "BOUNDED"}`;

function repairEach(unsafe: readonly Check[]): RepairResult[] {
  const questions = new Map<string, Check>();
  for (const one of unsafe) {
    const key = `${one.design.id} ${one.machine} ${one.phase ?? 0}`;
    if (!questions.has(key)) questions.set(key, one);
  }
  return [...questions.values()].map((one) => {
    const isModify = one.adversities.includes("modify");
    const found = repair(one, isModify ? "a" : "idle", isModify ? "b" : "a");
    const question = checkId(one);
    if (!("protocol" in found)) {
      return { question, proof: `nothing was found among ${number(found.tried)} beginnings` };
    }
    const lines = found.protocol.enable.map(steps.describeStep);
    return { question, steps: lines, proof: proofOf(found.proof) };
  });
}

function shrink(checks: readonly Check[]): RepairResult {
  const [first] = checks;
  if (first === undefined) return { question: "", proof: "" };
  const { protocol, removed } = minimise(first.protocol, checks);
  const question = `${first.protocol.id}: safe in all of ${checks.length} checks; what is needed`;
  const lines = protocol.enable.map(steps.describeStep);
  const proof = proofOf(runCheck({ ...first, protocol }));
  const reasons = removed.flatMap((line) => {
    // Behind the step's text stand the lists that it is in.
    const reason = whyItStays(first.protocol.id, line.replace(/ \([^()]*\)$/, ""));
    return reason === undefined ? [] : [[line, reason] as const];
  });
  return { question, steps: lines, removed, reasons: Object.fromEntries(reasons), proof };
}

function formatRepair(result: RepairResult): string[] {
  const { question, steps: lines, removed, reasons = {}, proof } = result;
  const paint = paintFor(process.stdout);
  const named = removed?.map((line) => {
    const reason = reasons[line];
    return reason === undefined ? line : `${line}; it stays: ${reason}`;
  });
  const gone = named?.length === 0 ? ["nothing can be left out"] : (named ?? []);
  return [
    paint("heading", question),
    ...(lines ?? []).map((line, i) => `  ${String(i + 1).padStart(2)}  ${line}`),
    ...gone.map((line) => `  not needed: ${line}`),
    `  ${proof}`,
    "",
  ];
}

/** `patchbay sites`: lists patch sites, or says why a function has none. */
import type { Command } from "commander";
import {
  countByReason,
  describeAnswer,
  explainFunction,
  listSites,
  type MoreSites,
  type RefusedRow,
  type SiteListing,
  type SiteRow,
  type SiteTarget,
  siteTarget,
} from "../../index.ts";
import { addSiteOptions, moreSites } from "../site-options.ts";
import { collectPattern } from "../trace-options.ts";

type Options = Required<MoreSites> & {
  readonly filter: readonly string[];
  readonly notrace: readonly string[];
  readonly why?: string;
  readonly refused: boolean;
  readonly lines: boolean;
  readonly json: boolean;
};

export function registerSites(program: Command): void {
  addSiteOptions(program.command("sites"))
    .description("list the patch sites of a program, a library or a running process")
    .argument("<file|pid>", "program or library, or the id of a process")
    .option("-F, --filter <glob>", "list functions that match (repeatable)", collectPattern, [])
    .option(
      "-N, --notrace <glob>",
      "do not list functions that match (repeatable)",
      collectPattern,
      [],
    )
    .option("--why <name>", "say why a function can or can't be traced")
    .option("--refused", "list the refused entries too, with their bytes", false)
    .option("--no-lines", "do not look up source lines")
    .option("--json", "print JSON", false)
    .action(run);
}

function run(text: string, options: Options): void {
  const target = siteTarget(text);
  if (options.why !== undefined) {
    explain(target, options.why, options);
    return;
  }
  const listing = listSites(target, {
    include: options.filter,
    exclude: options.notrace,
    lines: options.lines,
    ...moreSites(options),
  });
  process.stdout.write(options.json ? listingToJson(listing) : formatListing(listing, options));
}

/** Addresses as JSON has them: "0x401136". */
const toJson = (value: unknown): string => {
  const plain = (_key: string, one: unknown): unknown =>
    typeof one === "bigint" ? `0x${one.toString(16)}` : one;
  return `${JSON.stringify(value, plain)}\n`;
};

function explain(target: SiteTarget, name: string, options: Options): void {
  const { filter: include, notrace: exclude } = options;
  const answers = explainFunction(target, name, { include, exclude, ...moreSites(options) });
  process.stdout.write(
    options.json ? toJson(answers) : answers.map((one) => `${describeAnswer(one)}\n`).join(""),
  );
  if (!answers.some((one) => one.kind === "traceable")) process.exitCode = 1;
}

/** The listing in `--json` form: what stands in a site is a word, a target an address. */
function listingToJson({ target, sites, refused, skipped, unmatched }: SiteListing): string {
  return toJson({
    target,
    sites: sites.map(({ state, ...row }) => ({
      ...row,
      state: state.kind,
      ...("target" in state ? { target: state.target } : {}),
      ...("bytes" in state ? { bytes: hexBytes(state.bytes) } : {}),
    })),
    refused,
    skipped,
    unmatched,
  });
}

const hexBytes = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

function stateText({ state }: SiteRow): string {
  switch (state.kind) {
    case "call":
      return `calls 0x${state.target.toString(16)}`;
    case "jump":
      return `jumps to 0x${state.target.toString(16)}`;
    case "unknown":
      return `changed: ${hexBytes(state.bytes)}`;
    default:
      return "idle";
  }
}

/** Columns are as wide as their widest text, but none wider than this. */
const widthMax = 60;

/** Lines of `rows`, their columns under each other; the last one is not padded. */
function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((text, i) => {
      widths[i] = Math.max(widths[i] ?? 0, Math.min(text.length, widthMax));
    });
  }
  const lines = rows.map((row) =>
    row.map((text, i) => (i === row.length - 1 ? text : text.padEnd(widths[i] ?? 0))).join("  "),
  );
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

const sourceText = ({ file, line }: SiteRow): string =>
  file === undefined ? "" : `${file}:${line ?? 0}`;

function formatListing(listing: SiteListing, options: Options): string {
  const { sites, refused, skipped, unmatched } = listing;
  const severalModules = new Set(sites.map((row) => row.module)).size > 1;
  const head = ["ADDRESS", "FUNCTION", "LAYOUT", "STATE", "SOURCE"];
  const rows = sites.map((row) => [
    `0x${row.address.toString(16)}`,
    row.name,
    row.layout,
    stateText(row),
    sourceText(row),
    ...(severalModules ? [row.module] : []),
  ]);
  const table = formatTable([[...head, ...(severalModules ? ["MODULE"] : [])], ...rows]);
  const notes = [
    summary(sites, refused),
    ...skipped.map(({ path, why }) => `left out: ${path}: ${why}`),
    ...unmatched.map(({ glob, near }) => {
      const hint = near.length === 0 ? "" : ` (did you mean ${near.join(", ")}?)`;
      return `nothing matches ${glob}${hint}`;
    }),
  ];
  const details = options.refused ? formatRefused(refused) : "";
  return `${table}${details}${notes.map((note) => `${note}\n`).join("")}`;
}

const formatRefused = (refused: readonly RefusedRow[]): string =>
  formatTable(
    refused.map((row) => [
      `0x${row.address.toString(16)}`,
      row.name ?? "?",
      "refused",
      row.why,
      row.bytes,
    ]),
  );

function summary(sites: readonly SiteRow[], refused: readonly RefusedRow[]): string {
  const states = new Map<string, number>();
  for (const row of sites) {
    const state = stateText(row).split(/[ :]/)[0] ?? "";
    states.set(state, (states.get(state) ?? 0) + 1);
  }
  const byState = [...states].map(([state, count]) => `${count} ${state}`).join(", ");
  const plural = sites.length === 1 ? "site" : "sites";
  if (refused.length === 0) return `${sites.length} ${plural}: ${byState}; none refused`;
  const byReason = countByReason(refused).map(([reason, count]) => `${count} ${reason}`);
  return `${sites.length} ${plural}: ${byState}; ${refused.length} refused: ${byReason.join(", ")}`;
}

/**
 * The generated part of a protocol family's page: what each protocol does, which of its steps stay
 * although nobody misses them, and what is expected of it where. Markdown.
 */
import type { Check, Family, Protocol } from "../../patch/protocol.ts";
import { isExploration, whyItStays } from "../../patch/protocols/stays.ts";
import { describeStep, type Step } from "../../patch/steps.ts";
import { historyOf } from "../check.ts";
import type { Claim } from "../claims.ts";

/** Protocols of a family in the order of their first checks. */
function protocolsOf(family: Family): Map<string, { protocol: Protocol; checks: Check[] }> {
  const found = new Map<string, { protocol: Protocol; checks: Check[] }>();
  for (const check of family.checks) {
    const known = found.get(check.protocol.id);
    if (known === undefined) {
      found.set(check.protocol.id, { protocol: check.protocol, checks: [check] });
    } else known.checks.push(check);
  }
  return found;
}

const list = (steps: readonly Step[]): string =>
  steps.map((step) => `\`${describeStep(step)}\``).join(", ");

function describeLists(protocol: Protocol): string[] {
  const { enable, disable, modify, retire } = protocol;
  const lines = enable.map((step, i) => `${i + 1}. \`${describeStep(step)}\``);
  if (disable !== enable) lines.push("", `Back to idle: ${list(disable)}.`);
  if (modify !== undefined && modify !== enable) {
    lines.push("", `To another target: ${list(modify)}.`);
  }
  if (retire.length > 0) lines.push("", `Before anything is freed: ${list(retire)}.`);
  return lines;
}

function describeStays({ id, enable, disable, modify = [], retire }: Protocol): string[] {
  if (isExploration(id)) return [];
  const reasons = new Map<string, string>();
  for (const step of [...enable, ...disable, ...modify, ...retire]) {
    const text = describeStep(step);
    const reason = whyItStays(id, text);
    if (reason !== undefined) reasons.set(text, reason);
  }
  if (reasons.size === 0) return [];
  const lines = [...reasons].map(([text, reason]) => `- \`${text}\`: ${reason}.`);
  return ["", "The checks hold without these, and they stay:", "", ...lines];
}

/** Where a site lies and what it goes through, where that is said. */
function whereOf(check: Check): string {
  const parts = [check.design.id];
  if (check.phase !== undefined) parts.push(`at +${check.phase}`);
  if (check.history !== undefined && historyOf(check.adversities) !== check.history) {
    parts.push(`(idle, ${check.history.map(({ to }) => to).join(", ")})`);
  }
  for (const [name, at] of Object.entries(check.places ?? {})) {
    parts.push(`${name} at 0x${at.toString(16)}`);
  }
  return parts.join(" ");
}

/** One row per site, verdict and reason: machines and adversities put together. */
function describeChecks(checks: readonly Check[]): string[] {
  const groups = new Map<string, { first: Check; machines: Set<string>; sets: Set<string> }>();
  for (const check of checks) {
    const key = `${whereOf(check)}|${check.expected}|${check.reason}`;
    const known = groups.get(key);
    const group = known ?? { first: check, machines: new Set(), sets: new Set() };
    group.machines.add(check.machine);
    group.sets.add(check.adversities.join(" + ") || "none");
    groups.set(key, group);
  }
  const rows = [...groups.values()].map(({ first, machines, sets }) => {
    const cells = [whereOf(first), [...machines].join(", "), [...sets].join("; ")];
    return `| ${cells.join(" | ")} | **${first.expected}** | ${first.reason} |`;
  });
  return [
    "",
    "| site | machines | adversities | verdict | why |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
  ];
}

/** The part of a family's page that is made from its data. */
export function familyTables(family: Family): string {
  const parts = [...protocolsOf(family).values()].map(({ protocol, checks }) =>
    [
      `### ${protocol.id}`,
      "",
      `${protocol.title}.`,
      "",
      ...describeLists(protocol),
      ...describeStays(protocol),
      ...describeChecks(checks),
      "",
    ].join("\n"),
  );
  return parts.join("\n");
}

/** The table of claims, and what was found of each. */
export function claimsTable(claims: readonly Claim[]): string {
  const rows = claims.map(
    ({ source, claim, verdict, found }) => `| ${source} | ${claim} | **${verdict}** | ${found} |`,
  );
  return ["| source | claim | verdict | found |", "| --- | --- | --- | --- |", ...rows, ""].join(
    "\n",
  );
}

/**
 * Steps as people write them, a line each: the words that `describeStep` prints, read back. It is
 * data that is read, never code that is run.
 */
import { assert } from "../base/assert.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { Content, InnerStep, Span, Step } from "./steps.ts";

/** A line that is no step, from 1, and why. */
export type StepProblem = { readonly line: number; readonly why: string };

/** Steps, one a line; empty lines and what follows a `#` count for nothing. */
export function parseSteps(text: string): Result<readonly Step[], StepProblem> {
  const steps: Step[] = [];
  for (const [at, full] of text.split("\n").entries()) {
    const line = full.replace(/#.*/, "").trim();
    if (line === "") continue;
    const step = parseStep(line);
    if (step === undefined) {
      const why = `"${line.slice(0, 60)}" is no step: see docs/protocols/your-own.md`;
      return err({ line: at + 1, why });
    }
    steps.push(step);
  }
  return ok(steps);
}

type Rule = readonly [RegExp, (parts: readonly string[]) => Step | undefined];

/** Steps without a part that varies. */
const plain: ReadonlyMap<string, Step> = new Map<string, Step>([
  ["store barrier", { op: "barrier", of: "stores" }],
  ["full barrier", { op: "barrier", of: "all" }],
  ["local sync", { op: "localSync" }],
  ["drain", { op: "drain" }],
  ["grace period (tasks)", { op: "quiesce", of: "tasks" }],
  ["grace period (harts)", { op: "quiesce", of: "harts" }],
  ["traps end, handlers waited for", { op: "untrap", wait: true }],
  ["traps end at once", { op: "untrap", wait: false }],
]);

const rules: readonly Rule[] = [
  [/^write ([^=]+) = ([^,]+)(, any stores)?$/, parseWrite],
  [/^(clean|invalidate) (.+)$/, parseMaintenance],
  [/^(asynchronous )?sync by (interrupt|firmware|membarrier)$/, parseSync],
  [/^traps mean (new|old|skip|retry)(, handler can be interrupted)?$/, parseTrap],
  [/^stop \{(.*)\}$/, parseStop],
];

function parseStep(line: string): Step | undefined {
  const known = plain.get(line.replaceAll(/\s+/g, " "));
  if (known !== undefined) return known;
  for (const [pattern, make] of rules) {
    const found = pattern.exec(line);
    if (found !== null) return make(found);
  }
  return undefined;
}

function parseWrite([, where = "", what = "", loose]: readonly string[]): Step | undefined {
  const span = parseSpan(where.trim());
  const content = parseContent(what.trim());
  if (span === undefined || content === undefined) return undefined;
  return { op: "write", span, content, store: loose === undefined ? "single" : "pieces" };
}

function parseMaintenance([, op, where = ""]: readonly string[]): Step | undefined {
  const span = parseSpan(where.trim());
  if (span === undefined) return undefined;
  return { op: op === "clean" ? "clean" : "invalidate", span };
}

function parseSync([, asynchronous, how]: readonly string[]): Step | undefined {
  const by = (["interrupt", "firmware", "membarrier"] as const).find((one) => one === how);
  return by === undefined ? undefined : { op: "sync", by, wait: asynchronous === undefined };
}

function parseTrap([, what, unmasked]: readonly string[]): Step | undefined {
  const meanwhile = (["new", "old", "skip", "retry"] as const).find((one) => one === what);
  if (meanwhile === undefined) return undefined;
  return { op: "trap", meanwhile, masked: unmasked === undefined };
}

function parseStop([, inner = ""]: readonly string[]): Step | undefined {
  const steps: InnerStep[] = [];
  for (const part of inner.split(";")) {
    if (part.trim() === "") continue;
    const step = parseStep(part.trim());
    if (step === undefined || !isInner(step)) return undefined;
    steps.push(step);
  }
  return { op: "stop", steps };
}

const innerOps: readonly string[] = ["write", "barrier", "clean", "invalidate", "localSync"];
const isInner = (step: Step): step is InnerStep => innerOps.includes(step.op);

const name = /^[A-Za-z][A-Za-z0-9:_ -]*$/;

function parseSpan(text: string): Span | undefined {
  if (text === "literal") return { in: "literal" };
  const found = /^window\s*\[\s*(\d{1,3})\s*,\s*(\d{1,3}|end)\s*\)$/.exec(text);
  if (found === null) return name.test(text) ? { in: "word", name: text } : undefined;
  const from = Number(found[1]);
  if (found[2] === "end") return { in: "window", from, size: "rest" };
  const size = Number(found[2]) - from;
  assert(Number.isInteger(size), "two whole numbers");
  return size > 0 ? { in: "window", from, size } : undefined;
}

function parseContent(text: string): Content | undefined {
  if (text === "new" || text === "old") return { of: text };
  if (text === "skip" || text === "trap") return { of: text };
  if (/^[0-9a-f]{2}( [0-9a-f]{2})*$/i.test(text)) {
    return { of: "bytes", bytes: text.split(" ").map((byte) => Number.parseInt(byte, 16)) };
  }
  return name.test(text) ? { of: "address", name: text } : undefined;
}

/**
 * The same questions to SPIN and to the checker: do they agree, and how long does each take from
 * the question to the verdict. SPIN's models are written by hand, for its own strengths; they
 * follow the same machines and the same steps, not the same code.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Adversity, MachineName } from "../../src/index.ts";
import type { Table } from "../table.ts";

/** One question: a Promela model with its definitions, and the check that asks the same. */
type Question = {
  readonly protocol: string;
  readonly model: string;
  readonly defines: readonly string[];
  readonly machine: MachineName;
  readonly adversities: readonly Adversity[];
};

const question = (
  protocol: string,
  model: string,
  define: string,
  machine: MachineName,
  ...adversities: readonly Adversity[]
): Question => ({
  ...{ protocol, model, machine, adversities },
  defines: define === "" ? [] : [define],
});

const questions: readonly Question[] = [
  question("P1/call-ops", "p1-call-ops.pml", "", "armv8-dic0-idc0", "free"),
  question("P1/freed-at-once", "p1-call-ops.pml", "FREED_AT_ONCE", "armv8-dic0-idc0", "free"),
  question("P7/int3", "p7-int3.pml", "", "x86-intel"),
  question("P7/no-first-sync", "p7-int3.pml", "NO_FIRST_SYNC", "x86-intel"),
  question("P7/no-second-sync", "p7-int3.pml", "NO_SECOND_SYNC", "x86-intel"),
];

const folder = fileURLToPath(new URL(".", import.meta.url));

type Answer = {
  readonly safe: boolean;
  readonly states: number;
  /** From the question to the verdict, in milliseconds; of that, the search alone. */
  readonly total: number;
  readonly search: number;
};

/** Runs a command; throws with what it said when it fails. */
function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr || stdout}`);
  return stdout;
}

/** Whether SPIN and a C compiler are here. */
export const hasSpin = (): boolean =>
  ["spin", "gcc"].every((tool) => spawnSync(tool, ["--version"]).error === undefined);

/** SPIN's way: translate, compile, search. Partial-order reduction is on, as it is by default. */
function askSpin({ defines, model }: Question): Answer {
  const work = mkdtempSync(join(tmpdir(), "spin-"));
  try {
    const begin = performance.now();
    const options = defines.map((name) => `-D${name}`);
    run("spin", [...options, "-a", join(folder, model)], work);
    run("gcc", ["-O2", "-DSAFETY", "-o", "pan", "pan.c"], work);
    const compiled = performance.now();
    const text = run("./pan", ["-m1000000", "-c1"], work);
    const end = performance.now();
    const errors = /errors: (\d+)/.exec(text)?.[1];
    const states = /(\d+) states, stored/.exec(text)?.[1];
    if (errors === undefined || states === undefined) throw new Error(`pan said: ${text}`);
    return {
      safe: errors === "0",
      states: Number(states),
      total: end - begin,
      search: end - compiled,
    };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The checker's way: a new process that loads the package and runs one check. */
function askChecker({ protocol, machine, adversities }: Question): Answer {
  const index = resolve(folder, "../../dist/index.js");
  const script = `
const { families, runCheck } = await import(${JSON.stringify(index)});
const all = families.flatMap((family) => family.checks);
const like = all.find((c) => c.protocol.id === ${JSON.stringify(protocol)});
const { phase, ...rest } = like;
const begin = performance.now();
const found = runCheck({ ...rest, ...${JSON.stringify({ machine, adversities })} });
const search = performance.now() - begin;
console.log([found.verdict === "safe" ? 1 : 0, found.states, search].join(" "));`;
  const begin = performance.now();
  const text = run(process.execPath, ["--input-type=module", "--eval", script], folder);
  const total = performance.now() - begin;
  const [safe = 0, states = 0, search = 0] = text.split(" ").map(Number);
  return { safe: safe === 1, states, total, search };
}

/** Both answers to every question. */
export function compareWithSpin(): readonly {
  readonly question: string;
  readonly spin: Answer;
  readonly checker: Answer;
}[] {
  return questions.map((one) => ({
    question: one.protocol,
    spin: askSpin(one),
    checker: askChecker(one),
  }));
}

const ms = (value: number): number => Math.round(value);

/** The comparison as a table of the benchmarks. */
export function spinTable(): Table {
  const title = "SPIN and the checker: time from the question to the verdict";
  if (!hasSpin()) {
    return { title, notes: ["left out: it needs spin and gcc (apt install spin gcc)"], rows: [] };
  }
  const answers = compareWithSpin();
  const agree = answers.filter(({ spin, checker }) => spin.safe === checker.safe).length;
  return {
    title,
    notes: [
      "SPIN: translate, compile with gcc -O2, search. Checker: start Node.js, load, search.",
      "The models are by hand, so their numbers of states differ; the verdicts must not.",
      `Verdicts agree: ${agree} of ${answers.length}.`,
    ],
    rows: answers.map(({ question, spin, checker }) => ({
      question,
      verdict: spin.safe ? "safe" : "unsafe",
      agree: spin.safe === checker.safe ? "yes" : "NO",
      "SPIN ms": ms(spin.total),
      "of that search": ms(spin.search),
      "SPIN states": spin.states,
      "checker ms": ms(checker.total),
      "of it search": ms(checker.search),
      "checker states": checker.states,
      faster: `${(spin.total / checker.total).toFixed(1)} x`,
    })),
  };
}

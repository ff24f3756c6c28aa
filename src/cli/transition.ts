/** Shows how a change between versions goes on, and lets Ctrl-C cancel it. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  type HeldUp,
  PatchbayError,
  type PatchOutcome,
  type PatchTransition,
  plural,
} from "../index.ts";
import { writeJson } from "./output.ts";
import { endSignals } from "./stay.ts";

export type TransitionOptions = {
  /** In ms: after that nobody is waited for any more. */
  readonly forceAfter?: number;
  readonly json: boolean;
};

/** How often who holds up the change is told again, in ms. */
const tellEveryMs = 5000;
const lookEveryMs = 50;
const shownMax = 8;

const say = (line: string): void => {
  process.stderr.write(`patchbay: ${line}\n`);
};

/** Waits for the end of `transition`, and tells it. */
export async function follow(
  transition: PatchTransition,
  { forceAfter, json }: TransitionOptions,
): Promise<PatchOutcome> {
  const onSignal = (): void => {
    if (transition.heldUp.length > 0) say("cancelling: everything goes back to how it was");
    transition.cancel();
  };
  for (const signal of endSignals) process.on(signal, onSignal);
  const force = (): void => transition.force();
  const timer = forceAfter === undefined ? undefined : setTimeout(force, forceAfter);
  const over = new AbortController();
  const telling = tellProgress(transition, over.signal);
  try {
    const outcome = await transition.done;
    for (const warning of outcome.warnings) say(`warning: ${warning}`);
    if (json) writeJson(outcome);
    else say(describe(outcome));
    if (outcome.left !== undefined && !json) say(outcome.left);
    if (outcome.result === "cancelled") process.exitCode = 1;
    return outcome;
  } finally {
    over.abort();
    clearTimeout(timer);
    for (const signal of endSignals) process.off(signal, onSignal);
    await telling;
  }
}

/** Says who holds up the change: at once, when that changes, and now and then. */
async function tellProgress(transition: PatchTransition, over: AbortSignal): Promise<void> {
  let told = "";
  let toldAt = performance.now();
  while (!over.aborted) {
    await sleep(lookEveryMs, undefined, { signal: over }).catch(() => undefined);
    const { heldUp } = transition;
    const key = heldUp.map(({ tid, inside }) => `${tid} ${inside}`).join();
    if (heldUp.length === 0 || over.aborted) continue;
    if (key === told && performance.now() - toldAt < tellEveryMs) continue;
    told = key;
    toldAt = performance.now();
    for (const line of describeHeldUp(heldUp)) say(line);
  }
}

function describeHeldUp(heldUp: readonly HeldUp[]): readonly string[] {
  return [
    `waiting for ${plural(heldUp.length, "thread")} (Ctrl-C cancels):`,
    ...whereThreadsAre(heldUp),
  ];
}

/** A line for each thread that holds a change up, with its stack. */
export function whereThreadsAre(heldUp: readonly HeldUp[]): readonly string[] {
  const lines = heldUp.slice(0, shownMax).map(({ tid, name, stack, inside, isGuess }) => {
    const doubt = isGuess ? " (may be: its stack can't be followed)" : "";
    return `  thread ${tid} ${name} is inside ${inside}${doubt}: ${stack.join(" < ")}`;
  });
  const more = heldUp.length - shownMax;
  return more > 0 ? [...lines, `  and ${plural(more, "thread")} more`] : lines;
}

function describe({ name, functions, result, waitedFor, forced, ms }: PatchOutcome): string {
  const many = plural(functions.length, "function");
  const what = `${result} ${many} (${functions.join(", ")}) by ${name}`;
  const waited = waitedFor === 0 ? "" : `, after waiting for ${plural(waitedFor, "thread")}`;
  const how = forced ? ", by force: versions may have mixed" : waited;
  return `${what} in ${ms.toFixed(0)} ms${how}`;
}

/** The process that a verb is about. */
export function wantPid(doing: string, pid: number | undefined): number {
  if (pid !== undefined) return pid;
  throw new PatchbayError({
    code: "bad-usage",
    doing,
    why: "no process was named",
    hint: "-p PID",
  });
}

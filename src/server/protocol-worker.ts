/** The worker that checks protocols: one check at a time; who is tired of waiting ends it. */
import { PatchbayError } from "../base/error.ts";
import { type Finding, runCheck } from "../model/check.ts";
import { type Trace as ProtocolTrace, replay } from "../model/show/replay.ts";
import { parseSteps } from "../patch/parse-steps.ts";
import { type Check, checkId } from "../patch/protocol.ts";
import { families } from "../patch/protocols/families.ts";
import type { Step } from "../patch/steps.ts";
import { serve } from "../session/worker-rpc.ts";
import type { CheckOutcome, OwnAnswer, OwnProtocol, StepTexts } from "./api.ts";

export type ProtocolHandlers = {
  check(id: string): CheckOutcome;
  /** The shortest counterexample; `null` where the check is safe. */
  trace(id: string): ProtocolTrace | null;
  own(protocol: OwnProtocol): OwnAnswer;
};

const checks = new Map<string, Check>(
  families.flatMap((family) => family.checks.map((check) => [checkId(check), check])),
);

function findCheck(id: string): Check {
  const found = checks.get(id);
  if (found !== undefined) return found;
  const why = "there is no such check";
  throw new PatchbayError({ code: "no-match", doing: `check ${id.slice(0, 80)}`, why });
}

const refuse = (why: string): PatchbayError =>
  new PatchbayError({ code: "bad-usage", doing: "check the edited protocol", why });

function stepsOf(name: keyof StepTexts, text: string): readonly Step[] {
  const found = parseSteps(text);
  if (found.ok) return found.value;
  throw refuse(`line ${found.error.line} of ${name}: ${found.error.why}`);
}

/** What the checker asserts of a protocol is its author's business. */
function run(check: Check): Finding {
  try {
    return runCheck(check);
  } catch (error) {
    if (error instanceof PatchbayError || !(error instanceof Error)) throw error;
    throw refuse(error.message.replace(/^assertion failed: /, ""));
  }
}

function timed(check: Check): { finding: Finding; outcome: CheckOutcome } {
  const begin = performance.now();
  const finding = run(check);
  const { verdict, states, depth, exhaustive, missing } = finding;
  const outcome = {
    id: checkId(check),
    verdict,
    asExpected: verdict === check.expected,
    states,
    depth,
    milliseconds: performance.now() - begin,
    exhaustive,
    missing,
  };
  return { finding, outcome };
}

const handlers: ProtocolHandlers = {
  check: (id) => timed(findCheck(id)).outcome,
  trace: (id) => {
    const finding = runCheck(findCheck(id));
    return finding.path.length === 0 ? null : replay(finding);
  },
  own: ({ basis, enable, disable, modify, retire }) => {
    const built = findCheck(basis);
    const check: Check = {
      ...built,
      protocol: {
        id: "edited",
        title: `${built.protocol.id}, edited`,
        enable: stepsOf("enable", enable),
        disable: stepsOf("disable", disable),
        ...(modify.trim() === "" ? {} : { modify: stepsOf("modify", modify) }),
        retire: stepsOf("retire", retire),
      },
      expected: "safe",
      reason: "edited",
    };
    const { finding, outcome } = timed(check);
    return { outcome, trace: finding.path.length === 0 ? undefined : replay(finding) };
  },
};

serve(handlers);

/** Answers to "why is this function not traced?", in words. */
import { unreachable } from "../base/assert.ts";
import { debugName, type FunctionAnswer, type InlinedCalls } from "./explain-function.ts";
import type { InlinePlace } from "./program-file.ts";

/** Answers about a function that has code of its own. */
type OwnAnswer = Extract<FunctionAnswer, { readonly address: bigint }>;

const describePlace = ({ caller, source }: InlinePlace): string => {
  const into = caller === undefined ? "a function" : debugName(caller);
  return source === undefined ? into : `${into} (${source.file}:${source.line})`;
};

const describeSignature = ({ text, values }: { text: string; values: string }): string =>
  values === "" ? text : `${text}; values: ${values}`;

const placesShown = 3;

function describeCalls({ places, count }: InlinedCalls): string {
  const shown = [...new Set(places.map(describePlace))].slice(0, placesShown);
  const more = count > placesShown ? ` and elsewhere, ${count} calls in all` : "";
  return `${shown.join(", ")}${more}`;
}

/** An answer in one or two sentences. */
export function describeAnswer(answer: FunctionAnswer): string {
  switch (answer.kind) {
    case "not-found": {
      const near = answer.near.length === 0 ? "" : ` (did you mean ${answer.near.join(", ")}?)`;
      return `not there: ${answer.why}${near}`;
    }
    case "imported":
      return `${answer.name}: not in ${answer.module}, which calls it in a library: ask for that`;
    case "removed":
      return `${answer.name}: can't be traced: the compiler kept no code of it in ${answer.module}`;
    case "inlined":
      return (
        `${answer.name}: can't be traced: it was inlined into ${describeCalls(answer.inlined)} ` +
        "(mark it __attribute__((noinline)), or compile with -fno-inline)"
      );
    default:
      return `${describeWhere(answer)}: ${describeOwnCode(answer)}`;
  }
}

function describeWhere({ name, source, module }: OwnAnswer): string {
  return source === undefined ? `${name} in ${module}` : `${name} at ${source.file}:${source.line}`;
}

function describeOwnCode(answer: OwnAnswer): string {
  switch (answer.kind) {
    case "traceable": {
      const { inlined, signature } = answer;
      const but =
        inlined === undefined
          ? ""
          : `; but not where it was inlined: into ${describeCalls(inlined)}`;
      const what = signature === undefined ? "" : `: ${describeSignature(signature)}`;
      return `can be traced (${answer.layout} at 0x${answer.address.toString(16)})${but}${what}`;
    }
    case "filtered":
      return `can be traced, but ${answer.why}`;
    case "refused":
      return `can't be traced: its site is refused: ${answer.why}`;
    case "no-site":
      return `can't be traced: ${answer.why} (${answer.hint})`;
    default:
      return unreachable(answer);
  }
}

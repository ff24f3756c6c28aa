/**
 * What people write into set_ftrace_filter and set_ftrace_notrace, parsed
 * (Documentation/trace/ftrace.rst; kernel/trace/ftrace.c, ftrace_process_regex):
 *
 *     schedule  sched_*  *alloc*  m?lloc  [a-c]*  \*literal     names, by glob
 *     !kfree                                                    not these
 *     17                                                        the 17th function of the list
 *     *:mod:libfoo*   sqlite3*:mod:!libbar.so                   functions of libraries
 *     foo:traceon  foo:traceoff:5  foo:snapshot  foo:stacktrace:1   triggers
 *
 * Words are separated by white space. A library that is not there yet is waited for.
 */
import { err, ok, type Result } from "../base/result.ts";

export const triggerActions = ["traceon", "traceoff", "snapshot", "stacktrace"] as const;
export type TriggerAction = (typeof triggerActions)[number];

/** One word of a filter. */
export type FilterTerm =
  | { readonly kind: "name"; readonly remove: boolean; readonly glob: string }
  /** 1-based, in the order of the functions' list. */
  | { readonly kind: "index"; readonly remove: boolean; readonly index: number }
  | {
      readonly kind: "module";
      readonly remove: boolean;
      readonly glob: string;
      readonly module: string;
      /** Functions that are *not* in such a module. */
      readonly outside: boolean;
    }
  | {
      readonly kind: "trigger";
      readonly remove: boolean;
      readonly glob: string;
      readonly action: TriggerAction;
      /** How often it acts; without it, always. */
      readonly count: number | undefined;
    };

/** What is wrong with a filter, and where. */
export type FilterProblem = { readonly word: string; readonly problem: string };

/** Parses a filter's text. */
export function parseFilter(text: string): Result<readonly FilterTerm[], FilterProblem> {
  const terms: FilterTerm[] = [];
  for (const word of text.split(/\s+/)) {
    if (word === "") continue;
    const term = parseTerm(word);
    if (!term.ok) return term;
    terms.push(term.value);
  }
  return ok(terms);
}

function parseTerm(word: string): Result<FilterTerm, FilterProblem> {
  const remove = word.startsWith("!");
  const [glob = "", command, parameter, ...rest] = splitCommand(remove ? word.slice(1) : word);
  const problem = (text: string) => err({ word, problem: text });
  if (command === undefined) {
    if (glob === "") return problem("there is no name");
    if (/^\d+$/.test(glob)) return ok({ kind: "index", remove, index: Number(glob) });
    return ok({ kind: "name", remove, glob });
  }
  if (rest.length > 0) return problem("too many colons");
  if (command === "mod") {
    const outside = parameter?.startsWith("!") === true;
    const module = outside ? parameter.slice(1) : parameter;
    if (module === undefined || module === "") return problem("mod wants the name of a library");
    return ok({ kind: "module", remove, glob: glob === "" ? "*" : glob, module, outside });
  }
  const action = triggerActions.find((name) => name === command);
  if (action === undefined) {
    return problem(`there is no command ${command}; there are mod, ${triggerActions.join(", ")}`);
  }
  const count = parameter === undefined ? undefined : parseCount(parameter);
  if (Number.isNaN(count)) return problem(`${parameter ?? ""} is no count`);
  return ok({ kind: "trigger", remove, glob, action, count });
}

/**
 * Cuts `glob:command:parameter`. C++ names have colons of their own: a command is what follows a
 * single colon.
 */
function splitCommand(text: string): string[] {
  for (let at = text.indexOf(":"); at >= 0; at = text.indexOf(":", at + 1)) {
    if (text[at + 1] === ":") {
      at++;
      continue;
    }
    return [text.slice(0, at), ...text.slice(at + 1).split(":")];
  }
  return [text];
}

/** Decimal or 0x, as kstrtoul reads it with base 0; NaN for anything else. */
const parseCount = (text: string): number =>
  /^(\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : Number.NaN;

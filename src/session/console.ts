/**
 * The console: ftrace's verbs on a session, for people (`patchbay attach`) and for scripts
 * (`patchbay ctl`). A command is a list of words; its answer is lines for people and a value for
 * programs.
 */
import { resolve } from "node:path";
import { PatchbayError } from "../base/error.ts";
import { formatCount, formatDuration, plural } from "../report/units.ts";
import type { CataloguedFunction, SiteFilter } from "./catalogue.ts";
import type { DrainTotals } from "./drain.ts";
import type { FunctionStatistics, Observation } from "./observation.ts";
import type { Recording } from "./recording.ts";
import type { EnabledFunction } from "./tracing.ts";
import { stopWork, type User } from "./user.ts";

/** What a console works on; a `Session` is one. */
export type ConsoleTarget = {
  readonly pid: number;
  readonly joined: number | undefined;
  readonly guests: number;
  readonly users: readonly User[];
  record(options: {
    readonly directory: string;
    readonly filter: Partial<SiteFilter>;
    readonly exits: boolean;
    readonly flightRecorder: boolean;
    readonly clock: string;
  }): Promise<Recording>;
  observe(options: {
    readonly filter: Partial<SiteFilter>;
    readonly times: boolean;
  }): Promise<Observation>;
  select(filter: Partial<SiteFilter>): readonly CataloguedFunction[];
  enabledFunctions(): Promise<readonly EnabledFunction[]>;
};

/** What a command came to. */
export type Answer = { readonly lines: readonly string[]; readonly value: unknown };

type Context = {
  readonly target: ConsoleTarget;
  readonly words: readonly string[];
  /** What relative paths begin at. */
  readonly folder: string;
};

type Verb = {
  readonly usage: string;
  readonly does: string;
  /** Its other ways of use, for `help`. */
  readonly more?: readonly { readonly usage: string; readonly does: string }[];
  readonly run: (context: Context) => Promise<Answer> | Answer;
};

const badUsage = (doing: string, why: string, hint?: string): PatchbayError =>
  new PatchbayError({
    code: "bad-usage",
    doing,
    why,
    ...(hint === undefined ? {} : { hint }),
  });

const done = (line: string, value: unknown = {}): Answer => ({ lines: [line], value });

/** The user whom the first word names; the only one where there is no word. */
function userOf({ target, words }: Context, doing: string): User {
  const [name] = words;
  const { users } = target;
  const [only, ...others] = users;
  if (name === undefined && only !== undefined && others.length === 0) return only;
  const found = users.find((user) => user.name === name);
  if (found !== undefined) return found;
  const names = users.map((user) => user.name).join(", ");
  const why = name === undefined ? "say which one is meant" : `there is no ${name}`;
  throw badUsage(doing, why, names === "" ? "nothing is traced yet" : `there is ${names}`);
}

/** Words that begin with `!` say what is left out. */
const filterOf = (words: readonly string[]): SiteFilter => ({
  include: words.filter((word) => !word.startsWith("!")),
  exclude: words.filter((word) => word.startsWith("!")).map((word) => word.slice(1)),
});

async function functionsOf({ seat }: User): Promise<number> {
  return (await seat.state()).functions;
}

/** A user as `ops` shows it. */
type Described = {
  readonly name: string;
  readonly kind: User["work"]["kind"];
  readonly isOn: boolean;
  readonly filter: Partial<SiteFilter>;
  readonly functions: number;
  readonly recorded?: DrainTotals & { readonly directory: string };
};

async function describeUser(user: User): Promise<Described> {
  const { name, work, ops, isOn } = user;
  const functions = await functionsOf(user);
  const about = { name, kind: work.kind, isOn, filter: ops.filter, functions };
  if (work.kind === "count") return about;
  const { events, lost, bytes, threads } = await work.recording.progress();
  const { directory } = work.recording;
  return { ...about, recorded: { directory, events, lost, bytes, threads } };
}

const recordFlags = /^--(no-exits|flight-recorder|clock=.*)$/;

async function addRecord({ target, words, folder }: Context): Promise<Answer> {
  const unknown = words.find((word) => word.startsWith("--") && !recordFlags.test(word));
  if (unknown !== undefined) throw badUsage("record", `there is no option ${unknown}`, "`help`");
  const [directory, ...rest] = words.filter((word) => !word.startsWith("--"));
  if (directory === undefined) throw badUsage("record", "there is no directory to record into");
  await target.record({
    directory: resolve(folder, directory),
    filter: filterOf(rest),
    exits: !words.includes("--no-exits"),
    flightRecorder: words.includes("--flight-recorder"),
    clock: words.find((word) => word.startsWith("--clock="))?.slice(8) ?? "exact",
  });
  return announced(target, "recording");
}

async function addCount({ target, words }: Context, times: boolean): Promise<Answer> {
  await target.observe({ filter: filterOf(words), times });
  return announced(target, "counting");
}

async function announced({ users }: ConsoleTarget, what: string): Promise<Answer> {
  const user = users.at(-1);
  if (user === undefined) throw badUsage(what, "it has ended already");
  const functions = await functionsOf(user);
  return done(`${user.name}: ${what} ${plural(functions, "function")}`, await describeUser(user));
}

async function remove(context: Context): Promise<Answer> {
  const user = userOf(context, "remove");
  return done(`${user.name}: ${await stopWork(user.work, "stopped")}`, { name: user.name });
}

/** Gives a user's ops another filter. */
async function refilter(
  context: Context,
  change: (before: Partial<SiteFilter>, words: readonly string[]) => Partial<SiteFilter>,
): Promise<Answer> {
  const user = userOf(context, "filter");
  const filter = change(user.ops.filter, context.words.slice(1));
  user.ops = await user.seat.setFilter(user.ops, filter);
  return done(
    `${user.name}: ${plural(await functionsOf(user), "function")}`,
    await describeUser(user),
  );
}

async function setOn(context: Context, on: boolean): Promise<Answer> {
  const { target, words } = context;
  const users = words.length === 0 ? target.users : [userOf(context, on ? "on" : "off")];
  for (const user of users) {
    await user.seat.setEnabled(on);
    user.isOn = on;
  }
  const names = users.map(({ name }) => name);
  return done(`${on ? "on" : "off"}: ${names.join(", ") || "nothing is traced"}`, names);
}

async function snapshot(context: Context): Promise<Answer> {
  const { name, work } = userOf(context, "take a snapshot");
  if (work.kind !== "record")
    throw badUsage("take a snapshot", `${name} counts: \`stat\` shows it`);
  const totals = await work.recording.snapshot();
  const { directory } = work.recording;
  return done(`${name}: ${plural(totals.events, "event")} written into ${directory}`, {
    name,
    directory,
    ...totals,
  });
}

/** A line as ftrace's enabled_functions has it, with how the ops are reached. */
const enabledLine = ({ name, count, flags, ops, dispatch }: EnabledFunction): string =>
  `${`${name} (${count})`.padEnd(40)} ${flags.padEnd(9)}  ${dispatch.form}: ${ops.join(" ")}`;

async function enabled({ target }: Context): Promise<Answer> {
  const value = await target.enabledFunctions();
  return { lines: value.map(enabledLine), value };
}

async function stat(context: Context): Promise<Answer> {
  const { target, words } = context;
  const users = words.length === 0 ? target.users : [userOf(context, "stat")];
  const rows: (FunctionStatistics & { readonly ops: string })[] = [];
  for (const user of users) {
    if (user.work.kind !== "count") continue;
    const found = await user.work.observation.statistics();
    rows.push(...found.map((one) => ({ ...one, ops: user.name })));
  }
  if (!users.some(({ work }) => work.kind === "count")) {
    return { lines: ["nothing is counted: `count` and `time` begin that"], value: rows };
  }
  const cells = ["calls", "total", "mean", "p99"].map((text) => text.padStart(12)).join(" ");
  return { lines: [`${cells}  function  ops`, ...rows.map(statLine)], value: rows };
}

function statLine(row: FunctionStatistics & { readonly ops: string }): string {
  const time = (ns: number | undefined): string => (ns === undefined ? "" : formatDuration(ns));
  const { calls, returned, totalNs, meanNs, p99Ns, name, ops } = row;
  const total = returned === 0 ? undefined : totalNs;
  const cells = [formatCount(calls), time(total), time(meanNs), time(p99Ns)];
  return `${cells.map((text) => text.padStart(12)).join(" ")}  ${name}  ${ops}`;
}

function opsLine({ name, kind, isOn, filter, functions, recorded }: Described): string {
  const { include = [], exclude = [] } = filter;
  const words = [...include, ...exclude.map((word) => `!${word}`)].join(" ");
  const where = recorded === undefined ? "" : ` into ${recorded.directory}`;
  const so =
    recorded === undefined
      ? ""
      : `, ${plural(recorded.events, "event")}, ${formatCount(recorded.lost)} lost`;
  const state = `${isOn ? "on" : "off"}, ${plural(functions, "function")}`;
  return `${name}: ${kind}${where}, ${state}${so}: ${words || "*"}`;
}

async function listOps({ target }: Context): Promise<Answer> {
  const value: Described[] = [];
  for (const user of target.users) value.push(await describeUser(user));
  return { lines: value.map(opsLine), value };
}

function info({ target }: Context): Answer {
  const { pid, joined, guests } = target;
  const users = target.users.map(({ name }) => name);
  const who =
    joined === undefined ? `host to ${plural(guests, "other")}` : `guest of process ${joined}`;
  return {
    lines: [
      `process ${pid}, traced by process ${process.pid}, ${who}`,
      `ops: ${users.join(" ") || "none"}`,
    ],
    value: { pid, tracer: process.pid, host: joined ?? null, guests, ops: users },
  };
}

function functions({ target, words }: Context): Answer {
  const value = target.select(filterOf(words)).map(({ name, demangled }) => demangled ?? name);
  return { lines: value, value };
}

const verbs: Readonly<Record<string, Verb>> = {
  record: {
    usage: "record start DIR [FILTER...]",
    does: "records into DIR; [--no-exits] [--flight-recorder] [--clock=coarse]",
    more: [{ usage: "record stop [NAME]", does: "ends that" }],
    run: (context) => {
      const [how, ...words] = context.words;
      if (how === "start") return addRecord({ ...context, words });
      if (how === "stop") return remove({ ...context, words });
      throw badUsage("record", "it is either started or stopped", verbs["record"]?.usage);
    },
  },
  count: {
    usage: "count [FILTER...]",
    does: "counts calls; `stat` shows them",
    run: (context) => addCount(context, false),
  },
  time: {
    usage: "time [FILTER...]",
    does: "counts calls, and adds up what they take",
    run: (context) => addCount(context, true),
  },
  remove: { usage: "remove [NAME]", does: "ends a recording or a count", run: remove },
  filter: {
    usage: "filter NAME [FILTER...]",
    does: "sets whose calls are wanted; without words, all",
    run: (context) => refilter(context, (_, words) => filterOf(words)),
  },
  append: {
    usage: "append NAME FILTER...",
    does: "adds to that",
    run: (context) =>
      refilter(context, ({ include = [], exclude = [] }, words) => {
        const more = filterOf(words);
        return {
          include: [...include, ...more.include],
          exclude: [...exclude, ...more.exclude],
        };
      }),
  },
  notrace: {
    usage: "notrace NAME [FILTER...]",
    does: "sets what is left out",
    run: (context) =>
      refilter(context, ({ include = [] }, words) => ({ include, exclude: [...words] })),
  },
  on: { usage: "on [NAME]", does: "switches on what was off", run: (one) => setOn(one, true) },
  off: { usage: "off [NAME]", does: "switches off, and keeps it", run: (one) => setOn(one, false) },
  snapshot: {
    usage: "snapshot [NAME]",
    does: "writes what a flight recorder holds into its trace, and goes on",
    run: snapshot,
  },
  ops: { usage: "ops", does: "what is recorded and counted", run: listOps },
  enabled: { usage: "enabled", does: "functions that are on, with their ops", run: enabled },
  functions: { usage: "functions [FILTER...]", does: "functions there are", run: functions },
  stat: { usage: "stat [NAME]", does: "calls counted so far", run: stat },
  info: { usage: "info", does: "who traces what", run: info },
  help: { usage: "help", does: "this", run: help },
};

function help(): Answer {
  const rows = Object.values(verbs).flatMap(({ usage, does, more = [] }) => [
    { usage, does },
    ...more,
  ]);
  return { lines: rows.map(({ usage, does }) => `${usage.padEnd(28)}  ${does}`), value: rows };
}

/** A line's words; quotes keep white space together. */
export const splitWords = (line: string): readonly string[] =>
  [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare ?? "",
  );

/** The names of the verbs. */
export const consoleVerbs: readonly string[] = Object.keys(verbs);

/**
 * Carries out one command.
 * @param folder what relative paths begin at.
 */
export async function runCommand(
  target: ConsoleTarget,
  [name, ...words]: readonly string[],
  folder: string,
): Promise<Answer> {
  const verb = name !== undefined && Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (verb !== undefined) return verb.run({ target, words, folder });
  throw badUsage("run a command", `there is no verb ${name ?? ""}`, "`help` lists them");
}

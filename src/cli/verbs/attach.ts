/**
 * `patchbay attach`: ftrace's verbs on a process, one line at a time: typed, with completion and
 * history, or piped in as a script.
 */
import { createInterface, type Interface } from "node:readline";
import type { Command } from "commander";
import {
  type Answer,
  attach,
  consoleVerbs,
  PatchbayError,
  runCommand,
  type Session,
  splitWords,
} from "../../index.ts";
import { writeJson, writeLines } from "../output.ts";
import { stayForGuests, untilTold } from "../stay.ts";
import { parsePid } from "../units.ts";

type Options = { readonly pid?: string; readonly json: boolean };

/** Suggestions at the most: nobody reads more. */
const suggestionsMax = 200;
/** Verbs whose words are names of functions, and those whose first word is a name of an ops. */
const functionVerbs = ["append", "count", "filter", "functions", "notrace", "record"];
const opsVerbs = ["append", "filter", "notrace", "off", "on", "remove", "stat"];
const endVerbs = ["exit", "quit"];

export function registerAttach(program: Command): void {
  program
    .command("attach")
    .description("trace a running process by commands: type them, or pipe a script in")
    .option("-p, --pid <pid>", "the process")
    .option("--json", "print answers as JSON, one a line", false)
    .action(run);
}

async function run({ pid: text, json }: Options): Promise<void> {
  const pid = parsePid(text);
  if (pid === undefined) {
    throw new PatchbayError({
      code: "bad-usage",
      doing: "attach",
      why: "it is not said to which process",
      hint: "patchbay attach -p PID",
    });
  }
  await using session = await attach(pid);
  const { joined } = session;
  const beside = joined === undefined ? "" : `, joining patchbay process ${joined}`;
  process.stderr.write(`patchbay: attached to process ${pid}${beside}; \`help\` lists verbs\n`);
  const isTyped = process.stdin.isTTY;
  const lines = createInterface({
    input: process.stdin,
    ...(isTyped ? { output: process.stdout, completer: completer(session) } : {}),
    prompt: `patchbay ${pid}> `,
  });
  const ok = await untilTold((stop) => {
    stop.signal.addEventListener("abort", () => lines.close());
    return serve(session, lines, json);
  });
  if (!ok && !isTyped) process.exitCode = 1;
  await stayForGuests(session);
}

/** Carries out line after line; whether all went well. */
async function serve(session: Session, lines: Interface, json: boolean): Promise<boolean> {
  let ok = true;
  // Ctrl-C gives up the line, as in a shell.
  lines.on("SIGINT", () => {
    lines.write(null, { ctrl: true, name: "u" });
    process.stdout.write("^C\n");
    lines.prompt();
  });
  if (process.stdin.isTTY) lines.prompt();
  for await (const line of lines) {
    const words = splitWords(line);
    if (words[0] !== undefined && endVerbs.includes(words[0])) break;
    if (words.length > 0 && !line.trimStart().startsWith("#")) {
      ok = (await carryOut(session, words, json)) && ok;
      if (words[0] === "help" && !json) writeLines([`${"quit".padEnd(28)}  ends all of that`]);
    }
    if ((await session.status()).kind !== "running") {
      process.stderr.write(`patchbay: process ${session.pid} has ended\n`);
      break;
    }
    if (process.stdin.isTTY) lines.prompt();
  }
  lines.close();
  // What came of it is worth a line.
  for (const { name } of session.users)
    ok = (await carryOut(session, ["remove", name], json)) && ok;
  return ok;
}

async function carryOut(
  session: Session,
  words: readonly string[],
  json: boolean,
): Promise<boolean> {
  let answer: Answer;
  try {
    answer = await runCommand(session, words, process.cwd());
  } catch (error) {
    if (!(error instanceof PatchbayError)) throw error;
    if (json) writeJson({ error });
    else process.stderr.write(`patchbay: ${error.message}\n`);
    return false;
  }
  if (json) writeJson(answer.value);
  else writeLines(answer.lines);
  return true;
}

/** Completes verbs, names of ops, and functions. */
function completer(session: Session) {
  let functions: readonly string[] | undefined;
  return (line: string): [string[], string] => {
    const words = splitWords(line);
    const last = line.endsWith(" ") || words.length === 0 ? "" : (words.at(-1) ?? "");
    const before = last === "" ? words.length : words.length - 1;
    const verb = words[0] ?? "";
    const found: string[] = [];
    const offer = (names: readonly string[], bare = last): void => {
      for (const name of names) {
        if (name.startsWith(bare) && found.length < suggestionsMax) found.push(name);
      }
    };
    if (before === 0) offer([...consoleVerbs, ...endVerbs].sort());
    else if (before === 1 && verb === "record") offer(["start", "stop"]);
    else if (before === 1 && opsVerbs.includes(verb)) offer(session.users.map(({ name }) => name));
    else if (functionVerbs.includes(verb)) {
      functions ??= session.select().map(({ name }) => name);
      offer(functions);
    }
    return [found, last];
  };
}
